"""Batches made by hand for the tests of checking, and a dataset with a column of every type."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandera.pandas as pandera
import pyarrow as pa

from import_pipeline.catalog.dataset import Dataset, SenderOptions, column
from import_pipeline.catalog.types import Boolean, Date, Integer, Number, Text, Timestamp
from import_pipeline.flow.checks.checking import CheckedTable, check_table
from import_pipeline.language import Language
from import_pipeline.records import ColumnVerdict, Sheet

Cells = Sequence[str | None]


class Everything(pandera.DataFrameModel):
    code: Text = column(required=True)
    whole: Integer = column()
    amount: Number(10, 2) = column()
    day: Date = column()
    moment: Timestamp = column()
    flag: Boolean = column()


EVERYTHING = Dataset(name="everything", model=Everything, timezone="America/Sao_Paulo")


@dataclass(frozen=True)
class File:
    """What checking knows of a file."""

    header: tuple[str, ...]
    mapping: dict[str, int]
    unknown: tuple[int, ...] = field(default=())
    sheets: tuple[Sheet, ...] = ()


def file_of(dataset: Dataset, header: Sequence[str] | None = None) -> File:
    """A file whose header is the given one, else the dataset's column names."""
    names = tuple(header or (c.name for c in dataset.columns))
    declared = {c.name for c in dataset.columns}
    mapping = {name: position for position, name in enumerate(names) if name in declared}
    unknown = tuple(position for position, name in enumerate(names) if name not in declared)
    return File(names, mapping, unknown)


def batch_of(rows: Sequence[Cells], width: int, problems: dict[int, str] | None = None) -> pa.Table:
    """A batch of rows; numbers begin at 2, `problems` are by row number."""
    problems = problems or {}
    numbers = range(2, 2 + len(rows))
    columns: dict[str, Any] = {
        "_row_number": pa.array(numbers, pa.int64()),
        "_line": pa.array(numbers, pa.int64()),
        "_problem": pa.array([problems.get(n) for n in numbers], pa.string()),
        "_overflow": pa.nulls(len(rows), pa.string()),
    }
    for position in range(width):
        columns[f"c{position}"] = pa.array([row[position] for row in rows], pa.string())
    return pa.table(columns)


def check(
    dataset: Dataset,
    rows: Sequence[Cells],
    *,
    header: Sequence[str] | None = None,
    readings: dict[str, str | None] | None = None,
    problems: dict[int, str] | None = None,
    options: SenderOptions | None = None,
    language: Language = "en",
) -> CheckedTable:
    """Check rows; `readings` are the file's verdicts by column."""
    file = file_of(dataset, header)
    verdicts = [ColumnVerdict(c, "decimal", r, "evidence") for c, r in (readings or {}).items()]
    table = batch_of(rows, len(file.header), problems)
    return check_table(table, file, verdicts, dataset, options=options or SenderOptions(), language=language)


def check_of_kinds(
    dataset: Dataset,
    rows: Sequence[Cells],
    cell_kinds: Sequence[Sequence[int | None]],
    *,
    header: Sequence[str],
    readings: dict[str, str | None] | None = None,
    sheets: Sequence[str] = (),
    numbers: Sequence[int] | None = None,
) -> CheckedTable:
    """Check rows of a format with types; `cell_kinds` are those of the cells, by row."""
    file = replace(file_of(dataset, header), sheets=tuple(Sheet(name, 1, ()) for name in sheets))
    verdicts = [ColumnVerdict(c, "decimal", r, "evidence") for c, r in (readings or {}).items()]
    table = batch_of(rows, len(file.header))
    if numbers is not None:
        table = table.set_column(0, "_row_number", pa.array(numbers, pa.int64()))
    for position in range(len(file.header)):
        column_kinds = pa.array([row[position] for row in cell_kinds], pa.int8())
        table = table.append_column(f"k{position}", column_kinds)
    return check_table(table, file, verdicts, dataset)


def check_column(
    name: str, cells: Cells, reading: str | None = None, dataset: Dataset = EVERYTHING
) -> CheckedTable:
    """Check rows that have a code and one other column."""
    rows = [(f"k{n}", cell) for n, cell in enumerate(cells)]
    return check(dataset, rows, header=("code", name), readings={name: reading})


def told(checked: CheckedTable) -> list[list[Any]]:
    """The errors as `[row, column, code]`."""
    rows = checked.errors.select(["row_number", "column", "code"]).to_pylist()
    return [[r["row_number"], r["column"], r["code"]] for r in rows]
