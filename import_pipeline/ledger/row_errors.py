"""Row errors in the ledger: the first ones of an upload, and how many there were in all."""

from collections.abc import Sequence

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from import_pipeline.ledger.rows import RowError, columns_of

VALUE_LENGTH = 500


def save_row_errors(
    conn: psycopg.Connection, upload_id: str, rows: Sequence[RowError], total: int, cap: int
) -> None:
    """Replace the upload's row errors by the first `cap` of `rows`; personal values are masked already.

    Args:
        total: true number of errors and warnings, of which `rows` may be the beginning.
        cap: most errors kept; recorded, so that nobody takes the list for the whole.
    """
    conn.execute("DELETE FROM imports.row_errors WHERE upload_id = %s", [upload_id])
    kept = rows[:cap]
    conn.execute(
        """
        INSERT INTO imports.row_errors (upload_id, sheet, row_number, "column", value, code, severity,
                                        message)
        SELECT %s, * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[],
                                 %s::text[])
        """,
        [
            upload_id,
            [_text(r.sheet) for r in kept],
            [r.row_number for r in kept],
            [_text(r.column) for r in kept],
            [_text(r.value) for r in kept],
            [r.code for r in kept],
            [r.severity for r in kept],
            [_text(r.message) for r in kept],
        ],
    )
    conn.execute(
        "UPDATE imports.uploads SET row_errors = %s, row_errors_cap = %s WHERE upload_id = %s",
        [total, cap, upload_id],
    )


def row_errors(conn: psycopg.Connection, upload_id: str, limit: int = 100) -> list[RowError]:
    """The first `limit` errors that the ledger kept, in the order they were saved."""
    with conn.cursor(row_factory=class_row(RowError)) as cursor:
        query = sql.SQL("SELECT {} FROM imports.row_errors WHERE upload_id = %s ORDER BY id LIMIT %s").format(
            columns_of(RowError)
        )
        return cursor.execute(query, [upload_id, limit]).fetchall()


def _text(text: str) -> str:
    """Text that PostgreSQL can hold (no NUL), at most 500 characters."""
    return text.replace("\0", "\ufffd")[:VALUE_LENGTH]
