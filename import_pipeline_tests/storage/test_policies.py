"""deploy/s3-policies, against the emulator: users with exactly these rights do their work, nothing else."""

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from import_pipeline.services.aws import Key
from import_pipeline.settings import load_settings
from import_pipeline.storage.bucket import Bucket, s3_client

POLICIES = Path(__file__).parents[2] / "deploy" / "s3-policies"
PLACES = ("uploads", "staging", "reports", "archive", "quarantine", "dagster")
ACME, GLOBEX = "acme", "globex"


@pytest.fixture
def user(services: Any, bucket_name: str) -> Iterator[Callable[..., Any]]:
    """Makes an IAM user with the named policies, filled in, and gives its S3 client; gone afterwards."""
    iam, made = services.aws.client("iam"), []

    def make(*names: str, workspace: str = ACME) -> Any:
        name = f"user-{secrets.token_hex(6)}"
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        made.append((name, key["AccessKeyId"], names))
        for policy in names:
            document = filled(policy, bucket_name, workspace)
            iam.put_user_policy(UserName=name, PolicyName=policy, PolicyDocument=document)
        return services.aws.client("s3", Key(key["AccessKeyId"], key["SecretAccessKey"]))

    yield make
    for name, key_id, policies in made:
        for policy in policies:
            iam.delete_user_policy(UserName=name, PolicyName=policy)
        iam.delete_access_key(UserName=name, AccessKeyId=key_id)
        iam.delete_user(UserName=name)


@pytest.fixture
def objects(s3: Any, bucket_name: str) -> Callable[[str], str]:
    """Puts an object, as the pipeline; its key."""

    def put(key: str) -> str:
        s3.put_object(Bucket=bucket_name, Key=key, Body=b"x")
        return key

    return put


def filled(policy: str, bucket: str, workspace: str = ACME, pipeline: str = "") -> str:
    text = (POLICIES / f"{policy}.json").read_text(encoding="utf-8")
    for place, value in {"BUCKET": bucket, "WORKSPACE": workspace, "PIPELINE": pipeline}.items():
        text = text.replace(f'"{place}"', json.dumps(value)).replace(f":::{place}", f":::{value}")
        text = text.replace(f"/{place}/", f"/{value}/")
    return text


def refused(call: Callable[..., Any], **arguments: Any) -> None:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] in ("AccessDenied", "403"), caught.value


