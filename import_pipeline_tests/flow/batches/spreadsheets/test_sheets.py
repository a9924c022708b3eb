import pandera.pandas as pandera
import pytest

from import_pipeline.catalog.dataset import Dataset, SenderOptions, column
from import_pipeline.catalog.types import Choice
from import_pipeline.catalog.workbook import write_template
from import_pipeline.errors import (
    BadOption,
    DuplicateHeader,
    EmptyFile,
    MissingColumns,
    UnknownColumns,
)
from import_pipeline.row_numbers import sheet_and_row
from import_pipeline_tests.flow.batches.reading_back import inspect, people, read_back
from import_pipeline_tests.flow.batches.spreadsheets import books

OURS = ["_import_row", "_import_upload", "_import_errors"]
TWO = {
    "Janeiro": [["Nome", "Valor"], ["Ana", 1], ["Bia", 2]],
    "Resumo": [["Total", "Quando"], [3, "hoje"]],
    "Fevereiro": [["Vendas"], [], ["valor", "Obs", "NOME COMPLETO"], [9, "nova", "Caio"]],
}


def notices(found):
    return [(notice.code, notice.message) for notice in found.notices]


@pytest.mark.parametrize("name", books.WRITERS)
def test_all_sheets_whose_header_fits_are_one_upload_each_row_with_its_sheet(name):
    found = read_back(books.WRITERS[name](TWO))

    assert found.inspected.header == ("Nome", "Valor", "Obs")
    assert found.cells == [["Ana", "1", None], ["Bia", "2", None], ["Caio", "9", "nova"]]
    names = [sheet.name for sheet in found.inspected.sheets]
    assert [sheet_and_row(number, names) for number in found.numbers] == [
        ("Janeiro", 2), ("Janeiro", 3), ("Fevereiro", 4),
    ]  # fmt: skip
    assert [row["_line"] for row in found.rows] == [2, 3, 4]


def test_a_sheet_keeps_where_its_columns_and_header_stand():
    sheets = inspect(books.xlsx(TWO)).sheets
    assert [(sheet.name, sheet.header_row, sheet.columns) for sheet in sheets] == [
        ("Janeiro", 1, (0, 1)), ("Fevereiro", 3, (1, 2, 0)),
    ]  # fmt: skip


@pytest.mark.parametrize("writer", [books.xlsx, books.xls, books.xlsb])
def test_hidden_sheets_and_those_that_do_not_fit_are_listed_and_not_read(writer):
    found = read_back(writer(TWO, hidden=["Fevereiro"]))
    assert found.cells == [["Ana", "1"], ["Bia", "2"]]
    told = [message for code, message in notices(found.inspected) if code == "sheet_not_read"]
    assert len(told) == 2
    assert "'Resumo'" in told[0] and "required columns" in told[0]
    assert "'Fevereiro'" in told[1] and "hidden" in told[1]


def test_what_was_detected_names_the_sheets_and_their_header_rows():
    detected = {(d.what, d.value): d.why for d in inspect(books.xlsx(TWO)).detected}
    assert ("sheets", "Janeiro, Fevereiro") in detected
    assert "rows above it, 2, are not read" in detected["header row", "Fevereiro: 3"]


def test_a_stated_sheet_is_read_alone_even_if_it_is_hidden():
    data = books.xlsx(TWO, hidden=["Fevereiro"])
    found = read_back(data, options=SenderOptions(sheet="fevereiro "))
    assert found.cells == [["9", "nova", "Caio"]]
    assert found.numbers == [4]
    assert "sheet_not_read" not in [code for code, _ in notices(found.inspected)]


def test_a_dataset_may_name_the_sheet():
    dataset = people(defaults=SenderOptions(sheet="Janeiro"))
    assert len(read_back(books.xlsx(TWO), dataset).cells) == 2


def test_an_unknown_sheet_is_refused_with_the_names_that_there_are():
    with pytest.raises(BadOption) as refusal:
        inspect(books.xlsx(TWO), sheet="Março")
    assert refusal.value.fields == {"option": "sheet", "value": "Março"}
    assert "'Janeiro', 'Resumo', 'Fevereiro'" in refusal.value.message


def test_a_stated_header_row_counts_as_the_spreadsheet_does():
    rows = [["Nome", "Valor"], ["Nome", "Cidade"], ["Ana", "Natal"]]
    found = read_back(books.xlsx({"Plan1": rows}), options=SenderOptions(header_row=2))
    assert found.inspected.header == ("Nome", "Cidade")
    assert found.numbers == [3]


