"""Rejected rows as a workbook: the sender's sheets, faulty cells highlighted, the first 5,000 with a comment.

XlsxWriter makes the workbook with header rows, styles and comments; the rows themselves are written as
XML a column at a time (`sheet_cells.py`) and put in: cell by cell in Python they take ten times as long.
"""

import io
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xlsxwriter

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.batches.columns.headers import OUR_COLUMNS
from import_pipeline.flow.batches.kinds import (
    BOOLEAN,
    DATE,
    ERROR_VALUE,
    NO_RESULT,
    NUMBER,
    PERCENT,
    TEXT,
    TIME,
    TIMESTAMP,
)
from import_pipeline.flow.reports.csv_lines import text_of
from import_pipeline.flow.reports.returned.shape import ReturnedRows, in_parts, own_header, returned_rows
from import_pipeline.flow.reports.returned.sheet_cells import (
    DURATION,
    EMPTY,
    LONGEST_TEXT,
    MOST_COLUMNS,
    MOST_ROWS,
    DoesNotFit,
    refuse_what_no_sheet_holds,
    rows_xml,
    sheet_kinds,
    utf_16_length,
)
from import_pipeline.records import OpenedUpload
from import_pipeline.row_numbers import ROWS_OF_A_SHEET

MOST_COMMENTS = 5_000
LONGEST_SHEET_NAME = 31
NARROWEST, WIDEST, MESSAGE_WIDTH = 10, 50, 80
FAULTY_COLOR = "#FFC7CE"
# Number formats by kind; `@` keeps what a person types into a text cell as it was typed.
NUMBER_FORMATS = {
    TEXT: "@",
    NUMBER: "General",
    BOOLEAN: "General",
    ERROR_VALUE: "General",
    NO_RESULT: "@",
    DATE: "yyyy-mm-dd",
    TIMESTAMP: "yyyy-mm-dd hh:mm:ss",
    TIME: "hh:mm:ss",
    DURATION: "[h]:mm:ss",
    PERCENT: "0.00%",
    EMPTY: "@",
}
_FORBIDDEN_IN_NAMES = re.compile(r"[\[\]:*?/\\\x00-\x1f]")
# A cell without a number of its own has style 0.
_STYLE = re.compile(rb'<c r="[A-Z]+2"(?: s="(\d+)")?')


@dataclass
class _Sheet:
    """One sheet while it grows: its rows lie in a file, its comments in memory.

    Attributes:
        positions: of its columns in the upload's header; ours follow them.
        rows: written so far, the header included.
    """

    name: str
    positions: tuple[int, ...]
    path: Path
    widths: list[int]
    rows: int = 1
    comments: list[tuple[int, int, str]] = field(default_factory=list)


