"""One upload in the ledger while its run is at work: what was opened, split, loaded, published.

Who may write is `claims.py`'s, how an upload ends without a publish is `outcomes.py`'s. Nothing
here commits.
"""

import json
import re
from dataclasses import asdict
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.errors import ImportFailed
from import_pipeline.ledger.claims import fetch_upload
from import_pipeline.ledger.rows import BatchState, RecordedBatch, UploadRow, columns_of
from import_pipeline.ledger.states import PUBLISHED_STATES
from import_pipeline.records import OpenedUpload, SplitUpload, UploadState

SETTABLE_COLUMNS = frozenset(
    ("human_name", "uploaded_by", "version_id", "sha256", "format", "encoding", "delimiter", "fingerprint",
     "batches", "ignored_lines", "read", "inserted", "updated", "unchanged", "duplicate", "rejected",
     "duplicate_of", "published_at", "original_key", "report_prefix", "error_code", "error_message",
     "error_remedy", "publish_number", "undo_removed", "undo_restored", "undo_left")
)  # fmt: skip
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_OPTIONS_THAT_DECIDE_NOTHING = ("dry_run", "force")


def get_upload(conn: psycopg.Connection, upload_id: str) -> UploadRow | None:
    """The upload's row, unlocked; None if the ledger does not know it."""
    return fetch_upload(conn, upload_id)


def transition(conn: psycopg.Connection, upload_id: str, state: UploadState, **columns: Any) -> None:
    """Move an upload to `state` and set columns (counts, `duplicate_of`, …) in one statement.

    The caller holds the row (`claims.guard`). Times of states are set by the trigger.

    Raises:
        ValueError: a column that is not to be set this way.
        ImportFailed: no such upload.
        psycopg.errors.CheckViolation: not a transition of `states.TRANSITIONS`, or counts that are
            missing or do not balance.
    """
    _set(conn, upload_id, {"state": state, **_settable(columns)})


def set_columns(conn: psycopg.Connection, upload_id: str, **columns: Any) -> None:
    """Set columns of an upload and leave its state; the caller holds the row.

    Raises:
        ValueError: a column that is not to be set this way.
        ImportFailed: no such upload.
    """
    _set(conn, upload_id, _settable(columns))


def add_details(conn: psycopg.Connection, upload_id: str, **facts: Any) -> None:
    """Keep JSON-friendly facts of a stage (seconds, verdicts, codes) by name, for reports and the UI."""
    conn.execute(
        "UPDATE imports.uploads SET details = details || %s WHERE upload_id = %s",
        [Jsonb(facts, dumps=_dumps), upload_id],
    )


def record_opened(conn: psycopg.Connection, opened: OpenedUpload) -> None:
    """Keep what opening found out; `details.opened` is the whole record. The caller holds the row."""
    _set(
        conn,
        opened.upload_id,
        {
            "sha256": opened.file.sha256,
            "format": opened.file.format,
            "encoding": opened.file.encoding,
            "delimiter": opened.file.delimiter,
            "options": Jsonb(asdict(opened.options)),
            "fingerprint": opened.fingerprint,
        },
    )
    # An original that was moved has another version there; the row's is that of its own key.
    conn.execute(
        "UPDATE imports.uploads SET version_id = %s WHERE upload_id = %s AND key = %s",
        [opened.source.version_id, opened.upload_id, opened.source.key],
    )
    add_details(conn, opened.upload_id, opened=asdict(opened))


def record_split(conn: psycopg.Connection, upload_id: str, split: SplitUpload) -> None:
    """Keep number of batches and rows read; `details.split` is the whole record."""
    _set(
        conn,
        upload_id,
        {"batches": len(split.batches), "read": split.read, "ignored_lines": split.lines.ignored},
    )
    add_details(conn, upload_id, split=asdict(split))


def record_batch(
    conn: psycopg.Connection,
    upload_id: str,
    attempt: str,
    number: int,
    state: BatchState,
    *,
    load_id: str | None = None,
    rows: int = 0,
    seconds: float = 0.0,
) -> None:
    """Keep how far a batch is; of several loads of one batch the last one recorded counts.

    A record of an earlier stage that comes late never replaces a load.
    """
    conn.execute(
        """
        INSERT INTO imports.batches AS b (upload_id, attempt, batch, state, load_id, rows, seconds)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (upload_id, attempt, batch) DO UPDATE
        SET state = excluded.state, load_id = excluded.load_id, rows = excluded.rows,
            seconds = excluded.seconds, recorded_at = clock_timestamp()
        WHERE excluded.state = 'staged' OR b.state <> 'staged'
        """,
        [upload_id, attempt, number, state, load_id, rows, seconds],
    )


