"""Templates: what their cells, notes and validations say, and that the example row passes."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import openpyxl
import pandera.pandas as pandera
import pytest

from import_pipeline.catalog import types
from import_pipeline.catalog.dataset import Dataset, SenderOptions, column
from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.catalog.workbook import write_template
from import_pipeline.catalog.workbook_columns import template_columns
from import_pipeline.local_check import check_file


class Order(pandera.DataFrameModel):
    """One column of nearly every type."""

    number: types.Identifier = column("Número do pedido", required=True)
    quantity: types.Integer = column("Quantidade", required=True, gt=0, le=10)
    share: types.Percentage() = column("Desconto", ge=0, lt=50)
    price: types.Number(4, 1) = column("Preço", ge=2)
    day: types.Date = column("Dia")
    at: types.Timestamp = column("Momento")
    paid: types.Boolean = column("Pago")
    state: types.Text = column("UF", case="upper", is_uf=True)
    size: types.Text = column("Tamanho", isin=["P", "M, largo", "G"])
    code: types.Text = column("Sigla", str_length={"min_value": 2, "max_value": 3})
    city: types.Text = column("Cidade", example="=São Paulo")
    secret: types.Text = column("Segredo", str_matches="^[0-9]{9}$")


ORDERS = Dataset("orders", Order, key=("number",))


@pytest.fixture(params=["en", "pt"])
def sheet(request, tmp_path: Path):
    write_template(ORDERS, tmp_path / "orders.xlsx", request.param)
    return openpyxl.load_workbook(tmp_path / "orders.xlsx").active


def validation_of(sheet, header: str):
    letter = next(cell.column_letter for cell in sheet[1] if cell.value == header)
    area = f"{letter}2:{letter}1048576"
    return next(v for v in sheet.data_validations.dataValidation if str(v.sqref) == area)


def test_each_column_has_a_note_a_validation_and_a_format(sheet) -> None:
    headers = [cell.value for cell in sheet[1]]
    assert headers[:3] == ["Número do pedido", "Quantidade", "Desconto"]
    assert len(headers) == len(ORDERS.columns) == len(sheet.data_validations.dataValidation)
    assert all(cell.comment.text.strip() for cell in sheet[1])
    formats = {cell.value: sheet.column_dimensions[cell.column_letter].number_format for cell in sheet[1]}
    assert (formats["Número do pedido"], formats["Quantidade"], formats["Preço"]) == ("@", "0", "#,##0.0")
    assert sheet.freeze_panes == "A2"


def test_validations_say_what_the_rules_say(sheet) -> None:
    quantity, price = validation_of(sheet, "Quantidade"), validation_of(sheet, "Preço")
    assert (quantity.type, quantity.formula1, quantity.formula2, quantity.allowBlank) == (
        "whole", "1", "10", False,
    )  # fmt: skip
    assert (price.type, price.formula1, price.formula2, price.allowBlank) == ("decimal", "2", "1000", True)
    # Hundredths: a cell that shows 49.9999% holds 0.499999.
    share = validation_of(sheet, "Desconto")
    assert (share.formula1, Decimal(share.formula2)) == ("0", Decimal("0.499999"))
    assert (validation_of(sheet, "Dia").type, validation_of(sheet, "Momento").type) == ("date", "date")
    code = validation_of(sheet, "Sigla")
    assert (code.type, code.formula1, code.formula2) == ("textLength", "2", "3")


def test_choices_are_a_list_even_where_they_have_commas(sheet) -> None:
    assert validation_of(sheet, "UF").formula1.startswith('"AC,AL,')
    size = validation_of(sheet, "Tamanho")
    assert (size.type, size.formula1) == ("list", "_lists!$I$1:$I$3")
    lists = sheet.parent["_lists"]
    assert (lists.sheet_state, [lists[f"I{row}"].value for row in (1, 2, 3)]) == (
        "hidden",
        ["P", "M, largo", "G"],
    )


def test_an_example_is_one_that_the_rules_accept_or_none(sheet) -> None:
    example = {header.value: cell.value for header, cell in zip(sheet[1], sheet[2], strict=True)}
    assert (example["Quantidade"], example["Preço"], example["Desconto"]) == (10, 12.5, 0.155)
    assert example["Segredo"] is None
    assert sheet["K2"].data_type == "s"


def test_notes_are_in_the_language_asked_for() -> None:
    english = {c.header: c.note for c in template_columns(ORDERS, "en")}["Quantidade"]
    assert english == (
        "Required.", "A whole number.", "The value is greater than 0.", "The value is at most 10.",
        "Example: 10",
    )  # fmt: skip
    portuguese = {c.header: c.note for c in template_columns(ORDERS, "pt")}["Quantidade"]
    assert portuguese[:2] == ("Obrigatória.", "Um número inteiro.")
    assert portuguese[-1] == "Exemplo: 10"


@pytest.mark.parametrize("name", sorted(load_datasets("")))
@pytest.mark.parametrize("language", ["en", "pt"])
def test_the_example_row_of_a_built_in_dataset_is_valid(name: str, language, tmp_path: Path) -> None:
    dataset = load_datasets("")[name]
    path = tmp_path / "template.xlsx"
    write_template(dataset, path, language)
    checked = check_file(path, dataset, SenderOptions(), tmp_path / "out")
    assert checked.error is None
    assert (checked.counts.read, checked.counts.inserted, checked.codes) == (1, 1, {})


def test_the_example_row_of_every_type_is_valid(tmp_path: Path) -> None:
    """Whatever a type is, what the template shows for it is what the import takes."""
    names = {f"c{n}": kind for n, kind in enumerate(types.LIBRARY)}
    fields = {name: column(f"Coluna {name}", required=True) for name in names}
    model = type(
        "Every", (pandera.DataFrameModel,), {"__annotations__": names, "__module__": __name__, **fields}
    )
    dataset = replace(ORDERS, name="every", table="every", model=model, key=())
    write_template(dataset, tmp_path / "every.xlsx", "pt")
    checked = check_file(tmp_path / "every.xlsx", dataset, SenderOptions(), tmp_path / "out")
    assert checked.error is None
    assert (checked.counts.inserted, checked.codes) == (1, {})


def test_a_workbook_that_is_there_stays_whole_when_writing_fails(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "orders.xlsx"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("openpyxl.workbook.Workbook.save", full)
    with pytest.raises(OSError, match="No space"):
        write_template(ORDERS, path, "en")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("orders.xlsx", b"old")]