def test_a_header_row_may_be_stated_far_below():
    rows = [["x"]] * 70 + [["Nome", "Valor"], ["Ana", 1]]
    assert read_back(books.xlsx({"Plan1": rows}), options=SenderOptions(header_row=71)).numbers == [72]


def test_where_no_header_fits_the_nearest_sheet_is_named_with_the_nearest_columns():
    sheets = {"Capa": [["Relatório"]], "Vendas": [["Nomee", "Valor"], ["Ana", 1]]}
    with pytest.raises(MissingColumns) as refusal:
        inspect(books.xlsx(sheets))
    assert "sheet 'Vendas'" in refusal.value.message
    assert refusal.value.fields["missing"] == ["name"]
    assert refusal.value.fields["nearest"] == {"name": ["Nomee"]}


def test_two_columns_of_one_meaning_are_refused_with_the_sheet():
    with pytest.raises(DuplicateHeader, match="sheet 'Plan1'"):
        inspect(books.xlsx({"Plan1": [["Nome", "Nome completo"], ["Ana", "Ana"]]}))


def test_unknown_columns_are_refused_where_the_dataset_says_so():
    with pytest.raises(UnknownColumns, match="'Obs'"):
        inspect(books.xlsx(TWO), people(unknown_columns="refuse"))


def test_a_sheet_without_header_is_read_only_where_the_dataset_allows_it():
    data = books.xlsx({"Plan1": [["Ana", "Natal", 5], ["Bia", "Recife", 6]]})
    with pytest.raises(MissingColumns):
        inspect(data)
    found = read_back(data, people(header="optional"))
    assert found.inspected.header == ("name", "city", "amount")
    assert found.cells == [["Ana", "Natal", "5"], ["Bia", "Recife", "6"]]
    assert found.numbers == [1, 2]
    assert "header_assumed_missing" in [code for code, _ in notices(found.inspected)]


def test_a_header_row_of_0_means_that_there_is_none():
    data = books.xlsx({"Plan1": [["Nome", "Natal"], ["Bia", "Recife"]]})
    found = read_back(data, people(header="optional"), SenderOptions(header_row=0))
    assert found.numbers == [1, 2]
    with pytest.raises(BadOption):
        inspect(data, header_row=0)


def test_the_hidden_lists_of_a_template_are_not_told_of(tmp_path):
    choices = [f"uma escolha bem longa {number:03d}" for number in range(40)]

    class Chosen(pandera.DataFrameModel):
        name: Choice(*choices) = column("Nome", required=True)

    dataset = Dataset(name="chosen", model=Chosen)
    write_template(dataset, tmp_path / "template.xlsx", "en")
    book = (tmp_path / "template.xlsx").read_bytes()
    assert b'name="_lists"' in books.part_of(book, "xl/workbook.xml")

    found = read_back(book, dataset)

    assert found.cells == [[choices[0]]]
    assert not [message for _, message in notices(found.inspected) if "_lists" in message]


def test_a_workbook_without_cells_or_visible_sheets_is_empty():
    with pytest.raises(EmptyFile):
        inspect(books.xlsx({"Plan1": [], "Plan2": []}))
    with pytest.raises(EmptyFile, match="Plan1"):
        inspect(books.xlsx({"Plan1": [], "Plan2": [["Nome"]]}), sheet="Plan1")


def test_a_header_without_rows_gives_none():
    found = read_back(books.xlsx({"Plan1": [["Nome", "Valor"]]}))
    assert found.rows == [] and found.split.read == 0


def test_our_three_columns_stay_last_whatever_the_sheets_have():
    sheets = {
        "A": [["Nome", "Valor", *OURS], ["Ana", 1, "2", "u", "e"]],
        "B": [["Obs", "Nome", *OURS], ["x", "Bia", "B!7", "u", "e"]],
    }
    found = read_back(books.xlsx(sheets))
    assert found.inspected.ours
    assert found.inspected.header == ("Nome", "Valor", "Obs", *OURS)
    assert found.inspected.unknown == (2,)
    assert found.cells == [["Ana", "1", None, "2", "u", "e"], ["Bia", None, "x", "B!7", "u", "e"]]


def test_columns_without_a_name_and_of_one_name_are_told_apart_in_each_sheet():
    sheets = {
        "A": [["Nome", "Obs", None, "Obs"], ["Ana", "a1", "a2", "a3"]],
        "B": [["Obs", "Obs", "Nome"], ["b1", "b2", "Bia"]],
    }
    found = read_back(books.xlsx(sheets))
    assert found.inspected.header == ("Nome", "Obs", "", "Obs")
    assert found.cells == [["Ana", "a1", "a2", "a3"], ["Bia", "b1", None, "b2"]]
