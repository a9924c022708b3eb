"""Follows uploads in the ledger until each is finished, with bars on a terminal and lines elsewhere.

What an upload's outcome means for the exit code is `exit_codes.py`'s.
"""

import sys
import time
from types import TracebackType
from typing import Protocol

import psycopg
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from import_pipeline.cli.console import messages, say, warn
from import_pipeline.ledger.queries import members, summary
from import_pipeline.ledger.rows import UploadSummary
from import_pipeline.records import UploadState

LOOK_SECONDS = 0.3
QUIET_STEP = 25.0
TICKS_WITHOUT_NOTICE = 6
REPORT_PATIENCE_SECONDS = 60.0
OPEN_STATES: frozenset[UploadState] = frozenset(("detected", "queued", "running"))
# These have no report that could be waited for.
WITHOUT_REPORT: frozenset[UploadState] = frozenset(("failed", "cancelled", "ignored", "expanded", "undone"))


class Board(Protocol):
    """Shows how far each upload is."""

    def __enter__(self) -> "Board":
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""

    def show(self, upload_id: str, name: str, seen: UploadSummary | None) -> None:
        """How far an upload is; None: the ledger does not know it yet."""


def open_board() -> Board:
    """Bars on a terminal, plain lines elsewhere."""
    return Bars() if sys.stderr.isatty() else Lines()


class Bars:
    """One bar an upload."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=messages(),
        )
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def show(self, upload_id: str, name: str, seen: UploadSummary | None) -> None:
        """Move the upload's bar."""
        if upload_id not in self.tasks:
            self.tasks[upload_id] = self.progress.add_task(escape(name), total=100, state="")
        done = 100.0 if seen is not None and is_finished(seen) else percent_of(seen)
        task = self.tasks[upload_id]
        self.progress.update(task, completed=done, state=words_of(seen))
        if seen is not None and is_finished(seen):
            self.progress.stop_task(task)


class Lines:
    """A line when an upload's state changes, and at every quarter of the way."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    def __enter__(self) -> "Lines":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, upload_id: str, name: str, seen: UploadSummary | None) -> None:
        """Say it if it is news."""
        words = words_of(seen)
        if seen is not None and seen.state == "running":
            words = f"running, {percent_of(seen) // QUIET_STEP * QUIET_STEP:.0f} %"
        # The place in the queue changes all the time: the first one said is enough.
        news = words.split(" (place")[0]
        if self.said.get(upload_id) != news:
            self.said[upload_id] = news
            say(f"{escape(name)}: {escape(words)}")


def percent_of(seen: UploadSummary | None) -> float:
    """0 to 100; 0 before the run."""
    return (seen.percent or 0.0) if seen is not None else 0.0


def words_of(seen: UploadSummary | None) -> str:
    """An upload's state as people say it."""
    if seen is None:
        return "waits to be noticed"
    if seen.state in ("detected", "queued"):
        return f"waits (place {seen.queue_place})" if seen.queue_place else "waits"
    if seen.state in ("completed", "completed_with_rejects") and seen.reported_at is None:
        return "writing the report"
    return seen.state.replace("_", " ")


def is_finished(seen: UploadSummary) -> bool:
    """Whether nothing more is to come: ended, and reported if its state has a report."""
    if seen.state in OPEN_STATES:
        return False
    if seen.state in WITHOUT_REPORT or seen.reported_at is not None:
        return True
    # A report that cannot be written must not hold up the sender for ever.
    return seen.finished_at is not None and time.time() - seen.finished_at.timestamp() > (
        REPORT_PATIENCE_SECONDS
    )


class Follower:
    """Looks at uploads until each is finished; of an archive, until each file in it is.

    Attributes:
        seen: what the ledger said last, by upload id; None: nothing yet.
    """

    def __init__(self, conn: psycopg.Connection, board: Board):
        self.conn = conn
        self.board = board
        self.names: dict[str, str] = {}
        self.seen: dict[str, UploadSummary | None] = {}

    def add(self, upload_id: str, name: str, seen: UploadSummary | None = None) -> None:
        """Follow one more upload; `name` is what people see, `seen` what the ledger says, if it was asked."""
        self.names[upload_id] = name
        self.seen[upload_id] = seen
        self.board.show(upload_id, name, seen)

    def look(self) -> bool:
        """Ask the ledger once; whether every upload is finished."""
        for upload_id, name in list(self.names.items()):
            before = self.seen[upload_id]
            if before is None or not is_finished(before):
                seen = self.seen[upload_id] = summary(self.conn, upload_id)
                self.board.show(upload_id, name, seen)
                if seen is not None and seen.state == "expanded":
                    for member in members(self.conn, upload_id):
                        self.add(member.upload_id, member.file_name, member)
        self.conn.rollback()  # a look is one snapshot; an open one would hold up vacuum
        return all(seen is not None and is_finished(seen) for seen in self.seen.values())

    def finished(self) -> list[UploadSummary]:
        """What became of the uploads, in the order they were added."""
        return [seen for seen in self.seen.values() if seen is not None]


def follow(follower: Follower, *, warn_after_seconds: float) -> None:
    """Wait until every upload is finished.

    Args:
        warn_after_seconds: from which it is said that nobody has noticed a file.
    """
    warn_at: float | None = time.monotonic() + warn_after_seconds
    while not follower.look():
        if warn_at is not None and time.monotonic() > warn_at:
            warn_at = None
            if any(seen is None for seen in follower.seen.values()):
                warn("Nobody has noticed the file yet: `import-pipeline doctor` says what is missing.")
        time.sleep(LOOK_SECONDS)
