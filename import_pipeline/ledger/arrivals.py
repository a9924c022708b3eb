"""Arrivals in the ledger: recorded, waiting, queued, ignored; each one set-based statement."""

from collections.abc import Collection, Sequence

import psycopg
from psycopg.rows import class_row

from import_pipeline.flow.arrivals.decision import Arrival, KnownUpload
from import_pipeline.ledger.states import PUBLISHED_STATES


def record_arrivals(conn: psycopg.Connection, arrivals: Sequence[Arrival]) -> int:
    """Write new uploads as `detected`, or `ignored` with their reason; known ones stay as they are.

    Of two that share a short id only the first is written: it names their places. See `unrecorded`.

    Returns:
        Number of uploads that were new.
    """
    if not arrivals:
        return 0
    columns = (
        [a.upload_id for a in arrivals],
        [a.identity for a in arrivals],
        [a.short_id for a in arrivals],
        [a.workspace for a in arrivals],
        [a.dataset for a in arrivals],
        [a.listed.bucket for a in arrivals],
        [_storable(a.listed.key) for a in arrivals],
        [a.listed.etag for a in arrivals],
        [a.listed.version_id for a in arrivals],
        [a.listed.size for a in arrivals],
        [a.listed.last_modified for a in arrivals],
        [_storable(a.file_name) for a in arrivals],
        [a.ignored_reason for a in arrivals],
        [a.parent for a in arrivals],
        [_storable(a.member) for a in arrivals],
    )
    return conn.execute(
        """
        INSERT INTO imports.uploads (upload_id, identity, short_id, workspace, dataset, bucket, key, etag,
                                     version_id, size, last_modified, file_name, ignored_reason, parent,
                                     member, state)
        SELECT DISTINCT ON (short_id) *, CASE WHEN reason IS NULL THEN 'detected' ELSE 'ignored' END
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                    %s::text[], %s::text[], %s::bigint[], %s::timestamptz[], %s::text[], %s::text[],
                    %s::text[], %s::text[])
             AS arrived (upload_id, identity, short_id, workspace, dataset, bucket, key, etag,
                         version_id, size, last_modified, file_name, reason, parent, member)
        WHERE NOT EXISTS (SELECT FROM imports.uploads u WHERE u.short_id = arrived.short_id)
        ORDER BY short_id, last_modified, identity
        ON CONFLICT DO NOTHING
        """,
        columns,
    ).rowcount


