import json
from dataclasses import replace

import pandas as pd
import pandera.pandas as pandera
import psycopg
import pytest

from import_pipeline.catalog.dataset import Dataset, SenderOptions, column
from import_pipeline.catalog.types import Integer, Text
from import_pipeline.datasets.leads import DATASET as LEADS
from import_pipeline.errors import ImportFailed
from import_pipeline.flow.checks.checking import check_batch
from import_pipeline.flow.checks.messages import ERRORS_SCHEMA
from import_pipeline.records import Batch
from import_pipeline.storage.store import LocalStore
from import_pipeline_tests.flow.checks.tables import EVERYTHING, batch_of, check, file_of, told

PAIR = ("code", "low", "high")


class Pair(pandera.DataFrameModel):
    code: Text = column("Código", required=True, isin=["A", "B"])
    low: Integer = column(ge=0)
    high: Integer = column()

    @pandera.check("high", error="is even")
    def even(cls, values: pd.Series) -> pd.Series:
        return values // 2 * 2 == values

    @pandera.dataframe_check(error="low is at most high")
    def ordered(cls, frame: pd.DataFrame) -> pd.Series:
        return frame["low"] <= frame["high"]


PAIRS = Dataset(name="pairs", model=Pair)


def test_one_check_more_in_the_model_is_all_it_takes_to_reject_rows():
    class Stricter(Pair):
        high: Integer = column(le=10)

    rows = [("A", "1", "10"), ("A", "1", "12")]
    assert told(check(PAIRS, rows)) == []
    assert told(check(Dataset(name="stricter", model=Stricter), rows)) == [[3, "high", "out_of_range"]]


def test_all_errors_of_a_row_are_told_not_only_the_first():
    assert told(check(PAIRS, [("C", "-1", "-3")])) == [
        [2, "code", "not_allowed"],
        [2, "low", "out_of_range"],
        [2, "high", "check_failed"],
        [2, "", "check_failed"],
    ]


def test_a_rule_over_several_columns_does_not_judge_a_row_with_an_unreadable_or_empty_cell():
    rows = [("A", "5", "x"), ("A", "5", ""), ("A", "5", "4"), ("A", "", "4"), ("A", "3", "4")]
    assert told(check(PAIRS, rows)) == [[2, "high", "not_a_number"], [4, "", "check_failed"]]


def test_a_required_cell_that_cannot_be_read_is_not_called_empty_as_well():
    class Needed(pandera.DataFrameModel):
        number: Integer = column(required=True)

    checked = check(Dataset(name="needed", model=Needed), [("x",), ("",), ("1",)])
    assert told(checked) == [[2, "number", "not_a_number"], [3, "number", "missing_value"]]


def test_a_frame_check_may_answer_cell_by_cell():
    class Cells(pandera.DataFrameModel):
        low: Integer = column()
        high: Integer = column()

        @pandera.dataframe_check(error="is below 10")
        def small(cls, frame: pd.DataFrame) -> pd.DataFrame:
            return frame < 10

    rows = [("1", "20"), ("20", "20"), ("", "3")]
    assert told(check(Dataset(name="cells", model=Cells), rows)) == [
        [2, "high", "check_failed"], [3, "low", "check_failed"], [3, "high", "check_failed"],
    ]  # fmt: skip


def test_a_check_that_only_warns_lists_the_row_and_keeps_it():
    class Warned(pandera.DataFrameModel):
        number: Integer = column(ge=10, raise_warning=True)

    checked = check(Dataset(name="warned", model=Warned), [("1",), ("11",)])
    assert checked.errors.select(["row_number", "code", "severity"]).to_pylist() == [
        {"row_number": 2, "code": "out_of_range", "severity": "warning"}
    ]
    assert (checked.clean.num_rows, checked.rejects.num_rows) == (2, 0)


