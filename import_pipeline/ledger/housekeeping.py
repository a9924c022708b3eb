"""What housekeeping asks and changes in the ledger; nothing here commits.

Rows are locked `SKIP LOCKED`: housekeeping never waits for an import, it comes again. What is due,
`flow/housekeeping/due.py` decides.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import psycopg
from psycopg import errors as pg
from psycopg import sql
from psycopg.rows import class_row

from import_pipeline.flow.housekeeping.due import (
    LIVE_STATES,
    REPORTED_STATES,
    SET_ASIDE_STATES,
    UNKEPT_STATES,
    HousedUpload,
)
from import_pipeline.ledger.events import one_line
from import_pipeline.ledger.states import PUBLISHED_STATES

_HOUSED = """
SELECT upload_id, short_id, parent, workspace, dataset, state, attempt, published_at,
       greatest(detected_at, queued_at, running_at, finished_at, undone_at) AS changed_at,
       reported_at IS NOT NULL AS reported
FROM imports.uploads
"""


@dataclass(frozen=True)
class StagingTable:
    """A table of the schema `staging`; `size`: bytes, with its indexes."""

    name: str
    size: int


@dataclass(frozen=True)
class UnreportedUpload:
    """A published upload whose report is missing."""

    upload_id: str
    published_at: datetime


def staging_tables(conn: psycopg.Connection) -> list[StagingTable]:
    """All tables of the schema `staging`, by name."""
    with conn.cursor(row_factory=class_row(StagingTable)) as cursor:
        return cursor.execute(
            "SELECT relname AS name, pg_total_relation_size(oid) AS size FROM pg_class"
            " WHERE relnamespace = 'staging'::regnamespace AND relkind = 'r' ORDER BY relname"
        ).fetchall()


def drop_table(conn: psycopg.Connection, name: str) -> bool:
    """Drop a table of the schema `staging`; one that is gone is as good as dropped.

    Returns:
        False if somebody has used it for half a second, so that it stays for now.
    """
    try:
        with conn.transaction():
            conn.execute("SET LOCAL lock_timeout = '500ms'")
            conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier("staging", name)))
    except pg.LockNotAvailable:
        return False
    return True


def lock_by_short_id(
    conn: psycopg.Connection, short_ids: Collection[str]
) -> dict[str, list[HousedUpload] | None]:
    """Uploads by short id, their rows locked until the transaction ends.

    Returns:
        An empty list for a short id that the ledger does not know; None where another transaction holds
        a row, so that it is to be left alone.
    """
    names = list(short_ids)
    locked = _locked(conn, "short_id = ANY(%s)", names)
    found = _housed(conn, "short_id = ANY(%s)", names)
    groups: dict[str, list[HousedUpload]] = defaultdict(list)
    for row in found:
        groups[row.short_id].append(row)
    return {name: _if_all_locked(groups[name], locked) for name in names}


def lock_families(
    conn: psycopg.Connection, upload_ids: Collection[str]
) -> dict[str, list[HousedUpload] | None]:
    """Each upload and, of an archive, the files in it, their rows locked until the transaction ends.

    Returns:
        By upload id, as `lock_by_short_id`.
    """
    names = list(upload_ids)
    where = "(upload_id = ANY(%s) OR parent = ANY(%s))"
    locked = _locked(conn, where, names, names)
    groups: dict[str, list[HousedUpload]] = defaultdict(list)
    for row in _housed(conn, where, names, names):
        for name in {row.upload_id, row.parent}:
            if name is not None:
                groups[name].append(row)
    return {name: _if_all_locked(groups[name], locked) for name in names}


def known_short_ids(conn: psycopg.Connection, short_ids: Collection[str]) -> dict[str, list[str]]:
    """Upload ids by short id, unlocked; one that the ledger does not know has none."""
    rows = conn.execute(
        "SELECT short_id, upload_id FROM imports.uploads WHERE short_id = ANY(%s) ORDER BY upload_id",
        [list(short_ids)],
    ).fetchall()
    found: dict[str, list[str]] = {name: [] for name in short_ids}
    for short_id, upload_id in rows:
        found[short_id].append(upload_id)
    return found


def live_uploads(conn: psycopg.Connection, upload_ids: Collection[str]) -> set[str]:
    """Those of `upload_ids` that a run is at work on or is still to come for."""
    rows = conn.execute(
        "SELECT upload_id FROM imports.uploads WHERE upload_id = ANY(%s)"
        " AND (state = ANY(%s) OR (state = ANY(%s) AND reported_at IS NULL))",
        [list(upload_ids), list(LIVE_STATES), list(PUBLISHED_STATES)],
    ).fetchall()
    return {upload_id for (upload_id,) in rows}


def unreported_uploads(conn: psycopg.Connection) -> list[UnreportedUpload]:
    """Published uploads without a report, the oldest first."""
    with conn.cursor(row_factory=class_row(UnreportedUpload)) as cursor:
        return cursor.execute(
            "SELECT upload_id, published_at FROM imports.uploads WHERE published_at IS NOT NULL"
            " AND reported_at IS NULL AND state = ANY(%s) ORDER BY published_at, upload_id",
            [list(PUBLISHED_STATES)],
        ).fetchall()


def originals_to_set_aside(conn: psycopg.Connection, before: datetime, after: str, limit: int) -> list[str]:
    """Uploads that failed, were cancelled or are ignored since before a moment, not looked at since.

    So are those that ended in another way and whose report was never written. An archive is among them if
    none of its files waits or runs, and it was not put away.

    Args:
        after: only upload ids greater than this one; at most `limit` of them, in their order.
    """
    rows = conn.execute(
        """
        SELECT upload_id FROM imports.uploads u
        WHERE upload_id > %(after)s AND parent IS NULL AND original_key IS NULL
          AND (((state = ANY(%(stopped)s) OR (state = ANY(%(reported)s) AND reported_at IS NULL))
                AND greatest(detected_at, queued_at, running_at, finished_at, undone_at) <= %(before)s
                AND coalesce(set_aside_at, '-infinity') < coalesce(finished_at, detected_at))
               OR (state = 'expanded' AND finished_at <= %(before)s AND set_aside_at IS NULL
                   AND NOT EXISTS (SELECT FROM imports.uploads m
                                   WHERE m.parent = u.upload_id AND m.state = ANY(%(live)s))))
        ORDER BY upload_id LIMIT %(limit)s
        """,
        {
            "after": after,
            "before": before,
            "limit": limit,
            "stopped": list(SET_ASIDE_STATES),
            "reported": list(REPORTED_STATES),
            "live": list(LIVE_STATES),
        },
    ).fetchall()
    return [upload_id for (upload_id,) in rows]


def unkept_originals(
    conn: psycopg.Connection, datasets: Collection[str], before: datetime, after: str, limit: int
) -> list[str]:
    """Uploads of these datasets whose report was written before a moment, not looked at since.

    Their run was to delete their original then. Archives are not among them, nor what was refused.

    Args:
        after: only upload ids greater than this one; at most `limit` of them, in their order.
    """
    rows = conn.execute(
        "SELECT upload_id FROM imports.uploads WHERE upload_id > %s AND dataset = ANY(%s) AND parent IS NULL"
        " AND original_key IS NULL AND state = ANY(%s) AND reported_at <= %s"
        " AND coalesce(set_aside_at, '-infinity') < reported_at ORDER BY upload_id LIMIT %s",
        [after, list(datasets), list(UNKEPT_STATES), before, limit],
    ).fetchall()
    return [upload_id for (upload_id,) in rows]


def note_set_aside(conn: psycopg.Connection, upload_id: str, key: str | None, message: str = "") -> None:
    """Keep where housekeeping put an original, or that it found none; the caller holds the row.

    Args:
        message: for the timeline; empty: there is nothing to tell.
    """
    conn.execute(
        "UPDATE imports.uploads SET original_key = coalesce(%s, original_key), set_aside_at ="
        " clock_timestamp() WHERE upload_id = %s",
        [key, upload_id],
    )
    if message:
        _note(conn, [upload_id], message)


def forget_objects(
    conn: psycopg.Connection,
    column: Literal["original_key", "report_prefix"],
    what: str,
    places: Mapping[str, str],
    days: int,
) -> None:
    """Keep that objects of uploads go, where the ledger still names them; the caller holds the rows.

    Args:
        what: people call them, for the timeline; `days`: for which they were kept.
        places: by upload id, below which its objects lie.
    """
    rows = conn.execute(
        sql.SQL(
            "UPDATE imports.uploads AS u SET {column} = NULL"
            " FROM unnest(%s::text[], %s::text[]) AS gone (id, place)"
            " WHERE u.upload_id = gone.id AND starts_with(u.{column}, gone.place) RETURNING u.upload_id"
        ).format(column=sql.Identifier(column)),
        [list(places), list(places.values())],
    ).fetchall()
    _note(conn, [upload_id for (upload_id,) in rows], f"Its {what} was kept for {days} days and is deleted.")


def note_recovered(conn: psycopg.Connection, found: Mapping[str, tuple[str | None, str | None]]) -> None:
    """Keep of recovered uploads that nobody has begun to import where their originals lie.

    Args:
        found: by upload id, the original's key if it is in a place of ours, and the upload that it brings
            in again if the ledger knows that one.
    """
    rows = conn.execute(
        "UPDATE imports.uploads AS u SET original_key = f.key, reimport_of = (SELECT o.upload_id FROM"
        " imports.uploads o WHERE o.upload_id = f.repeats) FROM unnest(%s::text[], %s::text[], %s::text[])"
        " AS f (upload_id, key, repeats)"
        " WHERE u.upload_id = f.upload_id AND u.state IN ('detected', 'ignored') RETURNING u.upload_id",
        [list(found), [key for key, _ in found.values()], [repeats for _, repeats in found.values()]],
    ).fetchall()
    noted = [upload_id for (upload_id,) in rows]
    _note(conn, noted, "Found in the bucket after the database was restored.")


def set_launch_numbers(conn: psycopg.Connection, numbers: Mapping[str, int]) -> None:
    """Give uploads that wait, by id, the number of their next launch; a greater one that they have stays."""
    conn.execute(
        "UPDATE imports.uploads AS u SET launch_number = greatest(n.number, u.launch_number)"
        " FROM unnest(%s::text[], %s::int[]) AS n (upload_id, number)"
        " WHERE u.upload_id = n.upload_id AND u.state = 'detected'",
        [list(numbers), list(numbers.values())],
    )


def delete_events(conn: psycopg.Connection, before: datetime, limit: int) -> int:
    """Delete at most `limit` lines of timelines older than a moment, of uploads that are finished.

    That a file of an archive had its dry run is kept: its next run goes by it.

    Returns:
        Number of lines deleted; less than `limit`: there are no more.
    """
    return conn.execute(
        """
        DELETE FROM imports.events WHERE id IN (
            SELECT e.id FROM imports.events e JOIN imports.uploads u USING (upload_id)
            WHERE e.at < %(before)s AND u.state <> ALL(%(live)s)
              AND (u.state <> ALL(%(published)s) OR u.reported_at IS NOT NULL)
              AND NOT (e.state = 'checked' AND u.parent IS NOT NULL)
            ORDER BY e.at LIMIT %(limit)s)
        """,
        {
            "before": before,
            "live": list(LIVE_STATES),
            "published": list(PUBLISHED_STATES),
            "limit": limit,
        },
    ).rowcount


def database_use(conn: psycopg.Connection) -> dict[str, int]:
    """Bytes that the database and its staging tables take on the server's disk."""
    row = conn.execute(
        "SELECT pg_database_size(current_database()), coalesce(sum(pg_total_relation_size(oid)), 0)::bigint"
        " FROM pg_class WHERE relnamespace = 'staging'::regnamespace AND relkind = 'r'"
    ).fetchone()
    total, staging = row if row is not None else (0, 0)
    return {"database": int(total), "staging tables": int(staging)}


