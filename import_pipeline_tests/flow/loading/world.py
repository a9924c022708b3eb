"""A database, a store and uploads made by hand: what the steps before loading would leave behind."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from typing import Any

import pandera.pandas as pandera
import psycopg
import pyarrow as pa

from import_pipeline.catalog.dataset import Dataset, SenderOptions, column
from import_pipeline.catalog.types import Boolean, Date, Integer, Number, Text, Timestamp
from import_pipeline.flow.arrivals.decision import Arrival
from import_pipeline.flow.arrivals.identity import identity, short_id, upload_id
from import_pipeline.flow.batches.corrections import FOLDER as TARGETS
from import_pipeline.flow.batches.corrections import TARGETS_SCHEMA
from import_pipeline.flow.loading.publishing import publish_upload
from import_pipeline.flow.loading.staging import create_staging_table, stage_batch
from import_pipeline.ledger import uploads as ledger
from import_pipeline.ledger.access import secure_dataset_table
from import_pipeline.ledger.arrivals import record_arrivals
from import_pipeline.ledger.claims import claim
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.dataset_tables import create_table
from import_pipeline.records import (
    Batch,
    CheckedBatch,
    FoundDuplicates,
    InspectedFile,
    LineCount,
    ListedObject,
    OpenedUpload,
    PublishedUpload,
    SplitUpload,
    StagedBatch,
    TextFacts,
    Token,
)
from import_pipeline.services.postgres import LOADER_ROLE
from import_pipeline.storage.places import staging_prefix
from import_pipeline.storage.store import LocalStore

TURNS = count(1)  # every run of every test has its own
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Things(pandera.DataFrameModel):
    """A column of every type."""

    code: Text = column(required=True, personal=True)
    place: Text = column()
    name: Text = column()
    amount: Number(14, 2) = column()
    day: Date = column()
    seen_at: Timestamp = column()
    active: Boolean = column()
    stock: Integer = column()


class Seats(pandera.DataFrameModel):
    """A key of two columns."""

    row: Text = column(required=True)
    number: Integer = column(required=True)
    name: Text = column()


def things(**policies: Any) -> Dataset:
    """The dataset `things` under the policies of a test."""
    return Dataset(**{"name": "things", "model": Things, "key": ("code",), **policies})


@dataclass(frozen=True)
class MadeUpload:
    """An upload up to the point where loading begins."""

    opened: OpenedUpload
    split: SplitUpload
    checked: tuple[CheckedBatch, ...]
    duplicates: FoundDuplicates
    dataset: Dataset


@dataclass
class World:
    """One database and one store; uploads arrive in it and are loaded."""

    url: str
    owner_url: str
    store: LocalStore

    def install(self, *datasets: Dataset) -> None:
        """Make the datasets' tables, with row-level security as `migrate` does."""
        with psycopg.connect(self.owner_url) as conn:
            for dataset in datasets:
                create_table(conn, dataset)
                secure_dataset_table(conn, dataset.table, LOADER_ROLE)

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement run by the loader."""
        with psycopg.connect(self.url) as conn:
            cursor = conn.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def as_owner(self, statement: str) -> None:
        """Change something that the loader may not."""
        with psycopg.connect(self.owner_url) as conn:
            conn.execute(statement)

    def make(
        self,
        dataset: Dataset,
        rows: Sequence[dict[str, Any]],
        *,
        workspace: str = "acme",
        name: str = "file.csv",
        at: datetime = NOON,
        batches: int = 2,
        rejected: int = 0,
        options: SenderOptions = SenderOptions(),  # noqa: B008 - frozen
        sha256: str | None = None,
        corrects: Mapping[int, tuple[str, int]] | None = None,
    ) -> MadeUpload:
        """An upload that has been opened, split, checked and searched for duplicates.

        Args:
            rows: valid rows in file order; a column left out is NULL.
            rejected: rows with errors, which come after the valid ones.
            corrects: of a correction, by row number the upload and row that a row puts right.
        """
        opened = self.arrive(dataset, workspace=workspace, name=name, at=at, options=options, sha256=sha256)
        numbered = [{"_row_number": n, **row} for n, row in enumerate(rows, 2)]
        checked = tuple(
            self._checked(
                dataset,
                opened,
                n,
                numbered[n - 1 :: batches],
                range(len(rows) + 2, len(rows) + 2 + rejected) if n == batches else range(0),
            )
            for n in range(1, batches + 1)
        )
        split = SplitUpload(
            tuple(Batch(c.number, c.batch_key, c.read, 2, 2) for c in checked),
            sum(c.read for c in checked),
            LineCount(),
            (),
            0.0,
            targets=self._targets(opened, corrects) if corrects is not None else "",
        )
        with connect(self.url) as conn:
            ledger.record_split(conn, opened.upload_id, split)
        return MadeUpload(opened, split, checked, self._duplicates(dataset, opened, numbered), dataset)

    def arrive(
        self,
        dataset: Dataset,
        *,
        workspace: str = "acme",
        name: str = "file.csv",
        at: datetime = NOON,
        options: SenderOptions = SenderOptions(),  # noqa: B008 - frozen
        sha256: str | None = None,
    ) -> OpenedUpload:
        """An upload that the ledger knows and a run has claimed."""
        turn = next(TURNS)
        listed = ListedObject("bucket", f"uploads/{workspace}/{dataset.name}/{name}", f"etag{turn}", 10, at)
        ident = identity(listed)
        upload = upload_id(workspace, name, ident)
        arrival = Arrival(listed, workspace, dataset.name, ident, short_id(ident), upload, name)
        token = Token(float(turn), f"run-{turn}")
        opened = OpenedUpload(
            upload_id=upload,
            short_id=arrival.short_id,
            identity=ident,
            workspace=workspace,
            dataset=dataset.name,
            fingerprint=dataset.fingerprint,
            attempt=token.run_id,
            token=token,
            source=listed,
            source_time=at,
            file_name=name,
            file=InspectedFile(
                format="csv",
                header=(),
                mapping={},
                unknown=(),
                ours=False,
                rows_per_batch=1000,
                sha256=sha256 or f"sha {turn}",
                text=TextFacts("utf-8", 0, ",", header_line=1),
            ),
            options=options,
            staging=staging_prefix(dataset.name, arrival.short_id, token.run_id),
        )
        with connect(self.url) as conn:
            record_arrivals(conn, [arrival])
            self.claim(conn, opened)
            ledger.record_opened(conn, opened)
        return opened

    def claim(self, conn: psycopg.Connection, opened: OpenedUpload) -> None:
        """As the first ledger call of a run does."""
        claim(conn, opened.upload_id, opened.token, attempt=opened.attempt)

    def take_over(self, made: MadeUpload) -> MadeUpload:
        """The same upload, claimed by a newer run of a new attempt."""
        turn = next(TURNS)
        token = Token(float(turn), f"run-{turn}")
        opened = replace(made.opened, token=token, attempt=token.run_id)
        with connect(self.url) as conn:
            self.claim(conn, opened)
            ledger.record_opened(conn, opened)
        return replace(made, opened=opened)

    def stage(self, made: MadeUpload) -> tuple[StagedBatch, ...]:
        """Staging table and every batch."""
        with connect(self.url) as conn:
            create_staging_table(conn, made.opened, made.dataset)
        return tuple(
            stage_batch(self.url, c, made.opened, made.dataset, store=self.store) for c in made.checked
        )

    def publish(
        self, made: MadeUpload, staged: Sequence[StagedBatch], *, dry_run: bool = False
    ) -> PublishedUpload:
        """The publish step."""
        return publish_upload(
            self.url,
            made.opened,
            made.split,
            made.checked,
            staged,
            made.duplicates,
            made.dataset,
            store=self.store,
            dry_run=dry_run,
        )

    def load(self, made: MadeUpload, *, dry_run: bool = False) -> PublishedUpload:
        """Stage and publish."""
        return self.publish(made, self.stage(made), dry_run=dry_run)

    def state(self, made: MadeUpload) -> str:
        """The upload's state in the ledger."""
        return str(
            self.query("SELECT state FROM imports.uploads WHERE upload_id = %s", made.opened.upload_id)[0][0]
        )

    def _checked(
        self, dataset: Dataset, opened: OpenedUpload, number: int, rows: list[dict[str, Any]], rejected: range
    ) -> CheckedBatch:
        key = f"{opened.staging}clean/{number:04d}.parquet"
        self.store.put_table(key, pa.Table.from_pylist(rows, clean_schema(dataset)))
        rejects = f"{opened.staging}rejects/{number:04d}.parquet"
        self.store.put_table(rejects, pa.table({"_row_number": pa.array(rejected, pa.int64())}))
        read = len(rows) + len(rejected)
        return CheckedBatch(
            number, f"batch {number}", read, len(rows), len(rejected), key, "", rejects, "", {}, 0.0
        )

    def _targets(self, opened: OpenedUpload, corrects: Mapping[int, tuple[str, int]]) -> str:
        rows = [(n, *target) for n, target in sorted(corrects.items())]
        prefix = f"{opened.staging}{TARGETS}"
        for number, some in enumerate((rows[:1], rows[1:]), 1):
            columns = zip(*some, strict=True) if some else ((), (), ())
            table = pa.table(list(map(list, columns)), schema=TARGETS_SCHEMA)
            self.store.put_table(f"{prefix}{number:04d}.parquet", table)
        return prefix

    def _duplicates(
        self, dataset: Dataset, opened: OpenedUpload, rows: list[dict[str, Any]]
    ) -> FoundDuplicates:
        losers = losing_rows(dataset, rows) if dataset.key else {}
        if not losers:
            return FoundDuplicates("", 0, 0.0)
        key = f"{opened.staging}duplicates.parquet"
        found = pa.table({"_row_number": list(losers), "_winner_row_number": list(losers.values())})
        self.store.put_table(key, found)
        return FoundDuplicates(key, len(losers), 0.0)


