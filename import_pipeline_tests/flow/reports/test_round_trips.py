"""What goes back unedited and comes again is rejected again: the same rows, cells, kinds and codes."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.storage.store import read_parquet
from import_pipeline_tests.flow.reports.importing import KEYLESS, UPLOAD, Checked, check_file

HEADER = ["code", "name", "Telefone", "city"]
Row = Sequence[Any]
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def rejects_of(checked: Checked) -> list[dict[str, Any]]:
    """Every rejected row: its cells and kinds, what is wrong with its structure, its errors."""
    columns = len(checked.opened.file.header) - 3 * checked.opened.file.ours
    found = []
    for one in checked.checked:
        rejects = read_parquet(checked.store, one.rejects_key)
        errors = read_parquet(checked.store, one.errors_key)
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
    tables = [read_parquet(checked.store, one.rejects_key) for one in checked.checked]
    return [
        (row[f"c{last - 3}"], row[f"c{last - 2}"]) for row in pa.concat_tables(tables).to_pylist()
    ]  # fmt: skip


def goes_round(first: Checked, folder: Path, rows: int) -> None:
    """Send back what came back, twice, and compare."""
    told = rejects_of(first)
    assert len(told) == rows
    header = first.opened.file.header
    places = None
    for number in ("second", "third"):
        report = first.report()
        data = first.store.get_bytes(report.rejected_key or "")
        again = check_file(data, folder / number, KEYLESS)
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
