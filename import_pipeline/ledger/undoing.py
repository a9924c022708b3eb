"""What the ledger knows of undoing: publish numbers, whether an upload can be undone, who depends on it.

Nothing here commits, and nothing touches a dataset's table: that is `flow/loading/undoing.py`'s.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta

import psycopg
from psycopg.rows import class_row

from import_pipeline.errors import NotUndoable
from import_pipeline.ledger.events import add_event
from import_pipeline.ledger.rows import UploadRow
from import_pipeline.ledger.states import PUBLISHED_STATES
from import_pipeline.ledger.uploads import add_details, transition, try_lock_table_of
from import_pipeline.records import DependingUpload, UndoneUpload

DEPENDING_KEPT = 100


def next_publish_number(
    conn: psycopg.Connection, workspace: str, dataset: str, columns: Sequence[str] = ()
) -> tuple[int, list[str]]:
    """The number of this publish or undo; the publish lock is held.

    Args:
        columns: the columns that are loaded.

    Returns:
        The number, and all columns that were ever loaded.
    """
    row = conn.execute(
        "INSERT INTO imports.publish_numbers AS n (workspace, dataset, number, columns)"
        " VALUES (%s, %s, 1, %s) ON CONFLICT (workspace, dataset) DO UPDATE SET number = n.number + 1,"
        " columns = n.columns || (SELECT coalesce(array_agg(c), '{}') FROM unnest(excluded.columns) AS c"
        " WHERE c <> ALL(n.columns)) RETURNING number, columns",
        [workspace, dataset, list(columns)],
    ).fetchone()
    assert row is not None  # noqa: S101 - an insert or an update always gives its row
    return row[0], row[1]


def ever_loaded(conn: psycopg.Connection, workspace: str | None, dataset: str | None) -> list[str]:
    """All columns that were ever loaded there."""
    row = conn.execute(
        "SELECT columns FROM imports.publish_numbers WHERE workspace = %s AND dataset = %s",
        [workspace, dataset],
    ).fetchone()
    return [] if row is None else row[0]


def require_undoable(conn: psycopg.Connection, row: UploadRow, undo_days: int) -> None:
    """Refuse an upload that is not published, or was published too long ago. The caller holds the row.

    Raises:
        NotUndoable: says since when, or what to do instead.
    """
    if row.state == "undone":
        raise NotUndoable(
            f"Upload {row.upload_id!r} was undone already, at {_moment(row.undone_at)}.",
            remedy="To bring its rows back, launch it again: `import-pipeline retry`.",
            upload_id=row.upload_id,
            why="already_undone",
        )
    if row.state not in PUBLISHED_STATES or row.published_at is None:
        running = row.state in ("detected", "queued", "running")
        raise NotUndoable(
            f"Upload {row.upload_id!r} is {row.state}: it has no rows in the table.",
            remedy="Cancel its run, or wait for its end and undo it then." if running else "",
            upload_id=row.upload_id,
            why="not_published",
        )
    ended = row.published_at + timedelta(days=undo_days)
    if ended < _now(conn):
        raise NotUndoable(
            f"Upload {row.upload_id!r} was published at {_moment(row.published_at)}. It could be undone for "
            f"{undo_days} days, until {_moment(ended)}.",
            remedy="Its rows are those with its id in `_upload_id`; change or delete them by SQL.",
            upload_id=row.upload_id,
            why="too_long_ago",
            ended=ended.isoformat(),
        )


def depending_uploads(conn: psycopg.Connection, upload_id: str) -> tuple[DependingUpload, ...]:
    """Uploads whose rows were kept out of the table by rows of this one, most rows first.

    Its duplicate files are among them; uploads that are undone are not.
    """
    with conn.cursor(row_factory=class_row(DependingUpload)) as cursor:
        found = cursor.execute(
            """
            SELECT u.upload_id, u.file_name, u.state, d.rows,
                   coalesce(u.details #>> '{split,targets}', '') <> '' AS correction
            FROM imports.dependencies d JOIN imports.uploads u USING (upload_id)
            WHERE d.depends_on = %(upload_id)s AND u.state = ANY(%(published)s)
            UNION ALL
            SELECT u.upload_id, u.file_name, u.state, f.read, false
            FROM imports.uploads u JOIN imports.uploads f ON f.upload_id = %(upload_id)s
            WHERE u.workspace = f.workspace AND u.dataset = f.dataset AND u.sha256 = f.sha256
              AND u.state = 'duplicate_file' AND u.duplicate_of = f.upload_id
            ORDER BY rows DESC, upload_id
            """,
            {"upload_id": upload_id, "published": list(PUBLISHED_STATES)},
        ).fetchall()
    return tuple(found)


def corrected_uploads(conn: psycopg.Connection, upload_id: str) -> list[str]:
    """Uploads of which this one, a correction, put rejects right."""
    rows = conn.execute(
        "SELECT DISTINCT upload_id FROM imports.rejects WHERE corrected_by = %s ORDER BY 1", [upload_id]
    ).fetchall()
    return [first for (first,) in rows]


def reopen_rejects(conn: psycopg.Connection, upload_id: str) -> None:
    """Rejects that this upload put right are open again; the caller holds the uploads they belong to."""
    conn.execute(
        """
        WITH opened AS (
            UPDATE imports.rejects SET corrected_by = NULL WHERE corrected_by = %s RETURNING upload_id
        )
        UPDATE imports.uploads u SET corrected_rows = u.corrected_rows - n.rows
        FROM (SELECT upload_id, count(*) AS rows FROM opened GROUP BY upload_id) n
        WHERE u.upload_id = n.upload_id
        """,
        [upload_id],
    )


def record_undone(conn: psycopg.Connection, row: UploadRow, undone: UndoneUpload) -> datetime:
    """To `undone`, with its counters; nothing of its history is left. The caller holds row and publish lock.

    Returns:
        When.
    """
    upload_id, left = row.upload_id, sum(undone.left.values())
    conn.execute(
        "DELETE FROM imports.row_history WHERE workspace = %s AND dataset = %s AND publish_number = %s",
        [row.workspace, row.dataset, row.publish_number],
    )
    conn.execute("DELETE FROM imports.dependencies WHERE upload_id = %s", [upload_id])
    next_publish_number(conn, str(row.workspace), str(row.dataset))
    if row.reported_at is None:
        # Its run may still be at the report: it no longer owns the upload. Any newer run may.
        conn.execute(
            "UPDATE imports.uploads SET token_run_id = token_run_id || ' undone' WHERE upload_id = %s",
            [upload_id],
        )
    counters = {"undo_removed": undone.removed, "undo_restored": undone.restored, "undo_left": left}
    transition(conn, upload_id, "undone", **counters)
    # Of these lists the ledger could hold millions, in a row that every step reads.
    facts = asdict(replace(undone, left_rows=(), depending=undone.depending[:DEPENDING_KEPT]))
    add_details(conn, upload_id, undo=facts)
    words = f"rows removed {undone.removed}, restored {undone.restored}, left {left}"
    add_event(conn, upload_id, "undone", words)
    undone_at = conn.execute(
        "SELECT undone_at FROM imports.uploads WHERE upload_id = %s", [upload_id]
    ).fetchone()
    assert undone_at is not None  # noqa: S101 - transition made sure that there is one
    return undone_at[0]


def past_histories(conn: psycopg.Connection, before: datetime) -> list[tuple[str, str]]:
    """Workspaces and datasets that have images of uploads published before a moment."""
    return conn.execute(
        "SELECT DISTINCT workspace, dataset FROM imports.uploads u WHERE published_at < %s"
        " AND publish_number IS NOT NULL AND updated > 0 AND EXISTS (SELECT FROM imports.row_history h"
        " WHERE h.workspace = u.workspace AND h.dataset = u.dataset"
        " AND h.publish_number = u.publish_number) ORDER BY 1, 2",
        [before],
    ).fetchall()


def delete_history(conn: psycopg.Connection, workspace: str, dataset: str, before: datetime) -> int | None:
    """Delete what an undo of uploads published before a moment would need: nobody can undo those any more.

    A publish's images go together, under the publish lock, which is not waited for: a transaction that
    did would hold up the publishes of each other workspace that it had locked before. One of its own each.

    Returns:
        Number of images deleted; None: a publish or undo is at work there.
    """
    if not try_lock_table_of(conn, workspace, dataset):
        return None
    return conn.execute(
        "DELETE FROM imports.row_history h USING imports.uploads u WHERE u.workspace = %(workspace)s"
        " AND u.dataset = %(dataset)s AND u.published_at < %(before)s AND h.workspace = u.workspace"
        " AND h.dataset = u.dataset AND h.publish_number = u.publish_number",
        {"workspace": workspace, "dataset": dataset, "before": before},
    ).rowcount


def delete_dependencies(conn: psycopg.Connection, before: datetime) -> None:
    """Delete who depends on uploads published before a moment: only an undo of those asks."""
    conn.execute(
        "DELETE FROM imports.dependencies d USING imports.uploads o WHERE o.upload_id = d.depends_on"
        " AND o.state = ANY(%s) AND o.published_at < %s",
        [list(PUBLISHED_STATES), before],
    )


def _now(conn: psycopg.Connection) -> datetime:
    row = conn.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101 - a select without FROM always gives a row
    return row[0]


def _moment(at: datetime | None) -> str:
    return "an unknown time" if at is None else f"{at:%Y-%m-%d %H:%M %Z}"
