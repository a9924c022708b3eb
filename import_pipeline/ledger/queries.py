"""Questions people, the sensor and `doctor` ask the ledger; nothing here writes."""

from datetime import datetime

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from import_pipeline.ledger.rows import InFlightUpload, StuckUpload, UploadRow, UploadSummary, columns_of
from import_pipeline.records import UploadState

RETRY_DAYS = 7
RETRY_ATTEMPTS = 5
MOST_MEMBERS = 1000


def in_flight(conn: psycopg.Connection) -> list[InFlightUpload]:
    """Every upload that is `queued` or `running`, oldest first: to be compared with Dagster's runs."""
    with conn.cursor(row_factory=class_row(InFlightUpload)) as cursor:
        return cursor.execute(
            """
            SELECT u.upload_id, u.workspace, u.dataset, u.size, u.last_modified, u.state, u.run_id,
                   u.token_created, u.token_run_id, u.launch_number, u.queued_at,
                   extract(epoch FROM clock_timestamp() - u.queued_at)::double precision AS queued_seconds,
                   u.error_code, u.attempt,
                   extract(epoch FROM clock_timestamp() - greatest(u.running_at, a.started_at))
                       ::double precision AS running_seconds
            FROM imports.uploads u LEFT JOIN imports.attempts a USING (upload_id, attempt)
            WHERE u.state IN ('queued', 'running') ORDER BY u.detected_at, u.upload_id
            """
        ).fetchall()


def free_for_us(conn: psycopg.Connection) -> int:
    """How many connections PostgreSQL allows a role like ours: the server's limit, and the role's own."""
    row = conn.execute(
        "SELECT current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int,"
        " (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user)"
    ).fetchone()
    assert row is not None  # noqa: S101 - a select without FROM always gives a row
    return int(row[0]) if row[1] < 0 else min(int(row[0]), int(row[1]))


def running_seconds(conn: psycopg.Connection, upload_id: str) -> float:
    """Seconds that the current attempt has been running, by the database's clock; 0: it is not."""
    row = conn.execute(
        "SELECT extract(epoch FROM clock_timestamp() - greatest(u.running_at, a.started_at))"
        "::double precision FROM imports.uploads u LEFT JOIN imports.attempts a USING (upload_id, attempt)"
        " WHERE u.upload_id = %s AND u.state = 'running'",
        [upload_id],
    ).fetchone()
    return 0.0 if row is None or row[0] is None else float(row[0])


def failed_to_retry(
    conn: psycopg.Connection, dataset: str, days: int = RETRY_DAYS, attempts: int = RETRY_ATTEMPTS
) -> list[UploadRow]:
    """Uploads that failed less than `days` ago in fewer than `attempts` attempts, oldest first."""
    with conn.cursor(row_factory=class_row(UploadRow)) as cursor:
        query = sql.SQL(
            "SELECT {} FROM imports.uploads WHERE state = 'failed' AND dataset = %s"
            " AND finished_at > clock_timestamp() - make_interval(days => %s) AND attempts < %s"
            " ORDER BY finished_at, upload_id"
        ).format(columns_of(UploadRow))
        return cursor.execute(query, [dataset, days, attempts]).fetchall()


def unreported(conn: psycopg.Connection, older_than_seconds: float = 0) -> list[UploadRow]:
    """Published uploads without a report, oldest first: unfinished until a run writes it."""
    with conn.cursor(row_factory=class_row(UploadRow)) as cursor:
        query = sql.SQL(
            "SELECT {} FROM imports.uploads WHERE reported_at IS NULL"
            " AND state IN ('completed', 'completed_with_rejects')"
            " AND published_at <= clock_timestamp() - make_interval(secs => %s) ORDER BY published_at"
        ).format(columns_of(UploadRow))
        return cursor.execute(query, [older_than_seconds]).fetchall()


def find_uploads(conn: psycopg.Connection, text: str) -> list[UploadRow]:
    """Uploads that `text` names: by upload id, short id, human name or file name; newest first.

    A file in an archive is named `leads.zip › janeiro.csv` or `leads.zip/janeiro.csv`.
    """
    with conn.cursor(row_factory=class_row(UploadRow)) as cursor:
        query = sql.SQL(
            "SELECT {} FROM imports.uploads WHERE upload_id = %(text)s OR short_id = lower(%(text)s)"
            " OR human_name = %(text)s OR file_name = %(text)s"
            " OR (member <> '' AND replace(file_name, ' › ', '/') = %(text)s)"
            " ORDER BY detected_at DESC, upload_id"
        ).format(columns_of(UploadRow))
        return cursor.execute(query, {"text": text}).fetchall()


