"""What bounds an import that is under way: the dataset it began with, its longest time, room on the disk.

Each op asks at its beginning and wherever it says how far it is. A step that hangs asks nothing: the
sensor stops its run (`reconciling.py`), and its token in the ledger is worth nothing then.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from typing import TypeVar

from import_pipeline.errors import DatasetChanged, NoRoomOnDisk, TookTooLong
from import_pipeline.flow.batches.sources.source import DISK_RESERVE
from import_pipeline.flow.loading.staging import drop_staging_of
from import_pipeline.ledger.events import add_event
from import_pipeline.ledger.outcomes import record_failed, requeue
from import_pipeline.orchestration.progress import OPENED, Progress
from import_pipeline.orchestration.session import Session
from import_pipeline.records import OpenedUpload
from import_pipeline.storage.places import staging_prefix

# As many as the schedule of retries takes: a dataset that is another one at every look ends somewhere.
MOST_ATTEMPTS = 5
ROOM_POLL_SECONDS = 5.0
# Of the disk's size: below that nothing is begun on a small one either.
SMALLEST_SHARE = 20
MEGABYTE = 1_000_000
T = TypeVar("T")


def require_same_dataset(session: Session, opened: OpenedUpload) -> None:
    """See that the rest of the work is done by the declaration that the work began with.

    A re-execution from failure, or a step that starts after new code was brought in, would check some
    rows by the old rules and load them by the new ones. What is published already is only reported.

    Raises:
        DatasetChanged: it is another one.
    """
    if session.claim.action != "import" or opened.action != "import":
        return
    if opened.fingerprint != session.dataset.fingerprint:
        raise DatasetChanged(
            f"Dataset {session.dataset.name!r} was changed after this import opened its file: what was "
            "read and checked so far may be wrong.",
            remedy="It is launched again from the beginning.",
            before=opened.fingerprint,
            now=session.dataset.fingerprint,
        )


def give_up(session: Session, error: DatasetChanged | TookTooLong) -> None:
    """End the upload `failed` at once, with no way to go on from here: its staging goes.

    Whatever else of the run is still at work stops at its next word to the ledger. An import whose
    dataset was changed is launched anew by the sensor, unless that happened often already.

    Raises:
        Superseded: a newer run owns the upload; nothing was written.
    """
    row = session.claim.row
    with session.ledger() as conn:
        record_failed(conn, session.upload_id, error, session.token)
        drop_staging_of(conn, row.short_id, session.attempt)
        if isinstance(error, DatasetChanged) and row.attempts < MOST_ATTEMPTS:
            requeue(conn, [session.upload_id])
            add_event(conn, session.upload_id, "detected", "Its dataset was changed: it starts anew.")
    # A re-execution has the same staging: only the run that owns the upload may clear it.
    session.bucket.delete_prefix(staging_prefix(session.dataset.name, row.short_id, session.attempt))


def room_for_copy(opened: OpenedUpload) -> int:
    """Bytes that splitting the file copies to a temporary file at least, before the first row is read.

    Text is streamed. A workbook is copied, and so is a Parquet file that must be unpacked first.
    """
    if opened.file.format in ("csv", "json", "jsonl"):
        return 0
    packed = bool(opened.member or opened.file.compression)
    return opened.size if packed or opened.file.format != "parquet" else 0


def with_room(session: Session, size: int, work: Callable[[], T]) -> T:
    """Do what needs `size` bytes of temporary files, once there is room; as often as it finds too little.

    How many bytes a compressed file unpacks to may only show on the way: then it begins again when there
    is more room than it had. While it waits, log and progress say for how much.

    Raises:
        TookTooLong: there was no room in all the time that the import may take.
    """
    wanted = size
    while True:
        _wait_for(session, wanted)
        try:
            return work()
        except NoRoomOnDisk as error:
            wanted = max(wanted, int(error.fields["needed"]))
            session.require_time()
            time.sleep(ROOM_POLL_SECONDS)


def _wait_for(session: Session, size: int) -> None:
    """Wait for room for a copy of `size` bytes; without one for what later steps write at least."""
    said = False
    while True:
        usage = shutil.disk_usage(tempfile.gettempdir())
        needed = size + DISK_RESERVE if size else min(DISK_RESERVE, usage.total // SMALLEST_SHARE)
        if usage.free >= needed:
            return
        text = (
            f"waits for {(needed - usage.free) / MEGABYTE:,.0f} MB of room in {tempfile.gettempdir()}: "
            f"{needed / MEGABYTE:,.0f} MB are needed, {usage.free / MEGABYTE:,.0f} MB are free"
        )
        if not said:
            session.context.log.warning(f"This import {text}.")
            said = True
        session.require_time()
        Progress(session).say(OPENED, 0, text)
        time.sleep(ROOM_POLL_SECONDS)
