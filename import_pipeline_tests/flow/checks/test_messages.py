import pandera.pandas as pandera

from import_pipeline.catalog.dataset import Dataset, column
from import_pipeline.catalog.types import Integer, Text
from import_pipeline.datasets.leads import DATASET as LEADS
from import_pipeline.flow.checks.checking import check_table
from import_pipeline.flow.checks.messages import mask_errors
from import_pipeline_tests.flow.checks.tables import File, batch_of, check, file_of


def _errors(dataset, rows, header):
    """Checked with the sender's own headers over the columns."""
    columns = [c.name for c in dataset.columns][: len(header)]
    file = file_of(dataset, columns)
    named = File(tuple(header), file.mapping, file.unknown)
    return check_table(batch_of(rows, len(header)), named, (), dataset).errors


def test_a_message_names_row_column_and_value_and_the_remedy_says_what_to_do():
    errors = _errors(LEADS, [("joao@",)], ["E-mail"]).to_pylist()
    assert errors == [
        {
            "row_number": 2,
            "column": "email",
            "header": "E-mail",
            "value": "joao@",
            "code": "not_an_email",
            "severity": "error",
            "message": 'Row 2, column "E-mail": "joao@" is not an e-mail address.',
            "remedy": "Write it as name@company.com.",
        }
    ]


class Car(pandera.DataFrameModel):
    colour: Text = column(isin=["red", "blue"])
    doors: Integer = column(in_range={"min_value": 2, "max_value": 5})
    code: Text = column(str_length={"max_value": 3})

    @pandera.dataframe_check(error="a red car has two doors")
    def red(cls, frame):
        return (frame["colour"] != "red") | (frame["doors"] == 2)


CARS = Dataset(name="cars", model=Car)


def _told(*row):
    return [f"{e['message']} {e['remedy']}" for e in check(CARS, [row]).errors.to_pylist()]


def test_rules_are_told_in_their_own_words():
    assert _told("green", "9", "abcd") == [
        'Row 2, column "colour": "green" is not allowed here. Use one of: blue, red.',
        'Row 2, column "doors": "9" is not at least 2 and at most 5.'
        " Write a value that is at least 2 and at most 5.",
        'Row 2, column "code": "abcd" does not have the right length. Write text of at most 3 characters.',
    ]


def test_a_rule_over_the_row_is_told_without_a_column():
    assert _told("red", "4", "a")[0].startswith("Row 2: the row fails the check: a red car has two doors.")


def test_a_long_value_is_shortened_and_put_on_one_line_in_the_message_only():
    value = "x\r\n" + "y" * 200
    error = check(CARS, [(value, "2", "a")]).errors.to_pylist()[0]
    assert error["value"] == value
    assert f'"x {"y" * 78}…" is not allowed' in error["message"]


def test_a_nul_character_is_shown_by_its_symbol_since_no_table_can_hold_it():
    error = check(CARS, [("red", "2", "a\0")]).errors.to_pylist()[0]
    assert (error["code"], error["value"]) == ("nul_character", "a\u2400")


def test_values_of_personal_columns_are_masked_in_value_and_message():
    rows = [("joao@", "XX", "caro")]
    errors = check(LEADS, rows, header=("email", "state", "estimated_value")).errors
    masked = mask_errors(errors, LEADS).to_pylist()
    assert [(m["value"], m["message"]) for m in masked] == [
        ("***", 'Row 2, column "email": "***" is not an e-mail address.'),
        ("XX", 'Row 2, column "state": "XX" is not a Brazilian state.'),
        ("caro", 'Row 2, column "estimated_value": "caro" is not a number.'),
    ]


def test_what_stands_in_no_declared_column_is_masked_where_anything_is_personal():
    errors = check(LEADS, [("a@x.com", "Ana\0")], header=("email", "Apelido")).errors
    assert "Ana" not in str(mask_errors(errors, LEADS).to_pylist())
    assert mask_errors(check(CARS, [("green", "", "")]).errors, CARS)["value"].to_pylist() == ["green"]
