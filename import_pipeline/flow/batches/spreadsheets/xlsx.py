"""Workbooks of the formats xlsx and xlsm: parts in XML, of which each is read as little as possible.

To look for headers, calamine gets a copy of the workbook with the first rows only, so that inspecting a
file does not read it twice.
"""

import io
import re
import zipfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from python_calamine import CalamineWorkbook

from import_pipeline.errors import PermanentImportError
from import_pipeline.flow.batches.spreadsheets import sheet_xml
from import_pipeline.flow.batches.spreadsheets.calamine import LoadedSheet, load
from import_pipeline.flow.batches.spreadsheets.cells import first_rows
from import_pipeline.flow.batches.spreadsheets.limits import MOST_CELLS, check_cells, too_large
from import_pipeline.flow.batches.spreadsheets.listed import ListedSheet, SheetExtent
from import_pipeline.flow.batches.spreadsheets.marks import ColumnMarks
from import_pipeline.flow.batches.spreadsheets.package import Package, check_well_formed, corrupt
from import_pipeline.flow.batches.spreadsheets.sheet_xml import MeasuredSheet
from import_pipeline.flow.batches.spreadsheets.xlsx_parts import Formats, SheetPart, list_sheets, read_formats
from import_pipeline.language import told

# Bytes of the beginnings of all sheets together.
_MOST_HEADS = 128 * 1024 * 1024
# XML takes about four times the bytes that the same rows take as CSV.
_BYTES_OF_XML = 4
# `<c><v>1</v></c>`
_FEWEST_BYTES = 16
_STRINGS = "sharedstrings.xml"
_STRING = re.compile(rb"<(?:\w+:)?si[\s/>]")
_SHARED_CELL = re.compile(rb"""<(?:\w+:)?c\s([^>]*)>\s*<(?:\w+:)?v[^>]*>\s*(\d{1,9})\s*<""")
_SHARED = re.compile(rb"""\bt\s*=\s*["']s["']""")


class XlsxWorkbook:
    """A workbook in XML; see `workbooks.Workbook`."""

    def __init__(self, path: Path, package: Package):
        self._path, self._package, self._file = path, package, package.name
        self._parts = {part.name: part for part in list_sheets(package) if part.part}
        self.sheets = tuple(ListedSheet(part.name, part.visible) for part in self._parts.values())
        self._filled = 0

    @cached_property
    def _formats(self) -> Formats:
        return read_formats(self._package)

    @cached_property
    def _workbook(self) -> CalamineWorkbook:
        return load(self._path, self._file)

    def heads(self, names: Sequence[str], rows: int) -> dict[str, list[list[str]]]:
        """The first rows of these sheets."""
        heads: dict[str, bytes] = {}
        for part in (self._parts[name] for name in names):
            heads[part.part] = self._checked_head(part, rows)
            if sum(map(len, heads.values())) > _MOST_HEADS:
                raise too_large(self._file, told("bytes in the first rows"), _MOST_HEADS + 1, _MOST_HEADS)
        copy = load(self._short_copy(heads), self._file)
        return {name: first_rows(LoadedSheet(copy, name, self._file), rows) for name in names}

    def extent(self, sheet: str) -> SheetExtent:
        """How far a sheet reaches, by a pass over its XML."""
        part = self._parts[sheet].part
        try:
            found = self._measured(part)
        except ValueError as error:
            raise self._no_sheet(part) from error
        self._filled += found.filled
        check_cells(self._file, max(found.extent, self._filled))
        return SheetExtent(found.last_row, found.marked, found.merged, found.bytes // _BYTES_OF_XML)

    def marks(self, sheet: str) -> dict[int, ColumnMarks]:
        """Errors, formulas without result, percentages and shown zeros."""
        part = self._parts[sheet].part
        try:
            return sheet_xml.find_marks(self._package.xml_chunks(part), self._formats).by_column()
        except ValueError as error:
            raise self._no_sheet(part) from error

    def load(self, sheet: str) -> LoadedSheet:
        """A sheet's values."""
        return LoadedSheet(self._workbook, sheet, self._file)

    def _measured(self, part: str) -> MeasuredSheet:
        chunks, formats = self._package.xml_chunks, self._formats
        # So few bytes cannot hold too many cells.
        many = sum(self._package.size(p.part) for p in self._parts.values()) > MOST_CELLS * _FEWEST_BYTES
        found = sheet_xml.measure(chunks(part), formats, count=many)
        if found is None:
            found = sheet_xml.measure_exactly(chunks(part), formats)
            if found.odd:
                check_well_formed(chunks(part))
        return found

    def _checked_head(self, part: SheetPart, rows: int) -> bytes:
        """The beginning of a sheet, which must be as safe to load as a whole one."""
        try:
            head = sheet_xml.head(self._package.xml_chunks(part.part), rows)
            found = sheet_xml.measure([head], self._formats)
            if found is None:
                found = sheet_xml.measure_exactly([head], self._formats)
                if found.odd:
                    check_well_formed([head])
        except ValueError as error:
            raise self._no_sheet(part.part) from error
        check_cells(self._file, found.extent)
        return head

    def _short_copy(self, heads: dict[str, bytes]) -> io.BytesIO:
        """The workbook with these sheets only, as far as they go, and the texts that they use."""
        copy = io.BytesIO()
        with zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as archive:
            for part in self._package.parts:
                lower = part.lower()
                if part in heads:
                    archive.writestr(part, heads[part])
                elif lower.endswith(_STRINGS):
                    archive.writestr(part, self._strings(part, list(heads.values())))
                elif lower.endswith((".rels", "[content_types].xml", "/workbook.xml", "/styles.xml")):
                    archive.writestr(part, b"".join(self._package.xml_chunks(part)))
        copy.seek(0)
        return copy

    def _strings(self, part: str, heads: list[bytes]) -> bytes:
        """Shared texts up to the last one that these beginnings use; all are counted and verified."""
        last = max((_last_shared(head) for head in heads), default=-1)
        kept: list[bytes] | None = []
        result, count = b"", 0
        for piece in self._package.xml_chunks(part):
            found = piece.count(b"<si") + piece.count(b":si")
            if kept is not None:
                kept.append(piece)
                if count + found > last + 2:
                    result, kept = _cut_strings(b"".join(kept), last), None
            count += found
            if count > MOST_CELLS:
                raise too_large(self._file, told("texts"), count, MOST_CELLS)
        return b"".join(kept) if kept is not None else result

    def _no_sheet(self, part: str) -> PermanentImportError:
        return corrupt(self._file, told("{part} is not written as a sheet is", part=part))


def _last_shared(head: bytes) -> int:
    """The highest number of a shared text in the beginning of a sheet; -1: there is none."""
    return max(
        (int(number) for inside, number in _SHARED_CELL.findall(head) if _SHARED.search(inside)), default=-1
    )


def _cut_strings(text: bytes, last: int) -> bytes:
    """The document with its texts up to number `last`."""
    starts = [found.start() for found in _STRING.finditer(text)]
    if len(starts) <= last + 1:
        return text
    root = re.search(rb"<((?:\w+:)?sst)[\s>]", text)
    return text[: starts[last + 1]] + (b"</" + root[1] + b">" if root else b"")
