"""Archives and their members in the ledger: expanded once, settled when the last member is final.

Which state puts an archive where is `flow/arrivals/members.py`'s. Nothing here commits.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.flow.arrivals.decision import Arrival
from import_pipeline.ledger.arrivals import record_arrivals
from import_pipeline.ledger.claims import fetch_upload
from import_pipeline.ledger.events import add_event
from import_pipeline.ledger.rows import UploadRow, columns_of
from import_pipeline.ledger.uploads import options_json
from import_pipeline.records import ListedObject, UploadState


@dataclass(frozen=True)
class MemberState:
    """How far a member is."""

    upload_id: str
    state: UploadState
    reported: bool


def record_expanded(
    conn: psycopg.Connection,
    upload_id: str,
    members: Sequence[Arrival],
    *,
    source: ListedObject,
    skipped: int,
    sha256: str,
    options: SenderOptions,
) -> int:
    """`running` to `expanded`, with its members as arrivals; doing it again adds only what lacks.

    The caller holds the archive's row.

    Args:
        source: the archive where it was read; the version at its own key is kept, so that members read
            that one although another file may take the key.
        skipped: number of files in it that are never imports.

    Returns:
        Number of members that were new.
    """
    new = record_arrivals(conn, members)
    conn.execute(
        "UPDATE imports.uploads SET state = 'expanded', sha256 = %s, format = 'zip', options = %s,"
        " details = details || %s, version_id = CASE WHEN key = %s THEN %s ELSE version_id END"
        " WHERE upload_id = %s",
        [
            sha256,
            options_json(options),
            Jsonb({"archive": {"members": len(members), "skipped": skipped}}),
            source.key,
            source.version_id,
            upload_id,
        ],
    )
    add_event(
        conn, upload_id, "expanded", f"{len(members)} files in it became uploads; {skipped} were skipped."
    )
    return new


def archive_of(conn: psycopg.Connection, row: UploadRow) -> UploadRow:
    """The upload whose object holds the bytes: the archive of a member, else the upload itself."""
    found = None if row.parent is None else fetch_upload(conn, row.parent)
    return found or row


def lock_archive(conn: psycopg.Connection, upload_id: str) -> UploadRow | None:
    """The archive's row, locked until the transaction ends: one member at a time decides where it goes.

    Whoever decides holds the member's own row already, and this one second.
    """
    return fetch_upload(conn, upload_id, lock="FOR NO KEY UPDATE")


def member_states(conn: psycopg.Connection, archive: str) -> list[MemberState]:
    """All members of an archive; sure only under `lock_archive`."""
    with conn.cursor(row_factory=class_row(MemberState)) as cursor:
        return cursor.execute(
            "SELECT upload_id, state, reported_at IS NOT NULL AS reported FROM imports.uploads"
            " WHERE parent = %s ORDER BY upload_id",
            [archive],
        ).fetchall()


def members_of(conn: psycopg.Connection, archive: str) -> list[UploadRow]:
    """The rows of all members of an archive."""
    with conn.cursor(row_factory=class_row(UploadRow)) as cursor:
        query = sql.SQL("SELECT {} FROM imports.uploads WHERE parent = %s ORDER BY upload_id").format(
            columns_of(UploadRow)
        )
        return cursor.execute(query, [archive]).fetchall()


def instead_of_archives(
    conn: psycopg.Connection, rows: Sequence[UploadRow], states: Collection[UploadState]
) -> list[UploadRow]:
    """The uploads that somebody means who names an archive: its members in `states`, if it has any."""
    meant: dict[str, UploadRow] = {}
    for row in rows:
        inside = members_of(conn, row.upload_id) if row.state == "expanded" else []
        chosen = [member for member in inside if member.state in states]
        meant |= {one.upload_id: one for one in chosen or [row]}
    return list(meant.values())


def owes_dry_run(conn: psycopg.Connection, row: UploadRow) -> bool:
    """Whether the archive was launched as a dry run and this member has not had its own yet.

    A member that failed on the way must not be imported by its retry; one that was checked may be, and
    one that is brought in again was published.
    """
    if row.reimport_of is not None:
        return False
    found = conn.execute(
        """
        SELECT FROM imports.uploads a WHERE a.upload_id = %s AND (a.options ->> 'dry_run')::boolean
          AND NOT EXISTS (SELECT FROM imports.events e WHERE e.upload_id = %s AND e.state = 'checked')
        """,
        [row.parent, row.upload_id],
    ).fetchone()
    return found is not None
