"""Workbooks of the format xlsb: parts made of binary records (MS-XLSB).

Errors, percentages and identifiers shown with zeros are told by the records. What cannot be told: a
formula that was never calculated (the format always stores a result), and what a formula says.
"""

import posixpath
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from python_calamine import CalamineWorkbook

from import_pipeline.flow.batches.spreadsheets.calamine import LoadedSheet, load
from import_pipeline.flow.batches.spreadsheets.cells import first_rows
from import_pipeline.flow.batches.spreadsheets.limits import (
    LAST_COLUMN,
    LAST_ROW,
    MOST_CELLS,
    check_cells,
    too_large,
)
from import_pipeline.flow.batches.spreadsheets.listed import ListedSheet, SheetExtent
from import_pipeline.flow.batches.spreadsheets.marks import ColumnMarks, ErrorValue, Meaning
from import_pipeline.flow.batches.spreadsheets.package import Package, corrupt
from import_pipeline.flow.batches.spreadsheets.records_of_cells import (
    SheetRecords,
    error_text,
    special_formats,
)
from import_pipeline.flow.batches.spreadsheets.xlsx_parts import part_relations
from import_pipeline.language import told

# Record types of MS-XLSB 2.3.2.
_ROW, _BLANK, _RK, _ERROR, _REAL, _FORMULA_NUMBER, _FORMULA_ERROR = 0, 1, 2, 3, 5, 9, 11
_CELLS = frozenset({*range(2, 12), 62})
_NUMBERS = frozenset({_RK, _REAL, _FORMULA_NUMBER})
_STRING, _FORMAT, _CELL_FORMAT = 19, 44, 47
_BEGIN_STRINGS = 159
_SHEET, _MERGED, _BEGIN_CELL_FORMATS, _END_CELL_FORMATS = 156, 176, 617, 618
_PLACE, _RANGE = struct.Struct("<II"), struct.Struct("<IIII")
_LONGEST_RECORD = 64 * 1024 * 1024
_STYLE = 0xFFFFFF


