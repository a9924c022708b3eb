"""Cells that a format stores as numbers, dates or errors; empty cells; sheets and languages of messages."""

from decimal import Decimal

import pandera.pandas as pandera
import pytest

from import_pipeline.catalog.dataset import Dataset, column
from import_pipeline.catalog.types import (
    Date,
    Number,
    Text,
)
from import_pipeline.flow.batches import kinds
from import_pipeline.flow.batches.columns.evidence import ColumnEvidence
from import_pipeline.flow.checks.checking import check_table
from import_pipeline_tests.flow.checks.anything import ANYTHING, read
from import_pipeline_tests.flow.checks.tables import batch_of, check, check_of_kinds, file_of, told

TYPED = [
    ("text", kinds.NUMBER, "123", "123"),
    ("text", kinds.DATE, "2026-02-28", "2026-02-28"),
    ("text", kinds.BOOLEAN, "true", "true"),
    ("text", kinds.PERCENT, "15.5%", "15.5%"),
    ("text", kinds.JSON, '{"a":1}', '{"a":1}'),
    ("text", kinds.ERROR_VALUE, "#N/A", "spreadsheet_error"),
    ("text", kinds.NO_RESULT, "=A1+B1", "formula_without_result"),
    ("text", kinds.IMPRECISE, "1.2345678901234567e+17", "imprecise_number"),
    ("identifier", kinds.NUMBER, "123", "123"),
    ("integer", kinds.NUMBER, "1234", "1234"),
    ("integer", kinds.NUMBER, "12.5", "not_a_whole_number"),
    ("integer", kinds.BOOLEAN, "true", "not_a_number"),
    ("integer", kinds.ERROR_VALUE, "#DIV/0!", "spreadsheet_error"),
    ("number", kinds.NUMBER, "1.234", "1.234"),
    ("number", kinds.NUMBER, "-0.5", "-0.500"),
    ("number", kinds.NUMBER, "0.1234", "too_many_decimals"),
    ("number", kinds.PERCENT, "15.5%", "not_a_number"),
    ("number", kinds.DATE, "2026-02-28", "not_a_number"),
    ("number", kinds.IMPRECISE, "1e+15", "imprecise_number"),
    ("money", kinds.NUMBER, "1.5", "1.50"),
    ("percentage", kinds.PERCENT, "15.5%", "15.5000"),
    ("percentage", kinds.NUMBER, "15.5", "15.5000"),
    ("day", kinds.DATE, "2026-02-01", "2026-02-01"),
    ("day", kinds.TIMESTAMP, "2026-02-01 00:00:00", "2026-02-01"),
    ("day", kinds.TIMESTAMP, "2026-02-01 10:00:00", "not_a_date"),
    ("day", kinds.TIME, "10:00:00", "not_a_date"),
    ("day", kinds.NUMBER, "45000", "serial_date"),
    ("day", kinds.NUMBER, "20260228", "serial_date"),
    ("moment", kinds.TIMESTAMP, "2026-02-01 10:00:00", "2026-02-01 13:00:00+00:00"),
    ("moment", kinds.NUMBER, "45000.5", "serial_date"),
    ("flag", kinds.BOOLEAN, "false", "False"),
    ("flag", kinds.NUMBER, "1", "True"),
    ("flag", kinds.NUMBER, "2", "not_a_boolean"),
    ("cpf", kinds.NUMBER, "52998224725", "52998224725"),
    ("cpf", kinds.NUMBER, "1234567890", "01234567890"),
    ("cpf", kinds.NUMBER, "1234567891", "not_a_cpf"),
    ("cpf", kinds.NUMBER, "191", "not_a_cpf"),
    ("cnpj", kinds.NUMBER, "7526557000100", "07526557000100"),
    ("cep", kinds.NUMBER, "1310100", "lost_zeros"),
    ("phone", kinds.NUMBER, "11987654321", "+5511987654321"),
    ("choice", kinds.NUMBER, "1", "not_allowed"),
    ("document", kinds.JSON, '{"a":[1]}', '{"a":[1]}'),
    ("document", kinds.NUMBER, "-1.5", "-1.5"),
    ("document", kinds.BOOLEAN, "true", "true"),
]