def recorded_batches(conn: psycopg.Connection, upload_id: str, attempt: str) -> list[RecordedBatch]:
    """What is recorded of an attempt's batches, in their order."""
    with conn.cursor(row_factory=class_row(RecordedBatch)) as cursor:
        query = sql.SQL(
            "SELECT {} FROM imports.batches WHERE upload_id = %s AND attempt = %s ORDER BY batch"
        ).format(columns_of(RecordedBatch))
        return cursor.execute(query, [upload_id, attempt]).fetchall()


def lock_table_of(conn: psycopg.Connection, workspace: str, dataset: str) -> None:
    """The publish lock: one publish (or undo) at a time in a workspace and dataset, until commit."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [_publish_lock(workspace, dataset)])


def try_lock_table_of(conn: psycopg.Connection, workspace: str, dataset: str) -> bool:
    """The publish lock if nobody has it, without waiting; whether it is held now, until commit."""
    row = conn.execute(
        "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [_publish_lock(workspace, dataset)]
    ).fetchone()
    return row is not None and bool(row[0])


def find_first_import(conn: psycopg.Connection, opened: OpenedUpload, dataset: Dataset) -> str | None:
    """The upload that published the same bytes the same way, so that this one is a `duplicate_file`.

    Same sha256, workspace, dataset, fingerprint and options (those that decide how rows are read), not
    undone; none of its rows was kept out by an upload that is undone now; for a dataset that updates, and
    for a correction, nothing else was published or undone there since. Sure only under the publish lock.

    Returns:
        Its upload id: the first of several; None: import it.
    """
    row = conn.execute(
        """
        SELECT f.upload_id FROM imports.uploads f
        WHERE f.sha256 = %(sha256)s AND f.workspace = %(workspace)s AND f.dataset = %(dataset)s
          AND f.fingerprint = %(fingerprint)s AND f.state = ANY(%(published)s)
          AND jsonb_strip_nulls(f.options - %(ignored)s::text[])
              = jsonb_strip_nulls(%(options)s::jsonb - %(ignored)s::text[])
          AND f.upload_id <> %(upload_id)s
          AND NOT EXISTS (
              SELECT FROM imports.dependencies d JOIN imports.uploads o ON o.upload_id = d.depends_on
              WHERE d.upload_id = f.upload_id AND o.state <> ALL(%(published)s))
          AND NOT (%(depends)s AND CASE WHEN f.publish_number IS NOT NULL THEN EXISTS (
              SELECT FROM imports.publish_numbers n
              WHERE n.workspace = f.workspace AND n.dataset = f.dataset AND n.number > f.publish_number)
            ELSE EXISTS (
              SELECT FROM imports.uploads o
              WHERE o.workspace = f.workspace AND o.dataset = f.dataset AND o.upload_id <> f.upload_id
                AND (o.published_at > f.published_at OR o.undone_at > f.published_at)) END)
        ORDER BY f.published_at LIMIT 1
        """,
        {
            "sha256": opened.file.sha256,
            "workspace": opened.workspace,
            "dataset": opened.dataset,
            "fingerprint": opened.fingerprint,
            "published": list(PUBLISHED_STATES),
            "options": options_json(opened.options),
            "ignored": list(_OPTIONS_THAT_DECIDE_NOTHING),
            "upload_id": opened.upload_id,
            "depends": opened.file.ours or dataset.existing_for(opened.options) == "update",
        },
    ).fetchone()
    return None if row is None else str(row[0])


def options_json(options: SenderOptions) -> str:
    """Options as the ledger stores them."""
    return json.dumps(asdict(options))


def _settable(columns: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(columns) - SETTABLE_COLUMNS)
    if unknown:
        raise ValueError(f"not to be set here: {', '.join(unknown)}")
    return columns


def _publish_lock(workspace: str, dataset: str) -> str:
    return f"import_pipeline publish {workspace}/{dataset}"


def _set(conn: psycopg.Connection, upload_id: str, values: dict[str, Any]) -> None:
    assignments = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in values)
    query = sql.SQL("UPDATE imports.uploads SET {} WHERE upload_id = %s").format(assignments)
    if conn.execute(query, [*values.values(), upload_id]).rowcount != 1:
        raise ImportFailed(f"The ledger has no upload {upload_id!r}.", upload_id=upload_id)


def _dumps(facts: Any) -> str:
    """JSON that `jsonb` takes: a NUL, which it cannot hold, becomes the replacement character."""
    return _NUL.sub(r"\1\\ufffd", json.dumps(facts, default=str))
