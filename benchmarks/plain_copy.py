"""The floor: PostgreSQL's COPY of rows that are clean already, into a table as empty and as indexed.

What no import into this table can beat. Bad rows and repeats are not in it, nothing is checked,
nobody is told anything.
"""

import time
from pathlib import Path

import psycopg
from psycopg import sql

from import_pipeline.catalog.dataset import EXTRA_COLUMN, Dataset

COPIED = "plain_copy"
CHUNK_BYTES = 1024 * 1024


def export_clean(owner_url: str, dataset: Dataset, workspace: str, path: Path) -> int:
    """Write the rows that an import brought to `workspace` as CSV, in the file's order; their number."""
    names = ("_workspace", *(c.name for c in dataset.columns), EXTRA_COLUMN)
    query = sql.SQL(
        "COPY (SELECT {} FROM {} WHERE _workspace = {} ORDER BY _row_number) TO STDOUT (FORMAT csv, HEADER)"
    ).format(
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.Identifier("public", dataset.table),
        sql.Literal(workspace),
    )
    with psycopg.connect(owner_url) as conn, conn.cursor() as cursor, path.open("wb") as file:
        with cursor.copy(query) as rows:
            for data in rows:
                file.write(data)
        return cursor.rowcount


def copy_seconds(owner_url: str, dataset: Dataset, path: Path, rows: int) -> float:
    """Seconds from the begin to the commit of a COPY into an empty copy of the dataset's table.

    Raises:
        RuntimeError: not all rows arrived.
    """
    copied = sql.Identifier("public", COPIED)
    source = sql.Identifier("public", dataset.table)
    header = path.open(encoding="utf-8").readline().strip().split(",")
    with psycopg.connect(owner_url, autocommit=True) as conn, conn.cursor() as cursor:
        cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(copied))
        cursor.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(copied, source))
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER)").format(
            copied, sql.SQL(", ").join(map(sql.Identifier, header))
        )
        started = time.perf_counter()
        with path.open("rb") as file, cursor.copy(statement) as copy:
            while data := file.read(CHUNK_BYTES):
                copy.write(data)
        seconds = time.perf_counter() - started
        if cursor.rowcount != rows:
            raise RuntimeError(f"{cursor.rowcount} rows arrived where {rows} were sent")
        cursor.execute(sql.SQL("DROP TABLE {}").format(copied))
    return seconds
