"""Finds valid rows of one file that share a key: which of them counts, and which lose to it.

Only the file is looked at; what is in the table already is PostgreSQL's to say, in the publish
transaction. DuckDB does it, on disk when memory ends; of few rows Arrow says first whether any key comes
again.
"""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

import duckdb
import pyarrow as pa

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.records import FoundDuplicates
from import_pipeline.storage.store import Store

FILE_NAME = "duplicates.parquet"
# Rows of one group of the result's Parquet: what a reader of it holds in memory at once.
_ROWS_PER_GROUP = 50_000
_ROWS_PER_STATEMENT = 100_000
# Below that, opening a database takes longer than grouping the keys.
_FEW_ROWS = 20_000
# What one pass of the search takes; with its hash tables, what goes beyond the limit spills.
_BYTES_PER_PASS = 256 * 1024 * 1024
_BYTES_PER_ROW = 32


def find_duplicates(
    keys: Iterable[str], dataset: Dataset, *, store: Store, staging: str, memory_limit: str
) -> FoundDuplicates:
    """Find the rows that lose to another row of the file with the same key.

    Keys are compared column by column, never joined, so `("a", "b|c")` and `("a|b", "c")` differ.
    A second try writes the same object again.

    Args:
        keys: store keys of the batches' Parquets of `_row_number` and key columns, valid rows only;
            looked at as they come, so they may come from batches that are still being checked.
        staging: key prefix, ends with `/`; the result lies at `<staging>duplicates.parquet`, sorted by
            `_row_number`.
        memory_limit: of DuckDB, in its notation (`512MB`); what goes beyond spills to a folder that
            is removed afterwards.
    """
    started = time.monotonic()
    rows, target = 0, ""
    seen: list[str] = []
    parts = _read(_noted(filter(None, keys), seen), dataset, store)
    begin = _beginning(parts)  # of a dataset without a key there is none
    if _may_repeat(begin, dataset):
        with tempfile.TemporaryDirectory(prefix="import_pipeline_") as name:
            found = Path(name) / FILE_NAME
            with _scratch(Path(name), memory_limit) as connection:
                _gather(connection, chain(begin, parts), lambda: _read(seen, dataset, store), dataset)
                rows = _search(connection, dataset, found)
            if rows:
                target = f"{staging}{FILE_NAME}"
                store.put_file(target, found)
    return FoundDuplicates(key=target, rows=rows, seconds=time.monotonic() - started)


def _read(keys: Iterable[str], dataset: Dataset, store: Store) -> Iterator[pa.Table]:
    for key in keys:
        yield store.get_table(key, ["_row_number", *dataset.key])


def _beginning(parts: Iterator[pa.Table]) -> list[pa.Table]:
    """The first parts: all of them, or so many that they have more than few rows."""
    begin: list[pa.Table] = []
    for part in parts:
        begin.append(part)
        if _rows(begin) > _FEW_ROWS:
            break
    return begin


def _may_repeat(begin: list[pa.Table], dataset: Dataset) -> bool:
    """False if the file has few rows and each key once. DuckDB takes -0.0 for 0.0, Arrow does not."""
    rows = _rows(begin)
    if not rows:
        return False
    keys = pa.concat_tables(begin).select(dataset.key)
    if rows > _FEW_ROWS or any(pa.types.is_floating(kind) for kind in keys.schema.types):
        return True
    return bool(keys.group_by(list(dataset.key), use_threads=False).aggregate([]).num_rows < rows)


def _rows(parts: Iterable[pa.Table]) -> int:
    return sum(part.num_rows for part in parts)


