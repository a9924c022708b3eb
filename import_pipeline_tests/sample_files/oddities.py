"""Files with a fault, or an oddity, that only their format can have: built byte by byte or by its library.

Small datasets and few columns, so that each file can be read at a glance.
"""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

import openpyxl
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.parquet as pq
import xlwt
from openpyxl.styles import Font

from import_pipeline.catalog.dataset import Dataset, SenderOptions, column
from import_pipeline.catalog.types import Cep, Date, Identifier, Number, Text
from import_pipeline_tests.sample_files.writers import COMPRESSORS


class Item(pandera.DataFrameModel):
    """A few columns of the types that formats treat differently."""

    code: Identifier = column("Código", required=True)
    name: Text = column("Nome", required=True)
    weight: Number(8, 3) = column("Peso")
    made: Date = column("Fabricação")
    cep: Cep = column("CEP")


ITEMS = Dataset(name="items", model=Item, maximum_reject_share=1.0)
WITH_FOOTER = replace(ITEMS, footer=("^Total",))
HEADERLESS = replace(ITEMS, header="optional")
NO_STRANGERS = replace(ITEMS, unknown_columns="refuse")
TINY = replace(ITEMS, maximum_size=40)
STRICT = replace(ITEMS, maximum_reject_share=0.5)
HEAD = "Código;Nome;Peso;Fabricação;CEP\n"
ROWS = "001;Ana;1,25;2026-02-28;01310-100\n002;Bia;2,75;2026-03-01;01310-100\n"
GOOD = HEAD + ROWS


@dataclass(frozen=True)
class Oddity:
    """One file and what must be said of it.

    Attributes:
        expected: (sheet, row, header, code) of each line of errors.csv.
        read: rows read; None: the file is refused.
        warnings: codes of the report's warnings, all of them.
    """

    name: str
    extension: str
    data: Callable[[], bytes]
    expected: tuple[tuple[str, int, str, str], ...] = ()
    read: int | None = None
    refused: str = ""
    warnings: tuple[str, ...] = ()
    dataset: Dataset = ITEMS
    options: SenderOptions = field(default_factory=SenderOptions)


def _text(name: str, text: str | bytes, extension: str = "csv", **facts) -> Oddity:
    return Oddity(name, extension, lambda: text if isinstance(text, bytes) else text.encode(), **facts)


def _error(row: int, header: str, code: str, sheet: str = "") -> tuple[tuple[str, int, str, str], ...]:
    return ((sheet, row, header, code),)