def summary(conn: psycopg.Connection, upload_id: str) -> UploadSummary | None:
    """One upload as people look at it, with its place in the queue."""
    found = _summaries(conn, [sql.SQL("upload_id = %(upload_id)s")], {"upload_id": upload_id})
    return found[0] if found else None


def history(
    conn: psycopg.Connection,
    *,
    dataset: str | None = None,
    workspace: str | None = None,
    state: UploadState | None = None,
    since: datetime | None = None,
    limit: int = 100,
) -> list[UploadSummary]:
    """Uploads detected last, newest first.

    Args:
        since: only those detected at or after it.
    """
    values = {"dataset": dataset, "workspace": workspace, "state": state}
    conditions: list[sql.Composable] = [
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name))
        for name, value in values.items()
        if value is not None
    ]
    if since is not None:
        conditions.append(sql.SQL("detected_at >= %(since)s"))
    return _summaries(conn, conditions, {**values, "since": since}, limit)


def members(conn: psycopg.Connection, archive: str) -> list[UploadSummary]:
    """The files of an archive as people look at them, newest first; empty for any other upload."""
    return _summaries(conn, [sql.SQL("parent = %(archive)s")], {"archive": archive}, MOST_MEMBERS)


def ignored_uploads(conn: psycopg.Connection, limit: int = 100) -> list[UploadSummary]:
    """Uploads that are not imported, with the reason, newest first."""
    return history(conn, state="ignored", limit=limit)


def stuck_uploads(
    conn: psycopg.Connection, *, waiting_seconds: float = 3600, silent_seconds: float = 3600
) -> list[StuckUpload]:
    """Uploads that do not move by themselves, or not as fast as they should, longest first.

    Args:
        waiting_seconds: from which waiting for a run, or for a report, is too long.
        silent_seconds: from which a run without a line in the timeline is suspicious.
    """
    with conn.cursor(row_factory=class_row(StuckUpload)) as cursor:
        return cursor.execute(
            _STUCK,
            {
                "waiting": waiting_seconds,
                "silent": silent_seconds,
                "days": RETRY_DAYS,
                "attempts": RETRY_ATTEMPTS,
            },
        ).fetchall()


_STUCK = """
WITH u AS (
    SELECT *, extract(epoch FROM clock_timestamp() - CASE
        WHEN state = 'detected' THEN detected_at
        WHEN state = 'queued' THEN queued_at
        WHEN state = 'running' THEN (SELECT max(at) FROM imports.events e
                                     WHERE e.upload_id = uploads.upload_id)
        WHEN state = 'failed' THEN finished_at
        ELSE coalesce(published_at, finished_at) END)::double precision AS seconds
    FROM imports.uploads
    WHERE state IN ('detected', 'queued', 'running', 'failed')
       OR (reported_at IS NULL
           AND state IN ('completed', 'completed_with_rejects', 'refused', 'duplicate_file', 'checked'))
), judged AS (
    SELECT upload_id, state, seconds, CASE
        WHEN state = 'detected' AND seconds > %(waiting)s THEN 'waits for the sensor to launch it'
        WHEN state = 'queued' AND seconds > %(waiting)s THEN 'waits for a free run slot'
        WHEN state = 'running' AND seconds > %(silent)s THEN 'its run has said nothing for long'
        WHEN state = 'failed' AND attempts >= %(attempts)s
            THEN 'failed ' || attempts || ' times: no schedule tries it again'
        WHEN state = 'failed' AND seconds > %(days)s * 86400 THEN 'failed too long ago for the schedule'
        WHEN state IN ('completed', 'completed_with_rejects') AND seconds > %(waiting)s
            THEN 'published, but its report is missing'
        WHEN state IN ('refused', 'duplicate_file', 'checked') AND seconds > %(waiting)s
            THEN state || ', but its report is missing'
        END AS why
    FROM u
)
SELECT upload_id, state, seconds, why FROM judged WHERE why IS NOT NULL ORDER BY seconds DESC, upload_id
"""


def _summaries(
    conn: psycopg.Connection, conditions: list[sql.Composable], values: dict[str, object], limit: int = 1
) -> list[UploadSummary]:
    where = sql.SQL(" AND ").join([sql.SQL("true"), *conditions])
    query = sql.SQL(
        "SELECT {} FROM imports.uploads_view WHERE {} ORDER BY detected_at DESC, upload_id LIMIT {}"
    ).format(columns_of(UploadSummary), where, sql.Literal(limit))
    with conn.cursor(row_factory=class_row(UploadSummary)) as cursor:
        return cursor.execute(query, values).fetchall()
