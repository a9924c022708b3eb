"""Workbooks of the format xls: binary records in a stream of an OLE2 file (MS-XLS, MS-CFB).

Errors, percentages, identifiers shown with zeros, and formulas left to be calculated later are told by the
records. What cannot be told: what such a formula says; and that a formula was never calculated, where the
program that wrote it says that it gives the empty text. calamine loads all sheets of an xls at once.
"""

import io
import struct
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from python_calamine import CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from import_pipeline.flow.batches.recognising.containers import encrypted
from import_pipeline.flow.batches.spreadsheets.calamine import LoadedSheet, guarded, load
from import_pipeline.flow.batches.spreadsheets.cells import first_rows
from import_pipeline.flow.batches.spreadsheets.limits import check_cells
from import_pipeline.flow.batches.spreadsheets.listed import ListedSheet, SheetExtent
from import_pipeline.flow.batches.spreadsheets.marks import ColumnMarks, ErrorValue, Meaning, no_result
from import_pipeline.flow.batches.spreadsheets.ole2 import as_ole2, workbook_stream
from import_pipeline.flow.batches.spreadsheets.package import corrupt
from import_pipeline.flow.batches.spreadsheets.records_of_cells import (
    SheetRecords,
    error_text,
    special_formats,
)
from import_pipeline.language import told

# Record types of MS-XLS 2.3.
_FORMULA, _END, _FILE_PASS, _SHEET, _MERGED, _CELL_FORMAT, _FORMAT, _BEGIN = (
    0x0006, 0x000A, 0x002F, 0x0085, 0x00E5, 0x00E0, 0x041E, 0x0809,
)  # fmt: skip
_MANY_RK, _LABEL_SHARED, _NUMBER, _LABEL, _BOOL_OR_ERROR, _RK, _RICH_LABEL = (
    0x00BD, 0x00FD, 0x0203, 0x0204, 0x0205, 0x027E, 0x00D6,
)  # fmt: skip
_DIMENSIONS, _SHARED_TEXTS = 0x0200, 0x00FC
_CELLS = frozenset({_FORMULA, _LABEL_SHARED, _NUMBER, _LABEL, _BOOL_OR_ERROR, _RK, _RICH_LABEL})
_HEAD, _CELL = struct.Struct("<HH"), struct.Struct("<HHH")
_CALCULATE_ON_LOAD = 0x0002
_BIFF_8 = 0x0600
_ROWS, _COLUMNS, _WIDE_DIMENSIONS = 65_536, 256, 14
_NO_NUMBER, _IS_ERROR, _IS_EMPTY = b"\xff\xff", 2, 3


class XlsWorkbook:
    """A workbook of the 1997 format; see `workbooks.Workbook`."""

    def __init__(self, path: Path, file: str):
        self._path, self._file = path, file

    @cached_property
    def sheets(self) -> Sequence[ListedSheet]:
        """The sheets, once it is known that all of them may be loaded."""
        self._sheets  # noqa: B018 - checks the limits
        with guarded(self._file):
            metadata = self._workbook.sheets_metadata
        return tuple(
            ListedSheet(sheet.name, sheet.visible == SheetVisibleEnum.Visible)
            for sheet in metadata
            if sheet.typ == SheetTypeEnum.WorkSheet
        )

    @cached_property
    def _stream(self) -> bytes:
        try:
            return workbook_stream(self._path, self._file)
        except (struct.error, IndexError, ValueError) as error:
            raise corrupt(self._file, told("its tables are broken")) from error

    @cached_property
    def _workbook(self) -> CalamineWorkbook:
        return load(io.BytesIO(as_ole2(self._stream, self._file)), self._file)

    def heads(self, names: Sequence[str], rows: int) -> dict[str, list[list[str]]]:
        """The first rows of these sheets."""
        return {name: first_rows(self.load(name), rows) for name in names}

    def extent(self, sheet: str) -> SheetExtent:
        """How far a sheet reaches."""
        return self._records(sheet).extent(self._file)

    def marks(self, sheet: str) -> dict[int, ColumnMarks]:
        """Errors, percentages, shown zeros and formulas without result."""
        return self._records(sheet).marks.by_column()

    def load(self, sheet: str) -> LoadedSheet:
        """A sheet's values."""
        return LoadedSheet(self._workbook, sheet, self._file)

    def _records(self, sheet: str) -> SheetRecords:
        return self._sheets.get(sheet, SheetRecords())

    @cached_property
    def _sheets(self) -> dict[str, SheetRecords]:
        """What the records of each sheet tell beside its values."""
        try:
            stream = self._stream
            offsets, formats = self._globals(stream)
            by_offset = {offset: _sheet(stream, offset, formats) for offset in set(offsets.values())}
        except (struct.error, IndexError, ValueError) as error:
            raise corrupt(self._file, told("its records are broken")) from error
        total = 0
        for found in by_offset.values():
            found.extent(self._file)
            if found.filled:
                total += (found.rows[1] + 1 - found.rows[0]) * (found.columns[1] + 1 - found.columns[0])
        check_cells(self._file, total)
        return {name: by_offset[offset] for name, offset in offsets.items()}

    def _globals(self, stream: bytes) -> tuple[dict[str, int], dict[int, Meaning]]:
        """Where each sheet begins, and the cell formats that say more than the number."""
        offsets: dict[str, int] = {}
        codes: dict[int, str] = {}
        cells: list[int] = []
        old = int.from_bytes(stream[4:6], "little") < _BIFF_8
        for kind, content in _records_from(stream, 0):
            if kind == _FILE_PASS:
                raise encrypted(self._file)
            if kind == _SHEET:
                offsets[_text(content, 6, 1, old)] = int.from_bytes(content[:4], "little")
            elif kind == _SHARED_TEXTS and int.from_bytes(content[4:8], "little") > len(stream):
                raise ValueError("more texts than bytes")
            elif kind == _FORMAT:
                codes[int.from_bytes(content[:2], "little")] = _text(content, 2, 1 if old else 2, old)
            elif kind == _CELL_FORMAT:
                cells.append(int.from_bytes(content[2:4], "little"))
        return offsets, special_formats(cells, codes)


