"""Workbooks of every format for these tests, each written by a library that is not ours."""

import datetime
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xlsxwriter
import xlwt
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P

from import_pipeline_tests.flow.batches.spreadsheets import biff12

Sheets = Mapping[str, Sequence[Sequence[Any]]]
FORMATS = {datetime.date: "dd/mm/yyyy", datetime.datetime: "dd/mm/yyyy hh:mm:ss", datetime.time: "hh:mm:ss"}


@dataclass(frozen=True)
class Shown:
    """A number and the format that shows it."""

    number: float
    format: str


@dataclass(frozen=True)
class Formula:
    """A formula; `result` is what the file holds, None: nothing."""

    text: str
    result: Any = None


def xlsx(sheets: Sheets, *, hidden: Sequence[str] = (), date_1904: bool = False, edit: Any = None) -> bytes:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"in_memory": True, "date_1904": date_1904})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for number, row in enumerate(rows):
            for column, value in enumerate(row):
                _write_xlsx(book, sheet, number, column, value)
        if name in hidden:
            sheet.hide()
        if edit is not None:
            edit(book, sheet)
    book.close()
    return file.getvalue()


def _write_xlsx(book: Any, sheet: Any, row: int, column: int, value: Any) -> None:
    if isinstance(value, Shown):
        sheet.write_number(row, column, value.number, book.add_format({"num_format": value.format}))
    elif isinstance(value, Formula):
        sheet.write_formula(row, column, value.text, None, 0 if value.result is None else value.result)
    elif type(value) in FORMATS:
        sheet.write_datetime(row, column, value, book.add_format({"num_format": FORMATS[type(value)]}))
    elif isinstance(value, str):
        sheet.write_string(row, column, value)
    elif value is not None:
        sheet.write(row, column, value)


def xlsm(sheets: Sheets) -> bytes:
    return with_parts(xlsx(sheets), {"xl/vbaProject.bin": b"macros"})


def xls(sheets: Sheets, hidden: Sequence[str] = ()) -> bytes:
    book = xlwt.Workbook(encoding="utf-8")
    for name, rows in sheets.items():
        sheet = book.add_sheet(name)
        sheet.visibility = int(name in hidden)
        for number, row in enumerate(rows):
            for column, value in enumerate(row):
                if isinstance(value, Shown):
                    sheet.write(number, column, value.number, xlwt.easyxf(num_format_str=value.format))
                elif isinstance(value, Formula):
                    sheet.write(number, column, xlwt.Formula(value.text))
                elif type(value) in FORMATS:
                    sheet.write(number, column, value, xlwt.easyxf(num_format_str=FORMATS[type(value)]))
                elif value is not None:
                    sheet.write(number, column, value)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def xlsb(sheets: Sheets, hidden: Sequence[str] = ()) -> bytes:
    return biff12.xlsb({name: [[_binary(v) for v in row] for row in rows] for name, rows in sheets.items()},
                       hidden=hidden)  # fmt: skip


def _binary(value: Any) -> Any:
    epoch = datetime.datetime(1899, 12, 30)
    if isinstance(value, datetime.datetime):
        return biff12.Number((value - epoch) / datetime.timedelta(days=1), biff12.TIMESTAMP)
    if isinstance(value, datetime.date):
        return biff12.Number((value - epoch.date()).days, biff12.DATE)
    if isinstance(value, Shown):
        return biff12.Number(value.number, biff12.PERCENT if "%" in value.format else biff12.ZEROS)
    return value


def ods(sheets: Sheets) -> bytes:
    document = OpenDocumentSpreadsheet()
    for name, rows in sheets.items():
        table = Table(name=name)
        for row in rows:
            line = TableRow()
            for value in row:
                line.addElement(_open_cell(value))
            table.addElement(line)
        document.spreadsheet.addElement(table)
    file = io.BytesIO()
    document.write(file)
    return file.getvalue()


def _open_cell(value: Any) -> TableCell:
    if value is None:
        return TableCell()
    if isinstance(value, Shown):
        return TableCell(valuetype="percentage", value=value.number)
    if isinstance(value, Formula):
        return TableCell(formula=f"of:{value.text}")
    if isinstance(value, bool):
        return TableCell(valuetype="boolean", booleanvalue=str(value).lower())
    if isinstance(value, datetime.datetime | datetime.date):
        return TableCell(valuetype="date", datevalue=value.isoformat())
    if isinstance(value, int | float):
        return TableCell(valuetype="float", value=repr(value))
    cell = TableCell(valuetype="string")
    cell.addElement(P(text=value))
    return cell


WRITERS: dict[str, Callable[[Sheets], bytes]] = {
    "xlsx": xlsx, "xlsm": xlsm, "xls": xls, "xlsb": xlsb, "ods": ods,
}  # fmt: skip


def with_parts(book: bytes, parts: Mapping[str, bytes], *, without: Sequence[str] = ()) -> bytes:
    """The workbook with parts added or replaced."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name not in parts and name not in without:
                new.writestr(name, old.read(name))
        for name, content in parts.items():
            new.writestr(name, content)
    return file.getvalue()


def part_of(book: bytes, name: str) -> bytes:
    """One part of a zipped workbook."""
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        return archive.read(name)


SHEET_1 = "xl/worksheets/sheet1.xml"
BEGIN = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
END = b"</sheetData></worksheet>"


def with_sheet(rows: bytes, after: bytes = b"", begin: bytes = BEGIN) -> bytes:
    """A workbook whose only sheet has this XML for its rows."""
    book = xlsx({"Plan1": [["Nome"]]})
    end = END.replace(b"</worksheet>", after + b"</worksheet>")
    return with_parts(book, {SHEET_1: begin + rows + end})


def text_cell(place: str, value: str) -> bytes:
    return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'.encode()


HEADER_ROW = b'<row r="1">' + text_cell("A1", "Nome") + text_cell("B1", "Valor") + b"</row>"


def open_document(rows: bytes) -> bytes:
    """An ods whose only sheet has this XML for its rows."""
    spaces = "".join(f' xmlns:{name}="urn:{name}"' for name in ("office", "table", "text", "calcext"))
    content = (
        b"<office:document-content%s><office:body><office:spreadsheet>"
        b'<table:table table:name="Plan1">%s</table:table>'
        b"</office:spreadsheet></office:body></office:document-content>"
    )
    return with_parts(ods({"Plan1": [["Nome"]]}), {"content.xml": content % (spaces.encode(), rows)})
