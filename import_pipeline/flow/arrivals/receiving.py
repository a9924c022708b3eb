"""Notice what arrived by the queue's messages: each names an object, a HEAD tells its facts.

What a message says is `notifications.py`'s, talking to SQS `storage/queue.py`'s; the other way to
notice is `noticing.py`'s.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from import_pipeline.errors import ImportPipelineError, StorageUnavailable
from import_pipeline.flow.arrivals.decision import identify
from import_pipeline.flow.arrivals.identity import is_never_an_import, make_safe
from import_pipeline.flow.arrivals.noticing import Importable, record_new
from import_pipeline.flow.arrivals.notifications import NotANotification, read_notification
from import_pipeline.ledger.arrivals import unknown_identities
from import_pipeline.records import ListedObject
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.places import UPLOADS
from import_pipeline.storage.queue import Message, Queue

RECEIVED_AT_ONCE = 2_000
RECEIVING_SECONDS = 8.0
HEADS_AT_ONCE = 16
NAMED = 20
CLASHING = "file not imported, for another upload has its short id; drop it again under another name"


@dataclass(frozen=True)
class NoticedMessages:
    """Messages that are in the ledger, or that say nothing to it.

    Attributes:
        new: uploads that the ledger did not know; `received`: messages.
        notes: sentences for the log: what was deleted though nobody asked for it, what was left, and why.
    """

    new: int
    received: int
    notes: tuple[str, ...]


def notice_messages(
    conn: psycopg.Connection, bucket: Bucket, queue: Queue, importable: Importable
) -> NoticedMessages:
    """Receive messages and record what they name, until none waits or the time is over.

    A message is deleted after the commit that makes it needless. One that cannot be read, or whose
    object cannot be looked at, is left: it comes again, until SQS takes it for a dead letter.

    Raises:
        StorageUnavailable: the queue does not answer, or S3 answers no question at all.
        ConfigurationError: the queue is not there, or there is no right to read it.
    """
    until = time.monotonic() + RECEIVING_SECONDS
    new, received, notes = 0, 0, Notes()
    while True:
        messages = queue.receive(RECEIVED_AT_ONCE)
        received += len(messages)
        done, found = _look_at(messages, bucket, notes)
        arrived = identify(found)
        unknown = unknown_identities(conn, list(arrived))
        recorded = record_new(conn, [arrived[one] for one in unknown], importable)
        conn.commit()
        new += recorded.new
        for key in recorded.clashing:
            notes.add(CLASHING, key)
        _delete(queue, done, notes)
        # A short answer: what comes now is the next tick's.
        if len(messages) < RECEIVED_AT_ONCE or time.monotonic() > until:
            return NoticedMessages(new, received, notes.sentences())


@dataclass
class Notes:
    """Sentences for the log: the first of each kind by name, then their number."""

    by_kind: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, name: str) -> None:
        """One more `name` of a kind; both without line breaks of the sender's."""
        self.by_kind[kind].append(make_safe(name))

    def sentences(self) -> tuple[str, ...]:
        """One a kind."""
        return tuple(
            f"{len(names)} × {kind}: {'; '.join(names[:NAMED])}{'; …' if len(names) > NAMED else ''}."
            for kind, names in self.by_kind.items()
        )


def _look_at(
    messages: Sequence[Message], bucket: Bucket, notes: Notes
) -> tuple[list[Message], list[ListedObject]]:
    """Messages that are done once the objects, as a HEAD shows them, are in the ledger."""
    keys: dict[str, list[str]] = {}
    for message in messages:
        try:
            notified = read_notification(message.body)
        except NotANotification as error:
            name = f"{message.message_id}, received {message.received} times: {error}"
            notes.add("message left to the queue, whose redrive policy ends it", name)
            continue
        keys[message.message_id] = [
            one.key for one in notified if _is_ours(one.bucket, one.key, bucket.name, notes)
        ]
    heads = _heads(bucket, sorted({key for some in keys.values() for key in some}), notes)
    done = [
        message
        for message in messages
        if message.message_id in keys and all(key in heads for key in keys[message.message_id])
    ]
    return done, [listed for listed in heads.values() if listed is not None]


def _is_ours(bucket: str, key: str, ours: str, notes: Notes) -> bool:
    if bucket != ours:
        notes.add("message of another bucket deleted", bucket)
        return False
    if not key.startswith(UPLOADS):
        notes.add(f"message of an object outside {UPLOADS} deleted", key)
        return False
    return not is_never_an_import(key)


def _heads(bucket: Bucket, keys: Sequence[str], notes: Notes) -> dict[str, ListedObject | None]:
    """Objects as they are now, by key; None: gone. A key that cannot be looked at is not in it."""
    heads: dict[str, ListedObject | None] = {}
    troubles: list[StorageUnavailable] = []
    with ThreadPoolExecutor(HEADS_AT_ONCE) as pool:
        for key, answer in zip(keys, pool.map(lambda key: _head(bucket, key), keys), strict=True):
            if isinstance(answer, StorageUnavailable):
                troubles.append(answer)
            if isinstance(answer, Exception):
                notes.add("object not to be looked at, its message left to the queue", f"{key}: {answer}")
                continue
            if answer is None:
                notes.add("object gone before it was noticed", key)
            heads[key] = answer
    if troubles and len(troubles) == len(keys):
        raise troubles[0]
    return heads


def _head(bucket: Bucket, key: str) -> ListedObject | Exception | None:
    """One object that nobody may look at, or whose answer cannot be read, must not stop the others."""
    try:
        found = bucket.head(key)
    except (ImportPipelineError, ClientError, BotoCoreError, ValueError) as error:
        return error
    return None if found is None else found[0]


def _delete(queue: Queue, done: Sequence[Message], notes: Notes) -> None:
    """Delete what is done; what stays comes again, and is known then."""
    try:
        failed = queue.delete(done)
    except StorageUnavailable as error:
        notes.add("queue that did not delete what is recorded; it comes again", str(error))
        return
    if failed:
        notes.add("message recorded and not deleted; it comes again", str(failed))
