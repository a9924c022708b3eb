"""Reimports in the ledger: uploads of their own that name the one they bring in again. Nothing commits."""

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from import_pipeline.flow.arrivals.decision import Arrival
from import_pipeline.ledger.arrivals import record_arrivals
from import_pipeline.ledger.events import add_event
from import_pipeline.ledger.rows import UploadRow, columns_of


def reimports_of(conn: psycopg.Connection, upload_id: str) -> list[UploadRow]:
    """All uploads that brought this one in again, the oldest first."""
    with conn.cursor(row_factory=class_row(UploadRow)) as cursor:
        query = sql.SQL(
            "SELECT {} FROM imports.uploads WHERE reimport_of = %s ORDER BY detected_at, upload_id"
        ).format(columns_of(UploadRow))
        return cursor.execute(query, [upload_id]).fetchall()


def of_the_same_file(conn: psycopg.Connection, upload_id: str) -> list[str]:
    """Upload ids that share this one's file through reimports, itself too; the original's comes first."""
    rows = conn.execute(_SAME_FILE, [upload_id]).fetchall()
    return [upload_id for (upload_id,) in rows]


def record_reimport(
    conn: psycopg.Connection, arrival: Arrival, of: UploadRow, original_key: str | None
) -> bool:
    """Write a reimport as `detected`, and a line into the timeline of the upload that it repeats.

    Args:
        original_key: where its own copy of the original lies; None for a file in an archive.

    Returns:
        Whether it was new.
    """
    if not record_arrivals(conn, [arrival]):
        return False
    conn.execute(
        "UPDATE imports.uploads SET reimport_of = %s, original_key = %s, human_name = %s, uploaded_by = %s"
        " WHERE upload_id = %s",
        [of.upload_id, original_key, of.human_name, of.uploaded_by, arrival.upload_id],
    )
    add_event(conn, of.upload_id, of.state, f"It is brought in again as {arrival.upload_id}.")
    return True


_SAME_FILE = """
WITH RECURSIVE before AS (
    SELECT upload_id, reimport_of FROM imports.uploads WHERE upload_id = %s
    UNION ALL
    SELECT u.upload_id, u.reimport_of FROM imports.uploads u JOIN before b ON u.upload_id = b.reimport_of
), same AS (
    SELECT upload_id, 0 AS place FROM before WHERE reimport_of IS NULL
    UNION ALL
    SELECT u.upload_id, s.place + 1 FROM imports.uploads u JOIN same s ON u.reimport_of = s.upload_id
)
SELECT upload_id FROM same ORDER BY place, upload_id
"""
