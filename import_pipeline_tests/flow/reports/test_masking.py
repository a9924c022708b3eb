"""Personal values go back to the sender and nowhere else; strangers' text is never markup."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.datasets.leads import DATASET as LEADS
from import_pipeline.flow.reports.markdown import escape_markdown, markdown_table
from import_pipeline_tests.flow.reports.importing import PEOPLE, check_file

SECRET = "SECRET"


def test_no_personal_value_reaches_ledger_or_ui(tmp_path: Path) -> None:
    rows = [
        f"{SECRET}-no-mail,{SECRET},SP,x",
        f"b@{SECRET}.com,n,XX,{SECRET}",
        f"c@x.com,n,SP,y,{SECRET}",
        f"d@{SECRET}.com,n,SP,z",
    ]
    content = "\n".join(["email,name,state,unknown column", *rows, rows[-1]]).encode()
    checked = check_file(content, tmp_path, LEADS)
    outcomes = pa.table({"_row_number": [5], "outcome": ["rejected"], "code": ["already_in_table"]})
    report = checked.report(outcomes=outcomes, published=checked.published(in_table=1))
    shown = f"{report.first_errors} {report.row_errors} {report.codes} {report.summary}".lower()
    assert SECRET.lower() not in shown
    assert [(e.row_number, e.code) for e in report.row_errors] == [
        (2, "not_an_email"), (3, "not_a_uf"), (4, "too_many_cells"), (5, "already_in_table"),
    ]  # fmt: skip
    assert report.row_errors[0].message == 'Row 2, column "email": "***" is not an e-mail address.'
    assert report.row_errors[1].value == "XX"
    back = checked.store.get_bytes(report.errors_key or "") + checked.store.get_bytes(
        report.rejected_key or ""
    )
    assert f"{SECRET}-no-mail".encode() in back


def test_a_key_that_is_not_personal_is_shown_and_names_its_rows(tmp_path: Path) -> None:
    checked = check_file(b"code,name\n1,a\n2,b\n", tmp_path, PEOPLE)
    outcomes = pa.table({"_row_number": [3], "outcome": ["rejected"], "code": ["already_in_table"]})
    (first,) = checked.report(outcomes=outcomes, published=checked.published(in_table=1)).first_errors
    assert (first["row"], first["column"], first["value"]) == (3, "code", "2")


def test_the_ledger_gets_the_first_errors_up_to_its_cap_and_the_true_number(tmp_path: Path) -> None:
    content = b"code\n" + b"bad\n" * 50
    report = check_file(content, tmp_path, PEOPLE, rows_per_batch=10).report(cap=25)
    assert [e.row_number for e in report.row_errors] == list(range(2, 27))
    assert report.total_errors == 50
    assert len(report.first_errors) == 20


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](http://e.vil/p.png)", "a|b", "`code`",
     "**b** _i_ ~s~", "line\nbreak", "http://e.vil", "www.e.vil", "a@e.vil", "&lt;", "\\", "$x$", "\u202ex"],
)  # fmt: skip
def test_text_of_strangers_is_shown_and_never_rendered(text: str) -> None:
    escaped = escape_markdown(text)
    bare = escaped
    for entity in ("&amp;", "&lt;", "&gt;", "&quot;", "&#58;", "&#124;", "&#96;", "&#46;", "&#64;"):
        bare = bare.replace(entity, "")
    for character in "<>|`\n:@&":
        assert character not in bare
    for position, character in enumerate(bare):
        if character in "*_[]()!~#$":
            assert bare[position - 1] == "\\"


@given(st.lists(st.fixed_dictionaries({"row": st.integers(), "value": st.text()}), min_size=1, max_size=5))
def test_a_table_has_one_line_a_row_and_its_own_columns_only(rows: list[dict]) -> None:
    lines = markdown_table(rows, ["row", "value"]).split("\n")
    assert len(lines) == len(rows) + 2
    assert all(line.count("|") == 3 for line in lines)


def test_a_table_without_rows_is_empty() -> None:
    assert markdown_table([], ["row"]) == ""