def test_a_check_that_raises_stops_the_import_and_names_itself():
    """A check that breaks on some value once looked like a file without errors."""

    class Broken(pandera.DataFrameModel):
        number: Integer = column()

        @pandera.check("number")
        def breaks(cls, values: pd.Series) -> pd.Series:
            raise ZeroDivisionError("by accident")

    with pytest.raises(ImportFailed, match=r"'breaks' raised .*by accident") as error:
        check(Dataset(name="broken", model=Broken), [("1",)])
    assert "test_checking.py:" in error.value.message


def test_a_check_that_judges_the_batch_instead_of_its_rows_stops_the_import():
    class Whole(pandera.DataFrameModel):
        number: Integer = column()

        @pandera.check("number")
        def sums_up(cls, values: pd.Series) -> bool:
            return bool(values.sum() > 100)

    with pytest.raises(ImportFailed, match="does not answer with one boolean a row"):
        check(Dataset(name="whole", model=Whole), [("1",)])


def test_checks_are_made_even_where_pandera_is_switched_off(monkeypatch):
    monkeypatch.setenv("PANDERA_VALIDATION_ENABLED", "False")
    with pandera.config.config_context(validation_enabled=False):
        assert told(check(PAIRS, [("C", "", "")])) == [[2, "code", "not_allowed"]]


@pytest.mark.parametrize("rows", [[], [("", "", "")], [("", "", "")] * 3], ids=["none", "one bad", "all bad"])
def test_a_batch_without_a_good_row_gives_an_empty_clean_table_of_the_same_columns(rows):
    checked = check(PAIRS, rows)
    good = check(PAIRS, [("A", "1", "2")])
    assert checked.clean.schema == good.clean.schema
    assert checked.errors.schema == good.errors.schema == ERRORS_SCHEMA
    assert (checked.clean.num_rows, checked.rejects.num_rows) == (0, len(rows))


def test_a_batch_of_nothing_but_rows_that_cannot_be_parted():
    checked = check(
        PAIRS, [("A", "1", "2"), ("B", None, None)], problems={2: "stray_quote", 3: "too_few_cells"}
    )
    assert told(checked) == [[2, "", "stray_quote"], [3, "", "too_few_cells"]]


def test_an_unclosed_quote_is_told_with_the_line_where_it_opens():
    rows = [("A", "1", "2"), ("A", "1", None), ("A", None, None)]
    checked = check(PAIRS, rows, problems={3: "unclosed_quote", 4: "unclosed_quote"})
    messages = [error["message"] for error in checked.errors.to_pylist()]
    assert messages == [
        f"Row {row}: a quote opens a cell in line {row} and is never closed." for row in (3, 4)
    ]
    assert checked.clean["_row_number"].to_pylist() == [2]


def test_a_strict_dataset_rejects_what_stands_in_a_column_without_a_name():
    strict = replace(PAIRS, unknown_columns="refuse")
    checked = check(strict, [("A", "1", "2", " "), ("A", "1", "2", "x")], header=(*PAIR, ""))
    assert [(e["row_number"], e["code"], e["message"]) for e in checked.errors.to_pylist()] == [
        (3, "cell_without_header", 'Row 3: "x" stands in a column without a name.')
    ]
    assert checked.clean["_row_number"].to_pylist() == [2]


def test_rejects_are_the_rows_as_they_came():
    row = (" c ", " x ", "1 ")
    rejects = check(PAIRS, [row]).rejects.to_pylist()
    assert [(r["c0"], r["c1"], r["c2"]) for r in rejects] == [row]


UNKNOWN = ("code", "Campanha", 'a "quoted" \\ header', "", "Campanha")


def _extras(*rows, policy="keep"):
    dataset = Dataset(name="pairs", model=Pair, unknown_columns=policy)
    return check(dataset, [("A", *row) for row in rows], header=UNKNOWN).clean


def test_unknown_columns_are_kept_as_json_of_their_cells_that_are_not_empty():
    clean = _extras((" verão ", "", None, "b"), ("", " ", "", ""), ('"\\\n\x01', "x", "y", ""))
    assert [t and json.loads(t) for t in clean["extra"].to_pylist()] == [
        {"Campanha": "verão", "Campanha (2)": "b"},
        None,
        {"Campanha": '"\\\n\x01', 'a "quoted" \\ header': "x", "column 4": "y"},
    ]