def clean_schema(dataset: Dataset) -> pa.Schema:
    """Columns of a clean Parquet object."""
    extra = [("extra", pa.string())] if dataset.unknown_columns == "keep" else []
    return pa.schema(
        [("_row_number", pa.int64()), *((c.name, c.arrow_type) for c in dataset.columns), *extra]
    )


def losing_rows(dataset: Dataset, rows: list[dict[str, Any]]) -> dict[int, int]:
    """Row number of each row that loses inside the file, with its winner's."""
    by_key: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        by_key.setdefault(tuple(row[k] for k in dataset.key), []).append(row["_row_number"])
    winner = 0 if dataset.winner == "first" else -1
    return {n: ns[winner] for ns in by_key.values() for n in ns if n != ns[winner]}


def thing(code: str, name: str | None = None, **others: Any) -> dict[str, Any]:
    """A row of `things` with a value in every column."""
    return {
        "code": code,
        "place": "here",
        "name": name,
        "amount": Decimal("12.50"),
        "day": date(2026, 2, 1),
        "seen_at": datetime(2026, 2, 1, 10, 30, tzinfo=UTC),
        "active": True,
        "stock": 7,
        "extra": '{"b": 1, "a": "x"}',
    } | others


def at_once(*calls: Any) -> list[Any]:
    """Run all calls at the same moment in threads; a call's result or the error it raised."""
    results: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(index: int) -> None:
        barrier.wait()
        try:
            results[index] = calls[index]()
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
