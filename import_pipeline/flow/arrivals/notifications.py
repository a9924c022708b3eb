"""What a message says: S3's notifications, plain or wrapped by SNS or EventBridge. Pure functions.

Only which object was written is taken from one: its facts come from a HEAD, so that an identity is
that of the listing. Formats: "Event message structure" and "EventBridge event message structure" in
the Amazon S3 user guide; MinIO and Ceph send the first.
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

TEST_EVENT = "s3:TestEvent"
CREATED = "ObjectCreated"
CREATED_BY_EVENTBRIDGE = "Object Created"


@dataclass(frozen=True)
class NotifiedObject:
    """An object that was written, as a message names it."""

    bucket: str
    key: str


class NotANotification(Exception):
    """The message cannot be read; its text says why, for the log."""


def read_notification(body: str) -> tuple[NotifiedObject, ...]:
    """The objects that were written; none for a test event, a deletion or another event.

    Raises:
        NotANotification: it is nothing that S3, SNS or EventBridge send.
    """
    content = _parsed(body)
    if content.get("Type") == "Notification" and "Message" in content:
        content = _parsed(content["Message"])
    if content.get("Event") == TEST_EVENT:
        return ()
    if isinstance(content.get("Records"), list):
        found = [_of_record(record) for record in content["Records"]]
        return tuple(one for one in found if one is not None)
    if content.get("source") == "aws.s3" and "detail-type" in content:
        return _of_eventbridge(content)
    kind = content.get("Type") or content.get("detail-type") or "no Records"
    raise NotANotification(f"it is no notification of S3 ({str(kind)[:60]!r})")


def _parsed(text: Any) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise NotANotification("it is not JSON") from None
    if not isinstance(content, dict):
        raise NotANotification("it is not a JSON object")
    return content


def _of_record(record: Any) -> NotifiedObject | None:
    """The object of one record, whose key is URL-encoded as in a form: `+` is a space."""
    name = _text(record, "eventName").removeprefix("s3:")
    if not name.startswith(f"{CREATED}:"):
        return None
    bucket, key = _text(record, "s3", "bucket", "name"), _text(record, "s3", "object", "key")
    try:
        return _named(bucket, unquote_plus(key, errors="strict"))
    except UnicodeDecodeError:
        raise _not_utf8(key) from None


def _of_eventbridge(content: dict[str, Any]) -> tuple[NotifiedObject, ...]:
    """The object of an EventBridge event, whose key stands as it is."""
    if content["detail-type"] != CREATED_BY_EVENTBRIDGE:
        return ()
    bucket, key = _text(content, "detail", "bucket", "name"), _text(content, "detail", "object", "key")
    return (_named(bucket, key),)


def _named(bucket: str, key: str) -> NotifiedObject:
    """The object; JSON can write half a character, which no store can be asked for."""
    try:
        key.encode()
    except UnicodeEncodeError:
        raise _not_utf8(key) from None
    return NotifiedObject(bucket, key)


def _not_utf8(key: str) -> NotANotification:
    return NotANotification(f"its key is not UTF-8 ({key[:60]!r})")


def _text(content: Any, *path: str) -> str:
    for part in path:
        content = content.get(part) if isinstance(content, dict) else None
    if not isinstance(content, str) or not content:
        raise NotANotification(f"it lacks {'.'.join(path)}")
    return content
