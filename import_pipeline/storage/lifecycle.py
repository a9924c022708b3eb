"""Lifecycle rules of the bucket: a safety net below housekeeping's jobs. Never a rule on `uploads/`.

Ours are known by their id; rules of others are written back as they were read. How many days, the
caller says.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from botocore.exceptions import ClientError
from botocore.model import ListShape, Shape, StructureShape

from import_pipeline.errors import ConfigurationError
from import_pipeline.storage.faults import answer, storage_errors
from import_pipeline.storage.leftovers import OUR_PLACES

RULE_PREFIX = "import-pipeline-"
NO_RULES = "NoSuchLifecycleConfiguration"
READ_EVENT = "after-call.s3.GetBucketLifecycleConfiguration"
RIGHTS = "Use credentials that have the policy deploy/s3-policies/operator.json."
MINIMUM_SIZE = "TransitionDefaultMinimumObjectSize"
Rule = dict[str, Any]


@dataclass(frozen=True)
class FoundRules:
    """The bucket's lifecycle configuration as it was read; `options`: what stands beside the rules."""

    rules: tuple[Rule, ...]
    options: Mapping[str, str]


@dataclass(frozen=True)
class PlannedRules:
    """What applying our rules changes.

    Attributes:
        rules: all rules afterwards, those of others first and in their order.
        foreign: number of rules of others.
    """

    found: FoundRules
    rules: tuple[Rule, ...]
    added: tuple[Rule, ...]
    changed: tuple[tuple[Rule, Rule], ...]
    removed: tuple[Rule, ...]
    foreign: int

    @property
    def nothing(self) -> bool:
        """Whether the bucket has our rules already."""
        return not (self.added or self.changed or self.removed)


def wanted_rules(days: Mapping[str, int], *, unfinished_days: int, version_days: int) -> list[Rule]:
    """Our rules, one a place of ours.

    Args:
        days: after which objects go, by place; one that is not in it keeps its objects.
        unfinished_days: after which multipart uploads go that nobody completed.
        version_days: after which versions of deleted objects go, where the bucket keeps versions.
    """
    return [_rule(place, days.get(place), unfinished_days, version_days) for place in OUR_PLACES]


def read_rules(client: Any, bucket: str) -> FoundRules:
    """The bucket's rules.

    Raises:
        ConfigurationError: they may not be read, or one has parts that would be lost on the way back.
        StorageUnavailable: the store does not answer.
    """
    bodies: list[bytes] = []

    def keep(http_response: Any, **_: Any) -> None:
        bodies.append(http_response.content)

    client.meta.events.register(READ_EVENT, keep)
    try:
        with _rights_told(), storage_errors(f"read the lifecycle rules of {bucket}"):
            found = client.get_bucket_lifecycle_configuration(Bucket=bucket)
    except ClientError as error:
        if answer(error) == NO_RULES:
            return FoundRules((), {})
        raise
    finally:
        client.meta.events.unregister(READ_EVENT, keep)
    _require_understood(client, bodies[-1] if bodies else b"")
    options = {MINIMUM_SIZE: found[MINIMUM_SIZE]} if found.get(MINIMUM_SIZE) else {}
    return FoundRules(tuple(found.get("Rules", ())), options)


def plan_rules(found: FoundRules, wanted: Sequence[Rule]) -> PlannedRules:
    """What has to change so that our rules are exactly `wanted`."""
    foreign = [rule for rule in found.rules if not _is_ours(rule)]
    ours = {rule["ID"]: rule for rule in found.rules if _is_ours(rule)}
    ids = {rule["ID"] for rule in wanted}
    return PlannedRules(
        found=found,
        rules=(*foreign, *wanted),
        added=tuple(rule for rule in wanted if rule["ID"] not in ours),
        changed=tuple((ours[rule["ID"]], rule) for rule in wanted if ours.get(rule["ID"], rule) != rule),
        removed=tuple(rule for name, rule in ours.items() if name not in ids),
        foreign=len(foreign),
    )


def apply_rules(client: Any, bucket: str, plan: PlannedRules) -> None:
    """Write the planned rules.

    Raises:
        ConfigurationError: somebody changed the rules since they were read; nothing was written.
    """
    if read_rules(client, bucket) != plan.found:
        raise ConfigurationError(
            f"The lifecycle rules of {bucket} were changed by somebody else in the meantime.",
            remedy="Type the command again: it shows the difference to what is there now.",
        )
    with _rights_told(), storage_errors(f"write the lifecycle rules of {bucket}"):
        client.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": list(plan.rules)}, **plan.found.options
        )


def _rule(place: str, days: int | None, unfinished_days: int, version_days: int) -> Rule:
    rule: Rule = {
        "ID": f"{RULE_PREFIX}{place.strip('/')}",
        "Filter": {"Prefix": place},
        "Status": "Enabled",
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": unfinished_days},
    }
    if days is not None:
        rule["Expiration"] = {"Days": days}
        rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": version_days}
    return rule


def _is_ours(rule: Rule) -> bool:
    return str(rule.get("ID", "")).startswith(RULE_PREFIX)


@contextmanager
def _rights_told() -> Iterator[None]:
    """Say which policy is needed, where rules may not be read or written."""
    try:
        yield
    except ConfigurationError as error:
        if error.fields.get("answer") not in ("AccessDenied", "403"):
            raise
        raise ConfigurationError(error.message, remedy=RIGHTS) from error


def _require_understood(client: Any, body: bytes) -> None:
    """Refuse rules with elements that boto3 does not know: they would be gone after writing them back."""
    if not body:
        return
    known = {"LifecycleConfiguration", "Rule", *_names(client.meta.service_model.shape_for("LifecycleRule"))}
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(body).iter()}  # noqa: S314
    if strange := sorted(tags - known):
        raise ConfigurationError(
            f"The bucket's lifecycle rules have parts that boto3 does not know: {', '.join(strange)}.",
            remedy="Upgrade boto3; else they would be lost.",
        )


def _names(shape: Shape) -> Iterator[str]:
    """Names of all XML elements below a shape."""
    if isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            yield str(member.serialization.get("name", name))
            yield from _names(member)
    elif isinstance(shape, ListShape):
        yield str(shape.member.serialization.get("name", "member"))
        yield from _names(shape.member)
