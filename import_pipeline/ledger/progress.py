"""How far an upload is: one voice a second for an upload, over all processes of its run."""

import psycopg

from import_pipeline.ledger.events import add_event
from import_pipeline.records import Token


def record_progress(
    conn: psycopg.Connection, upload_id: str, token: Token, percent: float, message: str
) -> tuple[float, float] | None:
    """Record progress in attempt and timeline, unless somebody did within the last second.

    Waits for nobody: a row that another process is writing counts as "somebody just spoke".

    Args:
        percent: 0 to 100; within a run it never falls.

    Returns:
        The percent recorded and the seconds since the run claimed the upload; None if it was not
        this caller's turn, or the run no longer owns the upload.
    """
    said = conn.execute(
        """
        UPDATE imports.attempts AS a
        SET percent = greatest(a.percent, least(%(percent)s, 100)), progress_at = clock_timestamp()
        FROM (
            SELECT a.upload_id, a.attempt,
                   extract(epoch FROM clock_timestamp() - u.running_at)::double precision AS seconds
            FROM imports.attempts a JOIN imports.uploads u USING (upload_id, attempt)
            WHERE u.upload_id = %(upload_id)s AND u.state = 'running'
              AND u.token_created = %(created)s AND u.token_run_id = %(run_id)s
              AND (a.progress_at IS NULL OR a.progress_at <= clock_timestamp() - interval '1 second')
            FOR NO KEY UPDATE OF a SKIP LOCKED
        ) AS turn
        WHERE a.upload_id = turn.upload_id AND a.attempt = turn.attempt
        RETURNING a.percent, turn.seconds
        """,
        {"percent": percent, "upload_id": upload_id, "created": token.created, "run_id": token.run_id},
    ).fetchone()
    if said is None:
        return None
    add_event(conn, upload_id, "running", message, said[0])
    return said[0], said[1]


def count_batches(conn: psycopg.Connection, upload_id: str, attempt: str) -> tuple[int, int]:
    """Batches of an attempt that are (checked or further, staged)."""
    row = conn.execute(
        "SELECT count(*) FILTER (WHERE state IN ('checked', 'staged')),"
        " count(*) FILTER (WHERE state = 'staged')"
        " FROM imports.batches WHERE upload_id = %s AND attempt = %s",
        [upload_id, attempt],
    ).fetchone()
    return (0, 0) if row is None else (row[0], row[1])
