"""What becomes of each staged row: decided by joining the staged keys with the dataset's table.

The verdicts of rows that are not simply inserted go to a temporary table, `decided`; writing
them to the dataset's table is `merging.py`'s.
"""

import io
from collections.abc import Sequence

import psycopg
import pyarrow as pa
import pyarrow.csv as pc
from psycopg import sql

from import_pipeline.flow.loading.tables import DECIDED, LATE, LOSERS, LoadTables, listed
from import_pipeline.ledger.reimports import of_the_same_file
from import_pipeline.ledger.rejects import corrections_of

COPY_BLOCK_ROWS = 100_000

_LOSING_ROWS = sql.SQL("SELECT FROM {losers} l WHERE l._row_number = s._row_number").format(losers=LOSERS)


def decide(conn: psycopg.Connection, tables: LoadTables, losers: pa.Table) -> dict[tuple[str, str], int]:
    """Decide every staged row of a dataset with a key, under the publish lock.

    First match wins: rejected, duplicate, unchanged, updated; a row without a verdict is inserted.

    Args:
        losers: `_row_number` of valid rows that lose to another row of the file.

    Returns:
        Number of rows by (outcome, code); the code is empty for `unchanged` and `updated`.
    """
    conn.execute(
        sql.SQL(
            "CREATE TEMPORARY TABLE {} (_row_number bigint, outcome text, code text, tid tid) ON COMMIT DROP"
        ).format(DECIDED)
    )
    _load_losers(conn, losers)
    if tables.corrects:
        _decide_late(conn)
    if tables.dataset.key:
        _analyze_staged(conn, tables)
        if tables.existing == "reject":
            _decide_rejected(conn, tables)
        else:
            _decide_kept(conn, tables)
    conn.execute(sql.SQL("ANALYZE {}").format(DECIDED))
    rows = conn.execute(
        sql.SQL("SELECT outcome, coalesce(code, ''), count(*) FROM {} GROUP BY 1, 2").format(DECIDED)
    )
    return {(outcome, code): count for outcome, code, count in rows}


def _load_losers(conn: psycopg.Connection, losers: pa.Table) -> None:
    conn.execute(sql.SQL("CREATE TEMPORARY TABLE {} (_row_number bigint) ON COMMIT DROP").format(LOSERS))
    numbers = losers.select(["_row_number"])
    with conn.cursor() as cursor, cursor.copy(sql.SQL("COPY {} FROM STDIN").format(LOSERS)) as copy:
        for block in numbers.to_batches(max_chunksize=COPY_BLOCK_ROWS):
            sink = io.BytesIO()
            pc.write_csv(block, sink, pc.WriteOptions(include_header=False))
            copy.write(sink.getvalue())
    conn.execute(sql.SQL("ANALYZE {}").format(LOSERS))


def _analyze_staged(conn: psycopg.Connection, tables: LoadTables) -> None:
    """Tell the planner how many staged rows and keys there are.

    Without it a join with a table of millions may become a nested loop. A sample of 3,000 rows tells enough.
    """
    conn.execute("SELECT set_config('default_statistics_target', '10', true)")
    names = listed(*(sql.Identifier(k) for k in ("_row_number", *tables.dataset.key)))
    conn.execute(sql.SQL("ANALYZE {} ({})").format(tables.staged, names))


def _decide_late(conn: psycopg.Connection) -> None:
    """Rows of a correction whose reject another one put right meanwhile; they are staged no longer."""
    conn.execute(
        sql.SQL("INSERT INTO {} SELECT _row_number, 'rejected', 'not_a_reject' FROM {}").format(DECIDED, LATE)
    )


def _decide_rejected(conn: psycopg.Connection, tables: LoadTables) -> None:
    """Every row whose key is in the table is rejected, a loser of its file too."""
    conn.execute(
        sql.SQL(
            "INSERT INTO {decided} SELECT s._row_number, 'rejected', 'already_in_table', t.ctid"
            " FROM {staged} s JOIN {target} t ON {same_key}"
        ).format(decided=DECIDED, staged=tables.staged, target=tables.target, same_key=tables.same_key)
    )
    conn.execute(
        sql.SQL(
            "INSERT INTO {decided} SELECT s._row_number, 'duplicate', 'repeated_in_file'"
            " FROM {staged} s WHERE EXISTS ({losing})"
            " AND NOT EXISTS (SELECT FROM {decided} d WHERE d._row_number = s._row_number)"
        ).format(decided=DECIDED, staged=tables.staged, losing=_LOSING_ROWS)
    )


def _decide_kept(conn: psycopg.Connection, tables: LoadTables) -> None:
    """Losers of the file first; the others meet the table by the dataset's policy."""
    conn.execute(
        sql.SQL(
            "INSERT INTO {decided} SELECT s._row_number, 'duplicate', 'repeated_in_file'"
            " FROM {staged} s WHERE EXISTS ({losing})"
        ).format(decided=DECIDED, staged=tables.staged, losing=_LOSING_ROWS)
    )
    verdict = _SKIPPING
    if tables.existing == "update":
        upload_id = tables.opened.upload_id
        verdict = _updating(tables, of_the_same_file(conn, upload_id), corrections_of(conn, upload_id))
    conn.execute(
        sql.SQL(
            "INSERT INTO {decided} SELECT s._row_number, {verdict}, t.ctid"
            " FROM {rows} JOIN {target} t ON {same_key} WHERE NOT EXISTS ({losing})"
        ).format(
            decided=DECIDED,
            verdict=verdict,
            rows=tables.staged_rows,
            target=tables.target,
            same_key=tables.same_key,
            losing=_LOSING_ROWS,
        )
    )


_SKIPPING: sql.Composable = sql.SQL("'duplicate', 'already_in_table'")


def _updating(tables: LoadTables, same_file: Sequence[str], corrections: Sequence[str]) -> sql.Composed:
    """Outcome and code of a row whose key is in the table of a dataset that updates.

    The table's row is newer if its file arrived later; in the same second the identity decides, of a
    reimport that of the original; a row without a source time (written by an application) is the oldest.
    A correction is as old as its first upload, and wins over that, whichever is published last. A row that
    the same file brought is there already, whatever somebody made of it: a reimport only brings what lacks.

    Args:
        same_file: upload ids that have this file, the original's first.
        corrections: those that put rejects of this upload right.
    """
    own = sql.SQL("t._upload_id = ANY({})").format(sql.Literal(list(same_file)))
    newer = sql.SQL(
        "((t._source_time, coalesce(right(t._upload_id, 12), '') COLLATE \"C\") > ({}, {}){}"
        " OR t._upload_id = ANY({}))"
    ).format(
        tables.source_time,
        sql.Literal(same_file[0].rsplit("@", 1)[-1]),
        sql.SQL(" AND t._upload_id IS DISTINCT FROM c.upload_id" if tables.corrects else ""),
        sql.Literal(list(corrections)),
    )
    return sql.SQL(
        "CASE WHEN {own} OR {newer} THEN 'duplicate' WHEN {differs} THEN 'updated' ELSE 'unchanged' END,"
        " CASE WHEN {own} THEN 'already_in_table' WHEN {newer} THEN 'newer_in_table' END"
    ).format(own=own, newer=newer, differs=tables.differs)
