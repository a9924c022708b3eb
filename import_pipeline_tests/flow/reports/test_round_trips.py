"""What goes back unedited and comes again is rejected again: the same rows, cells, kinds and codes."""

import csv
import datetime
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline_tests.flow.reports.importing import KEYLESS, UPLOAD, Checked, check_file

HEADER = ["code", "name", "Telefone", "city"]
Row = Sequence[Any]
quick = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def rejects_of(checked: Checked) -> list[dict[str, Any]]:
    """Every rejected row: its cells and kinds, what is wrong with its structure, its errors."""
    columns = len(checked.opened.file.header) - 3 * checked.opened.file.ours
    found = []
    for one in checked.checked:
        rejects = checked.store.get_table(one.rejects_key)
        errors = checked.store.get_table(one.errors_key)
        for row in rejects.to_pylist():
            mine = [e for e in errors.to_pylist() if e["row_number"] == row["_row_number"]]
            cells = [(row[f"c{at}"] or None, row.get(f"k{at}") or 0) for at in range(columns)]
            found.append(
                {
                    "cells": [(text, kind if text else 0) for text, kind in cells],
                    "problem": row["_problem"],
                    "overflow": row["_overflow"],
                    "errors": [(e["column"], e["header"], e["value"] or "", e["code"]) for e in mine],
                }
            )
    return found


def places_of(checked: Checked) -> list[tuple[str, str]]:
    """Row and upload that each rejected row of a file of ours names."""
    last = len(checked.opened.file.header)
    tables = [checked.store.get_table(one.rejects_key) for one in checked.checked]
    return [
        (row[f"c{last - 3}"], row[f"c{last - 2}"]) for row in pa.concat_tables(tables).to_pylist()
    ]  # fmt: skip


def goes_round(
    first: Checked, folder: Path, rows: int, options: SenderOptions | None = None, dataset: Dataset = KEYLESS
) -> None:
    """Send back what came back, twice, and compare."""
    told = rejects_of(first)
    assert len(told) == rows
    header = first.opened.file.header
    places = None
    for number in ("second", "third"):
        report = first.report()
        data = first.store.get_bytes(report.rejected_key or "")
        again = check_file(data, folder / number, dataset, options=options)
        assert again.opened.file.ours
        assert again.opened.file.header[:-3] == header
        assert rejects_of(again) == told
        assert again.split.read == rows
        assert {upload for _, upload in places_of(again)} == {UPLOAD}
        assert places is None or places_of(again) == places
        places, first = places_of(again), again


def csv_bytes(rows: Sequence[Row], delimiter: str = ",") -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
    return file.getvalue().encode()


hostile = st.text("'=+-@\t\r\n ;,\"\\|aé0\ufffd", max_size=8) | st.sampled_from(
    ["-5", "+55 11", "'tis", "''=1", "[stray_quote 5f0c31aa]", '\\"x\\"', "a,b\nc,d", '","', "';'"]
)


@quick
@given(st.lists(st.tuples(hostile, hostile, hostile), min_size=1, max_size=5), st.sampled_from(",;\t|"))
@example([("=1", "'=1", "''=1"), ("\r", "\t", ""), ('"', " x ", "a\nb")], ";")
@example([('\\"x\\"', "'a'", "'b'")], ",")
def test_any_cells_of_a_delimited_text(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], delimiter: str
) -> None:
    folder = tmp_path_factory.mktemp("again")
    lines = [HEADER, *(["bad", *row] for row in rows)]
    options = SenderOptions(delimiter=delimiter, encoding="utf-8")
    goes_round(
        check_file(csv_bytes(lines, delimiter), folder / "1", KEYLESS, options=options), folder, len(rows)
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [(b"1,a", "too_few_cells"), (b"1,=a,", "too_few_cells"), (b'1,a,"b" c,d', "stray_quote"),
     (b"1,a,b,c,d", "too_many_cells"), (b"1,a,b,c,,", "too_many_cells"),
     (b"1,a\xff\xfeb,c,d", "undecodable_text"),
     (b'1,a,b,"c', "unclosed_quote"), (b"bad,a\0b,c,d", None)],
)  # fmt: skip
def test_a_row_that_could_not_be_cut_into_cells(tmp_path: Path, line: bytes, code: str) -> None:
    content = b"code,name,Telefone,city\n" + line + "\n2,né,,\n".encode()
    first = check_file(content, tmp_path / "1", KEYLESS)
    assert [row["problem"] for row in rejects_of(first)] == [code]
    goes_round(first, tmp_path, 1)


