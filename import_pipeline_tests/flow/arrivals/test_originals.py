"""Where an original is found again, and where it goes, against the emulator."""

from dataclasses import dataclass

import pytest

from import_pipeline.errors import ObjectVanished, OverwrittenBeforeRead
from import_pipeline.flow.arrivals.identity import identity, short_id
from import_pipeline.flow.arrivals.originals import (
    archive_original,
    locate_original,
    quarantine_original,
    require_original,
)
from import_pipeline.records import ListedObject
from import_pipeline.storage.bucket import Bucket

KEY = "uploads/acme/leads/sub/a.csv"


@dataclass(frozen=True)
class Row:
    listed: ListedObject
    workspace: str | None = "acme"
    dataset: str | None = "leads"
    file_name: str = "a.csv"
    original_key: str | None = None

    @property
    def short_id(self) -> str:
        return short_id(identity(self.listed))


@pytest.fixture
def bucket(s3, bucket_name: str) -> Bucket:
    return Bucket(s3, bucket_name)


@pytest.fixture
def row(bucket: Bucket) -> Row:
    return Row(put(bucket, b"older"))


def put(bucket: Bucket, body: bytes) -> ListedObject:
    bucket.client.put_object(Bucket=bucket.name, Key=KEY, Body=body)
    return next(bucket.list_objects())


def test_an_original_goes_to_the_archive_and_is_found_there(bucket: Bucket, row: Row) -> None:
    assert locate_original(bucket, row) == row.listed
    moved = archive_original(bucket, row, row.listed)
    assert (moved.outcome, moved.key) == ("moved", f"archive/acme/leads/{row.short_id}/a.csv")
    found = locate_original(bucket, row)
    assert found is not None
    assert found.key == moved.key
    assert b"".join(bucket.read_pinned(found)) == b"older"
    assert archive_original(bucket, row, found).key == moved.key
    assert archive_original(bucket, row, row.listed) == type(moved)("gone", moved.key)


def test_a_refused_original_goes_to_quarantine_and_from_there_to_the_archive(
    bucket: Bucket, row: Row
) -> None:
    assert quarantine_original(bucket, row, row.listed).key == f"quarantine/acme/leads/{row.short_id}/a.csv"
    found = locate_original(bucket, row)
    assert found is not None
    archive_original(bucket, row, found)
    assert bucket.list_keys("") == [f"archive/acme/leads/{row.short_id}/a.csv"]


def test_an_ignored_original_without_workspace_has_a_place_too(bucket: Bucket, row: Row) -> None:
    ignored = Row(row.listed, workspace=None, dataset=None)
    assert quarantine_original(bucket, ignored, row.listed).key == f"quarantine/_/_/{row.short_id}/a.csv"
    assert locate_original(bucket, ignored) is not None


def test_an_original_that_is_not_to_be_kept_is_deleted(bucket: Bucket, row: Row) -> None:
    assert archive_original(bucket, row, row.listed, keep=False).key is None
    assert bucket.list_keys("") == []


def test_a_newer_object_at_the_key_is_not_the_original_and_is_named(bucket: Bucket, row: Row) -> None:
    newer = put(bucket, b"newer")
    assert locate_original(bucket, row) is None
    with pytest.raises(OverwrittenBeforeRead) as caught:
        require_original(bucket, row)
    assert caught.value.fields["successor"] == f"acme/sub/a.csv@{short_id(identity(newer))}"
    assert archive_original(bucket, row, row.listed).outcome == "newer_arrival"
    assert bucket.list_keys("") == [KEY]


def test_an_original_that_is_nowhere_has_vanished(bucket: Bucket, row: Row) -> None:
    bucket.client.delete_object(Bucket=bucket.name, Key=KEY)
    with pytest.raises(ObjectVanished, match="deleted before"):
        require_original(bucket, row)


def test_the_longest_key_that_s3_takes_has_a_place_in_archive_and_quarantine(bucket: Bucket) -> None:
    name = "é" * ((1024 - len("uploads/acme/leads/")) // 2)
    key = f"uploads/acme/leads/{name}"
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"x")
    row = Row(next(bucket.list_objects()), file_name=name)
    assert quarantine_original(bucket, row, row.listed).outcome == "moved"
    found = locate_original(bucket, row)
    assert found is not None
    assert archive_original(bucket, row, found).outcome == "moved"
