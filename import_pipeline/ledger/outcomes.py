"""How an upload ended: refused, failed, cancelled, reported; and errors noted on the way there.

Counts of a published upload are written by the publish transaction through `uploads.transition`.
"""

from collections.abc import Sequence
from typing import Literal

import psycopg
from psycopg import sql

from import_pipeline.errors import ImportPipelineError
from import_pipeline.ledger.claims import lock_owned, outcome_reset
from import_pipeline.ledger.events import add_event, one_line
from import_pipeline.ledger.rows import InFlightUpload, UploadRow
from import_pipeline.ledger.states import PUBLISHED_STATES, RERUN_STATES
from import_pipeline.records import Token, UploadState

OPEN_STATES: tuple[UploadState, ...] = ("detected", "queued", "running")


def record_refused(
    conn: psycopg.Connection, upload_id: str, error: ImportPipelineError, token: Token | None = None
) -> None:
    """`running` to `refused`, the file's fault.

    Raises:
        Superseded: a token is given and it is not the current one.
    """
    _end(conn, upload_id, "refused", error, token)


def record_failed(
    conn: psycopg.Connection, upload_id: str, error: ImportPipelineError, token: Token | None = None
) -> None:
    """To `failed`, our fault; an upload that has its outcome keeps it and gets a line in its timeline.

    Raises:
        Superseded: a token is given and it is not the current one.
    """
    _end(conn, upload_id, "failed", error, token)


def record_cancelled(
    conn: psycopg.Connection,
    upload_id: str,
    error: ImportPipelineError | None = None,
    token: Token | None = None,
) -> None:
    """To `cancelled`, while waiting or running; an upload that has its outcome keeps it.

    It counts as a launch: a run that the sensor has asked for by then is one of before, see `claim`.

    Raises:
        Superseded: a token is given and it is not the current one.
    """
    _end(conn, upload_id, "cancelled", error, token)


def note_error(
    conn: psycopg.Connection, upload_id: str, token: Token, error: ImportPipelineError
) -> UploadRow:
    """Keep why a step failed, without ending the upload: other batches may still be at work.

    When its run ends, `end_in_flight` finds code and message here. An upload that ended meanwhile keeps
    the reason it ended for, unless nobody knew one: what a stopped step stumbles over is no reason.

    Raises:
        Superseded: the token is not the current one.
    """
    row = lock_owned(conn, upload_id, token)
    if row.state == "running" or (row.state == "failed" and row.error_code == "run_failed"):
        _write_error(conn, upload_id, error)
    add_event(conn, upload_id, row.state, f"{error.code}: {error}")
    return row


def mark_reported(
    conn: psycopg.Connection, upload_id: str, report_prefix: str, token: Token | None = None
) -> None:
    """The report is written and nothing is left to do.

    Raises:
        Superseded: a token is given and it is not the current one.
    """
    lock_owned(conn, upload_id, token)
    conn.execute(
        "UPDATE imports.uploads SET report_prefix = %s, reported_at = clock_timestamp() WHERE upload_id = %s",
        [report_prefix, upload_id],
    )


def mark_moved(conn: psycopg.Connection, upload_id: str, original_key: str | None) -> None:
    """Where the original is now (archive or quarantine); None: back at its own key, or deleted."""
    conn.execute(
        "UPDATE imports.uploads SET original_key = %s WHERE upload_id = %s", [original_key, upload_id]
    )


def end_in_flight(
    conn: psycopg.Connection,
    seen: Sequence[InFlightUpload],
    state: Literal["failed", "cancelled"],
    *,
    code: str,
    message: str,
    remedy: str = "",
) -> int:
    """End uploads whose run is over, only if nothing about them changed since they were `seen`.

    What the run itself noted (`note_error`) wins over `code` and `message` for `failed`. A row that
    another transaction holds is left for the next look.

    Returns:
        Number of uploads ended.
    """
    kept = sql.SQL("coalesce({}, {})") if state == "failed" else sql.SQL("coalesce({1}, {0})")
    query = sql.SQL(
        "UPDATE imports.uploads AS u SET state = {state}, error_remedy = CASE WHEN {state} = 'failed'"
        " AND error_code IS NOT NULL THEN error_remedy ELSE {remedy} END,"
        " error_code = {code}, error_message = {message} WHERE u.upload_id IN ({unchanged})"
    ).format(
        state=sql.Literal(state),
        remedy=sql.Literal(remedy),
        code=kept.format(sql.Identifier("error_code"), sql.Literal(code)),
        message=kept.format(sql.Identifier("error_message"), sql.Literal(one_line(message))),
        unchanged=_UNCHANGED,
    )
    return conn.execute(query, _seen(seen)).rowcount


