"""What goes back to the sender: complete, in order, in the sender's own form."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.datasets.leads import DATASET as LEADS
from import_pipeline.errors import (
    CountsDoNotBalance,
    MissingColumns,
    StoredObjectMissing,
    Superseded,
    TooManyRejects,
)
from import_pipeline.flow.reports.writing import write_refusal, write_reports
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.store import LocalStore
from import_pipeline_tests.flow.reports.importing import (
    PEOPLE,
    UPLOAD,
    Checked,
    check_file,
)

PREFIX = "reports/acme/people/0123456789ab/"
MIXED = (
    "Código;NOME;extra col;Telefone;Cidade\r\n"
    "1;Ana;x;+55 11 9;São Paulo\r\n"
    "bad;=SUM(A1);'quoted;+55 (11) 98765-4321;\"two\nlines\"\r\n"
    "1;Ana again;;;\r\n"
    "-5;neg;;-phone;\" space\"\r\n"
    "7;too;few\r\n"
    "8;too;many;cells;here;@a;b\r\n"
    "9;Zé;;;\r\n"
).encode("cp1252")  # fmt: skip


def read_csv(store: Any, key: str, delimiter: str = ";") -> list[list[str]]:
    data = store.get_bytes(key)
    assert data.startswith(b"\xef\xbb\xbf")
    assert data.endswith(b"\r\n")
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=delimiter))


@pytest.fixture
def mixed(tmp_path: Path) -> Checked:
    return check_file(MIXED, tmp_path, rows_per_batch=2)


def test_every_reject_comes_back_in_the_senders_columns_and_order(mixed: Checked) -> None:
    report = mixed.report()
    header, *rows = read_csv(mixed.store, PREFIX + "rejected.csv")
    assert header == ["Código", "NOME", "extra col", "Telefone", "Cidade",
                      "_import_row", "_import_upload", "_import_errors"]  # fmt: skip
    assert [[*row[:7], *row[8:]] for row in rows] == [
        ["bad", "'=SUM(A1)", "'quoted", "+55 (11) 98765-4321", "two\nlines", "3", UPLOAD],
        ["-5", "neg", "", "'-phone", " space", "5", UPLOAD],
        ["7", "too", "few", "", "", "6", UPLOAD],
        ["8", "too", "many", "cells", "here", "7", UPLOAD, "'@a", "b"],
    ]
    assert rows[0][7] == 'Row 3, column "Código": "bad" is not a number.'
    assert (report.rejected_rows, report.rejected_key) == (4, PREFIX + "rejected.csv")


def test_every_error_and_duplicate_is_listed_by_row(mixed: Checked) -> None:
    report = mixed.report()
    header, *rows = read_csv(mixed.store, PREFIX + "errors.csv")
    assert header == ["row", "column", "value", "code", "severity", "message", "remedy"]
    assert [row[:5] for row in rows] == [
        ["3", "Código", "bad", "not_a_number", "error"],
        ["4", "Código", "1", "repeated_in_file", "duplicate"],
        ["5", "Código", "-5", "out_of_range", "error"],
        ["6", "", "", "too_few_cells", "error"],
        ["7", "", "'@a;b", "too_many_cells", "error"],
    ]
    assert "row 2 of this file" in rows[1][5]
    assert all(row[6] for row in rows)
    assert report.total_errors == 4
    assert report.codes["repeated_in_file"] == 1


def test_the_summary_says_what_was_read_how_and_which_option_changes_it(mixed: Checked) -> None:
    report = mixed.report(facts={"run_id": "r1"}, seconds={"stage": 1.23456})
    summary = json.loads(mixed.store.get_bytes(report.summary_key))
    assert summary == json.loads(json.dumps(report.summary))
    assert (summary["state"], summary["run_id"]) == ("completed_with_rejects", "r1")
    assert summary["counts"] == {
        "read": 7, "inserted": 2, "updated": 0, "unchanged": 0, "duplicate": 1, "rejected": 4,
    }  # fmt: skip
    assert summary["lines"]["physical"] == 9
    assert summary["columns"]["unknown"] == {"headers": ["extra col"], "treatment": "keep"}
    assert summary["seconds"]["stage"] == 1.235
    found = {entry["what"]: entry for entry in summary["read_as"]}
    assert (found["encoding"]["value"], found["encoding"]["option"]) == ("cp1252", "encoding")
    assert (found["delimiter"]["value"], found["delimiter"]["option"]) == (";", "delimiter")
    assert summary["codes"] == report.codes
    assert summary["files"]["rejected"] == PREFIX + "rejected.csv"


def test_rows_whose_key_is_in_the_table_come_back_with_their_own_cells(mixed: Checked) -> None:
    outcomes = pa.table({
        "_row_number": pa.array([2, 4, 8], pa.int64()),
        "outcome": ["rejected", "rejected", "unchanged"],
        "code": ["already_in_table", "already_in_table", None],
    })  # fmt: skip
    published = mixed.published(in_table=2, more_duplicates=-1)
    report = mixed.report(outcomes=outcomes, published=published)
    rows = read_csv(mixed.store, PREFIX + "rejected.csv")[1:]
    assert [row[5] for row in rows] == ["2", "3", "4", "5", "6", "7"]
    assert rows[0][:5] == ["1", "Ana", "x", "+55 11 9", "São Paulo"]
    assert "already in the table" in rows[0][7]
    errors = {row[0]: row for row in read_csv(mixed.store, PREFIX + "errors.csv")[1:]}
    assert (errors["4"][3], errors["4"][4]) == ("already_in_table", "error")
    assert "8" not in errors
    assert report.rejected_rows == 6


def test_a_correction_that_came_too_late_is_told_about_the_row_not_about_its_key(mixed: Checked) -> None:
    outcomes = pa.table({"_row_number": [2], "outcome": ["rejected"], "code": ["not_a_reject"]})
    mixed.report(outcomes=outcomes, published=mixed.published(in_table=1))
    [late] = [row for row in read_csv(mixed.store, PREFIX + "errors.csv") if row[3] == "not_a_reject"]
    assert late[:3] == ["2", "", ""]
    assert late[5].startswith("Row 2: `_import_row` and `_import_upload` name no row")


def test_duplicates_of_the_table_are_listed_but_not_handed_back(mixed: Checked) -> None:
    outcomes = pa.table({
        "_row_number": pa.array([2, 4, 8], pa.int64()),
        "outcome": ["duplicate"] * 3,
        "code": ["already_in_table", "repeated_in_file", "newer_in_table"],
    })  # fmt: skip
    mixed.report(outcomes=outcomes, published=mixed.published(more_duplicates=2))
    errors = read_csv(mixed.store, PREFIX + "errors.csv")[1:]
    assert [(r[0], r[3]) for r in errors if r[4] == "duplicate"] == [
        ("2", "already_in_table"), ("4", "repeated_in_file"), ("8", "newer_in_table"),
    ]  # fmt: skip
    assert len(read_csv(mixed.store, PREFIX + "rejected.csv")) == 5


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_report_has_the_delimiter_of_its_file(tmp_path: Path, delimiter: str) -> None:
    lines = [["code", "name", "city"], ["x", "a,b;c|d", '"e\tf"'], ["1", "n", "m"]]
    checked = check_file("\n".join(delimiter.join(line) for line in lines[:1]).encode() + b"\n" +
                         csv_bytes(lines[1:], delimiter), tmp_path)  # fmt: skip
    report = checked.report()
    rows = read_csv(checked.store, report.rejected_key or "", delimiter)
    assert rows[1][:3] == lines[1]


def csv_bytes(rows: list[list[str]], delimiter: str = ",") -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
    return file.getvalue().encode()


def test_a_file_without_rejects_gets_no_rejected_file_and_an_old_one_goes(mixed: Checked) -> None:
    mixed.report()
    clean = check_file(b"code,name\n1,a\n", mixed.store.root.parent / "clean")
    report = clean.report(target=mixed.store)
    assert report.rejected_key is None
    assert mixed.store.list_keys(PREFIX) == [
        PREFIX + "errors.csv", PREFIX + "summary.html", PREFIX + "summary.json",
    ]  # fmt: skip


def test_a_header_alone_is_reported_with_the_warning_no_rows(tmp_path: Path) -> None:
    checked = check_file(b"code;name\n", tmp_path)
    report = checked.report()
    assert [w["code"] for w in report.summary["warnings"]] == ["no_rows"]
    assert report.summary["counts"]["read"] == 0
    assert len(read_csv(checked.store, PREFIX + "errors.csv")) == 1


def test_rows_that_the_counts_know_and_the_report_lacks_stop_it_before_its_summary(mixed: Checked) -> None:
    with pytest.raises(CountsDoNotBalance, match="5 rows were counted as rejected, but 4"):
        mixed.report(published=mixed.published(in_table=1))
    assert mixed.store.list_keys(PREFIX) == []


def test_the_report_of_check_needs_no_outcomes_and_goes_to_a_folder(mixed: Checked, tmp_path: Path) -> None:
    target = LocalStore(tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    report = mixed.report(target=target, prefix="", published=mixed.published(state="checked"))
    names = ["errors.csv", "mine.txt", "rejected.csv", "summary.html", "summary.json"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    assert report.summary["duplicate_of"] is None


def test_a_refusal_names_the_error_its_remedy_and_the_option_that_settles_it(mixed: Checked) -> None:
    mixed.report()
    error = MissingColumns("a.csv lacks `code`.", remedy="Rename it.", missing=["code"], option="delimiter")
    report = write_refusal(mixed.store, mixed.opened, error)
    summary = json.loads(mixed.store.get_bytes(report.summary_key))
    assert summary["state"] == "refused"
    assert summary["error"] == {
        "code": "missing_columns", "message": "a.csv lacks `code`.", "remedy": "Rename it.",
        "option": "delimiter", "details": {"missing": ["code"]},
    }  # fmt: skip
    assert mixed.store.list_keys(PREFIX) == [PREFIX + "summary.html", PREFIX + "summary.json"]


def test_a_file_refused_for_its_rejects_still_gets_all_of_them_back(mixed: Checked) -> None:
    report = write_reports(
        mixed.store, mixed.opened, mixed.split, mixed.checked, None, duplicates=mixed.duplicates,
        dataset=PEOPLE, refusal=TooManyRejects("4 of 7 rows have errors.", rejected=4),
    )  # fmt: skip
    assert report.rejected_rows == 4
    assert (report.summary["state"], report.summary["error"]["code"]) == ("refused", "too_many_rejects")


def test_a_report_in_the_bucket_says_what_its_files_are(mixed: Checked, s3, bucket_name: str) -> None:
    target = Bucket(s3, bucket_name)
    mixed.report(target=target)
    mixed.report(target=target)
    types = {
        key.removeprefix(PREFIX): s3.head_object(Bucket=bucket_name, Key=key)["ContentType"]
        for key in target.list_keys(PREFIX)
    }
    assert types == {
        "errors.csv": "text/csv; charset=utf-8", "rejected.csv": "text/csv; charset=utf-8",
        "summary.html": "text/html; charset=utf-8", "summary.json": "application/json",
    }  # fmt: skip


def test_the_summary_comes_last(mixed: Checked) -> None:
    order = []

    class Noting(LocalStore):
        def put_bytes(self, key: str, *rest: Any) -> None:
            order.append(key)
            super().put_bytes(key, *rest)

        def put_file(self, key: str, *rest: Any) -> None:
            order.append(key)
            super().put_file(key, *rest)

    mixed.report(target=Noting(mixed.store.root / "noted"))
    assert [key.removeprefix(PREFIX) for key in order] == [
        "errors.csv",
        "rejected.csv",
        "summary.html",
        "summary.json",
    ]


def test_an_assumed_date_order_is_a_warning_that_names_its_option(tmp_path: Path) -> None:
    content = b"email,created_at\na@x.com,03/04/2026\nb@x.com,05/06/2026\n"
    report = check_file(content, tmp_path, LEADS).report()
    (warning,) = report.summary["warnings"]
    assert (warning["code"], warning["option"]) == ("assumed_date_order", "date-order")
    assert "2 values" in warning["message"]
    stated = check_file(content, tmp_path / "2", LEADS, options=SenderOptions(date_order="mdy")).report()
    assert stated.summary["warnings"] == []
    assert stated.summary["stated_options"] == {"date_order": "mdy"}


def test_a_duplicate_file_is_reported_without_rows(tmp_path: Path) -> None:
    checked = check_file(b"code\n", tmp_path)
    published = checked.published(state="duplicate_file", duplicate_of="acme/first.csv@a", published_at=None)
    summary = replace(checked).report(published=published).summary
    assert (summary["state"], summary["duplicate_of"]) == ("duplicate_file", "acme/first.csv@a")
    assert summary["warnings"] == []


def test_a_report_that_stands_is_touched_only_once_all_rows_are_gathered(mixed: Checked) -> None:
    """What a second writing needs may be gone: it deleted the summary first, and then it stopped."""
    mixed.report()
    before = {key: mixed.store.get_bytes(key) for key in mixed.store.list_keys(PREFIX)}
    mixed.store.delete_prefix(mixed.checked[0].rejects_key)
    with pytest.raises(StoredObjectMissing):
        mixed.report()
    assert {key: mixed.store.get_bytes(key) for key in mixed.store.list_keys(PREFIX)} == before


def test_who_owns_the_upload_no_longer_writes_nothing(mixed: Checked) -> None:
    @contextmanager
    def owned() -> Iterator[None]:
        raise Superseded("A newer run owns it.")
        yield

    with pytest.raises(Superseded):
        mixed.report(owned=owned)
    assert mixed.store.list_keys(PREFIX) == []
