"""Rejected rows go back in the form in which the file came, and errors name its sheets."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import openpyxl
import pandera.pandas as pandera
import pytest

from import_pipeline.catalog.dataset import Dataset, column
from import_pipeline.catalog.types import Integer, Phone, Text
from import_pipeline.errors import MissingColumns
from import_pipeline.flow.reports.csv_lines import kinds_by_column
from import_pipeline.flow.reports.returned.writers import REJECTED_NAMES, form_of
from import_pipeline.flow.reports.writing import write_refusal
from import_pipeline.records import FileFormat, Sheet, TextFacts
from import_pipeline_tests.flow.reports.importing import Checked, check_file
from import_pipeline_tests.flow.reports.returned.batches import upload

PREFIX = "reports/acme/people/0123456789ab/"
ROWS = b"code,name,city\n1,Ana,SP\nbad,=1+1,\n-5,Bia,RJ\n1,Caio,\n"


def as_workbook(checked: Checked) -> Checked:
    """The same rows as if they had been those of a workbook's one sheet."""
    file = replace(checked.opened.file, format="ods", text=None, sheets=(Sheet("Plan1", 1, (0, 1, 2)),))
    return replace(checked, opened=replace(checked.opened, file=file))


@pytest.mark.parametrize(
    ("came", "back"),
    [("csv", "rejected.csv"), ("json", "rejected.json"), ("jsonl", "rejected.jsonl"),
     ("parquet", "rejected.parquet"), ("xlsx", "rejected.xlsx"), ("xlsm", "rejected.xlsx"),
     ("xlsb", "rejected.xlsx"), ("xls", "rejected.xlsx"), ("ods", "rejected.xlsx")],
)  # fmt: skip
def test_each_format_goes_back_as_it_came_or_as_xlsx(came: FileFormat, back: str) -> None:
    assert form_of(upload(came).file).name == back
    assert back in REJECTED_NAMES


@pytest.mark.parametrize(
    ("delimiter", "name"), [(",", "rejected.csv"), (";", "rejected.csv"), ("\t", "rejected.tsv")]
)
def test_text_between_tabs_goes_back_as_tsv(delimiter: str, name: str) -> None:
    file = replace(upload("csv").file, text=TextFacts("utf-8", 1, delimiter))
    assert form_of(file).name == name


def test_a_workbook_goes_back_as_one_and_its_errors_name_the_sheet(tmp_path: Path) -> None:
    checked = as_workbook(check_file(ROWS, tmp_path))
    report = checked.report()
    assert report.rejected_key == PREFIX + "rejected.xlsx"
    assert report.summary["files"]["rejected"] == report.rejected_key
    sheet = openpyxl.load_workbook(checked.store.path(report.rejected_key))["Plan1"]
    assert [[cell.value for cell in row[:4]] for row in sheet] == [
        ["code", "name", "city", "_import_row"], ["bad", "'=1+1", None, 3], ["-5", "Bia", "RJ", 4],
    ]  # fmt: skip
    text = checked.store.get_bytes(PREFIX + "errors.csv").decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert [row[:3] for row in rows] == [
        ["row", "sheet", "column"], ["3", "Plan1", "code"], ["4", "Plan1", "code"], ["5", "Plan1", "code"],
    ]  # fmt: skip
    assert [(error["row"], error["sheet"]) for error in report.first_errors] == [(3, "Plan1"), (4, "Plan1")]
    assert [(error.row_number, error.sheet) for error in report.row_errors] == [(3, "Plan1"), (4, "Plan1")]


def test_what_no_workbook_holds_goes_back_as_csv_and_is_counted_once(tmp_path: Path) -> None:
    long = b"x" * 32_768
    checked = as_workbook(check_file(ROWS + b"bad," + long + b",\n", tmp_path, rows_per_batch=2))
    report = checked.report()
    assert report.rejected_key == PREFIX + "rejected.csv"
    assert (report.rejected_rows, report.total_errors) == (3, 3)
    assert report.codes == {"not_a_number": 2, "out_of_range": 1, "repeated_in_file": 1}
    data = checked.store.get_bytes(report.rejected_key)
    assert long in data
    assert data.count(b"\r\n") == 4


def test_an_older_form_of_the_rejected_rows_goes_when_a_new_one_comes(tmp_path: Path) -> None:
    checked = check_file(ROWS, tmp_path)
    checked.report()
    as_workbook(checked).report()
    names = [key.removeprefix(PREFIX) for key in checked.store.list_keys(PREFIX)]
    assert [name for name in names if name.startswith("rejected")] == ["rejected.xlsx"]
    write_refusal(checked.store, checked.opened, MissingColumns("a.csv lacks `code`."))
    names = [key.removeprefix(PREFIX) for key in checked.store.list_keys(PREFIX)]
    assert not [name for name in names if name.startswith("rejected")]


class Called(pandera.DataFrameModel):
    """A phone by its type, one by its name, a number, a text."""

    contact: Phone = column("Contato")
    second: Text = column("Telefone")
    amount: Integer = column("Valor")
    note: Text = column("Nota")


def test_a_signed_number_or_phone_stays_bare_in_a_column_of_its_kind() -> None:
    assert kinds_by_column(Dataset("called", Called)) == {
        "contact": "phone", "second": "phone", "amount": "number",
    }  # fmt: skip
