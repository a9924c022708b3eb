"""Workbooks of the format ods: one XML part with all sheets (OpenDocument 1.3, part 3).

Errors, percentages and formulas without result are told by the cells themselves; dates are written out, so
there is no date system. What is not told: identifiers shown with leading zeros (their value is imported),
and merged ranges.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from xml.parsers import expat

from python_calamine import CalamineWorkbook, SheetVisibleEnum

from import_pipeline.flow.batches.spreadsheets.calamine import LoadedSheet, guarded, load
from import_pipeline.flow.batches.spreadsheets.heads import first_rows
from import_pipeline.flow.batches.spreadsheets.limits import (
    LAST_COLUMN,
    LAST_ROW,
    check_cells,
)
from import_pipeline.flow.batches.spreadsheets.listed import ListedSheet, SheetExtent
from import_pipeline.flow.batches.spreadsheets.marks import (
    ColumnMarks,
    ErrorValue,
    Meaning,
    Percent,
    no_result,
)
from import_pipeline.flow.batches.spreadsheets.package import Package, corrupt
from import_pipeline.flow.batches.spreadsheets.records_of_cells import SheetRecords
from import_pipeline.language import told

_CONTENT = "content.xml"
_CELLS = ("table:table-cell", "table:covered-table-cell")
_FORMULA_PREFIXES = ("of:", "oooc:", "msoxl:")


class OdsWorkbook:
    """An open document; see `workbooks.Workbook`. calamine loads all of its sheets at once."""

    def __init__(self, path: Path, package: Package):
        self._path, self._package, self._file = path, package, package.name
        if package.find(_CONTENT) is None:
            raise corrupt(self._file, told("its content is missing"))

    @cached_property
    def sheets(self) -> Sequence[ListedSheet]:
        """The sheets, once it is known that all of them may be loaded."""
        self._tables  # noqa: B018 - checks the limits
        with guarded(self._file):
            metadata = self._workbook.sheets_metadata
        return tuple(ListedSheet(s.name, s.visible == SheetVisibleEnum.Visible) for s in metadata)

    @cached_property
    def _workbook(self) -> CalamineWorkbook:
        return load(self._path, self._file)

    @cached_property
    def _tables(self) -> dict[str, SheetRecords]:
        """What the cells of each table tell beside their values."""
        reader = _Content(self._file)
        try:
            for chunk in self._package.xml_chunks(_CONTENT):
                reader.feed(chunk)
            reader.close()
        except (expat.ExpatError, ValueError) as error:
            raise corrupt(self._file, told("{part} is not written as a sheet is", part=_CONTENT)) from error
        total = 0
        for found in reader.tables.values():
            found.extent(self._file)
            if found.filled:
                total += (found.rows[1] + 1 - found.rows[0]) * (found.columns[1] + 1 - found.columns[0])
        check_cells(self._file, total)
        return reader.tables

    def heads(self, names: Sequence[str], rows: int) -> dict[str, list[list[str]]]:
        """The first rows of these sheets."""
        return {name: first_rows(self.load(name), rows) for name in names}

    def extent(self, sheet: str) -> SheetExtent:
        """How far a sheet reaches."""
        return self._tables.get(sheet, SheetRecords()).extent(self._file)

    def marks(self, sheet: str) -> dict[int, ColumnMarks]:
        """Errors, percentages and formulas without result."""
        return self._tables.get(sheet, SheetRecords()).marks.by_column()

    def load(self, sheet: str) -> LoadedSheet:
        """A sheet's values."""
        return LoadedSheet(self._workbook, sheet, self._file)


class _Content:
    """Follows the tables, rows and cells of a content.xml.

    Attributes:
        tables: by name.
    """

    def __init__(self, file: str):
        self._file = file
        self.tables: dict[str, SheetRecords] = {}
        self._table: SheetRecords | None = None
        self._row = self._column = 0
        self._row_repeats = self._repeats = 1
        self._cell: dict[str, str] | None = None
        self._filled = False
        self._text: list[str] = []
        self._waiting: list[tuple[int, int, Meaning | None]] = []
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self.feed = self._parser.Parse

    def close(self) -> None:
        """Say that nothing follows."""
        self._parser.Parse(b"", True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._cell is not None:
            self._filled = True
        elif name in _CELLS:
            self._cell, self._filled, self._text = attributes, False, []
            self._repeats = _repeats(attributes, "table:number-columns-repeated")
            if attributes.get("calcext:value-type") == "error":
                self._parser.CharacterDataHandler = self._text.append
        elif name == "table:table-row":
            self._row_repeats, self._column = _repeats(attributes, "table:number-rows-repeated"), 0
        elif name == "table:table":
            self._table = self.tables.setdefault(attributes.get("table:name", ""), SheetRecords())
            self._row = 0

    def _end(self, name: str) -> None:
        if name in _CELLS and self._cell is not None:
            filled = self._filled or any(key.startswith(("office:", "table:formula")) for key in self._cell)
            if filled:
                self._waiting.append((self._column, self._repeats, self._meaning(self._cell)))
            self._column += self._repeats
            self._cell, self._parser.CharacterDataHandler = None, None
        elif name == "table:table-row":
            self._end_row()

    def _end_row(self) -> None:
        for column, repeats, meaning in self._waiting:
            last_row, last_column = self._row + self._row_repeats - 1, column + repeats - 1
            if last_row >= LAST_ROW or last_column >= LAST_COLUMN:
                raise ValueError("a cell outside of the sheet")
            if self._table is not None:
                check_cells(self._file, self._row_repeats * repeats)
                self._table.block((self._row, last_row), (column, last_column), meaning)
        self._waiting = []
        self._row += self._row_repeats

    def _meaning(self, cell: dict[str, str]) -> Meaning | None:
        """What a cell says beyond its value."""
        kind = cell.get("office:value-type")
        if cell.get("calcext:value-type") == "error":
            return ErrorValue("".join(self._text).strip() or "#ERROR!")
        if kind is None and "table:formula" in cell:
            formula = cell["table:formula"]
            for prefix in _FORMULA_PREFIXES:
                formula = formula.removeprefix(prefix)
            return no_result(formula)
        return Percent() if kind == "percentage" else None


def _repeats(attributes: dict[str, str], key: str) -> int:
    number = int(attributes.get(key, "1"))
    if number < 1:
        raise ValueError("repeated less than once")
    return number