def test_no_policy_has_a_wildcard_action_or_a_place_left_to_fill_in() -> None:
    for path in POLICIES.glob("*.json"):
        document = json.loads(filled(path.stem, "b", pipeline="arn:aws:iam::1:role/p"))
        for statement in document["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert statement["Effect"] == "Deny" or not any("*" in action for action in actions), path.name
        assert not {"BUCKET", "WORKSPACE", "PIPELINE"} & set(
            json.dumps(document).replace('"', "/").split("/")
        )


def test_a_sender_drops_files_into_its_workspace_in_one_piece_or_in_parts(
    user: Any, s3: Any, bucket_name: str
) -> None:
    sender = user("sender")
    sender.put_object(Bucket=bucket_name, Key="uploads/acme/leads/a.csv", Body=b"x")
    sender.put_object(Bucket=bucket_name, Key="uploads/acme/leads/a.csv", Body=b"y", Metadata={"name": "n"})
    place = {"Bucket": bucket_name, "Key": "uploads/acme/leads/b.csv"}
    begun = sender.create_multipart_upload(**place)["UploadId"]
    part = sender.upload_part(**place, UploadId=begun, PartNumber=1, Body=b"z")
    sender.list_parts(**place, UploadId=begun)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    sender.complete_multipart_upload(**place, UploadId=begun, MultipartUpload=parts)
    again = sender.create_multipart_upload(**place)["UploadId"]
    sender.abort_multipart_upload(**place, UploadId=again)
    dropped = {
        name: s3.get_object(Bucket=bucket_name, Key=f"uploads/acme/leads/{name}.csv")["Body"].read()
        for name in ("a", "b")
    }
    assert dropped == {"a": b"y", "b": b"z"}


@pytest.mark.parametrize(
    "key",
    ["uploads/globex/leads/a.csv", "uploads/acme", "uploads/acmex/leads/a.csv", "elsewhere/x",
     *(f"{place}/acme/leads/x" for place in PLACES[1:]), "dagster/storage/run/step/result"],
)  # fmt: skip
def test_a_sender_writes_nowhere_else(user: Any, bucket_name: str, key: str) -> None:
    """Whoever writes below dagster/ runs code in the pipeline: what lies there is unpickled."""
    sender = user("sender")
    refused(sender.put_object, Bucket=bucket_name, Key=key, Body=b"x")
    refused(sender.create_multipart_upload, Bucket=bucket_name, Key=key)


def test_a_sender_reads_lists_deletes_and_copies_nothing_not_even_its_own(
    user: Any, bucket_name: str, objects: Any
) -> None:
    sender = user("sender")
    own = objects("uploads/acme/leads/a.csv")
    others = [objects(f"{place}/globex/leads/x") for place in PLACES]
    for key in (own, *others):
        refused(sender.get_object, Bucket=bucket_name, Key=key)
        refused(sender.head_object, Bucket=bucket_name, Key=key)
        refused(sender.delete_object, Bucket=bucket_name, Key=key)
        source = {"Bucket": bucket_name, "Key": key}
        refused(
            sender.copy_object, Bucket=bucket_name, Key="uploads/acme/leads/stolen.csv", CopySource=source
        )
    for prefix in ("", "uploads/", "uploads/acme/", "uploads/globex/"):
        refused(sender.list_objects_v2, Bucket=bucket_name, Prefix=prefix)
    refused(sender.list_object_versions, Bucket=bucket_name)
    refused(sender.list_multipart_uploads, Bucket=bucket_name)


def test_a_reader_lists_and_reads_the_reports_of_its_workspace_and_nothing_else(
    user: Any, bucket_name: str, objects: Any
) -> None:
    reader = user("reader")
    own = objects("reports/acme/leads/0123456789ab/summary.json")
    others = [objects(f"{place}/acme/leads/x") for place in PLACES if place != "reports"]
    others += [objects("reports/globex/leads/x"), objects("reports/acmex/leads/x")]

    assert reader.get_object(Bucket=bucket_name, Key=own)["Body"].read() == b"x"
    found = reader.list_objects_v2(Bucket=bucket_name, Prefix="reports/acme/")["Contents"]
    assert [entry["Key"] for entry in found] == [own]
    for key in others:
        refused(reader.get_object, Bucket=bucket_name, Key=key)
    for prefix in ("", "reports/", "reports/acme", "reports/globex/", "uploads/acme/", "archive/acme/"):
        refused(reader.list_objects_v2, Bucket=bucket_name, Prefix=prefix)
    for key in (own, "reports/acme/x", "uploads/acme/leads/x"):
        refused(reader.put_object, Bucket=bucket_name, Key=key, Body=b"x")
        refused(reader.delete_object, Bucket=bucket_name, Key=key)


def test_somebody_with_both_policies_sends_and_reads_and_stays_within_the_workspace(
    user: Any, bucket_name: str, objects: Any
) -> None:
    both = user("sender", "reader", workspace=GLOBEX)
    report = objects("reports/globex/leads/x/summary.json")
    both.put_object(Bucket=bucket_name, Key="uploads/globex/leads/a.csv", Body=b"x")
    both.get_object(Bucket=bucket_name, Key=report)
    refused(both.put_object, Bucket=bucket_name, Key="uploads/acme/leads/a.csv", Body=b"x")
    refused(both.get_object, Bucket=bucket_name, Key=objects("reports/acme/leads/x/summary.json"))


@pytest.mark.parametrize("place", PLACES[1:])
def test_under_the_buckets_own_policy_only_the_pipeline_writes_its_places(
    services: Any, user: Any, s3: Any, bucket_name: str, place: str
) -> None:
    """Even a user with the pipeline's policy. The emulator speaks http, so that statement is left out."""
    pipeline = services.aws.client("sts", services.key).get_caller_identity()["Arn"]
    policy = json.loads(filled("bucket", bucket_name, pipeline=pipeline))
    policy["Statement"] = [s for s in policy["Statement"] if s["Sid"] != "OnlyThroughTls"]
    assert len(policy["Statement"]) == 1
    beside = {"s3:PutObjectAcl", "s3:ReplicateObject", "s3:ReplicateDelete"}
    assert beside <= set(policy["Statement"][0]["Action"]), "the emulator neither replicates nor has ACLs"
    root = services.aws.client("s3")
    mighty = user("pipeline")
    key = f"{place}/x"
    mighty.put_object(Bucket=bucket_name, Key=key, Body=b"before")
    root.put_bucket_policy(Bucket=bucket_name, Policy=json.dumps(policy))
    try:
        refused(mighty.put_object, Bucket=bucket_name, Key=key, Body=b"pickle")
        refused(mighty.delete_object, Bucket=bucket_name, Key=key)
        refused(mighty.create_multipart_upload, Bucket=bucket_name, Key=key)
        mighty.put_object(Bucket=bucket_name, Key="uploads/acme/leads/a.csv", Body=b"x")
        s3.put_object(Bucket=bucket_name, Key=key, Body=b"after")
        s3.delete_object(Bucket=bucket_name, Key=key)
    finally:
        root.delete_bucket_policy(Bucket=bucket_name)


def test_all_that_the_pipeline_writes_has_a_checksum_and_is_encrypted_with_its_key(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bucket_name: str
) -> None:
    monkeypatch.setenv("IMPORT_PIPELINE_KMS_KEY_ID", "alias/imports")
    bucket = Bucket(s3_client(load_settings()), bucket_name, copy_part_bytes=5 * 1024**2)
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"x" * 10)
    large.write_bytes(b"x" * 21 * 1024**2)
    bucket.put_bytes("reports/a", b"x")
    bucket.put_file("reports/b", small)
    bucket.put_file("reports/c", large)
    for path in (small, large):
        bucket.upload_file(path, f"uploads/acme/leads/{path.name}", {})
        found = bucket.head(f"uploads/acme/leads/{path.name}")
        assert found is not None and bucket.move(found[0], f"archive/{path.name}") == "moved"

    keys = bucket.list_keys("")
    assert len(keys) == 5
    for key in keys:
        facts = bucket.client.head_object(Bucket=bucket_name, Key=key, ChecksumMode="ENABLED")
        assert facts["ServerSideEncryption"] == "aws:kms" and "alias/imports" in facts["SSEKMSKeyId"], key
        # S3 makes one of its own for an object that it copied in parts; the emulator does not.
        summed = any(name.startswith("Checksum") and name != "ChecksumType" for name in facts)
        assert summed or key == "archive/large", key
