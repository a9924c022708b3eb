"""Listing, pinned reads and errors of the bucket, against the emulator."""

import io
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, IncompleteReadError
from botocore.response import StreamingBody

from import_pipeline.errors import (
    ConfigurationError,
    ObjectVanished,
    OverwrittenBeforeRead,
    StorageUnavailable,
)
from import_pipeline.records import ListedObject
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.faults import storage_errors
from import_pipeline.storage.metadata import decode_metadata, encode_metadata

KEY = "uploads/acme/leads/a.csv"


@pytest.fixture
def bucket(s3, bucket_name: str) -> Bucket:
    return Bucket(s3, bucket_name)


def listed(bucket: Bucket, key: str = KEY) -> ListedObject:
    return next(o for o in bucket.list_objects() if o.key == key)


@pytest.fixture
def break_bodies(s3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Cut the body of the next GETs off after so many bytes, as a lost connection does."""
    real = s3.get_object

    def install(after: list[int], before_next: Any = lambda: None) -> list[dict]:
        calls: list[dict] = []

        def get_object(**arguments: Any) -> Any:
            if calls:
                before_next()
            calls.append(arguments)
            found = real(**arguments)
            if len(calls) <= len(after):
                part = found["Body"].read()[: after[len(calls) - 1]]
                found["Body"] = StreamingBody(io.BytesIO(part), found["ContentLength"])
            return found

        monkeypatch.setattr(s3, "get_object", get_object)
        return calls

    yield install


@pytest.mark.parametrize(
    "name", ["a b.csv", "ação+1.csv", "50%25.csv", "a#b?.csv", "..", "n\nl.csv", "é" * 490, "🚗'\".csv"]
)
def test_every_key_lists_heads_and_reads_under_its_own_name(services, bucket_name: str, name: str) -> None:
    # As root: the emulator's policies do not match a key with a line break.
    bucket = Bucket(services.aws.client("s3"), bucket_name)
    key = f"uploads/acme/leads/{name}"
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"x")
    (found,) = bucket.list_objects()
    assert found.key == key
    assert b"".join(bucket.read_pinned(found)) == b"x"
    assert bucket.move(found, "archive/acme/leads/0/x") == "moved"


def test_a_head_gives_the_same_record_as_the_listing(bucket: Bucket) -> None:
    bucket.client.put_object(Bucket=bucket.name, Key=KEY, Body=b"x", Metadata={"Date-Order": "dmy"})
    found = bucket.head(KEY)
    assert found == (listed(bucket), {"date-order": "dmy"})
    assert bucket.head("uploads/none") is None


def test_metadata_survives_that_headers_cannot_carry(bucket: Bucket, tmp_path: Path) -> None:
    meant = {"name": "João\nIção =?x?=", "uploaded-by": "Ünal"}
    (tmp_path / "f").write_bytes(b"x" * 20_000_000)
    sent: list[int] = []
    bucket.upload_file(tmp_path / "f", KEY, meant, sent.append)
    found = bucket.head(KEY)
    assert found is not None
    assert found[1] == {"name": "João Ição =?x?=", "uploaded-by": "Ünal"}
    assert sum(sent) == found[0].size == 20_000_000
    assert decode_metadata({"x": "=?nonsense?B?!!?="}) == {"x": "=?nonsense?B?!!?="}
    assert encode_metadata({"a": "b"}) == {"a": "b"}


def test_a_failed_listing_is_an_error_and_never_an_empty_one(services, s3) -> None:
    with pytest.raises(ConfigurationError, match="NoSuchBucket"):
        list(Bucket(services.aws.client("s3"), "no-such-bucket").list_objects())
    with pytest.raises(ConfigurationError, match=r"AccessDenied.*deploy/"):
        list(Bucket(s3, "another-bucket").list_objects())


def test_a_store_that_does_not_answer_is_unavailable(unused_tcp_address: str, tmp_path: Path) -> None:
    client = boto3.client(
        "s3", endpoint_url=unused_tcp_address, region_name="us-east-1", aws_access_key_id="a",
        aws_secret_access_key="b", config=Config(retries={"total_max_attempts": 1}, connect_timeout=1),
    )  # fmt: skip
    bucket = Bucket(client, "b")
    (tmp_path / "f").write_bytes(b"x")
    for call in (
        lambda: list(bucket.list_objects()),
        lambda: bucket.head(KEY),
        lambda: bucket.put_bytes("reports/x", b""),
        lambda: bucket.put_file("reports/x", tmp_path / "f"),
        lambda: bucket.get_bytes("reports/x"),
        lambda: bucket.get_file("reports/x", tmp_path / "g"),
    ):
        with pytest.raises(StorageUnavailable):
            call()


@pytest.fixture
def unused_tcp_address() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}"


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("SlowDown", 503, StorageUnavailable),
        ("InternalError", 500, StorageUnavailable),
        ("RequestTimeout", 400, StorageUnavailable),
        ("AccessDenied", 403, ConfigurationError),
        ("NoSuchKey", 404, ClientError),
    ],
)
def test_an_answer_is_translated_by_whose_trouble_it_is(code: str, status: int, expected: type) -> None:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(expected), storage_errors("test"):
        raise ClientError(answer, "GetObject")


def test_a_pinned_read_gives_small_pieces_of_the_whole(bucket: Bucket) -> None:
    data = bytes(range(256)) * 400
    bucket.client.put_object(Bucket=bucket.name, Key=KEY, Body=data)
    pieces = list(bucket.read_pinned(listed(bucket), chunk_bytes=1000))
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 1000


def test_a_body_that_breaks_off_is_resumed_where_it_broke(bucket: Bucket, break_bodies: Any) -> None:
    data = bytes(range(256)) * 100
    bucket.client.put_object(Bucket=bucket.name, Key=KEY, Body=data)
    source = listed(bucket)
    calls = break_bodies([9_000, 5_000, 0])
    assert b"".join(bucket.read_pinned(source, chunk_bytes=1000)) == data
    assert [c.get("Range") for c in calls] == [None, "bytes=9000-", "bytes=14000-", "bytes=14000-"]


def test_a_body_that_never_comes_is_unavailable(bucket: Bucket, break_bodies: Any) -> None:
    bucket.client.put_object(Bucket=bucket.name, Key=KEY, Body=b"x" * 100)
    source = listed(bucket)
    break_bodies([0] * 20)
    with pytest.raises(StorageUnavailable):
        list(bucket.read_pinned(source))


def test_an_object_replaced_while_it_is_read_never_gives_mixed_bytes(
    bucket: Bucket, break_bodies: Any
) -> None:
    bucket.client.put_object(Bucket=bucket.name, Key=KEY, Body=b"a" * 10_000)
    source = listed(bucket)
    break_bodies([4_000], lambda: bucket.client.put_object(Bucket=bucket.name, Key=KEY, Body=b"b" * 10_000))
    seen = b""
    with pytest.raises(OverwrittenBeforeRead) as caught:
        for piece in bucket.read_pinned(source, chunk_bytes=1000):
            seen += piece
    assert seen == b"a" * 4_000
    assert caught.value.fields["successor"]["etag"] == listed(bucket).etag


def test_an_object_overwritten_or_deleted_before_its_read_is_named(bucket: Bucket) -> None:
    bucket.client.put_object(Bucket=bucket.name, Key=KEY, Body=b"first")
    source = listed(bucket)
    bucket.client.put_object(Bucket=bucket.name, Key=KEY, Body=b"other")
    with pytest.raises(OverwrittenBeforeRead, match="imported on its own"):
        list(bucket.read_pinned(source))
    bucket.client.delete_object(Bucket=bucket.name, Key=KEY)
    with pytest.raises(ObjectVanished, match="deleted"):
        list(bucket.read_pinned(source))


def test_a_pinned_version_is_read_though_a_newer_one_took_its_key(services, bucket: Bucket) -> None:
    services.aws.client("s3").put_bucket_versioning(
        Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"}
    )
    bucket.client.put_object(Bucket=bucket.name, Key=KEY, Body=b"first")
    found = bucket.head(KEY)
    assert found is not None
    assert found[0].version_id
    bucket.client.put_object(Bucket=bucket.name, Key=KEY, Body=b"other")
    assert b"".join(bucket.read_pinned(found[0])) == b"first"


def test_a_broken_body_of_our_own_object_is_read_again(bucket: Bucket, break_bodies: Any) -> None:
    bucket.put_bytes("staging/x", b"x" * 100)
    calls = break_bodies([10])
    assert bucket.get_bytes("staging/x") == b"x" * 100
    assert len(calls) == 2
    break_bodies([10] * 9)
    with pytest.raises(StorageUnavailable):
        bucket.get_bytes("staging/x")


def test_a_link_gives_the_object_without_credentials(bucket: Bucket) -> None:
    bucket.put_bytes("reports/a/b/c/summary.json", b"{}", "application/json")
    with urllib.request.urlopen(bucket.url("reports/a/b/c/summary.json", 60)) as answer:
        assert answer.read() == b"{}"
        assert answer.headers["Content-Type"] == "application/json"


def test_a_short_body_is_how_botocore_tells_of_a_lost_connection() -> None:
    """The fixture above breaks bodies the way botocore sees it: this guards the fixture."""
    with pytest.raises(IncompleteReadError):
        StreamingBody(io.BytesIO(b"x"), 2).read()


def test_keys_that_xml_cannot_name_are_deleted_with_the_others(services, bucket: Bucket) -> None:
    """S3 refused the whole list as malformed: retention stopped at one such name."""
    names = ["a.csv", "a\uffff.csv", "\ufffe", "a\x01.csv", "a\U0001f600.csv", "a&<.csv"]
    for name in names:
        services.aws.client("s3").put_object(Bucket=bucket.name, Key=f"archive/{name}", Body=b"x")
    keys = bucket.list_keys("archive/")
    assert len(keys) == len(names)

    bucket.delete_keys(keys)

    assert bucket.list_keys("archive/") == []
