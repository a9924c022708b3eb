"""The queue: received whole, deleted whole, and told apart from one that is not there."""

from collections.abc import Iterator

import boto3
import pytest
from botocore.config import Config

from import_pipeline.errors import ConfigurationError, StorageUnavailable
from import_pipeline.services.aws import Key
from import_pipeline.services.processes import choose_port
from import_pipeline.settings import Settings
from import_pipeline.storage.queue import Message, Queue, sqs_client
from import_pipeline_tests.queues import MOST_RECEIVES, TestQueue, queue_of


@pytest.fixture
def made(services, bucket_name: str) -> Iterator[TestQueue]:
    with queue_of(services, bucket_name) as made:
        yield made


def opened(services, url: str, key: Key | None = None) -> Queue:
    key = key or services.key
    settings = Settings(
        queue_url=url, aws_access_key_id=key.access_key_id, aws_secret_access_key=key.secret_access_key
    )
    return Queue(sqs_client(settings), url)


def test_more_messages_than_a_call_gives_are_received_and_deleted(services, made: TestQueue) -> None:
    for number in range(33):
        made.send(f"{number}")
    queue = opened(services, made.url)

    messages = queue.receive(1_000)

    bodies = [one.body for one in messages if "s3:TestEvent" not in one.body]
    assert sorted(bodies, key=int) == [str(n) for n in range(33)]
    assert {one.received for one in messages} == {1}
    assert queue.facts().in_flight == len(messages)
    assert queue.delete(messages) == 0
    assert made.waiting() == 0
    assert queue.receive(10) == []


def test_the_facts_of_a_queue_name_its_dead_letter_queue(services, made: TestQueue) -> None:
    made.send("x")
    facts = opened(services, made.url).facts()
    assert facts.dead_letter_queue is not None
    assert facts.dead_letter_queue.endswith("-dead")
    assert facts.most_receives == MOST_RECEIVES
    assert facts.waiting >= 1


def test_a_queue_that_is_not_there_or_not_ours_is_a_wrong_setting(services, made: TestQueue) -> None:
    with pytest.raises(ConfigurationError, match="NonExistentQueue"):
        opened(services, made.url + "x", services.aws.root).receive(1)
    with pytest.raises(ConfigurationError, match="AccessDenied") as caught:
        opened(services, made.dead_letters).receive(1)
    assert "deploy/sqs/pipeline.json" in caught.value.remedy


def test_a_queue_that_does_not_answer_is_unavailable() -> None:
    nobody = f"http://127.0.0.1:{choose_port(0, 'test')}"
    client = boto3.client(
        "sqs", endpoint_url=nobody, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    queue = Queue(client, f"{nobody}/000000000000/q")
    message = Message("id", "body", "receipt", 1)
    for call in (lambda: queue.receive(1), queue.facts, lambda: queue.delete([message])):
        with pytest.raises(StorageUnavailable, match="queue"):
            call()
