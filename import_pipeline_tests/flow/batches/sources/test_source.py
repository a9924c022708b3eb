"""Sources as files: pinned ranges of an object, temporary copies, and the checksum beside both."""

import gzip
import hashlib
import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from import_pipeline.errors import NoRoomOnDisk, ObjectVanished, OverwrittenBeforeRead
from import_pipeline.flow.batches.sources.compression import ExpandedSource
from import_pipeline.flow.batches.sources.source import (
    DISK_RESERVE,
    FileSource,
    HashingSource,
    ObjectSource,
    spooled,
)
from import_pipeline.records import ListedObject
from import_pipeline.storage.bucket import Bucket
from import_pipeline_tests.flow.batches.reading_back import BytesSource

KEY = "uploads/acme/leads/a.bin"
DATA = bytes(range(256)) * 2000


@pytest.fixture
def dropped(s3, bucket_name: str) -> ObjectSource:
    bucket = Bucket(s3, bucket_name)
    s3.put_object(Bucket=bucket_name, Key=KEY, Body=DATA)
    found = bucket.head(KEY)
    assert found is not None
    return ObjectSource(bucket, found[0])


def test_an_object_is_a_seekable_file(dropped: ObjectSource) -> None:
    with dropped.open() as file:
        file.seek(-10, io.SEEK_END)
        assert file.read() == DATA[-10:]
        assert file.read(1) == b""
        file.seek(1000)
        assert file.read(70_000) == DATA[1000:71_000]
        file.seek(500, io.SEEK_CUR)
        assert file.read() == DATA[71_500:]
        assert file.tell() == len(DATA)
        file.seek(0)
        assert file.read() == DATA


def test_reading_on_takes_longer_ranges_and_looking_around_short_ones(
    dropped: ObjectSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    real = dropped.bucket.read_range

    def read_range(source: ListedObject, start: int, length: int) -> bytes:
        asked.append((start, length))
        return real(source, start, length)

    monkeypatch.setattr(dropped.bucket, "read_range", read_range)
    with dropped.open() as file:
        file.seek(500_000)
        file.read(100)
        file.seek(0)
        while file.read(10_000):
            pass
    kib = 1024
    assert asked[:4] == [(500_000, 64 * kib), (0, 64 * kib), (64 * kib, 128 * kib), (192 * kib, 256 * kib)]


def test_a_range_of_an_object_that_was_overwritten_is_never_read(dropped: ObjectSource, s3) -> None:
    with dropped.open() as file:
        assert file.read(10) == DATA[:10]
        s3.put_object(Bucket=dropped.listed.bucket, Key=KEY, Body=DATA[::-1])
        file.seek(400_000)
        with pytest.raises(OverwrittenBeforeRead):
            file.read(10)


def test_a_range_of_an_object_that_was_deleted_says_so(dropped: ObjectSource, s3) -> None:
    s3.delete_object(Bucket=dropped.listed.bucket, Key=KEY)
    with dropped.open() as file, pytest.raises(ObjectVanished):
        file.read(10)


def test_a_range_that_breaks_off_is_resumed(dropped: ObjectSource, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = dropped.bucket.client.get_object, []

    def get_object(**arguments):  # type: ignore[no-untyped-def]
        calls.append(arguments["Range"])
        found = real(**arguments)
        if len(calls) == 1:
            found["Body"] = io.BytesIO(found["Body"].read(300))
        return found

    monkeypatch.setattr(dropped.bucket.client, "get_object", get_object)
    assert dropped.bucket.read_range(dropped.listed, 1000, 1000) == DATA[1000:2000]
    assert calls == ["bytes=1000-1999", "bytes=1300-1999"]


def test_a_file_of_this_machine_is_read_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(DATA)
    with spooled(HashingSource(FileSource(path))) as copy:
        assert copy == path
    assert path.exists()


def test_a_temporary_copy_is_hashed_on_its_way_and_removed() -> None:
    taken: list[int] = []

    class Counted(BytesSource):
        def chunks(self):  # type: ignore[no-untyped-def]
            taken.append(1)
            return super().chunks()

    hashing = HashingSource(Counted(DATA))
    with spooled(hashing) as copy:
        assert copy.read_bytes() == DATA
    assert not copy.exists()
    assert hashing.sha256() == hashlib.sha256(DATA).hexdigest()
    assert len(taken) == 1


def test_a_copy_that_would_fill_the_disk_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1024))
    with pytest.raises(NoRoomOnDisk) as refused, spooled(BytesSource(DATA)):
        pass
    assert refused.value.fields == {"needed": len(DATA), "free": 1024}


def test_unpacking_into_a_temporary_file_stops_before_the_disk_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """How much comes out is not known beforehand; the room for the packed bytes was there."""
    packed = gzip.compress(bytes(1_000_000))
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=DISK_RESERVE + len(packed)))
    with pytest.raises(NoRoomOnDisk):
        ExpandedSource(BytesSource(packed), "gz", 10_000_000).open()


def test_a_pinned_object_of_another_etag_is_never_read(dropped: ObjectSource) -> None:
    other = ObjectSource(dropped.bucket, replace(dropped.listed, etag="0" * 32))
    with other.open() as file, pytest.raises(OverwrittenBeforeRead):
        file.read(1)
