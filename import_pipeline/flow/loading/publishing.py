"""Publish an upload: one transaction from the staged rows to the dataset's table and the ledger.

The rule: readers see a whole upload or none of it, every row read is counted exactly once, and
publishing again changes nothing. What becomes of a row is `deciding.py`'s, writing is `merging.py`'s.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

import psycopg
import pyarrow as pa
from psycopg import sql

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import (
    DatabaseUnavailable,
    FirstImportGone,
    Superseded,
)
from import_pipeline.flow.loading.correcting import Rejects
from import_pipeline.flow.loading.counting import (
    check_counts,
    check_losers,
    check_received,
    check_reject_share,
)
from import_pipeline.flow.loading.deciding import decide
from import_pipeline.flow.loading.history import loaded_columns, write_history
from import_pipeline.flow.loading.merging import count_new, insert_new, update_changed
from import_pipeline.flow.loading.outcomes import count_duplicates, write_outcomes
from import_pipeline.flow.loading.refusals import refused_writes
from import_pipeline.flow.loading.staging import create_staging_table, stage_batch
from import_pipeline.flow.loading.tables import (
    STAGING_SCHEMA,
    TRANSACTION_SETTINGS,
    LoadTables,
    libpq_url,
    outcomes_table,
    table_exists,
)
from import_pipeline.ledger import uploads as ledger
from import_pipeline.ledger.claims import guard
from import_pipeline.ledger.connection import connect, translated_errors
from import_pipeline.ledger.rows import RecordedBatch, UploadRow
from import_pipeline.records import (
    CheckedBatch,
    Counts,
    FoundDuplicates,
    OpenedUpload,
    PublishedUpload,
    SplitUpload,
    StagedBatch,
    UploadState,
)
from import_pipeline.storage.store import Store

RESTAGINGS = 3


class _StagingIncompleteError(Exception):
    """Rows recorded as staged are not there; `lacking`: the batches to stage again."""

    def __init__(self, lacking: list[CheckedBatch]):
        super().__init__(f"{len(lacking)} batches")
        self.lacking = lacking


def publish_upload(
    database_url: str,
    opened: OpenedUpload,
    split: SplitUpload,
    checked: Sequence[CheckedBatch],
    staged: Sequence[StagedBatch],
    duplicates: FoundDuplicates,
    dataset: Dataset,
    *,
    store: Store,
    dry_run: bool = False,
) -> PublishedUpload:
    """Merge the staged rows into the dataset's table, or only count what a merge would do.

    Inserted: rows whose key is new. Updated: where the dataset says `update`, rows that differ and
    are not older than the table's. Kept as they are: all others. A batch whose staged rows were
    lost is staged again from its clean Parquet first.

    Args:
        dry_run: decide and count, write nothing to the table; also when the sender says so.

    Returns:
        What was done; of an upload that is published already, what was done then.

    Raises:
        Superseded: a newer run owns the upload; nothing was written.
        BatchesMissing, CountsDoNotBalance, TooManyRejects, TableDoesNotFit: nothing was written.
        ConcurrentChange, DatabaseUnavailable: to be tried again.
    """
    started = time.perf_counter()
    check_received(split, checked, staged)
    losers = _losers(store, duplicates)
    rejects = Rejects(split, checked, store)
    tables = LoadTables(opened, dataset, rejects.corrects)
    publishing = _Publishing(tables, split, checked, losers, rejects, dry_run or opened.options.dry_run)
    for _ in range(RESTAGINGS + 1):
        try:
            with refused_writes(dataset), translated_errors(), connect(libpq_url(database_url)) as conn:
                published = publishing.run(conn)
            return replace(published, seconds=time.perf_counter() - started)
        except _StagingIncompleteError as incomplete:
            for batch in incomplete.lacking:
                stage_batch(database_url, batch, opened, dataset, store=store)
    raise DatabaseUnavailable(
        f"Staged rows of {opened.file_name!r} were lost {RESTAGINGS} times.",
        remedy="PostgreSQL empties staging tables when it crashes: look at its log.",
    )


class _Publishing:
    """The publish transaction, step by step, on one connection."""

    def __init__(
        self,
        tables: LoadTables,
        split: SplitUpload,
        checked: Sequence[CheckedBatch],
        losers: pa.Table,
        rejects: Rejects,
        dry_run: bool,
    ):
        self.tables = tables
        self.opened = tables.opened
        self.dataset = tables.dataset
        self.split = split
        self.checked = checked
        self.losers = losers
        self.rejects = rejects
        self.dry_run = dry_run

    def run(self, conn: psycopg.Connection) -> PublishedUpload:
        """Everything between begin and commit."""
        conn.execute(TRANSACTION_SETTINGS)
        row = guard(conn, self.opened.upload_id, self.opened.token)
        if row.state != "running":
            return _as_recorded(conn, row, self.opened)
        invalid = sum(c.rejected for c in self.checked)
        if not self.rejects.corrects:
            check_reject_share(self.dataset, self.split.read, invalid)
        self._require_staged_rows(conn)
        self.rejects.lock(conn)
        ledger.lock_table_of(conn, self.opened.workspace, self.opened.dataset)
        first = None if self.dry_run else self._first_import(conn)
        if first is not None:
            ledger.transition(conn, self.opened.upload_id, "duplicate_file", duplicate_of=first)
            return PublishedUpload("duplicate_file", Counts(0, 0, 0, 0, 0, 0), {}, "", first, None, 0.0)
        self.rejects.settle(conn, self.tables, self.losers["_winner_row_number"])
        decided = decide(conn, self.tables, self.losers)
        write_outcomes(conn, self.tables)
        number = None if self.dry_run else write_history(conn, self.tables, _number(decided, "updated"))
        counts = self._count(decided, invalid, *self._merge(conn, decided))
        check_counts(conn, self.tables, counts, dry_run=self.dry_run)
        if not self.dry_run:
            self.rejects.record(conn, self.tables, counts)
        return self._record(conn, counts, decided, number)

    def _require_staged_rows(self, conn: psycopg.Connection) -> None:
        """Make sure that staging holds exactly the recorded loads.

        Rows of other loads (an orphan's) are deleted: no other transaction of this upload can be
        open while its row is locked.
        """
        create_staging_table(conn, self.opened, self.dataset)
        recorded = {
            b.batch: b
            for b in ledger.recorded_batches(conn, self.opened.upload_id, self.opened.attempt)
            if b.state == "staged"
        }
        found: dict[str, int] = dict(
            conn.execute(
                sql.SQL("SELECT _load_id, count(*) FROM {} GROUP BY _load_id").format(self.tables.staged)
            ).fetchall()
        )
        lacking = [c for c in self.checked if not _is_whole(c, recorded, found)]
        if lacking:
            raise _StagingIncompleteError(lacking)
        wanted = {recorded[c.number].load_id for c in self.checked}
        if set(found) - wanted:
            conn.execute(
                sql.SQL("DELETE FROM {} WHERE _load_id <> ALL(%s)").format(self.tables.staged),
                [list(wanted)],
            )

    def _first_import(self, conn: psycopg.Connection) -> str | None:
        """The upload that published the same bytes, decided under the publish lock."""
        opened = self.opened
        if opened.options.force:
            return None
        first = ledger.find_first_import(conn, opened, self.dataset)
        if first is None and opened.duplicate_of is not None:
            raise FirstImportGone(
                f"{opened.duplicate_of!r}, the first import of the same file, counts no longer.",
                remedy="Launch the import again: it now reads the file.",
                first=opened.duplicate_of,
            )
        return first

    def _merge(self, conn: psycopg.Connection, decided: Mapping[tuple[str, str], int]) -> tuple[int, int]:
        """Rows (inserted, updated); in a dry run, that would be."""
        to_update = _number(decided, "updated")
        if self.dry_run:
            return count_new(conn, self.tables), to_update
        updated = update_changed(conn, self.tables, to_update) if to_update else 0
        return insert_new(conn, self.tables), updated

    def _count(
        self, decided: Mapping[tuple[str, str], int], invalid: int, inserted: int, updated: int
    ) -> Counts:
        return Counts(
            read=self.split.read,
            inserted=inserted,
            updated=updated,
            unchanged=_number(decided, "unchanged"),
            duplicate=_number(decided, "duplicate"),
            rejected=invalid + _number(decided, "rejected"),
        )

    def _record(
        self,
        conn: psycopg.Connection,
        counts: Counts,
        decided: Mapping[tuple[str, str], int],
        number: int | None,
    ) -> PublishedUpload:
        finished: UploadState = "completed_with_rejects" if counts.rejected else "completed"
        state: UploadState = "checked" if self.dry_run else finished
        published_at = None if self.dry_run else _now(conn)
        upload_id = self.opened.upload_id
        ledger.transition(
            conn, upload_id, state, published_at=published_at, publish_number=number, **asdict(counts)
        )
        if number is not None:
            loaded = {
                "table": self.dataset.table,
                "key": self.dataset.key,
                "columns": loaded_columns(self.dataset),
            }
            ledger.add_details(conn, upload_id, loaded=loaded)
        # In the order in which `_as_recorded` reads them again: two writings of a report are equal.
        counted = sorted(decided.items())
        by_code = {code: count for (outcome, code), count in counted if outcome == "duplicate"}
        table = f"{STAGING_SCHEMA}.{outcomes_table(self.opened)}"
        return PublishedUpload(state, counts, by_code, table, None, published_at, 0.0)


def _losers(store: Store, duplicates: FoundDuplicates) -> pa.Table:
    """Rows that lose inside the file, and to which, read before any lock is held."""
    columns = ["_row_number", "_winner_row_number"]
    if duplicates.key:
        losers = store.get_table(duplicates.key, columns=columns)
    else:
        losers = pa.table({name: pa.array([], pa.int64()) for name in columns})
    check_losers(losers, duplicates)
    return losers


def _is_whole(batch: CheckedBatch, recorded: Mapping[int, RecordedBatch], found: Mapping[str, int]) -> bool:
    record = recorded.get(batch.number)
    if record is None or record.load_id is None:
        return False
    return record.rows == batch.valid == found.get(record.load_id, 0)


def _as_recorded(conn: psycopg.Connection, row: UploadRow, opened: OpenedUpload) -> PublishedUpload:
    """What the ledger says of an upload that is finished already.

    Raises:
        Superseded: it ended in a state that publishing does not lead to.
    """
    if row.state == "duplicate_file":
        return PublishedUpload(row.state, Counts(0, 0, 0, 0, 0, 0), {}, "", row.duplicate_of, None, 0.0)
    numbers = (row.read, row.inserted, row.updated, row.unchanged, row.duplicate, row.rejected)
    if row.state not in ("completed", "completed_with_rejects", "checked") or None in numbers:
        raise Superseded(f"Upload {row.upload_id!r} is {row.state} now.", upload_id=row.upload_id)
    counts = Counts(*(n for n in numbers if n is not None))
    table = f"{STAGING_SCHEMA}.{outcomes_table(opened)}"
    if not table_exists(conn, table):
        table = ""
    by_code = count_duplicates(conn, table) if table else {}
    return PublishedUpload(row.state, counts, by_code, table, None, row.published_at, 0.0)


def _number(decided: Mapping[tuple[str, str], int], outcome: str) -> int:
    return sum(count for (name, _), count in decided.items() if name == outcome)


def _now(conn: psycopg.Connection) -> datetime:
    row = conn.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101 - a select without FROM always gives a row
    return row[0].astimezone(UTC)