DELIMITED = (
    _text("too_few_cells", HEAD + "001;Ana;1,25\n" + ROWS, expected=_error(2, "", "too_few_cells"), read=3),
    _text(
        "too_many_cells", HEAD + "001;Ana;1,25;;;extra\n" + ROWS,
        expected=_error(2, "", "too_many_cells"), read=3,
    ),
    _text("stray_quote", HEAD + '001;"Ana"x;1,25;;\n' + ROWS, expected=_error(2, "", "stray_quote"), read=3),
    _text(
        "unclosed_quote",
        HEAD + '001;"Ana;1,25;;\n' + "002;Bia;2,75;;\n" * 30,
        expected=_error(2, "", "unclosed_quote"), read=31,
    ),
    _text(
        "undecodable_text",
        (HEAD + ROWS * 20).encode() + b"003;Jos\xe9;1,25;;\n",
        expected=_error(42, "", "undecodable_text"), read=41,
    ),
    _text(
        "nul_character", HEAD + "001;A\0na;1,25;;\n" + ROWS,
        expected=_error(2, "Nome", "nul_character"), read=3,
    ),
    _text(
        "cell_without_header",
        "Código;Nome;;Peso\n001;Ana;;1,25\n002;Bia;solto;2,75\n", dataset=NO_STRANGERS,
        expected=_error(3, "", "cell_without_header"), read=2,
    ),
    _text("broken_quoting", '"Código;Nome;Peso\n001;Ana;1,25\n', refused="broken_quoting"),
    _text("repeated_header", HEAD + ROWS + HEAD + ROWS, read=4),
    _text("footer_declared", GOOD + "Total;;4,00;;\n", read=2, dataset=WITH_FOOTER),
    _text(
        "footer_not_declared", GOOD + "Total;;4,00;;\n", expected=_error(4, "Nome", "missing_value"), read=3
    ),
    _text("lines_before_the_header", "Relatório de peças\nGerado em 01/03/2026\n\n" + GOOD, read=2),
    _text("blank_lines", HEAD + "\n" + ROWS + "\n\n;;;;\n", read=2),
    _text("without_header", ROWS, read=2, dataset=HEADERLESS, warnings=("header_assumed_missing",)),
    _text("without_header_where_one_is_required", ROWS, refused="missing_columns"),
    _text(
        "unknown_columns", "Código;Nome;Cor\n001;Ana;azul\n",
        refused="unknown_columns", dataset=NO_STRANGERS,
    ),
    _text("file_too_large", GOOD, refused="file_too_large", dataset=TINY),
    _text(
        "too_many_rejects",
        HEAD + "001;;1,25;;\n" * 30,
        expected=tuple(("", row, "Nome", "missing_value") for row in range(2, 32)),
        refused="too_many_rejects", dataset=STRICT,
    ),
    _text("bad_option", GOOD, refused="bad_option", options=SenderOptions(header_row=0)),
    _text(
        "unsupported_encoding", GOOD.encode("utf-16"),
        refused="unsupported_encoding", options=SenderOptions(encoding="cp1252"),
    ),
    _text("empty_file", b"", refused="empty_file"),
    _text("nothing_but_blank_lines", "\n\n \n", refused="empty_file"),
    *(
        _text(f"encoding_{name}", GOOD.encode(name), read=2)
        for name in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-32")
    ),
    _text(
        "encoding_stated", (HEAD + "001;José \x81;;;\n").encode("latin-1"), read=1,
        options=SenderOptions(encoding="latin-1"),
    ),
    *(
        _text(f"line_ends_{name}", GOOD.replace("\n", end), read=2)
        for name, end in (("crlf", "\r\n"), ("cr", "\r"))
    ),
    _text("line_ends_mixed", HEAD.replace("\n", "\r\n") + ROWS, read=2),
    *(
        _text(f"delimiter_{name}", GOOD.replace(",", ".").replace(";", mark), read=2)
        for name, mark in (("comma", ","), ("bar", "|"), ("tab", "\t"), ("caret", "^"))
    ),
    _text(
        "assumed_decimal", HEAD + "001;Ana;1,250;;\n", read=1, warnings=("assumed_decimal",),
        dataset=replace(ITEMS, defaults=SenderOptions(decimal=",")),
    ),
    _text(
        "assumed_date_order", HEAD + "001;Ana;;01/02/2026;\n", read=1, warnings=("assumed_date_order",),
        dataset=replace(ITEMS, defaults=SenderOptions(date_order="dmy")),
    ),
    _text(
        "corrected_file", "Código;Nome;_import_row;_import_upload;_import_errors\n001;Ana;2;acme/a@0123;x\n",
        read=1, warnings=("corrections_not_matched",),
    ),
    _text("named_xls", GOOD + ROWS.replace("00", "01"), "xls", read=4, warnings=("name_mismatch",)),
    _text("text_over_lines", HEAD + '001;"Ana\nSouza";1,25;;\n' + ROWS, read=3),
    _text("one_megabyte_cell", HEAD + "001;" + "a" * 1_000_000 + ";1,25;;\n", read=1),
)  # fmt: skip