def test_cells_too_many_are_cells_again_and_none_of_them_runs(tmp_path: Path) -> None:
    first = check_file(b'code,name\n1,a,=b,"c ""d""",plain\n', tmp_path / "1", KEYLESS)
    for number in ("2", "3"):
        data = first.store.get_bytes(first.report().rejected_key or "")
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
        assert rows[1][5:] == ["'=b", 'c "d"', "plain"]
        first = check_file(data, tmp_path / number, KEYLESS)
        assert [row["problem"] for row in rejects_of(first)] == ["too_many_cells"]


def test_a_mended_row_is_no_reject_any_more(tmp_path: Path) -> None:
    first = check_file(b"code,name,Telefone,city\n1,a\n", tmp_path / "1", KEYLESS)
    data = first.store.get_bytes(first.report().rejected_key or "")
    again = check_file(data.replace(b"1,a,,", b"1,a,b,c"), tmp_path / "2", KEYLESS)
    assert (again.split.read, rejects_of(again)) == (1, [])


values = (
    hostile.filter(lambda text: "\ufffd" not in text)
    | st.text(max_size=5)
    | st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.decimals(allow_nan=False, allow_infinity=False, places=3)
    | st.lists(st.none() | st.integers() | st.text(max_size=3), max_size=2)
)


def json_text(rows: Sequence[Row], *, lines: bool) -> bytes:
    objects = [json.dumps(dict(zip(HEADER, row, strict=True)), default=float) for row in rows]
    return ("\n".join(objects) if lines else f"[{','.join(objects)}]").encode()


@quick
@given(st.lists(st.tuples(values, values, values), min_size=1, max_size=5), st.booleans())
@example([("=1", "'=1", "\0"), (1, "1", True)], True)
def test_any_values_of_json(tmp_path_factory: pytest.TempPathFactory, rows: list[Row], lines: bool) -> None:
    folder = tmp_path_factory.mktemp("again")
    content = json_text([("bad", *row) for row in rows], lines=lines)
    goes_round(check_file(content, folder / "1", KEYLESS), folder, len(rows))


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"code": 1, "name" "x"}', "invalid_json"),
        ("[1, 2]", "not_an_object"),
        ('{"code":1,"code":2}', "repeated_key"),
    ],
)
def test_a_json_row_that_is_no_object(tmp_path: Path, text: str, code: str, lines: bool) -> None:
    rows = ['{"code": "bad", "name": "a"}', text, '{"code": 2, "name": "b"}']
    content = "\n".join(rows) if lines else f"[{','.join(rows)}]"
    first = check_file(content.encode(), tmp_path / "1", KEYLESS)
    assert [(row["problem"], row["overflow"]) for row in rejects_of(first)] == [(None, None), (code, text)]
    goes_round(first, tmp_path, 2)
    data = first.store.get_bytes(first.report().rejected_key or "")
    mended = check_file(data.replace(b'"code": null', b'"code": 7'), tmp_path / "mended", KEYLESS)
    assert [row["problem"] for row in rejects_of(mended)] == [None]
    assert mended.split.read == 2


def test_the_order_of_the_keys_of_an_object_does_not_matter(tmp_path: Path) -> None:
    first = check_file(json_text([("bad", "a", "b", "c")], lines=False), tmp_path / "1", KEYLESS)
    data = json.loads(first.store.get_bytes(first.report().rejected_key or ""))
    mixed = json.dumps([dict(sorted(row.items(), reverse=True)) for row in data]).encode()
    again = check_file(mixed, tmp_path / "2", KEYLESS)
    assert again.opened.file.ours
    assert [name for name in again.opened.file.header if name.startswith("_")] == [
        "_import_row", "_import_upload", "_import_errors"
    ]  # fmt: skip
    assert places_of(again) == [("1", UPLOAD)]


characters = st.text("'=+-@\t\n ;,\"|aé0_x41<&>😀", max_size=8)
cell = (
    characters
    | st.none()
    | st.booleans()
    | st.integers(-(10**14), 10**14)
    | st.floats(-1e14, 1e14).map(lambda number: float(f"{number:.12g}"))
    | st.dates(datetime.date(1900, 3, 1), datetime.date(2200, 1, 1))
    | st.datetimes(datetime.datetime(1900, 3, 1), datetime.datetime(2200, 1, 1)).map(
        lambda moment: moment.replace(microsecond=0)
    )
    | st.times().map(lambda time: time.replace(microsecond=0))
    | st.timedeltas(datetime.timedelta(0), datetime.timedelta(days=3)).map(
        lambda span: span - span % datetime.timedelta(seconds=1)
    )
    | st.sampled_from(["_x0041_", "\x01", "a\rb", "00123", "1e5"])
)


