"""Counts that must agree before and after publishing, each looked at on its own."""

from collections.abc import Sequence
from dataclasses import asdict

import psycopg
import pyarrow as pa
from psycopg import sql

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import BatchesMissing, CountsDoNotBalance, TooManyRejects
from import_pipeline.flow.loading.tables import LoadTables
from import_pipeline.language import told
from import_pipeline.ledger.connection import translated_errors
from import_pipeline.records import CheckedBatch, Counts, FoundDuplicates, SplitUpload, StagedBatch

SHARE_APPLIES_FROM_ROWS = 20


def check_reject_share(dataset: Dataset, read: int, rejected: int) -> None:
    """Refuse a file of which too large a share failed validation; small files never are.

    Raises:
        TooManyRejects: more than `dataset.maximum_reject_share` of 20 rows or more.
    """
    if read < SHARE_APPLIES_FROM_ROWS or rejected <= dataset.maximum_reject_share * read:
        return
    raise TooManyRejects(
        told(
            "{rejected} of {read} rows have errors; at most {share:.0%} may.",
            rejected=rejected,
            read=read,
            share=dataset.maximum_reject_share,
        ),
        remedy=told(
            "Nothing was imported. Look at errors.csv: often the file is of another kind, or one column is "
            "in another format throughout."
        ),
        rejected=rejected,
        read=read,
        limit=dataset.maximum_reject_share,
    )


def check_received(
    split: SplitUpload, checked: Sequence[CheckedBatch], staged: Sequence[StagedBatch]
) -> None:
    """Compare the batches that arrived with those that were split.

    Raises:
        BatchesMissing: one is missing, or one arrived twice.
    """
    expected = sorted(b.number for b in split.batches)
    for received in (sorted(c.number for c in checked), sorted(s.number for s in staged)):
        if received != expected:
            missing = sorted(set(expected) - set(received))
            raise BatchesMissing(
                f"{len(received)} of {len(expected)} batches arrived (missing: {missing}).",
                remedy="Re-execute the run from failure, or launch the import again.",
                expected=len(expected),
                received=len(received),
            )


def check_losers(losers: pa.Table, duplicates: FoundDuplicates) -> None:
    """Compare the rows that lose inside the file with their number when they were found.

    Raises:
        CountsDoNotBalance: they differ.
    """
    if losers.num_rows != duplicates.rows:
        raise CountsDoNotBalance(
            f"{losers.num_rows} repeated rows are listed where {duplicates.rows} were found.",
            remedy="Launch the import again.",
            listed=losers.num_rows,
            found=duplicates.rows,
        )


def check_counts(conn: psycopg.Connection, tables: LoadTables, counts: Counts, *, dry_run: bool) -> None:
    """The last look before the commit: nothing lost, and the table has exactly what was counted.

    Raises:
        CountsDoNotBalance: the transaction must be rolled back.
    """
    facts = asdict(counts)
    if not counts.balanced:
        raise CountsDoNotBalance(
            f"Rows of {tables.opened.file_name!r} are unaccounted for: {_words(facts)}.",
            remedy="Nothing was published. Launch the import again; if it repeats, report it.",
            **facts,
        )
    if dry_run:
        return
    in_table = _count(conn, tables.dataset, tables.opened.workspace, tables.opened.upload_id)
    if in_table != counts.inserted + counts.updated:
        raise CountsDoNotBalance(
            f"Table {tables.dataset.table!r} has {in_table} rows of {tables.opened.file_name!r}"
            f" where {counts.inserted + counts.updated} were written.",
            remedy="Nothing was published. Look for triggers or rules on the table that drop or change rows.",
            in_table=in_table,
            **facts,
        )


def count_in_table(conn: psycopg.Connection, dataset: Dataset, upload_id: str) -> int:
    """Rows of the dataset's table that come from an upload.

    Args:
        upload_id: `<workspace>/<path>@<short id>`.
    """
    return _count(conn, dataset, upload_id.partition("/")[0], upload_id)


def _count(conn: psycopg.Connection, dataset: Dataset, workspace: str, upload_id: str) -> int:
    query = sql.SQL("SELECT count(*) FROM {} WHERE _workspace = %s AND _upload_id = %s").format(
        sql.Identifier("public", dataset.table)
    )
    with translated_errors():
        row = conn.execute(query, [workspace, upload_id]).fetchone()
    return 0 if row is None else int(row[0])


def _words(facts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in facts.items())
