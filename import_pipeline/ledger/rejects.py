"""Which rows of a published upload were rejected, and which of them a correction put right.

Nothing here commits. Matching the rows of a correction is `flow/batches/corrections.py`'s, deciding
about them in the publish transaction `flow/loading/correcting.py`'s.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import psycopg

from import_pipeline.flow.batches.corrections import FirstUpload
from import_pipeline.ledger.states import PUBLISHED_STATES

NUMBERS_A_GROUP = 1_000_000  # rows that one array carries at most; a value of PostgreSQL ends at 1 GB
ARRAY_HEADER_BYTES = 20  # dimensions, flags, element type, length, lower bound; `array_send`

RowNumbers = npt.NDArray[np.int64]


def first_uploads(
    conn: psycopg.Connection, upload_ids: Sequence[str], *, workspace: str, dataset: str, correction: str
) -> list[FirstUpload]:
    """Those of `upload_ids` that are published, not undone, in this workspace and dataset.

    Args:
        correction: upload id; what it put right itself is open to it, so that it can be read again.
    """
    found = conn.execute(
        """
        SELECT upload_id, coalesce(details #> '{opened,file,sheets}', '[]') FROM imports.uploads
        WHERE upload_id = ANY(%s) AND workspace = %s AND dataset = %s AND state = ANY(%s)
        """,
        [list(upload_ids), workspace, dataset, list(PUBLISHED_STATES)],
    ).fetchall()
    return [
        FirstUpload(
            upload_id, tuple(sheet["name"] for sheet in sheets), _open_rows(conn, upload_id, correction)
        )
        for upload_id, sheets in found
    ]


def corrections_of(conn: psycopg.Connection, upload_id: str) -> list[str]:
    """Published corrections that put rejects of this upload right, when it was published before."""
    rows = conn.execute(
        "SELECT DISTINCT corrected_by FROM imports.rejects WHERE upload_id = %s AND corrected_by IS NOT NULL",
        [upload_id],
    ).fetchall()
    return [correction for (correction,) in rows]


def lock_uploads(conn: psycopg.Connection, upload_ids: Sequence[str]) -> None:
    """Hold the rows of uploads until the transaction ends.

    Whoever holds an upload's row may wait for the publish lock, so these come before it, never after.
    """
    conn.execute(
        "SELECT FROM imports.uploads WHERE upload_id = ANY(%s) ORDER BY upload_id FOR NO KEY UPDATE",
        [list(upload_ids)],
    )


def numbers_of(array: bytes) -> RowNumbers:
    """The numbers of a bigint[] in PostgreSQL's binary form, as `array_send` gives it."""
    values = np.frombuffer(array, [("length", ">i4"), ("value", ">i8")], offset=ARRAY_HEADER_BYTES)["value"]
    return values.astype(np.int64)


def _open_rows(conn: psycopg.Connection, upload_id: str, correction: str) -> RowNumbers:
    with conn.cursor(binary=True) as cursor:
        groups = cursor.execute(
            "SELECT array_send(array_agg(row_number)) FROM imports.rejects"
            " WHERE upload_id = %s AND coalesce(corrected_by, %s) = %s GROUP BY row_number / %s",
            [upload_id, correction, correction, NUMBERS_A_GROUP],
        ).fetchall()
    return np.sort(np.concatenate([np.empty(0, np.int64), *(numbers_of(array) for (array,) in groups)]))
