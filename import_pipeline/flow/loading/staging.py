"""The staging table of an attempt: made, filled batch by batch, dropped.

Every try of a batch has a load id of its own, recorded in the ledger in the transaction that
copies the rows; the last record wins, rows of other loads count for nothing.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pyarrow as pa
from psycopg import sql

from import_pipeline.catalog.dataset import EXTRA_COLUMN, Dataset
from import_pipeline.errors import CountsDoNotBalance, ImportFailed, Superseded
from import_pipeline.flow.loading.binary_copy import copy_rows
from import_pipeline.flow.loading.tables import (
    STAGING_SCHEMA,
    LoadTables,
    in_staging,
    libpq_url,
    outcomes_table,
    staging_table,
    staging_table_of,
    table_exists,
)
from import_pipeline.ledger import uploads as ledger
from import_pipeline.ledger.claims import guard, lock_owned
from import_pipeline.ledger.connection import connect, translated_errors
from import_pipeline.records import CheckedBatch, OpenedUpload, StagedBatch
from import_pipeline.storage.store import Store


def create_staging_table(conn: psycopg.Connection, opened: OpenedUpload, dataset: Dataset) -> str:
    """Make the attempt's staging table unless it is there. Commits nothing.

    Unlogged: half the work, and a crash of PostgreSQL empties it, which publishing notices.

    Returns:
        Its name, with schema.

    Raises:
        Superseded: a newer run owns the upload.
    """
    tables = LoadTables(opened, dataset)
    with translated_errors():
        guard(conn, opened.upload_id, opened.token)
        conn.execute(
            sql.SQL("CREATE UNLOGGED TABLE IF NOT EXISTS {} ({})").format(
                tables.staged, tables.column_definitions()
            )
        )
    return f"{STAGING_SCHEMA}.{staging_table(opened)}"


def stage_batch(
    database_url: str, checked: CheckedBatch, opened: OpenedUpload, dataset: Dataset, *, store: Store
) -> StagedBatch:
    """COPY a batch's clean rows into the staging table under a new load id and record the load.

    One transaction: either rows and record are there, or neither is. May be repeated, and may
    overlap with its own orphan.

    Raises:
        Superseded: a newer run owns the upload, or it is finished; nothing was written.
        CountsDoNotBalance: the clean rows are not as many as were checked.
        ImportFailed: PostgreSQL cannot hold a value.
        DatabaseUnavailable, ConcurrentChange: to be tried again.
    """
    started = time.perf_counter()
    rows = _clean_rows(store, checked)
    load_id = uuid4().hex
    tables = LoadTables(opened, dataset)
    with _refused_rows(checked), translated_errors(), connect(libpq_url(database_url)) as conn:
        _own(conn, opened)
        if not table_exists(conn, staging_table(opened)):
            conn.rollback()
            create_staging_table(conn, opened, dataset)
            conn.commit()
            _own(conn, opened)
        with conn.cursor() as cursor:
            json_columns = [EXTRA_COLUMN] if EXTRA_COLUMN in tables.names else []
            copy_rows(
                cursor, tables.staged, rows, load_id=load_id, batch=checked.number, json_columns=json_columns
            )
        seconds = time.perf_counter() - started
        ledger.record_batch(
            conn,
            opened.upload_id,
            opened.attempt,
            checked.number,
            "staged",
            load_id=load_id,
            rows=rows.num_rows,
            seconds=seconds,
        )
    return StagedBatch(checked.number, load_id, rows.num_rows, seconds)


def drop_staging(conn: psycopg.Connection, opened: OpenedUpload) -> None:
    """Drop the attempt's staging table and the upload's outcomes table. Commits nothing.

    Raises:
        Superseded: a newer run owns the upload; the tables may be its own.
    """
    with translated_errors():
        lock_owned(conn, opened.upload_id, opened.token)
        for table in (staging_table(opened), outcomes_table(opened)):
            conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(in_staging(table)))


def drop_staging_of(conn: psycopg.Connection, short_id: str, attempt: str) -> None:
    """Drop the staging table of an attempt that will never publish. Commits nothing.

    The caller holds the upload's row and ended the upload: whoever still writes to the table holds that
    row too, so nobody does.
    """
    table = in_staging(staging_table_of(short_id, attempt))
    with translated_errors():
        conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))


def _clean_rows(store: Store, checked: CheckedBatch) -> pa.Table:
    rows = store.get_table(checked.clean_key)
    if rows.num_rows != checked.valid:
        raise CountsDoNotBalance(
            f"Batch {checked.number} has {rows.num_rows} clean rows where {checked.valid} were checked.",
            remedy="Launch the import again.",
            batch=checked.number,
            rows=rows.num_rows,
            valid=checked.valid,
        )
    return rows


def _own(conn: psycopg.Connection, opened: OpenedUpload) -> None:
    """Hold the upload's row beside other batches of the same run; a newer run's claim waits.

    Raises:
        Superseded: the run's token is not current, or the upload is not running.
    """
    row = guard(conn, opened.upload_id, opened.token, share=True)
    if row.state != "running":
        raise Superseded(f"Upload {row.upload_id!r} is {row.state} now.", upload_id=row.upload_id)


@contextmanager
def _refused_rows(checked: CheckedBatch) -> Iterator[None]:
    """Say which batch PostgreSQL did not take; the cause is cut off, it may quote personal values."""
    try:
        yield
    except psycopg.DataError as error:
        raise ImportFailed(
            f"PostgreSQL refused the rows of batch {checked.number}: {error.diag.message_primary}.",
            remedy="A check lets a value through that the table cannot hold.",
            batch=checked.number,
        ) from None
