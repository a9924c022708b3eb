"""What a sensor's tick notices: ignored uploads that are wanted by now, messages, a slice of the listing.

How each is noticed is `flow/arrivals/noticing.py`'s; here is only what a tick does, one after the other.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import StorageUnavailable
from import_pipeline.flow.arrivals.noticing import Importable, notice_listed
from import_pipeline.flow.arrivals.pace import Pace
from import_pipeline.flow.arrivals.receiving import CLASHING, Notes, notice_messages
from import_pipeline.ledger.arrivals import release_ignored, set_aside_unknown
from import_pipeline.settings import Settings
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.queue import Queue, sqs_client

LONG_LISTING_SECONDS = 1.0
_CLIENTS: dict[tuple[object, ...], Any] = {}


@dataclass(frozen=True)
class Noticed:
    """What a tick noticed.

    Attributes:
        pace: to be remembered for the next tick.
        waits: seconds until the bucket is listed again; 0: at the next tick.
        notes: sentences for the log.
    """

    new: int
    pace: Pace
    waits: float
    notes: tuple[str, ...]


def notice(
    conn: psycopg.Connection, bucket: Bucket, datasets: Mapping[str, Dataset], settings: Settings, pace: Pace
) -> Noticed:
    """Record what is new in the bucket, as the queue or the listing tells it; commits each of the two.

    A queue that does not answer stops nothing: the bucket is listed instead.

    Raises:
        StorageUnavailable: the listing failed, which is never "nothing new".
        ConfigurationError: bucket or queue are not there, or not to be read.
    """
    importable = Importable(list(datasets), settings.allowed_workspaces())
    release_ignored(conn, importable.datasets, importable.workspaces)
    set_aside_unknown(conn, importable.datasets, importable.workspaces)
    conn.commit()
    new, notes, queue = 0, list[str](), settings.queue_url is not None
    if settings.queue_url is not None:
        try:
            received = notice_messages(conn, bucket, open_queue(settings), importable)
            new, notes = received.new, [*received.notes]
        except StorageUnavailable as error:
            conn.rollback()
            queue, notes = False, [f"{error.message} The bucket is listed instead."]
    interval = settings.sensor_interval_seconds
    if pace.wait(time.time(), interval=interval, queue=queue) == 0:
        listed = notice_listed(conn, bucket, importable, pace)
        conn.commit()
        new, pace = new + listed.new, listed.pace
        left = Notes()
        for key in listed.clashing:
            left.add(CLASHING, key)
        notes += left.sentences()
        if listed.seconds > LONG_LISTING_SECONDS:
            notes.append(f"{listed.listed} objects listed in {listed.seconds:.1f} s.")
    if new:
        notes.append(f"{new} new uploads.")
    return Noticed(new, pace, pace.wait(time.time(), interval=interval, queue=queue), tuple(notes))


def open_queue(settings: Settings) -> Queue:
    """The queue of the settings, with one client a process: making one takes 0.2 s."""
    variables = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    key = (settings.queue_url, variables)
    if key not in _CLIENTS:
        _CLIENTS[key] = sqs_client(settings)
    return Queue(_CLIENTS[key], str(settings.queue_url))
