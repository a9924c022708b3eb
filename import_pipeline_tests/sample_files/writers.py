"""One table of text cells, written as a file of each format by a library that is not ours.

xlsb has no writer in Python: `flow/batches/spreadsheets/` has a small one of its own.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import xlwt
import zstandard
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P

from import_pipeline_tests.flow.batches.spreadsheets.biff12 import xlsb as xlsb_bytes

Row = Sequence[str | None]
Writer = Callable[[Sequence[str], Sequence[Row]], bytes]


def delimited(delimiter: str = ",", encoding: str = "utf-8", line_end: str = "\n") -> Writer:
    def write(header: Sequence[str], rows: Sequence[Row]) -> bytes:
        text = io.StringIO(newline="")
        lines = csv.writer(text, delimiter=delimiter, lineterminator=line_end)
        lines.writerows([header, *rows])
        return text.getvalue().encode(encoding)

    return write


def json_array(header: Sequence[str], rows: Sequence[Row]) -> bytes:
    return json.dumps([_object(header, row) for row in rows], ensure_ascii=False, indent=1).encode()


def json_lines(header: Sequence[str], rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(_object(header, row), ensure_ascii=False) + "\n" for row in rows).encode()


def parquet(header: Sequence[str], rows: Sequence[Row]) -> bytes:
    columns = [pa.array([row[place] for row in rows], pa.string()) for place in range(len(header))]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, names=list(header)), file)
    return file.getvalue()


def xlsx(header: Sequence[str], rows: Sequence[Row]) -> bytes:
    book = openpyxl.Workbook()
    for number, row in enumerate([header, *rows], 1):
        for place, value in enumerate(row, 1):
            if value:
                # Text, whatever it looks like: openpyxl would make a formula of `=1`.
                book.active.cell(number, place, value).data_type = "s"
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def xls(header: Sequence[str], rows: Sequence[Row]) -> bytes:
    book = xlwt.Workbook()
    sheet = book.add_sheet("Plan1")
    for number, row in enumerate([header, *rows]):
        for place, value in enumerate(row):
            if value:
                sheet.write(number, place, value)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def ods(header: Sequence[str], rows: Sequence[Row]) -> bytes:
    book = OpenDocumentSpreadsheet()
    sheet = Table(name="Plan1")
    for row in [header, *rows]:
        line = TableRow()
        for value in row:
            cell = TableCell(valuetype="string") if value else TableCell()
            if value:
                cell.addElement(P(text=value))
            line.addElement(cell)
        sheet.addElement(line)
    book.spreadsheet.addElement(sheet)
    file = io.BytesIO()
    book.write(file)
    return file.getvalue()


def xlsb(header: Sequence[str], rows: Sequence[Row]) -> bytes:
    return xlsb_bytes({"Plan1": [list(header), *([value or None for value in row] for row in rows)]})


def _object(header: Sequence[str], row: Row) -> dict[str, Any]:
    return dict(zip(header, row, strict=False))


# Format to (its writer, the number of the first row as the sender counts).
WRITERS: Mapping[str, tuple[Writer, int]] = {
    "csv": (delimited(), 2),
    "tsv": (delimited("\t"), 2),
    "json": (json_array, 1),
    "jsonl": (json_lines, 1),
    "parquet": (parquet, 1),
    "xlsx": (xlsx, 2),
    "xls": (xls, 2),
    "xlsb": (xlsb, 2),
    "ods": (ods, 2),
}
COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "zst": lambda data: zstandard.ZstdCompressor().compress(data),
    "xz": lzma.compress,
    "bz2": bz2.compress,
}
