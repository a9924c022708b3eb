"""The dataset's table as publishing writes it: changed rows updated, new rows inserted.

Runs after `deciding.py` in the same transaction; whether it may run is `publishing.py`'s.
"""

import psycopg
from psycopg import sql

from import_pipeline.errors import ConcurrentChange, CountsDoNotBalance
from import_pipeline.flow.loading.tables import DECIDED, LoadTables, listed

# What sorts wide rows best: 482,500 are inserted in 3.0 s with it (median), in 3.8 with the 64 MB of the
# joins, whose many comparisons then miss the processor's caches.
SORT_MEMORY = "16MB"
_UNDECIDED = sql.SQL(
    "NOT EXISTS (SELECT FROM {} d WHERE d._row_number = s._row_number)"
).format(DECIDED)  # fmt: skip


def update_changed(conn: psycopg.Connection, tables: LoadTables, expected: int) -> int:
    """Overwrite the rows decided `updated`: all declared columns and where they come from.

    Only the very row version that was compared is overwritten.

    Returns:
        Rows overwritten, as PostgreSQL counts them.

    Raises:
        ConcurrentChange: an application changed or deleted one of them since it was compared.
        CountsDoNotBalance: a row was left as it was.
    """
    written = (*tables.names, *_provenance(tables))
    result = conn.execute(
        sql.SQL(
            "UPDATE {target} t SET ({written}) = ROW({values}) FROM {decided} d JOIN {rows}"
            " ON s._row_number = d._row_number"
            " WHERE d.outcome = 'updated' AND t.ctid = d.tid AND {same_key}"
        ).format(
            target=tables.target,
            written=listed(*(sql.Identifier(n) for n in written)),
            values=listed(tables.values, *_provenance(tables).values()),
            decided=DECIDED,
            rows=tables.staged_rows,
            same_key=tables.same_key,
        )
    )
    if result.rowcount != expected:
        raise _not_updated(conn, tables, expected, result.rowcount)
    return result.rowcount


def insert_new(conn: psycopg.Connection, tables: LoadTables) -> int:
    """Insert the staged rows without a verdict, in the order of their key.

    Returns:
        Rows inserted, as PostgreSQL counts them.
    """
    written = (*tables.names, *_provenance(tables))
    conn.execute("SELECT set_config('work_mem', %s, true)", [SORT_MEMORY])
    return conn.execute(
        sql.SQL(
            "INSERT INTO {target} ({written}) SELECT {values} FROM {rows} WHERE {undecided} ORDER BY {key}"
        ).format(
            target=tables.target,
            written=listed(*(sql.Identifier(n) for n in written)),
            values=listed(tables.values, *_provenance(tables).values()),
            rows=tables.staged_rows,
            undecided=_UNDECIDED,
            key=tables.key,
        )
    ).rowcount


def count_new(conn: psycopg.Connection, tables: LoadTables) -> int:
    """Number of rows that `insert_new` would insert: what a dry run says."""
    query = sql.SQL("SELECT count(*) FROM {} s WHERE {}").format(tables.staged, _UNDECIDED)
    return _number(conn, query)


def _provenance(tables: LoadTables) -> dict[str, sql.Composable]:
    """Where a written row comes from, by column; a corrected row is one of the correction in the ledger,
    and keeps number and time of the first file.
    """
    opened = tables.opened
    return {
        "_workspace": sql.Literal(opened.workspace),
        "_upload_id": sql.Literal(opened.upload_id),
        "_row_number": tables.row_number,
        "_source_time": tables.source_time,
        "_loaded_at": sql.SQL("now()"),
        "_row_hash": sql.SQL("hash_record_extended(ROW({}), 0)").format(tables.values),
    }


def _not_updated(
    conn: psycopg.Connection, tables: LoadTables, expected: int, updated: int
) -> ConcurrentChange | CountsDoNotBalance:
    """Why fewer rows were overwritten than decided: someone else's change, or a swallowed one of ours."""
    still_there = sql.SQL(
        "SELECT count(*) FROM {} d JOIN {} t ON t.ctid = d.tid WHERE d.outcome = 'updated'"
    ).format(DECIDED, tables.target)
    swallowed = _number(conn, still_there)
    where = f"table {tables.dataset.table!r}"
    if not swallowed:
        return ConcurrentChange(
            f"{expected - updated} rows of {where} were changed by someone else during the import.",
            remedy="The import is repeated; nothing was written.",
            table=tables.dataset.table,
        )
    return CountsDoNotBalance(
        f"{swallowed} of {expected} rows of {where} were not updated, and nothing says why.",
        remedy="Look for a trigger or rule on the table that drops updates; nothing was published.",
        expected=expected,
        updated=updated,
    )


def _number(conn: psycopg.Connection, query: sql.Composed) -> int:
    row = conn.execute(query).fetchone()
    assert row is not None  # noqa: S101 - count(*) always gives a row
    return int(row[0])
