"""Moving an original never loses a newer one at its key, against the emulator."""

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from import_pipeline.errors import StorageUnavailable
from import_pipeline.records import ListedObject
from import_pipeline.storage import conditions
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.metadata import encode_metadata, origin_of

KEY, TARGET = "uploads/acme/leads/a.csv", "archive/acme/leads/0123456789ab/a.csv"
MIB = 1024**2


@pytest.fixture
def versions(services, bucket_name: str) -> Any:
    """The bucket keeps versions; whoever calls it learns those of the key, `marker` for a deletion."""
    root = services.aws.client("s3")
    root.put_bucket_versioning(Bucket=bucket_name, VersioningConfiguration={"Status": "Enabled"})

    def found() -> list[str]:
        there = root.list_object_versions(Bucket=bucket_name, Prefix=KEY)
        bodies = [
            root.get_object(Bucket=bucket_name, Key=KEY, VersionId=one["VersionId"])["Body"].read().decode()
            for one in there.get("Versions", ())
        ]
        return ["marker" for _ in there.get("DeleteMarkers", ())] + sorted(bodies)

    return found


@pytest.fixture
def bucket(s3, bucket_name: str) -> Bucket:
    """A bucket whose store has been asked already whether it deletes on condition."""
    conditions.deletes_on_condition(s3, bucket_name)
    return Bucket(s3, bucket_name)


def put(bucket: Bucket, body: bytes, **more: Any) -> ListedObject:
    bucket.client.put_object(Bucket=bucket.name, Key=KEY, Body=body, **more)
    found = bucket.head(KEY)
    assert found is not None
    return found[0]


def keys(bucket: Bucket) -> list[str]:
    return bucket.list_keys("")


def origin(bucket: Bucket) -> ListedObject | None:
    """What the moved object says that it was."""
    found = bucket.head(TARGET)
    assert found is not None
    return origin_of(found[1], found[0])


def test_a_move_takes_bytes_type_and_metadata_along_and_can_be_repeated(bucket: Bucket) -> None:
    source = put(bucket, b"rows", ContentType="text/csv", Metadata={"name": "x"})
    assert bucket.move(source, TARGET) == "moved"
    assert keys(bucket) == [TARGET]
    assert bucket.get_bytes(TARGET) == b"rows"
    found = bucket.client.head_object(Bucket=bucket.name, Key=TARGET)
    assert (found["ContentType"], found["Metadata"]["name"]) == ("text/csv", "x")
    assert bucket.move(source, TARGET) == "gone"
    assert bucket.get_bytes(TARGET) == b"rows"


