"""`bucket apply`: our lifecycle rules on the emulator, those of others untouched."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from import_pipeline.errors import ConfigurationError
from import_pipeline.services.aws import PIPELINE_USER
from import_pipeline.storage.lifecycle import (
    RULE_PREFIX,
    apply_rules,
    plan_rules,
    read_rules,
    wanted_rules,
)
from import_pipeline.storage.places import ARCHIVE

OPERATOR = Path(__file__).parents[2] / "deploy" / "s3-policies" / "operator.json"
OTHERS: list[dict[str, Any]] = [
    {
        "ID": "backups of somebody",
        "Filter": {"And": {"Prefix": "backup/", "Tags": [{"Key": "a", "Value": "b & c"}]}},
        "Status": "Disabled",
        "Transitions": [{"Days": 30, "StorageClass": "GLACIER"}],
        "Expiration": {"Days": 3650},
    },
    {"ID": "logs", "Filter": {"Prefix": "logs/"}, "Status": "Enabled", "Expiration": {"Days": 9}},
]


@pytest.fixture
def root(services) -> Any:
    """A client of who owns the bucket."""
    return services.aws.client("s3")


@pytest.fixture
def operator(services, bucket_name):
    """The pipeline's user with the operator's rights beside its own."""
    iam = services.aws.client("iam")
    document = OPERATOR.read_text(encoding="utf-8").replace("BUCKET", bucket_name)
    name = f"operator-{bucket_name}"
    iam.put_user_policy(UserName=PIPELINE_USER, PolicyName=name, PolicyDocument=document)
    yield
    iam.delete_user_policy(UserName=PIPELINE_USER, PolicyName=name)


def rules_of(root: Any, bucket: str) -> dict[str, dict[str, Any]]:
    found = root.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    return {rule["ID"]: rule for rule in found}


def put(root: Any, bucket: str, rules: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    root.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    return rules_of(root, bucket)


def test_our_rules_come_a_week_after_all_that_a_job_may_keep_and_none_is_on_uploads(
    typed, operator, root, bucket_name, settings, monkeypatch
):
    monkeypatch.setenv("IMPORT_PIPELINE_REPORT_DAYS", "0")

    applied = typed("bucket", "apply", "--yes")

    assert applied.exit_code == 0, applied.err
    rules = rules_of(root, bucket_name)
    days = {rule["Filter"]["Prefix"]: rule.get("Expiration", {}).get("Days") for rule in rules.values()}
    assert days == {"staging/": 44, "dagster/": 67, "archive/": 403, "quarantine/": 97, "reports/": None}
    assert {rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for rule in rules.values()} == {8}
    assert "+ import-pipeline-archive: archive/: objects go after 403 days" in applied.words


def test_a_change_of_a_rule_of_ours_is_shown_though_words_do_not_tell_it(
    typed, operator, root, bucket_name, settings
):
    """The same line stood there twice, before and after."""
    typed("bucket", "apply", "--yes")
    rules = list(rules_of(root, bucket_name).values())
    archive = next(rule for rule in rules if rule["Filter"]["Prefix"] == "archive/")
    archive["Transitions"] = [{"Days": 30, "StorageClass": "GLACIER"}]
    put(root, bucket_name, rules)

    shown = typed("bucket", "apply", "--yes").words
    assert "GLACIER" in shown and shown.count('"ID": "import-pipeline-archive"') == 2


def test_rules_of_others_stay_as_they_are_whatever_ours_do(
    typed, operator, root, bucket_name, settings, monkeypatch
):
    gone = {
        "ID": f"{RULE_PREFIX}old",
        "Filter": {"Prefix": "old/"},
        "Status": "Enabled",
        "Expiration": {"Days": 1},
    }
    before = put(root, bucket_name, [*OTHERS, gone])

    assert typed("bucket", "apply", "--yes").exit_code == 0
    monkeypatch.setenv("IMPORT_PIPELINE_QUARANTINE_DAYS", "10")
    changed = typed("bucket", "apply", "--yes")

    after = rules_of(root, bucket_name)
    assert {name: after[name] for name in ("backups of somebody", "logs")} == {
        name: before[name] for name in ("backups of somebody", "logs")
    }
    assert list(after)[:2] == ["backups of somebody", "logs"]
    assert gone["ID"] not in after
    assert "- import-pipeline-quarantine: quarantine/: objects go after 97 days" in changed.words
    assert "+ import-pipeline-quarantine: quarantine/: objects go after 17 days" in changed.words
    assert "2 rules of others stay as they are" in changed.words
    again = typed("bucket", "apply")
    assert again.exit_code == 0
    assert "Nothing to do" in again.words


def test_nothing_is_written_without_a_yes(typed, operator, root, bucket_name, settings):
    before = put(root, bucket_name, OTHERS)

    asked = typed("bucket", "apply")

    assert asked.exit_code == 1
    assert rules_of(root, bucket_name) == before


def test_the_pipeline_itself_may_not_change_rules_and_is_told_what_is_needed(typed, settings):
    refused = typed("bucket", "apply", "--yes")

    assert refused.exit_code == 1
    assert "deploy/s3-policies/operator.json" in refused.words


def test_rules_that_somebody_changed_meanwhile_are_not_overwritten(root, bucket_name):
    plan = plan_rules(read_rules(root, bucket_name), wanted_rules({}, unfinished_days=8, version_days=7))
    before = put(root, bucket_name, OTHERS)

    with pytest.raises(ConfigurationError, match="changed by somebody else"):
        apply_rules(root, bucket_name, plan)

    assert rules_of(root, bucket_name) == before


class Raw(io.BytesIO):
    """A body as it comes over the wire."""

    def stream(self, **_: Any) -> Any:
        yield self.read()


@pytest.fixture
def answering(root: Any) -> Iterator[Callable[..., list[Any]]]:
    """Has root's client hear something else than the store's answer; gives the requests that it makes."""
    registered: list[tuple[str, Any]] = []

    def register(call: str, body: bytes, **headers: str) -> list[Any]:
        heard: list[Any] = []

        def answer(request: Any, **_: Any) -> AWSResponse:
            heard.append(request)
            return AWSResponse("", 200, headers, Raw(body))

        registered.append((f"before-send.s3.{call}", answer))
        root.meta.events.register(*registered[-1])
        return heard

    yield register
    for event, answer in registered:
        root.meta.events.unregister(event, answer)


def test_the_size_below_which_nothing_moves_is_written_back(root, answering, bucket_name):
    name = "x-amz-transition-default-minimum-object-size"
    body = b"<LifecycleConfiguration></LifecycleConfiguration>"
    answering("GetBucketLifecycleConfiguration", body, **{name: "varies_by_storage_class"})
    written = answering("PutBucketLifecycleConfiguration", b"")
    wanted = wanted_rules({ARCHIVE: 9}, unfinished_days=8, version_days=7)

    apply_rules(root, bucket_name, plan_rules(read_rules(root, bucket_name), wanted))

    assert written[0].headers[name] == b"varies_by_storage_class"


def test_rules_with_parts_that_would_be_lost_are_refused(root, answering, bucket_name):
    """What a store answers that knows more of lifecycles than this boto3."""
    body = (
        b"<LifecycleConfiguration><Rule><ID>x</ID><Filter><Prefix>logs/</Prefix></Filter>"
        b"<Status>Enabled</Status><Freezing><Days>3</Days></Freezing></Rule></LifecycleConfiguration>"
    )
    answering("GetBucketLifecycleConfiguration", body)

    with pytest.raises(ConfigurationError, match=r"does not know: Freezing\."):
        read_rules(root, bucket_name)
