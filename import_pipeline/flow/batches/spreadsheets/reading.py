"""The rows of a workbook, sheet after sheet, as the columns of batches.

A sheet's values are in memory as calamine holds them; Python objects and Arrow columns exist for some
thousand rows at a time. Row numbers are those that the spreadsheet program shows.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.batches.columns.evidence import WHITE_SPACE
from import_pipeline.flow.batches.columns.headers import OUR_COLUMNS
from import_pipeline.flow.batches.ignoring import LISTED, IgnoredRows
from import_pipeline.flow.batches.kinds import NO_RESULT, TEXT, batch_schema
from import_pipeline.flow.batches.sealing import take_seals
from import_pipeline.flow.batches.sources.source import Source, spooled
from import_pipeline.flow.batches.spreadsheets.cells import Kinds, column_cells, doubtful_dates
from import_pipeline.flow.batches.spreadsheets.listed import SheetValues
from import_pipeline.flow.batches.spreadsheets.marks import ColumnMarks
from import_pipeline.flow.batches.spreadsheets.workbooks import Workbook, opened_workbook
from import_pipeline.formula_guard import unguard_equals
from import_pipeline.records import IgnoredRow, InspectedFile, LineCount, Sheet
from import_pipeline.row_numbers import row_number

# Cells and rows turned at once: what Python objects exist at a time.
_CELLS_AT_ONCE, _ROWS_AT_ONCE = 1_000_000, 16_384
# Rows that are objects at the same time. Fewer than the 700 that make Python look for garbage: with all of
# a table's rows at once it would look through all of them again and again, a third of the reading time.
_ROWS_HELD = 512
BETWEEN_CELLS = "\t"


class WorkbookReader:
    """Reads a workbook once; its counts are complete when `tables` is exhausted.

    Attributes:
        rows: rows given out so far.
        bytes_done: the share of the source's bytes that the sheets and rows read so far stand for.
        lines: all 0, since a workbook has no lines.
    """

    def __init__(self, source: Source, inspected: InspectedFile, dataset: Dataset):
        self._source, self._inspected, self._dataset = source, inspected, dataset
        self._ignoring = [IgnoredRows(dataset, self._header_of(sheet)) for sheet in inspected.sheets]
        self.rows = self.bytes_done = 0
        self.lines = LineCount()

    @property
    def ignored(self) -> list[IgnoredRow]:
        """The first rows that are no data."""
        return list(chain.from_iterable(one.listed for one in self._ignoring))[:LISTED]

    @property
    def ignored_rows(self) -> int:
        """All rows that are no data."""
        return sum(one.count for one in self._ignoring)

    def tables(self) -> Iterator[pa.Table]:
        """The rows in order, in tables with the columns of a batch; a table may be empty.

        Raises:
            CorruptFile: a sheet cannot be read.
        """
        name, size, sheets = self._source.name, self._source.size, self._inspected.sheets
        with (
            spooled(self._source) as path,
            opened_workbook(path, name, self._inspected.format) as workbook,
        ):
            for index, sheet in enumerate(sheets):
                for table, share in self._sheet(workbook, index, sheet):
                    self.rows += table.num_rows
                    self.bytes_done = int(size * (index + share) / len(sheets))
                    yield table
        self.bytes_done = size

    def _header_of(self, sheet: Sheet) -> list[str]:
        """The upload's header as far as the sheet has it; empty where it lacks a column, or a header."""
        if sheet.header_row == 0:
            return []
        own = set(sheet.columns)
        return [cell if at in own else "" for at, cell in enumerate(self._inspected.header)]

    def _sheet(self, workbook: Workbook, index: int, sheet: Sheet) -> Iterator[tuple[pa.Table, float]]:
        """Tables of one sheet, each with the share of its rows that are done."""
        marks = workbook.marks(sheet.name) if sheet.marked else {}
        loaded = workbook.load(sheet.name)
        last = max((int(column.rows[-1]) for column in marks.values()), default=0)
        width = max(loaded.first_column + loaded.width, max(marks, default=0) + 1)
        step = max(min(_ROWS_AT_ONCE, _CELLS_AT_ONCE // width), 1)
        rows = _padded(loaded, last)
        for _ in islice(rows, sheet.header_row):
            pass
        first, end = sheet.header_row + 1, max(loaded.last_row, last)
        while first <= end:
            values, count = _by_column(rows, step, loaded.width)
            if not count:
                break
            by_column = dict(enumerate(values, loaded.first_column))
            table = self._table(by_column, count, marks, index, first)
            first += count
            yield table, min(first / (end + 1), 1.0)

    def _table(
        self,
        by_column: dict[int, list[Any]],
        count: int,
        marks: dict[int, ColumnMarks],
        index: int,
        first_row: int,
    ) -> pa.Table:
        """Consecutive rows of a sheet without those that are blank or no data."""
        sheet = self._inspected.sheets[index]
        width = len(self._inspected.header)
        columns: list[tuple[Any, Kinds] | None] = [None] * width
        filled = np.zeros(count, bool)
        named = len(sheet.columns)
        for at in sorted(at for at in by_column.keys() | marks.keys() if at < named):
            text, found = column_cells(by_column.get(at) or [""] * count, marks.get(at), first_row)
            if self._inspected.format != "ods":
                text, found = doubtful_dates(text, found)
            columns[sheet.columns[at]] = (text, found)
            if not filled.all():
                filled |= (found != 0) | _not_blank(text)
        beyond = _beyond(by_column, count, named, marks, first_row)
        for has_cell, _ in beyond:
            filled |= has_cell
        return self._batch(columns, beyond, filled, index, first_row)

    def _batch(
        self,
        columns: Sequence[tuple[Any, Kinds] | None],
        beyond: Sequence[tuple[npt.NDArray[np.bool_], Any]],
        filled: npt.NDArray[np.bool_],
        index: int,
        first_row: int,
    ) -> pa.Table:
        sheet, count = self._inspected.sheets[index], len(filled)
        lines = np.arange(first_row, first_row + count, dtype=np.int64)
        problems, overflow = _too_many(beyond, count)
        own = set(sheet.columns)
        empty, absent = pa.repeat(pa.scalar(""), count), pa.nulls(count, pa.string())
        no_kinds = np.zeros(count, np.int8)
        text = [c[0] if c else empty for c in columns]
        kinds = [pa.array(c[1] if c else no_kinds) for c in columns]
        place = [pa.array(lines + row_number(index, 0)), pa.array(lines), problems, overflow]
        schema = batch_schema(len(columns), range(len(columns)))
        whole = pa.Table.from_arrays([*place, *text, *kinds], schema=schema)
        kept = whole if filled.all() else whole.filter(pa.array(filled))
        ignored = self._ignoring[index].masks(kept)
        if ignored.any():
            kept = kept.filter(pa.array(~ignored))
        for at in range(len(columns)):
            if at not in own:
                kept = kept.set_column(4 + at, schema.field(4 + at), absent.slice(0, kept.num_rows))
        return self._of_ours(kept) if self._inspected.ours else kept

    def _of_ours(self, table: pa.Table) -> pa.Table:
        """Rows that we handed back as they were: formulas without result, and what seals say."""
        columns = len(self._inspected.header)
        for at in range(columns - len(OUR_COLUMNS)):
            text, found = table[f"c{at}"].combine_chunks(), table[f"k{at}"].combine_chunks()
            equals = pc.and_(pc.equal(found, TEXT), pc.fill_null(pc.starts_with(text, "="), False))
            found = pc.if_else(equals, pa.scalar(NO_RESULT, pa.int8()), found)
            table = table.set_column(table.column_names.index(f"k{at}"), f"k{at}", found)
            table = table.set_column(table.column_names.index(f"c{at}"), f"c{at}", unguard_equals(text))
        return take_seals(table, columns)


def _padded(loaded: SheetValues, last: int) -> Iterator[Sequence[Any]]:
    """The sheet's rows, and empty ones up to the last marked row: calamine ends at the last value."""
    blank = [""] * loaded.width
    return chain(loaded.rows(), (blank for _ in range(loaded.last_row, last)))


def _by_column(rows: Iterator[Sequence[Any]], most: int, width: int) -> tuple[list[list[Any]], int]:
    """The next rows by column, and how many there are."""
    columns: list[list[Any]] = [[] for _ in range(width)]
    count = 0
    while count < most and (some := list(islice(rows, min(_ROWS_HELD, most - count)))):
        count += len(some)
        for column, part in zip(columns, zip(*some, strict=True), strict=True):
            column.extend(part)
    return columns, count


def _beyond(
    by_column: dict[int, list[Any]],
    count: int,
    named: int,
    marks: dict[int, ColumnMarks],
    first_row: int,
) -> list[tuple[npt.NDArray[np.bool_], Any]]:
    """Columns behind the header that have a cell in these rows: where they have one, and its text."""
    filled = {at for at, column in by_column.items() if at >= named and column.count("") < count}
    found = []
    for at in sorted(filled | {at for at in marks if at >= named}):
        text, kinds = column_cells(by_column.get(at) or [""] * count, marks.get(at), first_row)
        has_cell = (kinds != 0) | _not_blank(text)
        if has_cell.any():
            found.append((has_cell, text))
    return found


def _not_blank(text: Any) -> npt.NDArray[np.bool_]:
    """Which texts have more than white space."""
    some = np.asarray(pc.not_equal(text, ""))
    if not some.any():
        return some
    return np.asarray(pc.not_equal(pc.utf8_trim(text, WHITE_SPACE), ""))


def _too_many(beyond: Sequence[tuple[npt.NDArray[np.bool_], Any]], count: int) -> tuple[Any, Any]:
    """Problem and overflow of rows with cells beyond the header."""
    nothing = pa.nulls(count, pa.string())
    if not beyond:
        return nothing, nothing
    longer = np.logical_or.reduce([has_cell for has_cell, _ in beyond])
    problem = pc.if_else(pa.array(longer), pa.repeat(pa.scalar("too_many_cells"), count), nothing)
    # Row by row: such rows are few, and each has its own number of cells.
    rows = zip(*(text.filter(pa.array(longer)).to_pylist() for _, text in beyond), strict=True)
    joined = [BETWEEN_CELLS.join(cell for cell in row if cell) for row in rows]
    return problem, pc.replace_with_mask(nothing, pa.array(longer), pa.array(joined, pa.string()))
