"""Workbooks of the format ods: one XML part with all sheets.

Its cells tell everything themselves (errors, percentages, formulas without result, dates written out), so
nothing is marked afterwards, and rows are read as they are asked for. What is not told: identifiers shown
with leading zeros (their value is imported).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Any
from xml.parsers import expat

from import_pipeline.flow.batches.spreadsheets.cells import first_rows
from import_pipeline.flow.batches.spreadsheets.content_xml import ContentReader, ContentRow
from import_pipeline.flow.batches.spreadsheets.limits import check_cells
from import_pipeline.flow.batches.spreadsheets.listed import ListedSheet, SheetExtent
from import_pipeline.flow.batches.spreadsheets.marks import ColumnMarks
from import_pipeline.flow.batches.spreadsheets.package import Package, corrupt
from import_pipeline.language import told

_CONTENT = "content.xml"
_BYTES_OF_A_CELL = 12
_MOST_MERGED = 10_000


@dataclass
class _Survey:
    """What one pass finds out about a sheet.

    Attributes:
        rows, columns: of its filled cells, each the first and the last, from 0.
        merged: first and last row of merged ranges, the first 10,000.
    """

    style: str
    filled: int = 0
    rows: tuple[int, int] = (1 << 30, -1)
    columns: tuple[int, int] = (1 << 30, -1)
    merged: list[tuple[int, int]] = field(default_factory=list)

    def add(self, found: ContentRow) -> None:
        """Take note of a row."""
        first, (last, repeats, _) = found.cells[0][0], found.cells[-1]
        self.rows = (min(self.rows[0], found.row), max(self.rows[1], found.row + found.repeats - 1))
        self.columns = (min(self.columns[0], first), max(self.columns[1], last + repeats - 1))
        self.filled += found.repeats * sum(many for _, many, _ in found.cells)

    def add_merged(self, first: int, last: int) -> None:
        """Take note of a merged range."""
        if len(self.merged) < _MOST_MERGED:
            self.merged.append((first, last))

    @property
    def cells(self) -> int:
        """Cells between the first and the last filled one."""
        if not self.filled:
            return 0
        return (self.rows[1] + 1 - self.rows[0]) * (self.columns[1] + 1 - self.columns[0])


class OdsWorkbook:
    """An open document; see `workbooks.Workbook`."""

    def __init__(self, path: Path, package: Package):
        self._package, self._file = package, package.name
        if package.find(_CONTENT) is None:
            raise corrupt(self._file, told("its content is missing"))
        self._hidden: frozenset[str] = frozenset()
        self._cells = 0

    @cached_property
    def sheets(self) -> Sequence[ListedSheet]:
        """The sheets in their order."""
        tables = self._tables
        return tuple(ListedSheet(name, found.style not in self._hidden) for name, found in tables.items())

    @cached_property
    def _tables(self) -> dict[str, _Survey]:
        """How far each sheet reaches, by a pass over all of them."""
        tables: dict[str, _Survey] = {}
        current = _Survey("")

        def begin(name: str, style: str) -> None:
            nonlocal current
            current = tables.setdefault(name, _Survey(style))

        def add(row: ContentRow) -> None:
            current.add(row)

        def add_merged(first: int, last: int) -> None:
            current.add_merged(first, last)

        reader = ContentReader(begin, add, add_merged)
        with self._sheets_expected():
            for chunk in self._package.xml_chunks(_CONTENT):
                reader.feed(chunk)
            reader.close()
        self._hidden = frozenset(reader.hidden)
        return tables

    def heads(self, names: Sequence[str], rows: int) -> dict[str, list[list[str]]]:
        """The first rows of these sheets."""
        return {name: first_rows(self.load(name), rows) for name in names}

    def extent(self, sheet: str) -> SheetExtent:
        """How far a sheet reaches."""
        found = self._tables[sheet]
        self._cells += found.cells
        check_cells(self._file, self._cells)
        return SheetExtent(found.rows[1] + 1, False, tuple(found.merged), found.filled * _BYTES_OF_A_CELL)

    def marks(self, sheet: str) -> dict[int, ColumnMarks]:
        """Nothing: the values tell it themselves."""
        return {}

    def load(self, sheet: str) -> "OdsSheet":
        """A sheet's values."""
        found = self._tables[sheet]
        check_cells(self._file, found.cells)
        return OdsSheet(self, sheet, found)

    def rows_of(self, sheet: str) -> Iterator[ContentRow]:
        """The filled rows of a sheet, as its text is unpacked."""
        waiting: list[ContentRow] = []
        wanted = reached = False

        def begin(name: str, _style: str) -> None:
            nonlocal wanted, reached
            reached = reached or wanted
            wanted = name == sheet and not reached

        reader = ContentReader(begin, lambda row: waiting.append(row) if wanted else None)
        with self._sheets_expected():
            for chunk in self._package.xml_chunks(_CONTENT):
                reader.feed(chunk)
                yield from waiting
                waiting.clear()
                if reached:
                    return

    @contextmanager
    def _sheets_expected(self) -> Iterator[None]:
        try:
            yield
        except (expat.ExpatError, ValueError) as error:
            raise corrupt(self._file, told("{part} is not written as a sheet is", part=_CONTENT)) from error


class OdsSheet:
    """The values of one sheet, unpacked as they are read; see `listed.SheetValues`."""

    def __init__(self, workbook: OdsWorkbook, name: str, found: _Survey):
        self._workbook, self._name = workbook, name
        self.first_column = found.columns[0] if found.filled else 0
        self.width = found.columns[1] + 1 - found.columns[0] if found.filled else 0
        self.last_row = found.rows[1] + 1

    def rows(self) -> Iterator[list[Any]]:
        """Every row from the sheet's first one on; an empty cell is the empty text."""
        blank, next_row, before = [""] * self.width, 0, self.first_column
        for found in self._workbook.rows_of(self._name) if self.last_row else ():
            yield from repeat(blank, found.row - next_row)
            row = blank.copy()
            for column, repeats, value in found.cells:
                if repeats == 1:
                    row[column - before] = value
                else:
                    row[column - before : column - before + repeats] = [value] * repeats
            yield from repeat(row, found.repeats)
            next_row = found.row + found.repeats
