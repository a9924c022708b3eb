"""Rejects in the publish transaction: listed for a plain file, put right by a corrected one.

The rule: a reject is put right once, by the first correction that is published with a valid row for
it, whatever became of that row (inserted, updated, unchanged, or a duplicate); a row that comes too
late is a reject itself. The counts of the first upload never change. Published again after an undo, its
rejects stay put right for as long as their correction is published.
"""

import io
from collections.abc import Sequence

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from psycopg import sql

from import_pipeline.errors import CorrectedMeanwhile, CountsDoNotBalance
from import_pipeline.flow.loading.tables import DECIDED, LATE, TARGETS, LoadTables
from import_pipeline.ledger.rejects import lock_uploads
from import_pipeline.ledger.states import PUBLISHED_STATES
from import_pipeline.records import CheckedBatch, Counts, SplitUpload
from import_pipeline.storage.store import Store

COPY_BLOCK_ROWS = 100_000


class Rejects:
    """What publishing must know of rejects; read from the store before any lock is held.

    Attributes:
        corrects: whether the file is a correction.
    """

    def __init__(self, split: SplitUpload, checked: Sequence[CheckedBatch], store: Store):
        self.corrects = bool(split.targets)
        if self.corrects:
            parts = [_packed(store.get_table(key)) for key in store.list_keys(split.targets)]
            found = pa.concat_tables(parts).unify_dictionaries()
            own = pc.is_null(found["upload_id"])
            self._targets = found.filter(pc.invert(own))
            self._rows = found.filter(own).select(["_row_number"])
        else:
            self._targets = None
            self._rows = _rejected_rows(store, checked)

    def lock(self, conn: psycopg.Connection) -> None:
        """Hold the uploads that are corrected; before the publish lock, see `lock_uploads`."""
        if self._targets is not None:
            lock_uploads(conn, pc.unique(self._targets["upload_id"]).to_pylist())

    def settle(self, conn: psycopg.Connection, tables: LoadTables, winners: pa.Array) -> None:
        """Decide finally, under the publish lock, which staged rows put a reject right.

        The others leave the staging table for the temporary table `late`.

        Args:
            winners: row numbers that won over another row of the file.

        Raises:
            CorrectedMeanwhile: one of those others is a winner: rows that lost to it could count now.
        """
        if self._targets is None:
            return
        _copy(
            conn, _NAMED, '_row_number bigint, upload_id text COLLATE "C", row_number bigint', self._targets
        )
        conn.execute(_SETTLED.format(targets=TARGETS, named=_NAMED), [list(PUBLISHED_STATES)])
        conn.execute(sql.SQL("ANALYZE {}").format(TARGETS))
        conn.execute(_LATE_ROWS.format(late=LATE, staged=tables.staged, targets=TARGETS))
        late = np.array(conn.execute(sql.SQL("SELECT _row_number FROM {}").format(LATE)).fetchall(), np.int64)
        if np.isin(late, winners.to_numpy(zero_copy_only=False)).any():
            raise CorrectedMeanwhile(
                f"Another file corrected rows of {tables.opened.file_name!r} while this one was checked.",
                remedy="Launch the import again: it then finds what is left to correct.",
            )

    def record(self, conn: psycopg.Connection, tables: LoadTables, counts: Counts) -> None:
        """Write down what was rejected, or put right.

        Raises:
            CountsDoNotBalance: not as many rows as were counted.
        """
        if self._targets is None:
            recorded, counted = self._record_rejected(conn, tables), counts.rejected
        else:
            self._record_rejected(conn, tables)
            recorded, counted = _mark_corrected(conn, tables), counts.read - counts.rejected
        if recorded != counted:
            raise CountsDoNotBalance(
                f"{recorded} rows of {tables.opened.file_name!r} are written down, {counted} were counted.",
                remedy="Nothing was published. Launch the import again; if it repeats, report it.",
                recorded=recorded,
                counted=counted,
            )

    def _record_rejected(self, conn: psycopg.Connection, tables: LoadTables) -> int:
        """List the rejects of a plain file; of a correction only what could not be cut into cells.

        Those of an earlier publish that are rejects no more go.

        Returns:
            Rejects of the upload that are listed now.
        """
        _copy(conn, _REJECTED, "_row_number bigint", self._rows)
        if not self.corrects:
            conn.execute(_DECIDED_REJECTED.format(rejected=_REJECTED, decided=DECIDED))
        values = {"upload_id": tables.opened.upload_id}
        kept = conn.execute(_KEPT, values).rowcount
        if kept:
            kept -= conn.execute(_NO_REJECTS_NOW.format(rejected=_REJECTED), values).rowcount
            conn.execute(_STILL_CORRECTED, values)
        return kept + conn.execute(_NEW_REJECTS.format(rejected=_REJECTED), values).rowcount