def _records_from(stream: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """The records of one substream, up to its end; record by record, since each tells where the next is."""
    depth = 0
    while at + _HEAD.size <= len(stream):
        kind, size = _HEAD.unpack_from(stream, at)
        at += _HEAD.size
        if kind == _BEGIN:
            depth += 1
        elif kind == _END:
            depth -= 1
            if depth <= 0:
                return
        elif depth <= 1:
            yield kind, stream[at : at + size]
        at += size


def _sheet(stream: bytes, offset: int, formats: dict[int, Meaning]) -> SheetRecords:
    found = SheetRecords()
    for kind, content in _records_from(stream, offset):
        if kind in _CELLS:
            row, column, style = _CELL.unpack_from(content)
            if column >= _COLUMNS:
                raise ValueError("a cell outside of the sheet")
            found.cell(row, column, _meaning(kind, content, formats.get(style)))
        elif kind == _DIMENSIONS:
            _check_dimensions(content)
        elif kind == _MANY_RK:
            row, first = _HEAD.unpack_from(content)
            if first + (len(content) - 6) // 6 > _COLUMNS:
                raise ValueError("a cell outside of the sheet")
            for at in range(4, len(content) - 7, 6):
                style = int.from_bytes(content[at : at + 2], "little")
                found.cell(row, first + (at - 4) // 6, formats.get(style))
        elif kind == _MERGED:
            for at in range(2, len(content) - 7, 8):
                top, bottom = _HEAD.unpack_from(content, at)
                found.merged.append((top + 1, bottom + 1))
    return found


def _check_dimensions(content: bytes) -> None:
    """calamine takes memory for as many cells as are announced here."""
    if len(content) >= _WIDE_DIMENSIONS:
        first, last, left, right = struct.unpack_from("<IIHH", content)
    else:
        first, last, left, right = struct.unpack_from("<HHHH", content)
    if not (first <= last <= _ROWS and left <= right <= _COLUMNS):
        raise ValueError("a sheet too large")


def _meaning(kind: int, content: bytes, special: Meaning | None) -> Meaning | None:
    """What a cell's record says beyond its value."""
    if kind == _BOOL_OR_ERROR:
        return ErrorValue(error_text(content[6])) if content[7] else None
    if kind == _FORMULA:
        later = int.from_bytes(content[14:16], "little") & _CALCULATE_ON_LOAD
        if content[12:14] != _NO_NUMBER:
            return no_result("") if later and not any(content[6:14]) else special
        if content[6] == _IS_ERROR:
            return ErrorValue(error_text(content[8]))
        return no_result("") if later and content[6] == _IS_EMPTY else None
    return special if kind in (_NUMBER, _RK) else None


def _text(content: bytes, at: int, length_bytes: int, old: bool) -> str:
    """A text with its length and width before it (MS-XLS 2.5.240, 2.5.294); without width before 1997."""
    length = int.from_bytes(content[at : at + length_bytes], "little")
    if old:
        return content[at + length_bytes : at + length_bytes + length].decode("cp1252", "replace")
    wide = content[at + length_bytes] & 1
    start = at + length_bytes + 1
    if wide:
        return content[start : start + 2 * length].decode("utf-16-le", "replace")
    return content[start : start + length].decode("latin-1")