class WorkbookWriter:
    """Writes `rejected.xlsx`."""

    def __init__(self, path: Path, opened: OpenedUpload, dataset: Dataset):
        self._path, self._opened, self._dataset = path, opened, dataset
        self._header = own_header(opened)
        self._positions = _faulty_positions(opened, dataset)
        text = {column.name for column in dataset.columns if pa.types.is_string(column.arrow_type)}
        self._text_positions = {at for name, at in opened.file.mapping.items() if name in text}
        self._styles = _style_numbers()
        self._sheets: list[_Sheet] = []
        self._index = -1
        self._comments = 0

    def add(self, rejected: pa.Table, errors: pa.Table) -> None:
        """Write rows into the sheets they came from.

        Raises:
            DoesNotFit: a workbook cannot hold them.
        """
        for rows, told in in_parts(self._opened, rejected, errors):
            self._add_part(rows, told)

    def _add_part(self, rejected: pa.Table, errors: pa.Table) -> None:
        """Write rows, each into its sheet."""
        numbers, told = rejected["_row_number"].to_numpy(), errors["row_number"].to_numpy()
        start = 0
        while start < len(numbers):
            index = int(numbers[start]) // ROWS_OF_A_SHEET
            sheet = self._sheet(index)
            end = int(np.searchsorted(numbers, (index + 1) * ROWS_OF_A_SHEET))
            end = min(end, start + MOST_ROWS - sheet.rows)
            first, last = np.searchsorted(told, [numbers[start], numbers[end - 1] + 1])
            some = errors.slice(first, last - first)
            rows = returned_rows(self._opened, rejected.slice(start, end - start), some)
            self._write(sheet, rows, some)
            start = end

    def close(self) -> None:
        """Put the workbook together."""
        if not self._sheets:
            return
        skeleton = io.BytesIO()
        with xlsxwriter.Workbook(skeleton, {"in_memory": True}) as workbook:
            for sheet in self._sheets:
                self._dress(workbook, sheet)
        with zipfile.ZipFile(skeleton) as source, zipfile.ZipFile(
            self._path, "w", zipfile.ZIP_DEFLATED, compresslevel=4
        ) as target:  # fmt: skip
            for name in source.namelist():
                sheet_number = re.fullmatch(r"xl/worksheets/sheet(\d+)\.xml", name)
                if sheet_number is None:
                    target.writestr(name, source.read(name))
                else:
                    self._put_rows(source.read(name), self._sheets[int(sheet_number[1]) - 1], target, name)

    def _sheet(self, index: int) -> _Sheet:
        """The sheet that takes the next row of the sender's sheet `index`; a full one goes on in another."""
        if index == self._index and self._sheets[-1].rows < MOST_ROWS:
            return self._sheets[-1]
        self._index = index
        its = self._opened.file.sheets[index] if self._opened.file.sheets else None
        own = range(len(self._header))
        positions = tuple(p for p in its.columns if p in own) if its else tuple(own)
        if len(positions) + len(OUR_COLUMNS) + 1 > MOST_COLUMNS:
            raise DoesNotFit
        name = _free_name(its.name if its else "rejected", [sheet.name for sheet in self._sheets])
        path = self._path.with_name(f"{self._path.name}.{len(self._sheets) + 1}.part")
        headers = [self._header[position] for position in positions]
        widths = [len(header) for header in (*headers, *OUR_COLUMNS)]
        self._sheets.append(_Sheet(name, positions, path, widths))
        return self._sheets[-1]

    def _write(self, sheet: _Sheet, rows: ReturnedRows, errors: pa.Table) -> None:
        told = _shortened(rows.errors)
        own = [rows.cells[position] for position in sheet.positions]
        for cells in own:
            refuse_what_no_sheet_holds(cells)
        refuse_what_no_sheet_holds(rows.overflow)
        kinds = [sheet_kinds(rows.cells[p], rows.kinds.get(p)) for p in sheet.positions]
        number = pa.repeat(pa.scalar(NUMBER, pa.int8()), len(rows))
        kinds += [sheet_kinds(rows.rows, number), *(sheet_kinds(c, None) for c in (rows.uploads, told))]
        columns = [*own, rows.rows, rows.uploads, told]
        if rows.overflow.null_count < len(rows):
            columns.append(rows.overflow)
            kinds.append(sheet_kinds(rows.overflow, None))
        faulty = self._faulty(sheet, rows, errors, len(columns))
        xml = rows_xml(sheet.rows + 1, columns, faulty, kinds, self._styles)
        with sheet.path.open("ab") as file:
            file.write(text_of(xml))
        if sheet.rows == 1:
            longest = [pc.max(pc.utf8_length(cells.slice(0, 200))).as_py() or 0 for cells in columns]
            sheet.widths = [max(pair) for pair in zip(sheet.widths, longest, strict=False)]
        sheet.rows += len(rows)

    def _faulty(self, sheet: _Sheet, rows: ReturnedRows, errors: pa.Table, columns: int) -> list[np.ndarray]:
        """Which cells have an error, by column; the first ones get its message as a comment."""
        masks = [np.zeros(len(rows), bool) for _ in range(columns)]
        errors = errors.filter(pc.equal(errors["severity"], "error"))
        where = np.searchsorted(rows.numbers.to_numpy(), errors["row_number"].to_numpy())
        names = pc.if_else(pc.equal(errors["column"], ""), errors["header"], errors["column"])
        column_of = {position: column for column, position in enumerate(sheet.positions)}
        whole_row = len(sheet.positions) + len(OUR_COLUMNS) - 1
        for name in pc.unique(names).to_pylist():
            theirs = where[pc.equal(names, name).to_numpy()]
            positions = [column_of[p] for p in self._positions.get(name, ()) if p in column_of]
            for column in positions or [whole_row]:
                masks[column][theirs] = True
        self._comment(sheet, where, names, errors, column_of)
        return masks

    def _comment(self, sheet: _Sheet, where: np.ndarray, names: Any, errors: pa.Table,
                 column_of: dict[int, int]) -> None:  # fmt: skip
        """Note the messages of faulty cells: Python objects for at most 5,000 rows of a whole file."""
        left = MOST_COMMENTS - self._comments
        if left <= 0:
            return
        texts: dict[tuple[int, int], str] = {}
        told = errors.slice(0, left).select(["message", "remedy"]).to_pylist()
        for row, name, error in zip(where[:left].tolist(), names[:left].to_pylist(), told, strict=True):
            positions = [column_of[p] for p in self._positions.get(name, ()) if p in column_of]
            if positions:
                place = (sheet.rows + row, positions[0])
                text = f"{error['message']} {error['remedy']}".strip()
                texts[place] = f"{texts[place]}\n{text}" if place in texts else text
        sheet.comments += [(row, column, text) for (row, column), text in texts.items()]
        self._comments += len(texts)

    def _dress(self, workbook: xlsxwriter.Workbook, sheet: _Sheet) -> None:
        """A sheet with all but its rows: header, widths, filter, comments."""
        worksheet = workbook.add_worksheet(sheet.name)
        header_format, text_format = _use_styles(workbook, worksheet)
        headers = [*(self._header[position] for position in sheet.positions), *OUR_COLUMNS]
        for column, header in enumerate(headers):
            worksheet.write_string(0, column, header, header_format)
            width = min(max(sheet.widths[column] + 2, NARROWEST), WIDEST)
            is_text = column >= len(sheet.positions) or sheet.positions[column] in self._text_positions
            worksheet.set_column(column, column, width, text_format if is_text else None)
        worksheet.set_column(len(headers) - 1, len(headers) - 1, MESSAGE_WIDTH, text_format)
        worksheet.freeze_panes(1, 0)
        worksheet.autofilter(0, 0, sheet.rows - 1, len(headers) - 1)
        for row, column, text in sheet.comments:
            worksheet.write_comment(row, column, text, {"x_scale": 2, "author": "import-pipeline"})

    def _put_rows(self, xml: bytes, sheet: _Sheet, target: zipfile.ZipFile, name: str) -> None:
        """The sheet's XML with its rows after the header row."""
        opening, rest = xml.split(b"</row>", 1)
        if _numbers_in(rest) != self._styles:
            raise AssertionError("XlsxWriter numbered the styles of cells in another order")
        _, closing = rest.split(b"</sheetData>", 1)
        last = f"{xlsxwriter.utility.xl_col_to_name(len(sheet.widths) - 1)}{sheet.rows}"
        opening = re.sub(rb'<dimension ref="[^"]*"/>', f'<dimension ref="A1:{last}"/>'.encode(), opening)
        with target.open(name, "w", force_zip64=True) as member, sheet.path.open("rb") as rows:
            member.write(opening + b"</row>\n")
            shutil.copyfileobj(rows, member, 1024 * 1024)
            member.write(b"</sheetData>" + closing)
        sheet.path.unlink()


