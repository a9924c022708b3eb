"""Undo a published upload: its rows go, the rows it overwrote come back, all in one transaction.

The rule: any uploads undone in any order end as if they had written nothing; a row that someone else
changed, or points at, is left and listed. Why it is done so: docs/adr/0012-undo-follows-each-rows-chain.md.
"""

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
from psycopg import sql

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import ConfigurationError, CountsDoNotBalance, NotUndoable
from import_pipeline.flow.checks.messages import MASK
from import_pipeline.flow.loading.loaded import loaded_by
from import_pipeline.flow.loading.references import references_to, touches
from import_pipeline.flow.loading.refusals import refused_undo
from import_pipeline.flow.loading.tables import TRANSACTION_SETTINGS, libpq_url, listed
from import_pipeline.flow.loading.undo_tables import CLAIMS, COVERED, FOUND, LEFT, PASSED, WRITTEN, UndoTables
from import_pipeline.flow.reports.csv_lines import CSV_TYPE
from import_pipeline.flow.reports.left_rows import left_rows_key, write_left_rows
from import_pipeline.ledger.claims import lock_owned
from import_pipeline.ledger.connection import connect, translated_errors
from import_pipeline.ledger.rejects import lock_uploads
from import_pipeline.ledger.rows import UploadRow
from import_pipeline.ledger.undoing import (
    corrected_uploads,
    depending_uploads,
    record_undone,
    reopen_rejects,
    require_undoable,
)
from import_pipeline.ledger.uploads import lock_table_of
from import_pipeline.records import LeftCode, LeftRow, UndoneUpload
from import_pipeline.storage.store import Store

LISTED_ROWS = 100
_PLAIN_ROWS = sql.SQL(
    "SELECT (SELECT count(*) FROM {found} WHERE entry IS NULL AND code IS NULL)"
    " + (SELECT count(*) FROM {passed} WHERE own IS NULL AND same)"
)
_PLAIN_KEYS = sql.SQL(
    "SELECT count(*) FROM (SELECT key FROM {found} JOIN {written} USING (tid)"
    " WHERE entry IS NULL AND {found}.code IS NULL"
    " UNION SELECT key FROM {passed} JOIN {covered} USING (entry) WHERE own IS NULL AND {passed}.same) AS k"
)
_TRIGGER = "look for triggers or rules on the table that drop or change rows."


def undo_upload(
    database_url: str,
    upload_id: str,
    dataset: Dataset,
    *,
    undo_days: int,
    store: Store | None,
    dry_run: bool = False,
) -> UndoneUpload:
    """Take an upload's rows out of the dataset's table, and bring back what they overwrote.

    Removed: rows it inserted. Restored: rows it overwrote, to what they were before it. Left: rows whose
    loaded columns someone changed since, and rows that a foreign key of another row points at; they belong
    to no upload any more. Rows that a later upload overwrote stay; undoing that one then brings back what
    was before this one.

    Args:
        dataset: the upload's, as it is declared today.
        undo_days: how long after its publish an upload can be undone.
        store: gets the list of all rows that are left; None: nobody gets it, as in a dry run.
        dry_run: the undo itself, rolled back: it meets what would stop it, and waits as it would.

    Raises:
        NotUndoable: the upload is not published, undone already, or was published too long ago; nothing
            was changed, as after every other error.
        PartitionMissing: the ledger does not know the upload.
        UndoBlocked: a constraint or trigger of the table does not let rows go or come back.
        CountsDoNotBalance: rows are unaccounted for.
        ConcurrentChange, DatabaseUnavailable: to be tried again.
    """
    started = time.perf_counter()
    with translated_errors(), connect(libpq_url(database_url)) as conn, refused_undo(dataset):
        conn.execute(TRANSACTION_SETTINGS)
        row = lock_owned(conn, upload_id, None)
        if row.dataset != dataset.name:
            raise ConfigurationError(
                f"Upload {upload_id!r} is of dataset {row.dataset!r}, not {dataset.name!r}."
            )
        require_undoable(conn, row, undo_days)
        lock_uploads(conn, corrected_uploads(conn, upload_id))
        lock_table_of(conn, str(row.workspace), dataset.name)
        undoing = _Undoing(conn, row, UndoTables(row, loaded_by(conn, row, dataset)), dataset)
        undone = undoing.decide(dry_run=dry_run)
        undoing.write(undone)
        if dry_run:
            conn.rollback()
        else:
            reopen_rejects(conn, upload_id)
            if store is not None:
                undone = replace(undone, left_key=undoing.hand_over_left(store, undone))
            undone = replace(undone, undone_at=record_undone(conn, row, undone))
    return replace(undone, seconds=time.perf_counter() - started)


