"""The sensor reading the bucket's notifications from a queue: the same uploads as by listing, none lost.

Queue, rights and notifications are those of deploy/sqs/, on the emulator. Forms of messages:
test_notifications.py.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ParamValidationError

from import_pipeline.errors import ConfigurationError, ImportPipelineError, StorageUnavailable
from import_pipeline.flow.arrivals import receiving
from import_pipeline.flow.arrivals.pace import Pace, write_pace
from import_pipeline.ledger.connection import connect
from import_pipeline.orchestration.noticing import Noticed, notice
from import_pipeline.storage import queue as storage_queue
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.queue import Message, Queue
from import_pipeline_tests.orchestration.conftest import World
from import_pipeline_tests.orchestration.test_arrivals import IGNORED, IMPORTED, SKIPPED, one_lead
from import_pipeline_tests.queues import MOST_RECEIVES, TestQueue, queue_of

KEY = "uploads/acme/leads/leads.csv"
LEADS = "E-mail;Nome\nana@exemplo.com;Ana\n"


@pytest.fixture
def queue(world: World, services: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestQueue]:
    """A queue that the sensor reads."""
    receive = Queue._receive

    def received(queue: Queue) -> list[Message]:
        messages = receive(queue)
        made.receipts.extend(one.receipt for one in messages)
        return messages

    monkeypatch.setattr(Queue, "_receive", received)
    monkeypatch.setattr(storage_queue, "WAIT_SECONDS", 0)
    with queue_of(services, world.bucket) as made:
        monkeypatch.setenv("IMPORT_PIPELINE_QUEUE_URL", made.url)
        world.settings = world.settings.model_copy(update={"queue_url": made.url})
        yield made


def test_every_key_becomes_the_same_upload_by_its_message_as_by_the_listing(
    world: World, queue: TestQueue
) -> None:
    """Keys come URL-encoded, and without the facts that an identity is made of."""
    world.cursor = write_pace(just_listed())
    for number, key in enumerate([*IMPORTED, *IGNORED, *SKIPPED]):
        world.put(f"uploads/{key}", one_lead(number))
    world.put("reports/not-a-file-of-a-sender", "x")
    queue.hold(1 + len(IMPORTED) + len(IGNORED) + len(SKIPPED))
    world.evaluate()

    by_message = noticed(world)
    assert queue.waiting() == 0
    with psycopg.connect(world.settings.require_owner_database_url()) as owner:
        owner.execute("TRUNCATE imports.uploads CASCADE")
    world.cursor = None
    world.evaluate()

    assert len(by_message) == len(IMPORTED) + len(IGNORED)
    assert by_message == noticed(world)


def test_a_file_is_imported_by_its_message_alone(world: World, queue: TestQueue) -> None:
    world.cursor = cursor = write_pace(just_listed())
    queue.hold(1)  # the test event that S3 sends first
    world.put(KEY, LEADS)
    queue.hold(2)

    world.tick()

    assert world.upload(KEY)["state"] == "completed"
    assert queue.waiting() == 0
    assert world.cursor == cursor, "nothing was listed"


def test_a_file_whose_message_was_lost_is_found_by_the_listing_every_fifteen_minutes(
    world: World, queue: TestQueue
) -> None:
    world.cursor = write_pace(just_listed())
    world.put(KEY, LEADS)
    queue.hold(2)
    queue.sqs.purge_queue(QueueUrl=queue.url)
    assert world.tick() == []

    world.cursor = write_pace(Pace(ended=time.time() - 901, seconds=0.01))

    assert len(world.tick(run=False)) == 1


def test_duplicates_and_messages_out_of_order_are_one_arrival(world: World, queue: TestQueue) -> None:
    world.cursor = write_pace(just_listed())
    world.put(KEY, LEADS)
    created = json.dumps({"Records": [record(world, KEY)]})
    removed = json.dumps({"Records": [record(world, KEY, "ObjectRemoved:Delete")]})
    for body in (removed, created, created):
        queue.send(body)
    queue.hold(5)
    world.evaluate()
    queue.send(created)
    world.evaluate()

    assert [row["key"] for row in noticed(world).values()] == [KEY]
    assert queue.waiting() == 0


def test_messages_that_concern_no_upload_are_deleted_and_told_of(world: World, queue: TestQueue) -> None:
    queue.send(json.dumps({"Records": [{**record(world, KEY), "s3": of("other-bucket", KEY)}]}))
    queue.send(json.dumps({"Records": [record(world, "reports/x")]}))
    queue.send(json.dumps({"Records": [record(world, KEY)]}))

    notes = " ".join(look(world).notes)

    assert "another bucket deleted: other-bucket" in notes
    assert "outside uploads/ deleted: reports/x" in notes
    assert f"gone before it was noticed: {KEY}" in notes
    assert (queue.waiting(), noticed(world)) == (0, {})


def test_a_message_that_cannot_be_read_stops_nothing_and_becomes_a_dead_letter(
    world: World, queue: TestQueue
) -> None:
    queue.send("poison\nINFO: all is well")
    world.put(KEY, LEADS)
    queue.hold(3)

    first = look(world)

    (note,) = [note for note in first.notes if "left to the queue" in note]
    assert "received 1 times: it is not JSON" in note
    assert list(noticed(world))
    assert queue.waiting() == 1
    for _ in range(MOST_RECEIVES):
        queue.time_out()
        look(world)
    assert (queue.waiting(), queue.waiting(queue.dead_letters)) == (0, 1)


def test_what_a_sender_states_or_somebody_sends_does_not_stop_the_others(
    world: World, queue: TestQueue
) -> None:
    """`undefined` is an encoding of Python's that decodes nothing; JSON can write half a character."""
    stated = "uploads/acme/leads/stated.csv"
    world.put(stated, LEADS, note="=?undefined?Q?x?=")
    world.put(KEY, LEADS)
    queue.send(json.dumps({"Records": [record(world, "uploads/acme/leads/\ud800.csv")]}))
    queue.hold(4)

    (note,) = look(world).notes[:1]

    assert "its key is not UTF-8" in note
    assert sorted(row["key"] for row in noticed(world).values()) == [KEY, stated]
    assert queue.waiting() == 1


