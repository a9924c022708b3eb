"""Every form in which S3 says that an object was written, and what is none."""

import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.flow.arrivals.notifications import (
    NotANotification,
    NotifiedObject,
    read_notification,
)

KEY = "uploads/acme/leads/março + 50%#1.csv"


def record(key: str, event: str = "ObjectCreated:Put", bucket: str = "imports") -> dict[str, Any]:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": event,
        "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/"), "size": 1}},
    }


def by_sns(body: str) -> str:
    return json.dumps({"Type": "Notification", "MessageId": "m", "TopicArn": "t", "Message": body})


def by_eventbridge(key: str, kind: str = "Object Created") -> str:
    detail = {"version": "0", "bucket": {"name": "imports"}, "object": {"key": key, "size": 1}}
    return json.dumps({"version": "0", "source": "aws.s3", "detail-type": kind, "detail": detail})


DIRECT = json.dumps({"Records": [record(KEY)]})
TEST = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "imports"})


@pytest.mark.parametrize(
    "body",
    [DIRECT, by_sns(DIRECT), by_eventbridge(KEY), by_sns(by_eventbridge(KEY)),
     json.dumps({"EventName": "s3:ObjectCreated:Put", "Records": [record(KEY, "s3:ObjectCreated:Put")]}),
     json.dumps({"Records": [record("gone", "ObjectRemoved:Delete"), record(KEY, "ObjectCreated:Copy")]})],
    ids=["S3", "SNS", "EventBridge", "EventBridge by SNS", "MinIO", "several records"],
)  # fmt: skip
def test_a_written_object_is_named_whatever_wraps_the_message(body: str) -> None:
    assert read_notification(body) == (NotifiedObject("imports", KEY),)


@given(st.text(min_size=1, max_size=200))
def test_a_key_comes_out_as_it_was_written(key: str) -> None:
    body = json.dumps({"Records": [record(key)]})
    assert read_notification(body) == (NotifiedObject("imports", key),)
    assert read_notification(by_eventbridge(key)) == (NotifiedObject("imports", key),)


@pytest.mark.parametrize(
    "body",
    [TEST, by_sns(TEST), json.dumps({"Records": []}), by_eventbridge(KEY, "Object Deleted"),
     *(json.dumps({"Records": [record(KEY, event)]}) for event in
       ("ObjectRemoved:Delete", "ObjectTagging:Put", "LifecycleExpiration:Delete"))],
)  # fmt: skip
def test_what_writes_no_object_names_none(body: str) -> None:
    assert read_notification(body) == ()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "not JSON"),
        ("hello", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "no Records"),
        ('{"Records": "x"}', "no Records"),
        ('{"Records": [1]}', "lacks eventName"),
        ('{"Records": [{"eventName": "ObjectCreated:Put"}]}', "lacks s3.bucket.name"),
        (json.dumps({"Records": [{**record("k"), "s3": {"bucket": {"name": "b"}}}]}), "lacks s3.object.key"),
        (DIRECT.replace("mar%C3%A7o", "mar%E7o"), "not UTF-8"),
        (
            json.dumps(
                {"Records": [{**record("k"), "s3": {"bucket": {"name": "b"}, "object": {"key": "\ud800"}}}]}
            ),
            "not UTF-8",
        ),
        (by_eventbridge("uploads/a/\ud800.csv"), "not UTF-8"),
        (by_sns("x"), "not JSON"),
        ('{"Type": "Notification", "Message": 1}', "not JSON"),
        ('{"Type": "SubscriptionConfirmation", "SubscribeURL": "https://x"}', "SubscriptionConfirmation"),
        ('{"source": "aws.s3", "detail-type": "Object Created", "detail": {}}', "lacks detail.bucket.name"),
        ('{"source": "aws.ec2", "detail-type": "Something"}', "Something"),
    ],
)
def test_what_cannot_be_read_says_why(body: str, words: str) -> None:
    with pytest.raises(NotANotification, match=words):
        read_notification(body)