def unrecorded(conn: psycopg.Connection, arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Those that `record_arrivals` left out because another upload has their short id.

    By chance that is one pair in 281 million million; a sender who means harm finds one within a minute.
    """
    lacking = set(unknown_identities(conn, [a.identity for a in arrivals]))
    return [a for a in arrivals if a.identity in lacking]


def unknown_identities(conn: psycopg.Connection, identities: Sequence[str]) -> list[str]:
    """Those of `identities` that the ledger does not have: one question, however many they are.

    They go as one text: psycopg takes five times as long, and three times the memory, to write an array.
    """
    rows = conn.execute(
        """
        SELECT identity FROM string_to_table(%s, ' ') AS found (identity)
        WHERE NOT EXISTS (SELECT FROM imports.uploads u WHERE u.identity = found.identity)
        """,
        [" ".join(identities)],
    ).fetchall()
    return [identity for (identity,) in rows]


def waiting(conn: psycopg.Connection, limit: int) -> list[KnownUpload]:
    """At most `limit` uploads in state `detected`: oldest first, a turn for each workspace.

    One workspace with 10,000 files cannot hide the others from the caller.
    """
    with conn.cursor(row_factory=class_row(KnownUpload)) as cursor:
        return cursor.execute(
            """
            SELECT upload_id, workspace, dataset, size, last_modified, launch_number, attempts FROM (
                SELECT *, row_number() OVER (PARTITION BY workspace ORDER BY last_modified, upload_id) AS turn
                FROM imports.uploads WHERE state = 'detected'
            ) AS fair ORDER BY turn, last_modified, upload_id LIMIT %s
            """,
            [limit],
        ).fetchall()


def awaiting_report(conn: psycopg.Connection, limit: int) -> list[KnownUpload]:
    """At most `limit` published uploads without a report, any of them.

    Their run may still be at it, or have failed for good; the caller asks Dagster. So each look takes others:
    the oldest might all be such, and hide for ever one that is asked for again.
    """
    with conn.cursor(row_factory=class_row(KnownUpload)) as cursor:
        return cursor.execute(
            """
            SELECT upload_id, workspace, dataset, size, last_modified, launch_number, attempts
            FROM imports.uploads
            WHERE published_at IS NOT NULL AND reported_at IS NULL AND state = ANY(%s)
            ORDER BY random() LIMIT %s
            """,
            [list(PUBLISHED_STATES), limit],
        ).fetchall()


def queued_by_workspace(conn: psycopg.Connection) -> dict[str, int]:
    """Number of uploads in state `queued`, by workspace."""
    return dict(
        conn.execute(
            "SELECT workspace, count(*) FROM imports.uploads WHERE state = 'queued' GROUP BY workspace"
        ).fetchall()
    )


def mark_queued(conn: psycopg.Connection, upload_ids: Sequence[str]) -> int:
    """`detected` to `queued`; one whose run already claimed it is left alone.

    Returns:
        Number of uploads changed.
    """
    return conn.execute(
        """
        UPDATE imports.uploads SET state = 'queued', run_id = NULL WHERE upload_id IN (
            SELECT upload_id FROM imports.uploads WHERE upload_id = ANY(%s) AND state = 'detected'
            ORDER BY upload_id FOR NO KEY UPDATE SKIP LOCKED)
        """,
        [list(upload_ids)],
    ).rowcount


def release_ignored(
    conn: psycopg.Connection, datasets: Collection[str], workspaces: Collection[str] | None
) -> int:
    """`ignored` to `detected` where dataset and workspace are known by now.

    Args:
        workspaces: those that may import; None: every valid name.

    Returns:
        Number of uploads released.
    """
    return conn.execute(
        """
        UPDATE imports.uploads SET state = 'detected', ignored_reason = NULL WHERE upload_id IN (
            SELECT upload_id FROM imports.uploads
            WHERE state = 'ignored' AND dataset = ANY(%s) AND workspace IS NOT NULL
              AND (%s::text[] IS NULL OR workspace = ANY(%s))
            ORDER BY upload_id FOR NO KEY UPDATE SKIP LOCKED)
        """,
        [list(datasets), *[None if workspaces is None else list(workspaces)] * 2],
    ).rowcount


def set_aside_unknown(
    conn: psycopg.Connection, datasets: Collection[str], workspaces: Collection[str] | None
) -> int:
    """`detected` to `ignored` where dataset or workspace is no longer known: no job could take it.

    Returns:
        Number of uploads set aside.
    """
    return conn.execute(
        """
        UPDATE imports.uploads SET state = 'ignored', ignored_reason = CASE
            WHEN dataset = ANY(%s) THEN 'There is no workspace `' || workspace || '` any more.'
            ELSE 'There is no dataset `' || dataset || '` any more.' END
        WHERE upload_id IN (
            SELECT upload_id FROM imports.uploads
            WHERE state = 'detected' AND NOT (dataset = ANY(%s)
                  AND (%s::text[] IS NULL OR workspace = ANY(%s)))
            ORDER BY upload_id FOR NO KEY UPDATE SKIP LOCKED)
        """,
        [list(datasets), list(datasets), *[None if workspaces is None else list(workspaces)] * 2],
    ).rowcount


def _storable(text: str) -> str:
    """PostgreSQL has no NUL in text; S3 may have one in a key."""
    return text.replace("\0", "\ufffd")