def test_a_large_object_is_copied_in_parts_with_its_type_and_metadata(s3, bucket_name: str) -> None:
    bucket = Bucket(s3, bucket_name, copy_part_bytes=5 * MIB)
    body = b"0123456789abcdef" * (21 * MIB // 16)
    source = put(bucket, body, ContentType="text/csv", Metadata={"name": "x"})
    assert bucket.move(source, TARGET) == "moved"
    assert keys(bucket) == [TARGET]
    assert bucket.get_bytes(TARGET) == body
    found = s3.head_object(Bucket=bucket_name, Key=TARGET)
    assert found["ETag"].strip('"').endswith("-5")
    assert (found["ContentType"], found["Metadata"]["name"]) == ("text/csv", "x")
    assert origin(bucket) == source


def test_a_large_object_overwritten_before_its_copy_leaves_no_incomplete_upload(s3, bucket_name: str) -> None:
    bucket = Bucket(s3, bucket_name, copy_part_bytes=5 * MIB)
    source = put(bucket, b"a" * 21 * MIB)
    real = s3.upload_part_copy

    def overwritten_meanwhile(**arguments: Any) -> Any:
        if arguments["PartNumber"] == 1:
            put(bucket, b"newer")
        return real(**arguments)

    s3.upload_part_copy = overwritten_meanwhile
    assert bucket.move(source, TARGET) == "newer_arrival"
    assert keys(bucket) == [KEY]
    assert bucket.get_bytes(KEY) == b"newer"
    assert not s3.list_multipart_uploads(Bucket=bucket_name).get("Uploads")


def test_a_newer_arrival_at_the_key_stays(bucket: Bucket) -> None:
    source = put(bucket, b"older")
    put(bucket, b"newer")
    assert bucket.move(source, TARGET) == "newer_arrival"
    assert keys(bucket) == [KEY]
    assert bucket.get_bytes(KEY) == b"newer"


def test_an_arrival_between_copy_and_delete_stays(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    source = put(bucket, b"older")
    real = bucket.client.delete_object

    def overwritten_just_before(**arguments: Any) -> Any:
        put(bucket, b"newer")
        return real(**arguments)

    monkeypatch.setattr(bucket.client, "delete_object", overwritten_just_before)
    assert bucket.move(source, TARGET) == "newer_arrival"
    assert bucket.get_bytes(KEY) == b"newer"
    assert bucket.get_bytes(TARGET) == b"older"


def test_the_same_bytes_dropped_again_later_stay(bucket: Bucket) -> None:
    """Their ETag is the same, so only LastModified tells the two arrivals apart."""
    now = put(bucket, b"same")
    earlier = ListedObject(now.bucket, KEY, now.etag, now.size, now.last_modified - timedelta(seconds=5))
    assert bucket.move(earlier, TARGET) == "newer_arrival"
    assert bucket.get_bytes(KEY) == b"same"


def test_a_version_that_was_overwritten_before_it_was_noticed_does_not_come_back(
    bucket: Bucket, versions: Any
) -> None:
    """Deleting the newer one by its version alone uncovered it: it was imported after its correction."""
    put(bucket, b"wrong")
    source = put(bucket, b"corrected")
    assert bucket.move(source, TARGET) == "moved"
    assert keys(bucket) == [TARGET]
    assert versions() == ["marker", "wrong"]
    assert bucket.move(source, TARGET) == "gone"
    assert versions() == ["marker", "wrong"]


def test_a_version_that_arrives_between_copy_and_delete_stays(
    bucket: Bucket, versions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = put(bucket, b"older")
    real = bucket.client.delete_object

    def overwritten_just_before(**arguments: Any) -> Any:
        if "IfMatch" in arguments:
            put(bucket, b"newer")
        return real(**arguments)

    monkeypatch.setattr(bucket.client, "delete_object", overwritten_just_before)
    assert bucket.move(source, TARGET) == "moved"
    assert (bucket.get_bytes(KEY), versions()) == (b"newer", ["newer"])


def test_a_pinned_version_goes_and_the_newer_version_stays(bucket: Bucket, versions: Any) -> None:
    source = put(bucket, b"older")
    put(bucket, b"newer")
    assert bucket.move(source, TARGET) == "moved"
    assert bucket.get_bytes(TARGET) == b"older"
    assert bucket.get_bytes(KEY) == b"newer"


def refuses(arguments: dict[str, Any], real: Any) -> Any:
    """A store that knows no conditional delete and says so."""
    answer = {"Error": {"Code": "NotImplemented"}, "ResponseMetadata": {"HTTPStatusCode": 501}}
    raise ClientError(answer, "DeleteObject")


def ignores(arguments: dict[str, Any], real: Any) -> Any:
    """A store that deletes whatever has the key."""
    return real(**{name: value for name, value in arguments.items() if name != "IfMatch"})


@pytest.mark.parametrize("answers", [refuses, ignores])
@pytest.mark.parametrize("overwritten", [False, True])
def test_a_store_that_does_not_delete_on_condition_keeps_originals_and_is_asked_once(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, overwritten: bool, answers: Any
) -> None:
    """One that ignores the condition would delete an object that nobody has seen yet."""
    source = put(bucket, b"older")
    if overwritten:
        put(bucket, b"newer")
    real, deletes = bucket.client.delete_object, []

    def deleting(**arguments: Any) -> Any:
        deletes.append(arguments["Key"])
        return answers(arguments, real) if "IfMatch" in arguments else real(**arguments)

    monkeypatch.setattr(conditions, "_KNOWN", {})
    monkeypatch.setattr(bucket.client, "delete_object", deleting)
    for _ in range(2):
        assert bucket.delete_pinned(source) == ("newer_arrival" if overwritten else "kept")
    assert bucket.get_bytes(KEY) == (b"newer" if overwritten else b"older")
    assert KEY not in deletes and len(set(deletes)) == 1
    if not overwritten:
        assert bucket.move(source, TARGET) == "kept"
        assert keys(bucket) == [TARGET, KEY]


def test_the_probe_leaves_nothing(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "_KNOWN", {})
    assert conditions.deletes_on_condition(bucket.client, bucket.name)
    assert keys(bucket) == []


def test_without_conditional_deletes_the_current_version_stays_and_one_that_is_not_goes(
    bucket: Bucket, versions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A marker without a condition might cover a newer file; without one, an older would come back."""
    monkeypatch.setattr(conditions, "_KNOWN", {bucket.client.meta.endpoint_url: False})
    older, newer = put(bucket, b"older"), put(bucket, b"newer")
    assert bucket.move(newer, TARGET) == "kept"
    assert versions() == ["newer", "older"]
    assert bucket.move(older, TARGET) == "moved"
    assert versions() == ["newer"]


def test_a_copy_that_is_not_like_the_original_is_thrown_away(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = put(bucket, b"rows")

    def copies_badly(**arguments: Any) -> Any:
        return bucket.client.put_object(Bucket=bucket.name, Key=arguments["Key"], Body=b"sowr")

    monkeypatch.setattr(bucket.client, "copy_object", copies_badly)
    with pytest.raises(StorageUnavailable, match="not like"):
        bucket.move(source, TARGET)
    assert keys(bucket) == [KEY]


def test_a_copy_leaves_the_original_and_never_takes_a_newer_one_for_it(bucket: Bucket) -> None:
    source = put(bucket, b"rows", Metadata={"name": "x"})
    assert bucket.copy(source, TARGET) == "copied"
    assert keys(bucket) == [TARGET, KEY]
    found = bucket.client.head_object(Bucket=bucket.name, Key=TARGET)
    assert (bucket.get_bytes(TARGET), found["Metadata"]["name"]) == (b"rows", "x")
    put(bucket, b"newer")
    assert bucket.copy(source, TARGET) == "newer_arrival"
    bucket.client.delete_object(Bucket=bucket.name, Key=KEY)
    assert bucket.copy(source, TARGET) == "gone"
    assert bucket.get_bytes(TARGET) == b"rows"


def test_a_moved_original_says_what_it_was_and_a_second_move_keeps_that(bucket: Bucket) -> None:
    stated = {"name": "João", "original-key": "uploads/other/leads/forged.csv"}
    bucket.client.put_object(Bucket=bucket.name, Key=KEY, Body=b"rows", Metadata=encode_metadata(stated))
    found = bucket.head(KEY)
    assert found is not None

    assert bucket.move(found[0], "quarantine/acme/leads/0123456789ab/a.csv") == "moved"
    moved = bucket.head("quarantine/acme/leads/0123456789ab/a.csv")
    assert moved is not None
    assert bucket.move(moved[0], TARGET) == "moved"

    assert origin(bucket) == found[0]
    after = bucket.head(TARGET)
    assert after is not None
    assert after[1]["name"] == "João"


def test_an_original_whose_metadata_are_full_is_moved_without_its_origin(bucket: Bucket) -> None:
    source = put(bucket, b"rows", Metadata={"note": "x" * 2000})

    assert bucket.move(source, TARGET) == "moved"
    assert origin(bucket) is None
    assert bucket.client.head_object(Bucket=bucket.name, Key=TARGET)["Metadata"] == {"note": "x" * 2000}
