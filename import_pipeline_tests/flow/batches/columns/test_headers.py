"""Which row is the header, what its cells mean, and what of it refuses a file."""

from dataclasses import replace

import pytest

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.datasets.leads import DATASET as LEADS
from import_pipeline.errors import BadOption, MissingColumns, UnknownColumns
from import_pipeline.flow.batches.columns.headers import (
    declared_header,
    find_header,
    map_header,
    stated_header_row,
)
from import_pipeline_tests.flow.batches.reading_back import PEOPLE, people

TITLE, BLANK = ["Clientes de março", "", ""], ["", "", ""]
HEADER, ROW = ["Nome", "CIDADE", "obs"], ["Ana", "Rio", "x"]


@pytest.mark.parametrize(
    ("rows", "index"),
    [
        ([HEADER, ROW], 0),
        ([TITLE, BLANK, HEADER, ROW], 2),
        ([["Nome", "", ""], HEADER, ROW], 1),
        ([["Nome", "x", "y"], ROW], 0),
        ([HEADER, ROW, ["Nome", "Cidade", "Valor"]], 0),
        ([["Cidade", "Valor"], ROW, HEADER], 2),
        ([ROW, ROW], None),
        ([], None),
        ([TITLE] * 49 + [HEADER], 49),
        ([TITLE] * 50 + [HEADER], None),
    ],
)
def test_the_header_is_the_row_that_names_declared_columns(rows: list[list[str]], index: int | None) -> None:
    """A header that comes again, or a longer one further down, must not make titles of the rows above."""
    assert find_header(rows, PEOPLE) == index


@pytest.mark.parametrize(
    "header", [["  nome_completo*", "cidade"], ["NÓME", "ÇIDADE"], ["n-o m.e", "Cidade:"]]
)
def test_case_accents_and_punctuation_do_not_count(header: list[str]) -> None:
    assert map_header(header, PEOPLE, "f.csv").mapping == {"name": 0, "city": 1}


def test_two_unknown_columns_of_one_name_are_both_kept() -> None:
    assert map_header(["nome", "obs", "obs"], PEOPLE, "f.csv").unknown == (1, 2)


def test_a_column_without_a_name_refuses_no_file() -> None:
    """An export that ends each line with a delimiter has one."""
    strict = people(unknown_columns="refuse")
    assert map_header(["nome", " ", ""], strict, "f.csv").unknown == (1, 2)
    with pytest.raises(UnknownColumns, match="'obs'") as refused:
        map_header(["nome", "", "obs"], strict, "f.csv")
    assert refused.value.fields["headers"] == ["obs"]


def test_a_missing_column_names_the_nearest_of_those_found() -> None:
    with pytest.raises(MissingColumns, match="Nearest: name: 'Nomes'") as refused:
        map_header(["Nomes", "", "Cidade"], PEOPLE, "f.csv")
    assert refused.value.fields["found"] == ["Nomes", "column 2", "Cidade"]
    with pytest.raises(MissingColumns) as refused:
        map_header(["x"], PEOPLE, "f.csv")
    assert "Nearest" not in refused.value.message


def test_others_than_the_sender_see_only_the_headers_that_a_column_has() -> None:
    """A row of a person, one cell of which happened to be a header, stood in ledger and Dagster."""
    row = ["ana@x.example.org", "Ana Silva", "Origem"]
    with pytest.raises(MissingColumns) as refused:
        map_header(row, LEADS, "f.csv")
    assert "'Ana Silva'" in refused.value.message and refused.value.fields["found"] == row
    assert refused.value.masked == "f.csv has no column for 'email'. Columns found: 'source' and 2 others."
    with pytest.raises(UnknownColumns) as unknown:
        map_header(["E-mail", "Ana Silva"], replace(LEADS, unknown_columns="refuse"), "f.csv")
    assert "'Ana Silva'" in unknown.value.message
    assert unknown.value.masked.endswith("Columns found: 'email' and 1 other.")


def test_the_row_of_the_header_may_be_stated_by_the_sender_or_declared() -> None:
    declared = people(defaults=SenderOptions(header_row=4), header="optional")
    assert stated_header_row(SenderOptions(), PEOPLE) is None
    assert stated_header_row(SenderOptions(), declared) == 4
    assert stated_header_row(SenderOptions(header_row=2), declared) == 2
    assert stated_header_row(SenderOptions(header_row=0), declared) == 0


@pytest.mark.parametrize("row", [0, -1])
def test_no_header_is_a_bad_option_where_one_is_required(row: int) -> None:
    with pytest.raises(BadOption) as refused:
        stated_header_row(SenderOptions(header_row=row), PEOPLE)
    assert refused.value.fields == {"option": "header_row", "value": row}


def test_without_a_header_the_columns_are_the_declared_ones_in_order() -> None:
    assert declared_header(PEOPLE, 2) == ("name", "city")
    assert declared_header(PEOPLE, 99) == ("name", "city", "amount", "born", "children")