@pytest.mark.parametrize(
    "trouble",
    [
        ConfigurationError("S3 answers 403.", remedy="Grant kms:Decrypt."),
        ParamValidationError(report="S3 answers 403."),
        ValueError("S3 answers 403."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_object_that_nobody_may_look_at_does_not_stop_the_others(
    world: World, queue: TestQueue, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    locked = "uploads/acme/leads/locked.csv"
    for key in (locked, KEY):
        world.put(key, LEADS)
    queue.hold(3)
    real = Bucket.head

    def head(bucket: Bucket, key: str, version_id: str | None = None) -> Any:
        if key == locked:
            raise trouble
        return real(bucket, key, version_id)

    monkeypatch.setattr(Bucket, "head", head)

    notes = " ".join(look(world).notes)

    assert f"its message left to the queue: {locked}: " in notes and "S3 answers 403" in notes
    assert [row["key"] for row in noticed(world).values()] == [KEY]
    assert queue.waiting() == 1


def test_messages_stay_in_the_queue_until_the_ledger_has_committed(world: World, queue: TestQueue) -> None:
    """Deleted before, a crash between the two would lose the file until the next listing."""
    world.put(KEY, LEADS)
    queue.hold(2)
    with psycopg.connect(world.settings.require_owner_database_url()) as owner:
        owner.execute("ALTER TABLE imports.uploads ADD CONSTRAINT nobody CHECK (key IS NULL) NOT VALID")
    with pytest.raises((psycopg.Error, ImportPipelineError)):
        look(world)
    assert queue.waiting() == 2

    with psycopg.connect(world.settings.require_owner_database_url()) as owner:
        owner.execute("ALTER TABLE imports.uploads DROP CONSTRAINT nobody")
    queue.time_out()
    look(world)

    assert (queue.waiting(), len(noticed(world))) == (0, 1)


def test_a_queue_that_does_not_answer_has_the_bucket_listed_instead(
    world: World, queue: TestQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(KEY, LEADS)

    def receive(queue: Queue, at_most: int) -> Any:
        raise StorageUnavailable("Could not read the queue.")

    monkeypatch.setattr(Queue, "receive", receive)

    assert look(world).notes == ("Could not read the queue. The bucket is listed instead.", "1 new uploads.")
    assert len(noticed(world)) == 1


def test_a_store_that_answers_no_question_fails_the_tick_and_keeps_the_messages(
    world: World, queue: TestQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(KEY, LEADS)
    queue.hold(2)

    def head(bucket: Bucket | None, key: str, version_id: str | None = None) -> Any:
        raise StorageUnavailable("Could not look.")

    monkeypatch.setattr(Bucket, "head", head)
    monkeypatch.setattr(Bucket, "list_objects", lambda *_, **__: head(None, ""))

    with pytest.raises(StorageUnavailable):
        look(world)
    assert queue.waiting() == 2


def test_more_messages_than_a_round_receives_are_noticed_in_one_tick(
    world: World, queue: TestQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "RECEIVED_AT_ONCE", 5)
    for number in range(30):
        world.put(f"uploads/acme/leads/{number}.csv", one_lead(number))
    queue.hold(31)

    assert look(world).new == 30
    assert queue.waiting() == 0


def just_listed() -> Pace:
    return Pace(ended=time.time(), seconds=0.01)


def look(world: World) -> Noticed:
    """What a tick notices, just after a listing."""
    with connect(world.settings.require_database_url()) as conn:
        bucket = Bucket(world.s3, world.bucket)
        return notice(conn, bucket, world.datasets, world.settings, just_listed())


def noticed(world: World) -> dict[str, dict[str, Any]]:
    """What the ledger knows of each arrival, by identity."""
    rows = world.sql(
        "SELECT identity, upload_id, workspace, dataset, key, etag, size, last_modified, file_name, state, "
        "ignored_reason FROM imports.uploads ORDER BY identity"
    )
    return {row["identity"]: row for row in rows}


def of(bucket: str, key: str) -> dict[str, Any]:
    return {"bucket": {"name": bucket}, "object": {"key": key}}


def record(world: World, key: str, event: str = "ObjectCreated:Put") -> dict[str, Any]:
    return {"eventName": event, "s3": of(world.bucket, key)}
