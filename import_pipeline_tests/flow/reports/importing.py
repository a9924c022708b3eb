"""Run a file through reading, checking and the search for duplicates, as far as a report needs it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandera.pandas as pandera
import pyarrow as pa

from import_pipeline.catalog.dataset import Dataset, SenderOptions, column
from import_pipeline.catalog.types import Integer, Text
from import_pipeline.flow.batches.opening import inspect_file
from import_pipeline.flow.batches.sources.source import FileSource
from import_pipeline.flow.batches.splitting import split_file
from import_pipeline.flow.checks.checking import check_batch
from import_pipeline.flow.duplicates.finding import find_duplicates
from import_pipeline.flow.reports.writing import WrittenReport, write_reports
from import_pipeline.records import (
    CheckedBatch,
    Counts,
    FoundDuplicates,
    ListedObject,
    OpenedUpload,
    PublishedUpload,
    SplitUpload,
    Token,
)
from import_pipeline.storage.store import LocalStore, Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAGING = "staging/people/0123456789ab/attempt1/"
UPLOAD = "acme/people.csv@0123456789ab"


class Person(pandera.DataFrameModel):
    """A required number makes any row a reject; names and phones are personal, cities are not."""

    code: Integer = column("Código", required=True, ge=0)
    name: Text = column("Nome", personal=True)
    phone: Text = column("Telefone", personal=True)
    city: Text = column("Cidade")


PEOPLE = Dataset("people", Person, key=("code",), unknown_columns="keep", maximum_reject_share=1.0)

KEYLESS = replace(PEOPLE, key=())


@dataclass(frozen=True)
class Checked:
    """A file up to its publishing."""

    store: LocalStore
    opened: OpenedUpload
    split: SplitUpload
    checked: Sequence[CheckedBatch]
    duplicates: FoundDuplicates
    dataset: Dataset

    def published(self, *, in_table: int = 0, more_duplicates: int = 0, **changes: Any) -> PublishedUpload:
        """What publishing would say: `in_table` valid rows rejected, all others inserted."""
        rejected = sum(c.rejected for c in self.checked) + in_table
        duplicate = self.duplicates.rows + more_duplicates
        inserted = self.split.read - rejected - duplicate
        counts = Counts(self.split.read, inserted, 0, 0, duplicate, rejected)
        state = "completed_with_rejects" if rejected else "completed"
        facts = {
            "state": state, "counts": counts, "duplicates": {}, "outcomes_table": "", "duplicate_of": None,
            "published_at": NOON, "seconds": 0.5,
        }  # fmt: skip
        return PublishedUpload(**(facts | changes))

    def report(self, target: Store | None = None, **arguments: Any) -> WrittenReport:
        """Write its report."""
        published = arguments.pop("published", None) or self.published()
        return write_reports(
            self.store, self.opened, self.split, self.checked, published,
            duplicates=self.duplicates, dataset=self.dataset, target=target, **arguments,
        )  # fmt: skip


def check_file(
    content: bytes,
    folder: Path,
    dataset: Dataset = PEOPLE,
    *,
    options: SenderOptions | None = None,
    rows_per_batch: int | None = None,
) -> Checked:
    """Read and check a file, everything real but the bucket."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "people.csv"
    path.write_bytes(content)
    options = options or SenderOptions()
    store, source = LocalStore(folder / "store"), FileSource(path)
    inspected = inspect_file(source, dataset, options, rows_per_batch=rows_per_batch)
    split = split_file(source, inspected, dataset, options=options, store=store, staging=STAGING)
    checked = [
        check_batch(b, inspected, split.verdicts, dataset, options=options, store=store, staging=STAGING)
        for b in split.batches
    ]
    keys = [c.keys_key for c in checked if c.keys_key]
    duplicates = FoundDuplicates("", 0, 0.0)
    if keys:
        duplicates = find_duplicates(keys, dataset, store=store, staging=STAGING, memory_limit="100MB")
    opened = OpenedUpload(
        upload_id=UPLOAD, short_id="0123456789ab", identity="0123456789ab", workspace="acme",
        dataset=dataset.name, fingerprint=dataset.fingerprint, attempt="attempt1", token=Token(1.0, "r"),
        source=ListedObject("b", "uploads/acme/people/people.csv", "e", len(content), NOON), source_time=NOON,
        file_name="people.csv", options=options, staging=STAGING, file=inspected,
    )  # fmt: skip
    return Checked(store, opened, split, checked, duplicates, dataset)


def cells_of(checked: Checked) -> list[list[str]]:
    """The cells of every row as they were read, without ours, missing ones empty."""
    columns = len(checked.opened.file.header) - 3 * checked.opened.file.ours
    tables = [checked.store.get_table(b.key) for b in checked.split.batches]
    table = pa.concat_tables(tables) if tables else pa.table({f"c{i}": [] for i in range(columns)})
    return [[row[f"c{i}"] or "" for i in range(columns)] for row in table.to_pylist()]