def _scratch(folder: Path, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """A database that keeps to `memory_limit` and spills into `folder`.

    In memory rather than in a file: the same limit, and a third of the time for what fits.
    """
    return duckdb.connect(
        ":memory:",
        config={
            "memory_limit": memory_limit,
            "temp_directory": str(folder / "spill"),
            "preserve_insertion_order": "false",
        },
    )


def _gather(
    connection: duckdb.DuckDBPyConnection,
    parts: Iterable[pa.Table],
    once_more: Callable[[], Iterable[pa.Table]],
    dataset: Dataset,
) -> None:
    """The keys that may occur again in the table `keys`: those whose hash does. A batch at a time.

    Nearly all keys of nearly all files occur once, and 8 bytes tell so.

    Args:
        parts: `_row_number` and key of all batches; `once_more` reads them again.
    """
    columns = ", ".join(map(_quoted, ["_row_number", *dataset.key]))
    of_key = ", ".join(map(_quoted, dataset.key))
    connection.execute("CREATE TABLE hashes (h UBIGINT)")
    connection.execute("CREATE TABLE again (h UBIGINT)")
    for rows in _together(parts):
        connection.register("part", rows)
        connection.execute(f"CREATE TABLE IF NOT EXISTS keys AS SELECT {columns} FROM part LIMIT 0")  # noqa: S608 - identifiers are quoted
        connection.execute(f"INSERT INTO hashes SELECT hash({of_key}) FROM part")  # noqa: S608
        connection.unregister("part")
    (hashes,) = connection.execute("SELECT count(*) FROM hashes").fetchall()[0]
    passes = 1 + hashes * _BYTES_PER_ROW // _BYTES_PER_PASS
    for number in range(passes):
        share = f"h % {passes} = {number}"
        connection.execute(
            f"INSERT INTO again SELECT h FROM hashes WHERE {share} GROUP BY h HAVING count(*) > 1"  # noqa: S608
        )
    connection.execute("DROP TABLE hashes")
    if not connection.execute("SELECT count(*) FROM again").fetchall()[0][0]:
        return
    for rows in _together(once_more()):
        connection.register("part", rows)
        connection.execute(
            f"INSERT INTO keys SELECT {columns} FROM part WHERE hash({of_key}) IN (SELECT h FROM again)"  # noqa: S608
        )
        connection.unregister("part")


def _noted(keys: Iterable[str], seen: list[str]) -> Iterator[str]:
    for key in keys:
        seen.append(key)
        yield key


def _together(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The keys of the batches, small ones several at a time: a statement costs as much as 20,000 rows."""
    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(part)
        if _rows(waiting) >= _ROWS_PER_STATEMENT:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _search(connection: duckdb.DuckDBPyConnection, dataset: Dataset, found: Path) -> int:
    """Write the losers to `found`; their number.

    Keys of one hash go through together, as many at once as fit in memory with ease: DuckDB would
    spill instead, which takes far longer. First the keys that occur again (few), then their rows.
    """
    columns = ", ".join(map(_quoted, dataset.key))
    pick = "min" if dataset.winner == "first" else "max"
    connection.execute("CREATE TABLE losers (_row_number BIGINT, _winner_row_number BIGINT)")
    passes = _passes(connection, columns)
    for number in range(passes):
        share = f"FROM keys WHERE hash({columns}) % {passes} = {number}"
        query = f"""
            INSERT INTO losers
            WITH repeated AS (
                SELECT {columns}, {pick}(_row_number) AS winner
                {share} GROUP BY {columns} HAVING count(*) > 1
            )
            SELECT part._row_number, repeated.winner
            FROM (SELECT * {share}) AS part JOIN repeated USING ({columns})
            WHERE part._row_number <> repeated.winner
        """  # noqa: S608 - identifiers are quoted, and checked when the dataset is declared
        connection.execute(query)
    connection.table("losers").order("_row_number").write_parquet(
        str(found), compression="zstd", row_group_size=_ROWS_PER_GROUP
    )
    return int(connection.execute("SELECT count(*) FROM losers").fetchall()[0][0])


def _passes(connection: duckdb.DuckDBPyConnection, columns: str) -> int:
    """In how many passes the keys go through, by their size as text, which is near that in memory."""
    query = f"SELECT coalesce(sum(strlen(concat({columns})) + {_BYTES_PER_ROW}), 0) FROM keys"  # noqa: S608
    return 1 + int(connection.execute(query).fetchall()[0][0]) // _BYTES_PER_PASS


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