def test_a_file_without_unknown_columns_has_an_empty_extra():
    assert check(PAIRS, [("A", "1", "2")]).clean["extra"].to_pylist() == [None]


def test_unknown_columns_are_dropped_where_the_dataset_ignores_them():
    assert "extra" not in _extras(("a", "b", "c", "d"), policy="ignore").column_names


def test_a_nul_character_in_an_unknown_column_is_told_under_its_header():
    assert told(check(PAIRS, [("A", "x\0y")], header=("code", "Obs"))) == [[2, "Obs", "nul_character"]]


def test_postgresql_takes_every_extra_as_jsonb(database_url):
    texts = ['"', "\\", "\\u0000", "\x01\x1f\x7f", "😀", "a\u2028b", "{}", "a" * 1000]
    extras = [t for t in _extras(*((text, text, "", "") for text in texts))["extra"].to_pylist() if t]
    with psycopg.connect(database_url) as connection:
        stored = connection.execute("SELECT (unnest(%s::text[])::jsonb)->>'Campanha'", [extras]).fetchall()
    assert [text for (text,) in stored] == texts


def test_without_a_verdict_the_senders_option_and_then_the_datasets_default_decide():
    assert told(check(EVERYTHING, [("a", "1.234")], header=("code", "whole"))) == [
        [2, "whole", "ambiguous_number"]
    ]
    stated = SenderOptions(decimal=",", date_order="mdy")
    clean = check(EVERYTHING, [("a", "1.234", "01/02/2026")], header=("code", "whole", "day"), options=stated)
    assert clean.clean.select(["whole", "day"]).to_pylist()[0]["whole"] == 1234
    assert str(clean.clean["day"][0].as_py()) == "2026-01-02"
    assert str(check(LEADS, [("a@b.com", "1.234")], header=("email", "estimated_value")).clean[
        "estimated_value"][0].as_py()) == "1234.00"  # fmt: skip


def test_a_batch_leaves_clean_rows_keys_rejects_and_errors_under_its_number(tmp_path):
    store = LocalStore(tmp_path)
    rows = [("a@x.com", "Ana"), ("", "Bia"), ("c@x.com", "C\0"), ("d@x.com", None)]
    store.put_table("staging/batches/0007.parquet", batch_of(rows, 2, {5: "too_few_cells"}))
    batch = Batch(number=7, key="staging/batches/0007.parquet", rows=4, first_row=2, last_row=5)
    file = file_of(LEADS, ("email", "name"))

    for _ in range(2):  # a second try leaves the same
        checked = check_batch(
            batch, file, (), LEADS, options=SenderOptions(), store=store, staging="staging/"
        )

    assert (checked.number, checked.read, checked.valid, checked.rejected) == (7, 4, 1, 3)
    assert checked.codes == {"missing_value": 1, "nul_character": 1, "too_few_cells": 1}
    assert store.get_table(checked.clean_key)["email"].to_pylist() == ["a@x.com"]
    assert store.get_table(checked.keys_key).to_pylist() == [{"_row_number": 2, "email": "a@x.com"}]
    assert store.get_table(checked.rejects_key)["_row_number"].to_pylist() == [3, 4, 5]
    assert store.get_table(checked.errors_key)["row_number"].to_pylist() == [3, 4, 5]
    assert store.list_keys("staging/") == [
        "staging/batches/0007.parquet", "staging/clean/0007.parquet", "staging/errors/0007.parquet",
        "staging/keys/0007.parquet", "staging/rejects/0007.parquet",
    ]  # fmt: skip


def test_a_dataset_without_a_key_leaves_no_keys(tmp_path):
    store = LocalStore(tmp_path)
    store.put_table("b", batch_of([("A", "1", "2")], 3))
    batch = Batch(number=1, key="b", rows=1, first_row=2, last_row=2)
    checked = check_batch(batch, file_of(PAIRS), (), PAIRS, store=store, staging="s/")
    assert checked.keys_key == ""
    assert not store.exists("s/keys/0001.parquet")
