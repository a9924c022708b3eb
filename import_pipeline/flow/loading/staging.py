"""The staging table of an attempt: made, filled batch by batch, dropped.

Every try of a batch has a load id of its own, recorded in the ledger in the transaction that
copies the rows; the last record wins, rows of other loads count for nothing.
"""

import time
from uuid import uuid4

import psycopg
import pyarrow as pa
from psycopg import sql

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import CountsDoNotBalance, Superseded
from import_pipeline.flow.loading.copying import CopyConnection, copy_connection, libpq_url
from import_pipeline.flow.loading.tables import (
    STAGING_SCHEMA,
    LoadTables,
    in_staging,
    outcomes_table,
    staging_table,
)
from import_pipeline.ledger.claims import guard, lock_owned
from import_pipeline.ledger.connection import connect, translated_errors
from import_pipeline.records import CheckedBatch, OpenedUpload, StagedBatch
from import_pipeline.storage.store import Store, read_parquet

# As `guard(share=True)`: batches stage side by side, a newer run's claim waits for them.
_OWNER = (
    "SELECT state, token_created, token_run_id, run_id, to_regclass($2) IS NOT NULL"
    " FROM imports.uploads WHERE upload_id = $1 FOR SHARE"
)
_RECORD = (
    "INSERT INTO imports.batches (upload_id, attempt, batch, state, load_id, rows, seconds)"
    " VALUES ($1, $2, $3::bigint, 'staged', $4, $5::bigint, $6::double precision)"
    " ON CONFLICT (upload_id, attempt, batch) DO UPDATE SET state = excluded.state,"
    " load_id = excluded.load_id, rows = excluded.rows, seconds = excluded.seconds,"
    " recorded_at = clock_timestamp()"
)


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
        DatabaseUnavailable, ConcurrentChange: to be tried again.
    """
    started = time.perf_counter()
    rows = _clean_rows(store, checked)
    load_id = uuid4().hex
    if not _staged(database_url, checked, opened, rows, load_id):
        with translated_errors(), connect(libpq_url(database_url)) as conn:
            create_staging_table(conn, opened, dataset)
        if not _staged(database_url, checked, opened, rows, load_id):
            raise _superseded(opened, "Its staging table was dropped.")
    return StagedBatch(checked.number, load_id, rows.num_rows, time.perf_counter() - started)


def drop_staging(conn: psycopg.Connection, opened: OpenedUpload) -> None:
    """Drop the attempt's staging table and the upload's outcomes table. Commits nothing.

    Raises:
        Superseded: a newer run owns the upload; the tables may be its own.
    """
    with translated_errors():
        lock_owned(conn, opened.upload_id, opened.token)
        for table in (staging_table(opened), outcomes_table(opened)):
            conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(in_staging(table)))


def _clean_rows(store: Store, checked: CheckedBatch) -> pa.Table:
    if checked.valid == 0:
        return pa.table({"_row_number": pa.array([], pa.int64())})
    rows = read_parquet(store, checked.clean_key)
    if rows.num_rows != checked.valid:
        raise CountsDoNotBalance(
            f"Batch {checked.number} has {rows.num_rows} clean rows where {checked.valid} were checked.",
            remedy="Launch the import again.",
            batch=checked.number,
            rows=rows.num_rows,
            valid=checked.valid,
        )
    return rows


def _staged(
    database_url: str, checked: CheckedBatch, opened: OpenedUpload, rows: pa.Table, load_id: str
) -> bool:
    """One try; False, with nothing written, if the staging table is not there."""
    started = time.perf_counter()
    with copy_connection(database_url) as copy:
        if not _own(copy, opened):
            return False
        if rows.num_rows:
            copy.append(STAGING_SCHEMA, staging_table(opened), _labelled(rows, load_id, checked.number))
        copy.execute(
            _RECORD,
            opened.upload_id,
            opened.attempt,
            checked.number,
            load_id,
            rows.num_rows,
            time.perf_counter() - started,
        )
        copy.commit()
    return True


def _own(copy: CopyConnection, opened: OpenedUpload) -> bool:
    """Lock the upload's row; whether the staging table is there.

    Raises:
        Superseded: the run's token is not current, or the upload is not running.
    """
    table = f"{STAGING_SCHEMA}.{staging_table(opened)}"
    found = copy.execute(_OWNER, opened.upload_id, table)
    if not found:
        raise _superseded(opened, "The ledger does not know it.")
    state, created, token_run, run_id, exists = found[0]
    if (created, token_run) != (opened.token.created, opened.token.run_id):
        raise _superseded(opened, f"Run {run_id} owns it.")
    if state != "running":
        raise _superseded(opened, f"It is {state} now.")
    return bool(exists)


def _labelled(rows: pa.Table, load_id: str, number: int) -> pa.Table:
    """The rows with the columns that say which load they belong to."""
    count = rows.num_rows
    return rows.append_column("_load_id", pa.repeat(load_id, count)).append_column(
        "_batch", pa.repeat(pa.scalar(number, pa.int32()), count)
    )


def _superseded(opened: OpenedUpload, why: str) -> Superseded:
    return Superseded(
        f"This run no longer owns upload {opened.upload_id!r}. {why}", upload_id=opened.upload_id
    )