@pytest.mark.parametrize(("name", "kind", "cell", "expected"), TYPED)
@pytest.mark.parametrize("reading", [",", "mdy", "mixed", None])
def test_a_typed_cell_has_one_reading_whatever_its_column_says(name, kind, cell, expected, reading):
    assert read(name, cell, reading, kind) == expected


def test_typed_and_written_cells_of_one_column_are_each_read_their_own_way():
    cells = ["1.234", "1.234", "x", "#REF!", "", None]
    cell_kinds = [kinds.TEXT, kinds.NUMBER, kinds.TEXT, kinds.ERROR_VALUE, kinds.TEXT, None]
    checked = check_of_kinds(
        ANYTHING,
        [(c,) for c in cells],
        [(k,) for k in cell_kinds],
        header=("number",),
        readings={"number": ","},
    )
    assert told(checked) == [[4, "number", "not_a_number"], [5, "number", "spreadsheet_error"]]
    clean = dict(zip(*(checked.clean[n].to_pylist() for n in ("_row_number", "number")), strict=True))
    assert clean == {2: Decimal("1234.000"), 3: Decimal("1.234"), 6: None, 7: None}


def test_cells_without_a_value_are_faults_in_columns_that_nobody_declared_too():
    rows = [("a", "#N/A"), ("b", "=A1"), ("c", "1e+17"), ("d", "5")]
    columns = [(0, k) for k in (kinds.ERROR_VALUE, kinds.NO_RESULT, kinds.IMPRECISE, kinds.NUMBER)]
    checked = check_of_kinds(ANYTHING, rows, columns, header=("text", "Obs"))
    assert told(checked) == [
        [2, "Obs", "spreadsheet_error"],
        [3, "Obs", "formula_without_result"],
        [4, "Obs", "imprecise_number"],
    ]
    assert checked.clean["extra"].to_pylist() == ['{"Obs":"5"}']


class Tokens(pandera.DataFrameModel):
    name: Text = column(required=True)
    amount: Number(10, 2) = column()
    day: Date = column(null_tokens=("00/00/0000",))


TOKENS = Dataset(name="tokens", model=Tokens, null_tokens=("", "-", "N/A", "NULL", "n/d"))


def test_null_tokens_are_compared_exactly_after_trimming_and_a_column_may_have_its_own():
    rows = [("Ana", " N/A ", "00/00/0000"), ("NULL", "-", "-"), ("n/a", "n/d\u00a0", ""), ("-x", "N/D", " ")]
    checked = check(TOKENS, rows)
    assert told(checked) == [
        [3, "name", "missing_value"],
        [3, "day", "not_a_date"],
        [5, "amount", "not_a_number"],
    ]
    table, file = batch_of(rows, 3), file_of(TOKENS)
    readings = ColumnEvidence(TOKENS, file.mapping).add(table)
    assert set(readings) == {"amount", "day"}
    again = check_table(table, file, (), TOKENS, readings=readings)
    assert (told(again), again.clean) == (told(checked), checked.clean), "so it is with the split's readings"
    assert checked.clean.select(["name", "amount", "day"]).to_pylist() == [
        {"name": "Ana", "amount": None, "day": None},
        {"name": "n/a", "amount": None, "day": None},
    ]


def test_without_declared_tokens_only_an_empty_cell_is_empty():
    assert read("text", "-") == "-"
    assert read("number", "-") == "not_a_number"


def test_rows_of_several_sheets_are_told_by_sheet_and_row():
    checked = check_of_kinds(
        ANYTHING,
        [("x",), ("y",)],
        [(kinds.TEXT,), (kinds.TEXT,)],
        header=("number",),
        sheets=("Jan", "Fev"),
        numbers=(17, 10_000_003),
    )
    assert checked.errors["message"].to_pylist() == [
        'Sheet "Jan", row 17, column "number": "x" is not a number.',
        'Sheet "Fev", row 3, column "number": "y" is not a number.',
    ]


def test_messages_are_said_in_the_senders_language():
    errors = check(ANYTHING, [("XX",)], header=("uf",), language="pt").errors.to_pylist()
    assert errors[0]["message"].startswith('Linha 2, coluna "uf": "XX"')
