"""The outcomes table: what became of each valid row that was neither inserted nor updated.

Written in the publish transaction and logged, so that a crash between publish and report loses
nothing; the report reads it, then it goes.
"""

import psycopg
import pyarrow as pa
from psycopg import sql

from import_pipeline.flow.loading.tables import (
    DECIDED,
    LoadTables,
    in_staging,
    table_exists,
    unqualified,
)
from import_pipeline.ledger.connection import translated_errors
from import_pipeline.ledger.rejects import NUMBERS_A_GROUP, numbers_of

OUTCOMES_SCHEMA = pa.schema([("_row_number", pa.int64()), ("outcome", pa.string()), ("code", pa.string())])


def write_outcomes(conn: psycopg.Connection, tables: LoadTables) -> None:
    """Keep the verdicts beyond the transaction; those of an earlier dry run are replaced."""
    conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(tables.outcomes))
    conn.execute(
        sql.SQL("CREATE TABLE {} (_row_number bigint NOT NULL, outcome text NOT NULL, code text)").format(
            tables.outcomes
        )
    )
    conn.execute(
        sql.SQL("INSERT INTO {} SELECT _row_number, outcome, code FROM {} WHERE outcome <> 'updated'").format(
            tables.outcomes, DECIDED
        )
    )


def read_outcomes(conn: psycopg.Connection, table: str) -> pa.Table:
    """The rows that were valid but neither inserted nor updated, in the order of the file.

    Args:
        table: `PublishedUpload.outcomes_table`; one that is gone, or empty text, has no rows.

    Returns:
        `_row_number` int64, `outcome` (`duplicate`, `unchanged`, `rejected`), `code` (null for
        `unchanged`).
    """
    if not table or not table_exists(conn, table):
        return OUTCOMES_SCHEMA.empty_table()
    query = sql.SQL(
        "SELECT outcome, code, array_send(array_agg(_row_number)) FROM {} GROUP BY 1, 2, _row_number / %s"
    ).format(in_staging(unqualified(table)))
    with translated_errors(), conn.cursor(binary=True) as cursor:
        groups = cursor.execute(query, [NUMBERS_A_GROUP]).fetchall()
    parts = [_group(outcome, code, numbers) for outcome, code, numbers in groups]
    return pa.concat_tables([OUTCOMES_SCHEMA.empty_table(), *parts]).sort_by("_row_number")


def _group(outcome: str, code: str | None, numbers: bytes) -> pa.Table:
    """Rows that share outcome and code; `numbers` is PostgreSQL's binary form of a bigint[]."""
    values = numbers_of(numbers)
    count = len(values)
    columns = [
        values,
        *(pa.repeat(pa.scalar(t, pa.string()), count) for t in (outcome, code)),
    ]
    return pa.table(columns, schema=OUTCOMES_SCHEMA)


def count_duplicates(conn: psycopg.Connection, table: str) -> dict[str, int]:
    """Number of duplicate rows by code; empty if the table is gone."""
    if not table_exists(conn, table):
        return {}
    query = sql.SQL("SELECT code, count(*) FROM {} WHERE outcome = 'duplicate' GROUP BY code ORDER BY code")
    return dict(conn.execute(query.format(in_staging(unqualified(table)))).fetchall())