def relaunch(conn: psycopg.Connection, seen: Sequence[InFlightUpload], *, same_key: bool = False) -> int:
    """`queued` without a run back to `detected`, under the next launch number.

    Args:
        same_key: under the same number, for which Dagster submits the run that it has.

    Returns:
        Number of uploads sent back; one that changed since it was `seen` is left alone.
    """
    query = sql.SQL(
        "UPDATE imports.uploads AS u SET state = 'detected', launch_number = launch_number + {},"
        " run_id = NULL WHERE u.upload_id IN ({}) AND u.state = 'queued'"
    ).format(sql.Literal(0 if same_key else 1), _UNCHANGED)
    return conn.execute(query, _seen(seen)).rowcount


def requeue(conn: psycopg.Connection, upload_ids: Sequence[str]) -> list[str]:
    """Send finished, unpublished uploads back to `detected`: the sensor launches them again.

    Returns:
        The upload ids that were sent back; published, waiting and running ones are not among them.
    """
    rows = conn.execute(
        sql.SQL(
            "UPDATE imports.uploads SET state = 'detected', launch_number = launch_number + 1,"
            " run_id = NULL, {} WHERE upload_id IN (SELECT upload_id FROM imports.uploads"
            " WHERE upload_id = ANY(%s) AND state = ANY(%s) ORDER BY upload_id FOR NO KEY UPDATE)"
            " RETURNING upload_id"
        ).format(outcome_reset()),
        [list(upload_ids), list(RERUN_STATES)],
    ).fetchall()
    return [upload_id for (upload_id,) in rows]


def ask_for_reports(conn: psycopg.Connection, upload_ids: Sequence[str]) -> list[str]:
    """Have the missing reports of published uploads written: the sensor launches them once more.

    Returns:
        The upload ids that were published and not reported.
    """
    rows = conn.execute(
        "UPDATE imports.uploads SET launch_number = launch_number + 1 WHERE upload_id IN ("
        " SELECT upload_id FROM imports.uploads WHERE upload_id = ANY(%s) AND state = ANY(%s)"
        " AND reported_at IS NULL ORDER BY upload_id FOR NO KEY UPDATE) RETURNING upload_id",
        [list(upload_ids), list(PUBLISHED_STATES)],
    ).fetchall()
    return [upload_id for (upload_id,) in rows]


_UNCHANGED = sql.SQL(
    """
    SELECT now.upload_id FROM imports.uploads AS now
    JOIN unnest(%s::text[], %s::text[], %s::int[], %s::text[])
         AS seen (upload_id, state, launch_number, token_run_id) USING (upload_id)
    WHERE now.state = seen.state AND now.launch_number = seen.launch_number
      AND now.token_run_id IS NOT DISTINCT FROM seen.token_run_id
    ORDER BY now.upload_id FOR NO KEY UPDATE OF now SKIP LOCKED
    """
)


def _seen(seen: Sequence[InFlightUpload]) -> list[Sequence[str | int | None]]:
    return [
        [row.upload_id for row in seen],
        [row.state for row in seen],
        [row.launch_number for row in seen],
        [row.token_run_id for row in seen],
    ]


def _end(
    conn: psycopg.Connection,
    upload_id: str,
    state: Literal["refused", "failed", "cancelled"],
    error: ImportPipelineError | None,
    token: Token | None,
) -> None:
    row = lock_owned(conn, upload_id, token)
    if row.state not in (*OPEN_STATES, state):
        if error is not None:
            add_event(conn, upload_id, row.state, f"{error.code}: {error}")
        return
    if error is not None:
        _write_error(conn, upload_id, error)
    conn.execute(
        "UPDATE imports.uploads SET state = %s, launch_number = launch_number + %s WHERE upload_id = %s",
        [state, int(state == "cancelled" and row.state != state), upload_id],
    )


def _write_error(conn: psycopg.Connection, upload_id: str, error: ImportPipelineError) -> None:
    conn.execute(
        "UPDATE imports.uploads SET error_code = %s, error_message = %s, error_remedy = %s"
        " WHERE upload_id = %s",
        [error.code, one_line(error.masked), one_line(error.remedy), upload_id],
    )
