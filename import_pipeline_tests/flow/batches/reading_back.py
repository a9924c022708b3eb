"""Helpers of these tests: a source over bytes, small datasets, and reading all batches back."""

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import pandera.pandas as pandera

from import_pipeline.catalog.dataset import Dataset, SenderOptions, column
from import_pipeline.catalog.types import Date, Integer, Number, Text
from import_pipeline.flow.batches.opening import inspect_file
from import_pipeline.flow.batches.splitting import split_file
from import_pipeline.records import InspectedFile, SplitUpload
from import_pipeline.storage.store import LocalStore

NOTHING_STATED = SenderOptions()


@dataclass(frozen=True)
class BytesSource:
    """A source over bytes at hand, in chunks of any size."""

    data: bytes
    chunk_bytes: int = 8 * 1024 * 1024
    name: str = "people.csv"

    @property
    def size(self) -> int:
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        for start in range(0, len(self.data), self.chunk_bytes):
            yield self.data[start : start + self.chunk_bytes]

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


class People(pandera.DataFrameModel):
    name: Text = column("Nome", "Nome completo", required=True)
    city: Text = column("Cidade")
    amount: Number(14, 2) = column("Valor")
    born: Date = column("Nascimento")
    children: Integer = column("Filhos")


PEOPLE = Dataset(name="people", model=People)


def people(**policies: Any) -> Dataset:
    return replace(PEOPLE, **policies)


@dataclass(frozen=True)
class ReadBack:
    """What came of a file: its inspection, its split, and all rows of all batches in order."""

    inspected: InspectedFile
    split: SplitUpload
    rows: list[dict[str, Any]]

    @property
    def cells(self) -> list[list[str | None]]:
        return [[row[f"c{p}"] for p in range(len(self.inspected.header))] for row in self.rows]

    @property
    def numbers(self) -> list[int]:
        return [row["_row_number"] for row in self.rows]

    @property
    def problems(self) -> list[tuple[int, str]]:
        return [(row["_row_number"], row["_problem"]) for row in self.rows if row["_problem"]]


def inspect(data: bytes, dataset: Dataset = PEOPLE, **options: Any) -> InspectedFile:
    return inspect_file(BytesSource(data), dataset, SenderOptions(**options))


def read_back(
    data: bytes,
    dataset: Dataset = PEOPLE,
    options: SenderOptions = NOTHING_STATED,
    *,
    chunk_bytes: int = 8 * 1024 * 1024,
    rows_per_batch: int | None = None,
    name: str = "people.csv",
) -> ReadBack:
    source = BytesSource(data, chunk_bytes, name)
    inspected = inspect_file(source, dataset, options, rows_per_batch=rows_per_batch)
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(Path(folder))
        split = split_file(source, inspected, dataset, options=options, store=store, staging="staging/")
        rows = [row for batch in split.batches for row in store.get_table(batch.key).to_pylist()]
    return ReadBack(inspected, split, rows)