OTHER_TYPES = tuple(
    _text(f"unsupported_format_{kind}", start, extension, refused="unsupported_format")
    for kind, extension, start in (
        ("pdf", "csv", b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"),
        ("html", "xls", b"<html><body><table><tr><td>E-mail</td></tr></table></body></html>"),
        ("xml", "csv", b'<?xml version="1.0"?>\n<rows><row/></rows>\n'),
        ("rtf", "csv", b"{\\rtf1\\ansi\\deff0 Hello}"),
        ("png", "csv", b"\x89PNG\r\n\x1a\n" + bytes(64)),
        ("jpeg", "csv", b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(64)),
        ("sqlite", "csv", b"SQLite format 3\x00" + bytes(100)),
        ("7z", "csv", b"7z\xbc\xaf\x27\x1c" + bytes(40)),
        ("rar", "csv", b"Rar!\x1a\x07\x01\x00" + bytes(40)),
        ("arrow", "csv", b"ARROW1\x00\x00" + bytes(40)),
        ("random", "csv", bytes(range(256)) * 8),
    )
)

JSON = (
    _text("json_values", json.dumps([{"Código": "001", "Nome": "Ana", "Peso": 1.25}]), "json", read=1),
    _text(
        "json_missing_value", '[{"Código": "001", "Nome": null}]', "json",
        expected=_error(1, "Nome", "missing_value"), read=1,
    ),
    _text(
        "json_too_many_decimals", '[{"Código": "001", "Nome": "Ana", "Peso": 1.23456}]', "json",
        expected=_error(1, "Peso", "too_many_decimals"), read=1,
    ),
    _text("json_truncated", '[{"Código": "001", "Nome": "Ana"}, {"Cód', "json", refused="truncated_file"),
    _text(
        "jsonl_broken_line",
        '{"Código": "001", "Nome": "Ana"}\n{"Código": \n{"Código": "002", "Nome": "Bia"}\n',
        "jsonl", expected=_error(2, "", "invalid_json"), read=3,
    ),
    _text(
        "jsonl_blank_lines", '\n{"Código": "001", "Nome": "Ana"}\n\n{"Código": "002", "Nome": "Bia"}\n',
        "jsonl", read=2,
    ),
    _text(
        "jsonl_not_an_object", '{"Código": "001", "Nome": "Ana"}\n[1, 2]\n',
        "jsonl", expected=_error(2, "", "not_an_object"), read=2,
    ),
    _text(
        "json_repeated_key",
        '[{"Código": "001", "Nome": "Ana", "Nome": "Bia"}, {"Código": "002", "Nome": "Bia"}]',
        "json", expected=_error(1, "", "repeated_key"), read=2,
    ),
    _text(
        "jsonl_named_csv", '{"Código": "001", "Nome": "Ana"}\n', "csv",
        read=1, warnings=("name_mismatch",),
    ),
)  # fmt: skip


def _book(fill: Callable[[openpyxl.Workbook], None]) -> Callable[[], bytes]:
    def data() -> bytes:
        book = openpyxl.Workbook()
        fill(book)
        file = io.BytesIO()
        book.save(file)
        return file.getvalue()

    return data


def _sheet(book: openpyxl.Workbook, *rows, title: str = "") -> None:
    sheet = book.create_sheet(title) if title else book.active
    for row in (("Código", "Nome", "Peso", "Fabricação", "CEP"), *rows):
        sheet.append(row)


def _merged(book: openpyxl.Workbook) -> None:
    _sheet(book, ("001", "Ana"), ("002", None))
    book.active.merge_cells("B2:B3")


def _hidden(book: openpyxl.Workbook) -> None:
    _sheet(book, ("001", "Ana"))
    _sheet(book, ("002", "Bia"), title="Antigo")
    book["Antigo"].sheet_state = "hidden"


def _two(book: openpyxl.Workbook) -> None:
    _sheet(book, ("001", "Ana"))
    _sheet(book, ("002", "Bia"), ("003", None), title="Plan2")


def _styled(book: openpyxl.Workbook) -> None:
    _sheet(book, ("001", "Ana"))
    for row in range(3, 200):
        book.active.cell(row, 1).font = Font(bold=True)


def _formats(book: openpyxl.Workbook) -> None:
    _sheet(book, ("001", 123.0, 1.25, datetime(2026, 2, 28), "01310-100"))


WORKBOOKS = tuple(
    Oddity(name, "xlsx", _book(fill), **facts)
    for name, fill, facts in (
        (
            "spreadsheet_error",
            lambda book: _sheet(book, ("001", "Ana", "#N/A")),
            {"expected": _error(2, "Peso", "spreadsheet_error", "Sheet"), "read": 1},
        ),
        (
            "formula_without_result",
            lambda book: _sheet(book, ("001", "Ana", "=1+1")),
            {"expected": _error(2, "Peso", "formula_without_result", "Sheet"), "read": 1},
        ),
        (
            "imprecise_number",
            lambda book: _sheet(book, (12345678901234567890, "Ana")),
            {"expected": _error(2, "Código", "imprecise_number", "Sheet"), "read": 1},
        ),
        (
            "serial_date",
            lambda book: _sheet(book, ("001", "Ana", 1, 46081)),
            {"expected": _error(2, "Fabricação", "serial_date", "Sheet"), "read": 1},
        ),
        (
            "lost_zeros",
            lambda book: _sheet(book, ("001", "Ana", 1, date(2026, 2, 28), 1310100)),
            {"expected": _error(2, "CEP", "lost_zeros", "Sheet"), "read": 1},
        ),
        (
            "merged_cells",
            _merged,
            {
                "expected": _error(3, "Nome", "missing_value", "Sheet"),
                "read": 2,
                "warnings": ("merged_cells",),
            },
        ),
        ("hidden_sheet", _hidden, {"read": 1, "warnings": ("sheet_not_read",)}),
        (
            "two_sheets",
            _two,
            {"expected": _error(3, "Nome", "missing_value", "Plan2"), "read": 3},
        ),
        ("styled_empty_rows", _styled, {"read": 1}),
        ("typed_cells", _formats, {"read": 1}),
        ("no_such_sheet", _two, {"refused": "bad_option", "options": SenderOptions(sheet="Plan9")}),
    )
)


def _xls(*row) -> Callable[[], bytes]:
    def data() -> bytes:
        book = xlwt.Workbook()
        sheet = book.add_sheet("Plan1")
        for number, cells in enumerate((("Código", "Nome", "Peso", "Fabricação", "CEP"), row)):
            for place, value in enumerate(cells):
                sheet.write(number, place, value)
        file = io.BytesIO()
        book.save(file)
        return file.getvalue()

    return data


def _parquet(**columns: pa.Array) -> Callable[[], bytes]:
    def data() -> bytes:
        file = io.BytesIO()
        pq.write_table(pa.table(columns), file)
        return file.getvalue()

    return data


def _zip(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


XLSX = next(oddity for oddity in WORKBOOKS if oddity.name == "typed_cells").data
TYPED = (
    Oddity(
        "serial_date", "xls", _xls("001", "Ana", 1, 46081.0),
        _error(2, "Fabricação", "serial_date", "Plan1"), 1,
    ),
    Oddity(
        "lost_zeros", "xls", _xls("001", "Ana", 1, "", 1310100.0),
        _error(2, "CEP", "lost_zeros", "Plan1"), 1,
    ),
    Oddity(
        "typed_columns", "parquet",
        _parquet(
            Código=pa.array(["001"]), Nome=pa.array(["Ana"]), Peso=pa.array([Decimal("1.250")]),
            Fabricação=pa.array([date(2026, 2, 28)]),
        ),
        read=1,
    ),
    Oddity(
        "serial_date", "parquet",
        _parquet(Código=pa.array(["001"]), Nome=pa.array(["Ana"]), Fabricação=pa.array([46081])),
        _error(1, "Fabricação", "serial_date"), 1,
    ),
    Oddity(
        "missing_value_null", "parquet",
        _parquet(Código=pa.array(["001"]), Nome=pa.array([None], pa.string())),
        _error(1, "Nome", "missing_value"), 1,
    ),
)  # fmt: skip
DAMAGED = (
    Oddity("corrupt_file", "xlsx", lambda: XLSX()[:-30], refused="corrupt_file"),
    Oddity("truncated_file", "xls", lambda: _xls("001", "Ana")()[:1500], refused="truncated_file"),
    Oddity("corrupt_file", "parquet", lambda: b"PAR1" + bytes(200) + b"PAR1", refused="corrupt_file"),
    Oddity("corrupt_file", "ods", lambda: _zip({
        "mimetype": b"application/vnd.oasis.opendocument.spreadsheet", "content.xml": b"<broken"
    }), refused="corrupt_file"),
    Oddity("unsupported_format", "docx", lambda: _zip({
        "[Content_Types].xml": b"<Types/>", "word/document.xml": b"<document/>"
    }), refused="unsupported_format"),
)  # fmt: skip


def _locked_zip() -> bytes:
    """The flag that says a file is encrypted, set in both places."""
    data = bytearray(_zip({"a.csv": GOOD.encode()}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    return bytes(data)


def _strange_method() -> bytes:
    """The compression method set to one that zip programs do not use."""
    data = bytearray(_zip({"a.csv": GOOD.encode()}))
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        data[data.index(mark) + place] = 98
    return bytes(data)


def _two_of_a_name() -> bytes:
    return _zip({"a.csv": GOOD.encode(), "b.csv": GOOD.encode()}).replace(b"b.csv", b"a.csv")


def _workbook_of_many_parts() -> bytes:
    parts = {"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook/>"}
    return _zip(parts | {f"xl/worksheets/sheet{number}.xml": b"" for number in range(5000)})


ARCHIVES = (
    Oddity("nested_archive", "zip", lambda: _zip({"b.zip": _zip({"a.csv": b"x"})}), refused="nested_archive"),
    Oddity(
        "too_many_members", "zip", lambda: _zip({f"{number}.csv": b"x" for number in range(1001)}),
        refused="too_many_members",
    ),
    Oddity("duplicate_member", "zip", _two_of_a_name, refused="duplicate_member"),
    Oddity("unsupported_compression", "zip", _strange_method, refused="unsupported_compression"),
    Oddity("encrypted_file", "zip", _locked_zip, refused="encrypted_file"),
    Oddity("corrupt_file", "zip", lambda: _zip({"a.csv": GOOD.encode()})[:-30], refused="corrupt_file"),
    Oddity("good", "zip", lambda: _zip({"a.csv": GOOD.encode(), "__MACOSX/a.csv": b"x"}), read=2),
    Oddity(
        "too_large_for_a_spreadsheet", "xlsx", _workbook_of_many_parts, refused="too_large_for_a_spreadsheet"
    ),
)  # fmt: skip
COMPRESSED = tuple(
    oddity
    for suffix, pack in COMPRESSORS.items()
    for oddity in (
        Oddity("good", f"csv.{suffix}", lambda pack=pack: pack(GOOD.encode()), read=2),
        Oddity(
            "missing_value", f"jsonl.{suffix}",
            lambda pack=pack: pack(b'{"C\xc3\xb3digo": "001"}\n{"C\xc3\xb3digo": "002", "Nome": "Bia"}\n'),
            _error(1, "Nome", "missing_value"), 2,
        ),
        Oddity(
            "truncated_file", f"csv.{suffix}",
            lambda pack=pack: pack((GOOD * 500).encode())[:-20], refused="truncated_file",
        ),
        Oddity(
            "expands_too_far", f"csv.{suffix}",
            lambda pack=pack: pack(HEAD.encode()) + 300 * pack(b"001;Ana;1,25;;\n" * 70_000),
            refused="expands_too_far",
        ),
        Oddity("empty_file", f"csv.{suffix}", lambda pack=pack: pack(b""), refused="empty_file"),
    )
)  # fmt: skip
ODDITIES = (*DELIMITED, *OTHER_TYPES, *JSON, *WORKBOOKS, *TYPED, *DAMAGED, *ARCHIVES, *COMPRESSED)