@dataclass(frozen=True)
class _Undoing:
    """The undo of one upload under the publish lock, on one connection."""

    conn: psycopg.Connection
    row: UploadRow
    tables: UndoTables
    dataset: Dataset

    def decide(self, *, dry_run: bool) -> UndoneUpload:
        """What is to become of each row that the upload wrote.

        Raises:
            NotUndoable: the images that it would need are not there.
            CountsDoNotBalance: more rows would go than the upload inserted.
        """
        conn, row = self.conn, self.row
        if self.tables.collect(conn) != (row.updated or 0):
            raise NotUndoable(
                f"The rows that upload {row.upload_id!r} overwrote are no longer kept.",
                remedy="They went when IMPORT_PIPELINE_UNDO_DAYS was shorter, or the upload is of before an "
                "upgrade. Change or delete its rows by SQL: they are those with its id in `_upload_id`.",
                upload_id=row.upload_id,
                why="history_gone",
            )
        self.tables.match(conn)
        self._keep_referenced()
        self._require_only_inserted_rows_go()
        self.tables.list_left(conn)
        removed, restored, changed, referenced = self._one(
            sql.SQL(
                "SELECT count(*) FILTER (WHERE code IS NULL AND NOT restores),"
                " count(*) FILTER (WHERE code IS NULL AND restores),"
                " count(*) FILTER (WHERE code = 'changed_since'),"
                " count(*) FILTER (WHERE code = 'referenced') FROM {}"
            ).format(FOUND)
        )
        (overwritten,) = self._one(sql.SQL("SELECT count(*) FROM {}").format(PASSED))
        left: dict[LeftCode, int] = {"changed_since": changed, "referenced": referenced}
        written = (row.inserted or 0) + (row.updated or 0)
        return UndoneUpload(
            upload_id=row.upload_id,
            removed=removed,
            restored=restored,
            left={code: rows for code, rows in left.items() if rows},
            left_rows=self._left_rows(),
            overwritten=overwritten,
            gone=max(0, written - removed - restored - changed - referenced - overwritten),
            depending=depending_uploads(conn, row.upload_id),
            undone_at=None,
            dry_run=dry_run,
            seconds=0.0,
        )

    def write(self, undone: UndoneUpload) -> None:
        """Do what was decided.

        Raises:
            CountsDoNotBalance: not as many rows as were counted, or some are still the upload's.
        """
        expected = {
            "removed": (self.tables.remove, undone.removed),
            "restored": (self.tables.restore, undone.restored),
            "left": (self.tables.give_up, sum(undone.left.values())),
            "passed on": (self.tables.pass_on, undone.overwritten),
        }
        for what, (statement, number) in expected.items():
            done = statement(self.conn) if number else 0
            if done != number:
                raise self._unbalanced(f"{done} of {number} rows could be {what}")
        self.conn.execute("SET CONSTRAINTS ALL IMMEDIATE")  # not at the commit, where nobody names the table
        (remaining,) = self._one(
            sql.SQL("SELECT count(*) FROM {} WHERE _workspace = {} AND _upload_id = {}").format(
                self.tables.target, sql.Literal(self.row.workspace), sql.Literal(self.row.upload_id)
            )
        )
        if remaining:
            raise self._unbalanced(f"{remaining} rows are still the upload's")

    def hand_over_left(self, store: Store, undone: UndoneUpload) -> str | None:
        """Put the list of all rows that are left beside the report; its key.

        It comes before the commit: an undo that is killed in between leaves one that the next writes over.
        """
        key = left_rows_key(self.row)
        if not undone.left:
            store.delete_prefix(key)
            return None
        with tempfile.TemporaryDirectory(prefix="import_pipeline_undo_") as folder:
            path = Path(folder, "left.csv")
            blocks = self.tables.left_blocks(self.conn)
            write_left_rows(path, blocks, self.tables.loaded.key, self.row, self.dataset)
            store.put_file(key, path, CSV_TYPE)
        return key

    def _keep_referenced(self) -> None:
        """Let rows be that others point at; rows of the same table until nothing changes any more."""
        loaded = self.tables.loaded
        changed_by_restoring = (*(name for name in loaded.columns if name not in loaded.key), *CLAIMS)
        references = references_to(self.conn, self.tables.target)
        for reference in references:
            if touches(reference, changed_by_restoring):
                self.tables.keep_pointed_at(self.conn, reference)
        kept = sum(self.tables.keep_referenced(self.conn, reference) for reference in references)
        within = [reference for reference in references if reference.own]
        while kept and within:
            kept = sum(self.tables.keep_referenced(self.conn, reference) for reference in within)

    def _require_only_inserted_rows_go(self) -> None:
        """A row without an image was inserted: there cannot be more of them than were.

        Without a key there may: an application may have copied rows. In a table that was restored from a
        backup, without the ledger, a row may be there again and in the image of who overwrote it, too.
        """
        inserted = self.row.inserted or 0
        if not self.tables.loaded.key:
            return
        tables = {"found": FOUND, "passed": PASSED, "written": WRITTEN, "covered": COVERED}
        (plain,) = self._one(_PLAIN_ROWS.format(**tables))
        if plain > inserted:
            (plain,) = self._one(_PLAIN_KEYS.format(**tables))
        if plain > inserted:
            raise self._unbalanced(
                f"{plain} rows would go where {self.row.inserted} were inserted",
                "its images do not fit its rows: report it.",
            )

    def _left_rows(self) -> tuple[LeftRow, ...]:
        """The first rows that are left, with their key as it is now."""
        key = self.tables.loaded.key
        query = sql.SQL(
            "SELECT row_number, code, ARRAY[{}]::text[] FROM {} WHERE place < {} ORDER BY place"
        ).format(listed(*self.tables.left_key), LEFT, sql.Literal(LISTED_ROWS))
        shown = {column.name for column in self.dataset.columns if not column.personal}
        return tuple(
            LeftRow(
                number,
                {n: v if n in shown else MASK for n, v in zip(key, values, strict=True)},
                code,
            )
            for number, code, values in self.conn.execute(query).fetchall()
        )

    def _one(self, query: sql.Composed) -> tuple[int, ...]:
        row = self.conn.execute(query).fetchone()
        assert row is not None  # noqa: S101 - count(*) always gives a row
        return tuple(row)

    def _unbalanced(self, what: str, why: str = _TRIGGER) -> CountsDoNotBalance:
        return CountsDoNotBalance(
            f"Undoing {self.row.upload_id!r} in table {self.tables.loaded.table!r}: {what}.",
            remedy=f"Nothing was changed; {why}",
            upload_id=self.row.upload_id,
        )