def records(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Type and content of each record (MS-XLSB 2.1.4: both lengths are in units of seven bits).

    Raises:
        ValueError: the part ends within a record, or one is longer than 64 MB.
    """
    rest = b""
    for chunk in chunks:
        data, at = rest + chunk, 0
        while (found := _record(data, at)) is not None:
            kind, start, end = found
            if end > len(data):
                break
            yield kind, data[start:end]
            at = end
        rest = data[at:]
        if len(rest) > _LONGEST_RECORD:
            raise ValueError("a record too long")
    if rest:
        raise ValueError("half a record")


def _record(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Type, start and end of the record that begins here; None: its head is not there as a whole."""
    try:
        kind = data[at]
        at += 1
        if kind & 0x80:
            kind = kind & 0x7F | data[at] << 7 & 0x3F80
            at += 1
        size = shift = 0
        for _ in range(4):
            part = data[at]
            at += 1
            size |= (part & 0x7F) << shift
            shift += 7
            if not part & 0x80:
                break
    except IndexError:
        return None
    return kind, at, at + size


class XlsbWorkbook:
    """A workbook in binary parts; see `workbooks.Workbook`."""

    def __init__(self, path: Path, package: Package):
        self._path, self._package, self._file = path, package, package.name
        with self._records_expected("xl/workbook.bin"):
            self._parts = dict(self._listed())
        self.sheets = tuple(ListedSheet(name, visible) for name, (_, visible) in self._parts.items())
        self._read: dict[str, SheetRecords] = {}
        self._filled = 0

    @cached_property
    def _workbook(self) -> CalamineWorkbook:
        self._check_strings()
        return load(self._path, self._file)

    def heads(self, names: Sequence[str], rows: int) -> dict[str, list[list[str]]]:
        """The first rows of these sheets."""
        heads = {}
        for name in names:
            self._records(name).extent(self._file)
            heads[name] = first_rows(self.load(name), rows)
        return heads

    def extent(self, sheet: str) -> SheetExtent:
        """How far a sheet reaches."""
        found = self._records(sheet)
        self._filled += found.filled
        check_cells(self._file, self._filled)
        return found.extent(self._file)

    def marks(self, sheet: str) -> dict[int, ColumnMarks]:
        """Errors, percentages and shown zeros."""
        return self._records(sheet).marks.by_column()

    def load(self, sheet: str) -> LoadedSheet:
        """A sheet's values."""
        return LoadedSheet(self._workbook, sheet, self._file)

    def _listed(self) -> Iterator[tuple[str, tuple[str, bool]]]:
        """Name, part and visibility of each worksheet (BrtBundleSh)."""
        workbook = self._package.find("xl/workbook.bin")
        relations_part = self._package.find("xl/_rels/workbook.bin.rels")
        if workbook is None or relations_part is None:
            raise corrupt(self._file, told("the list of its sheets is missing"))
        relations = part_relations(self._package, relations_part, posixpath.dirname(workbook))
        for kind, content in self._all(workbook):
            if kind != _SHEET:
                continue
            relation, at = _wide_string(content, 8)
            name, _ = _wide_string(content, at)
            what, target = relations.get(relation, ("", ""))
            part = self._package.find(target) if what.endswith("/worksheet") else None
            if part is not None:
                yield name, (part, int.from_bytes(content[:4], "little") == 0)

    def _all(self, part: str) -> Iterator[tuple[int, bytes]]:
        return records(self._package.chunks(part))

    @contextmanager
    def _records_expected(self, part: str) -> Iterator[None]:
        """Refuse a part whose records are not what they should be."""
        try:
            yield
        except (ValueError, IndexError, struct.error) as error:
            raise corrupt(self._file, told("{part} is not made of records", part=part)) from error

    @cached_property
    def _formats(self) -> dict[int, Meaning]:
        with self._records_expected("xl/styles.bin"):
            return self._read_formats()

    def _read_formats(self) -> dict[int, Meaning]:
        part = self._package.find("xl/styles.bin")
        codes: dict[int, str] = {}
        cells: list[int] = []
        inside = False
        for kind, content in self._all(part) if part else ():
            if kind == _FORMAT:
                codes[int.from_bytes(content[:2], "little")] = _wide_string(content, 2)[0]
            elif kind in (_BEGIN_CELL_FORMATS, _END_CELL_FORMATS):
                inside = kind == _BEGIN_CELL_FORMATS
            elif kind == _CELL_FORMAT and inside:
                cells.append(int.from_bytes(content[2:4], "little"))
        return special_formats(cells, codes)

    def _records(self, sheet: str) -> SheetRecords:
        """One pass over a sheet: record by record, since nothing else tells where the next one begins."""
        if sheet not in self._read:
            part = self._parts[sheet][0]
            with self._records_expected(part):
                self._read[sheet] = self._sheet(part)
        return self._read[sheet]

    def _sheet(self, part: str) -> SheetRecords:
        found, row, formats = SheetRecords(), 0, self._formats
        for kind, content in self._all(part):
            if kind == _ROW:
                row = int.from_bytes(content[:4], "little")
            elif kind in _CELLS:
                column, style = _PLACE.unpack_from(content)
                if row >= LAST_ROW or column >= LAST_COLUMN:
                    raise corrupt(self._file, told("{part} has a cell outside of the sheet", part=part))
                meaning = formats.get(style & _STYLE) if kind in _NUMBERS else None
                if kind in (_ERROR, _FORMULA_ERROR):
                    meaning = ErrorValue(error_text(content[8]))
                found.cell(row, column, meaning)
            elif kind == _MERGED:
                first, last, _, _ = _RANGE.unpack_from(content)
                found.merged.append((first + 1, last + 1))
        return found

    def _check_strings(self) -> None:
        """Count the shared texts before they are loaded."""
        part = self._package.find("xl/sharedStrings.bin")
        with self._records_expected("xl/sharedStrings.bin"):
            count = announced = 0
            for kind, content in self._all(part) if part else ():
                count += kind == _STRING
                if kind == _BEGIN_STRINGS:
                    announced = int.from_bytes(content[4:8], "little")
            if announced > count:
                raise ValueError("fewer texts than announced")
        if count > MOST_CELLS:
            raise too_large(self._file, told("texts"), count, MOST_CELLS)


def _wide_string(content: bytes, at: int) -> tuple[str, int]:
    """A text with its length before it (XLWideString), and where it ends."""
    length = int.from_bytes(content[at : at + 4], "little")
    end = at + 4 + 2 * length
    if length == 0xFFFFFFFF:
        return "", at + 4
    if end > len(content):
        raise ValueError("half a text")
    return content[at + 4 : end].decode("utf-16-le", "replace"), end