_NAMED = sql.Identifier("pg_temp", "named")
_REJECTED = sql.Identifier("pg_temp", "rejected")
_DECIDED_REJECTED = sql.SQL(
    "INSERT INTO {rejected} SELECT _row_number FROM {decided} WHERE outcome = 'rejected'"
)
_KEPT = "SELECT FROM imports.rejects WHERE upload_id = %(upload_id)s"
_NO_REJECTS_NOW = sql.SQL(
    "DELETE FROM imports.rejects r WHERE r.upload_id = %(upload_id)s"
    " AND NOT EXISTS (SELECT FROM {rejected} n WHERE n._row_number = r.row_number)"
)
_STILL_CORRECTED = (
    "UPDATE imports.uploads SET corrected_rows = (SELECT count(*) FROM imports.rejects"
    " WHERE upload_id = %(upload_id)s AND corrected_by IS NOT NULL) WHERE upload_id = %(upload_id)s"
)
_NEW_REJECTS = sql.SQL(
    "INSERT INTO imports.rejects (upload_id, row_number) SELECT %(upload_id)s, _row_number FROM {rejected}"
    " ORDER BY _row_number ON CONFLICT DO NOTHING"
)
_SETTLED = sql.SQL(
    "CREATE TEMPORARY TABLE {targets} ON COMMIT DROP AS"
    " SELECT n._row_number, n.upload_id, n.row_number, u.last_modified AS source_time FROM {named} n"
    " JOIN imports.uploads u ON u.upload_id = n.upload_id AND u.state = ANY(%s)"
    " JOIN imports.rejects r ON r.upload_id = n.upload_id AND r.row_number = n.row_number"
    " WHERE r.corrected_by IS NULL"
)
_LATE_ROWS = sql.SQL(
    "CREATE TEMPORARY TABLE {late} ON COMMIT DROP AS WITH gone AS (DELETE FROM {staged} s WHERE NOT EXISTS"
    " (SELECT FROM {targets} c WHERE c._row_number = s._row_number) RETURNING s._row_number)"
    " SELECT _row_number FROM gone"
)


def _mark_corrected(conn: psycopg.Connection, tables: LoadTables) -> int:
    """Note this correction at the rejects that its rows put right; their number."""
    query = sql.SQL(
        "WITH done AS (UPDATE imports.rejects r SET corrected_by = %s FROM {rows}"
        " WHERE r.upload_id = c.upload_id AND r.row_number = c.row_number AND r.corrected_by IS NULL"
        " AND NOT EXISTS (SELECT FROM {decided} d WHERE d._row_number = s._row_number"
        " AND d.outcome = 'rejected') RETURNING r.upload_id)"
        " UPDATE imports.uploads u SET corrected_rows = u.corrected_rows + n.rows"
        " FROM (SELECT upload_id, count(*) AS rows FROM done GROUP BY upload_id) n"
        " WHERE u.upload_id = n.upload_id RETURNING n.rows"
    ).format(rows=tables.staged_rows, decided=DECIDED)
    return sum(rows for (rows,) in conn.execute(query, [tables.opened.upload_id]).fetchall())


def _rejected_rows(store: Store, checked: Sequence[CheckedBatch]) -> pa.Table:
    parts = [store.get_table(batch.rejects_key, ["_row_number"]) for batch in checked if batch.rejected]
    empty = pa.table({"_row_number": pa.array([], pa.int64())})
    return pa.concat_tables([empty, *parts])


def _plain(schema: pa.Schema) -> pa.Schema:
    """The schema as CSV knows it: text is text, however it is kept."""
    types = [pa.string() if pa.types.is_dictionary(field.type) else field.type for field in schema]
    return pa.schema(list(zip(schema.names, types, strict=True)))


def _packed(targets: pa.Table) -> pa.Table:
    """A correction of millions of rows names few uploads: each id is kept once."""
    return targets.set_column(1, "upload_id", targets["upload_id"].dictionary_encode())


def _copy(conn: psycopg.Connection, table: sql.Identifier, columns: str, rows: pa.Table) -> None:
    """Rows in a temporary table that goes with the transaction."""
    conn.execute(sql.SQL("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DROP").format(table, sql.SQL(columns)))
    with (
        conn.cursor() as cursor,
        cursor.copy(sql.SQL("COPY {} FROM STDIN (FORMAT csv)").format(table)) as copy,
    ):
        for part in rows.to_batches(max_chunksize=COPY_BLOCK_ROWS):
            block = part.cast(_plain(part.schema))
            sink = io.BytesIO()
            pyarrow.csv.write_csv(block, sink, pyarrow.csv.WriteOptions(include_header=False))
            copy.write(sink.getvalue())
    conn.execute(sql.SQL("ANALYZE {}").format(table))
