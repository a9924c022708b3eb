"""An upload's timeline. Changes of state write their own line, by a trigger."""

import psycopg
from psycopg.rows import class_row

from import_pipeline import plain_text
from import_pipeline.ledger.rows import Event
from import_pipeline.records import UploadState

MESSAGE_LENGTH = 1000


def one_line(text: str) -> str:
    """Text as one line without control characters, at most 1,000 characters."""
    line = plain_text.one_line(text).strip()
    return line if len(line) <= MESSAGE_LENGTH else line[: MESSAGE_LENGTH - 1] + "…"


def add_event(
    conn: psycopg.Connection,
    upload_id: str,
    state: UploadState,
    message: str,
    percent: float | None = None,
) -> None:
    """Add a line to the timeline; personal values are masked by the caller.

    Args:
        percent: 0 to 100; None: not about progress.
    """
    conn.execute(
        "INSERT INTO imports.events (upload_id, state, message, percent) VALUES (%s, %s, %s, %s)",
        [upload_id, state, one_line(message), percent],
    )


def timeline(conn: psycopg.Connection, upload_id: str) -> list[Event]:
    """All lines of an upload's timeline, oldest first."""
    with conn.cursor(row_factory=class_row(Event)) as cursor:
        return cursor.execute(
            "SELECT at, state, message, percent FROM imports.events WHERE upload_id = %s ORDER BY id",
            [upload_id],
        ).fetchall()