def _locked(conn: psycopg.Connection, where: str, *values: Sequence[str]) -> set[str]:
    query = sql.SQL(
        "SELECT upload_id FROM imports.uploads WHERE {} ORDER BY upload_id FOR NO KEY UPDATE SKIP LOCKED"
    ).format(sql.SQL(where))
    return {upload_id for (upload_id,) in conn.execute(query, values).fetchall()}


def _housed(conn: psycopg.Connection, where: str, *values: Sequence[str]) -> list[HousedUpload]:
    with conn.cursor(row_factory=class_row(HousedUpload)) as cursor:
        query = sql.SQL("{} WHERE {} ORDER BY upload_id").format(sql.SQL(_HOUSED), sql.SQL(where))
        return cursor.execute(query, values).fetchall()


def _if_all_locked(rows: list[HousedUpload], locked: Collection[str]) -> list[HousedUpload] | None:
    return rows if all(row.upload_id in locked for row in rows) else None


def _note(conn: psycopg.Connection, upload_ids: Sequence[str], message: str) -> None:
    conn.execute(
        "INSERT INTO imports.events (upload_id, state, message)"
        " SELECT upload_id, state, %s FROM imports.uploads WHERE upload_id = ANY(%s)",
        [one_line(message), list(upload_ids)],
    )