def workbook_bytes(sheets: dict[str, Sequence[Row]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for number, row in enumerate(rows, 1):
            for column, value in enumerate(row, 1):
                written = sheet.cell(number, column)
                if isinstance(value, str):
                    written.value = "x"
                    written._value, written.data_type = escaped(value), "s"
                elif value is not None:
                    written.value = value
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def escaped(text: str) -> str:
    """Text as a workbook holds characters that XML does not."""
    return "".join(
        f"_x{ord(c):04X}_" if ord(c) < 0x20 and c not in "\t\n" else c for c in text.replace("_x", "_x005F_x")
    )


@quick
@given(
    st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=4),
    st.lists(st.tuples(cell, cell), min_size=1, max_size=3),
)
@example([("=1", "'=1", "''=1"), ("\r", "\t", "")], [("=A1", "#N/A")])
def test_any_cells_of_a_workbook(
    tmp_path_factory: pytest.TempPathFactory, one: list[Row], two: list[Row]
) -> None:
    folder = tmp_path_factory.mktemp("again")
    content = workbook_bytes({
        "Plan1": [HEADER, *(("bad", *row) for row in one)],
        "Plan 2!": [["city", "code", "extra"], *((row[0], "bad", row[1]) for row in two)],
    })  # fmt: skip
    first = check_file(content, folder / "1", KEYLESS)
    goes_round(first, folder, len(one) + len(two))


def test_cells_that_no_value_can_stand_for(tmp_path: Path) -> None:
    """Errors, formulas that were never calculated, percentages, numbers with more digits than are kept."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in (
        HEADER,
        ["bad", "=A1+B1", "#N/A", 0.155],
        [1, "x", 1.2345678901234567e17, None, "beyond", "more"],
    ):
        sheet.append(row)
    sheet["D2"].number_format = "0.0%"
    target = io.BytesIO()
    book.save(target)
    first = check_file(target.getvalue(), tmp_path / "1", KEYLESS)
    assert rejects_of(first)[0]["cells"][1:] == [("=A1+B1", 9), ("#N/A", 8), ("15.5%", 6)]
    assert rejects_of(first)[1]["overflow"] == "beyond\tmore"
    goes_round(first, tmp_path, 2)


def test_any_values_of_parquet(tmp_path: Path) -> None:
    moment = datetime.datetime(2026, 2, 28, 14, 30, 15, 123456)
    table = pa.table({
        "code": pa.array(["bad", "x", None, "y"]),
        "name": pa.array(["=1+1", "", None, "\0\r\n"]),
        "Telefone": pa.array([1, None, -(2**63), 2**63 - 1], pa.int64()),
        "city": pa.array(["a", "b", "a", None]).dictionary_encode(),
        "amount": pa.array([Decimal("1.50"), Decimal("-0.01"), None, Decimal("9.99")], pa.decimal128(20, 2)),
        "ratio": pa.array([0.1, 1e300, None, -0.5], pa.float64()),
        "day": pa.array([datetime.date(2026, 2, 28), None, datetime.date(1, 1, 1), None]),
        "at": pa.array([moment, None, moment, None], pa.timestamp("us", "America/Sao_Paulo")),
        "ok": pa.array([True, False, None, True]),
        "tags": pa.array([["a", None], [], None, ["="]], pa.list_(pa.string())),
        "raw": pa.array([b"abc", b"\xff\x00", None, b""], pa.binary()),
    })  # fmt: skip
    target = io.BytesIO()
    pq.write_table(table, target)
    first = check_file(target.getvalue(), tmp_path / "1", KEYLESS)
    goes_round(first, tmp_path, 4)
    back = pq.read_table(io.BytesIO(first.store.get_bytes(first.report().rejected_key or "")))
    assert back.column_names == [*table.column_names, "_import_row", "_import_upload", "_import_errors"]
    assert back.select(table.column_names).cast(table.schema).equals(table)
    assert back.schema.types[: table.num_columns] == table.schema.types
    assert back["_import_row"].to_pylist() == ["1", "2", "3", "4"]


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_what_is_stated_of_the_first_file_does_not_hide_the_header_of_ours(
    tmp_path: Path, form: str, stated: bool
) -> None:
    rows = [["Leads"], ["of March"], HEADER, ["bad", "a", "b", "c"], ["1", "d", "e", "f"]]
    content = workbook_bytes({"Plan1": rows}) if form == "xlsx" else csv_bytes(rows)
    dataset, options = KEYLESS, SenderOptions(header_row=3)
    if not stated:
        dataset, options = replace(KEYLESS, defaults=SenderOptions(header_row=3)), SenderOptions()
    first = check_file(content, tmp_path / "1", dataset, options=options)
    goes_round(first, tmp_path, 1, options, dataset)


def test_a_file_without_header_goes_back_with_one(tmp_path: Path) -> None:
    dataset = replace(KEYLESS, header="optional")
    first = check_file(b"bad,Ana,,SP\n2,Bia,,RJ\n", tmp_path / "1", dataset)
    goes_round(first, tmp_path, 1, SenderOptions(header_row=0), dataset)