def _style_options() -> Iterator[dict[str, Any]]:
    """The styles of cells: by kind, plain and faulty."""
    for number_format in NUMBER_FORMATS.values():
        yield {"num_format": number_format}
        yield {"num_format": number_format, "bg_color": FAULTY_COLOR}


def _use_styles(workbook: xlsxwriter.Workbook, worksheet: Any) -> tuple[Any, Any]:
    """Use each style once, so that all have their numbers; rows take the place of the second one.

    XlsxWriter numbers styles as it writes them: columns (our last one is always text), header, rows.
    The formats of the header and of text come back.
    """
    header_format = workbook.add_format({"bold": True, "num_format": "@", "bottom": 1})
    formats = [workbook.add_format(options) for options in _style_options()]
    worksheet.write_string(0, 0, "", header_format)
    worksheet.set_column(0, 0, NARROWEST, formats[0])
    for column, cell_format in enumerate(formats):
        worksheet.write_number(1, column, 0, cell_format)
    return header_format, formats[0]


def _style_numbers() -> dict[int, tuple[str, str]]:
    """The numbers that XlsxWriter gives the styles, by kind: of a plain and a faulty cell."""
    skeleton = io.BytesIO()
    with xlsxwriter.Workbook(skeleton, {"in_memory": True}) as workbook:
        worksheet = workbook.add_worksheet()
        _use_styles(workbook, worksheet)
    with zipfile.ZipFile(skeleton) as package:
        return _numbers_in(package.read("xl/worksheets/sheet1.xml"))


def _numbers_in(xml: bytes) -> dict[int, tuple[str, str]]:
    found = [number.decode() or "0" for number in _STYLE.findall(xml)]
    return {kind: (found[2 * at], found[2 * at + 1]) for at, kind in enumerate(NUMBER_FORMATS)}


def _faulty_positions(opened: OpenedUpload, dataset: Dataset) -> dict[str, tuple[int, ...]]:
    """The positions of the cells that an error is about, by what stands in its `column`."""
    mapping = opened.file.mapping
    found = {opened.file.header[position]: (position,) for position in opened.file.unknown}
    found |= {name: (position,) for name, position in mapping.items()}
    return found | {", ".join(dataset.key): tuple(mapping[name] for name in dataset.key if name in mapping)}


def _free_name(name: str, taken: Sequence[str]) -> str:
    """A name that Excel takes for one more sheet, the sender's if it can be."""
    plain = _FORBIDDEN_IN_NAMES.sub("_", name).strip("'")[:LONGEST_SHEET_NAME] or "rejected"
    plain = f"{plain}_" if plain.lower() == "history" else plain
    used, number, free = {one.lower() for one in taken}, 1, plain
    while free.lower() in used:
        number += 1
        free = f"{plain[: LONGEST_SHEET_NAME - 8]} ({number})"
    return free


def _shortened(messages: Any) -> Any:
    """Messages of a row as long as a cell may be, visibly cut; errors.csv has all of them."""
    if (pc.max(pc.binary_length(messages)).as_py() or 0) <= LONGEST_TEXT:
        return messages
    texts = messages.to_pylist()
    room = LONGEST_TEXT // 2
    return pa.array([f"{t[:room]} … (errors.csv)" if utf_16_length(t) > LONGEST_TEXT else t for t in texts])
