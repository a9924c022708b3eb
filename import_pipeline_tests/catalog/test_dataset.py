import pandera.pandas as pandera
import pytest

from import_pipeline.catalog.dataset import Dataset, SenderOptions, column, normalise_header
from import_pipeline.catalog.types import Integer, Text
from import_pipeline.errors import ConfigurationError


class Order(pandera.DataFrameModel):
    number: Text = column("Número do pedido", required=True, str_length={"max_value": 10})
    amount: Integer = column(ge=1)


@pytest.mark.parametrize(
    ("header", "same"),
    [("E-mail", "email"), (" CORREIO  Eletrônico* ", "correioeletronico"), ("valor_fipe", "valorfipe")],
)
def test_headers_match_without_case_accents_spaces_and_punctuation(header, same):
    assert normalise_header(header) == same


def test_a_dataset_knows_the_file_and_line_of_its_declaration():
    line = test_a_dataset_knows_the_file_and_line_of_its_declaration.__code__.co_firstlineno + 2
    dataset = Dataset(name="orders", model=Order)
    assert dataset.where == f"{__file__}:{line}"


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"key": ("numer",)}, "'numer', which is no column"),
        ({"key": ("amount",)}, "'amount' may be empty"),
        ({"key": ("number", "number")}, "names a column twice"),
        ({"name": "Orders"}, "its name is not allowed"),
        ({"table": "a-b"}, "its table 'a-b' is not allowed"),
        ({"existing": "replace"}, "existing='replace' is not allowed"),
        ({"maximum_reject_share": 2}, "maximum_reject_share"),
        ({"maximum_size": 0}, "maximum_size"),
        ({"timezone": "Brazil/Nowhere"}, "no time zone 'Brazil/Nowhere'"),
        ({"defaults": SenderOptions(encoding="klingon")}, "default encoding='klingon'"),
        ({"defaults": SenderOptions(encoding="hex")}, "default encoding='hex'"),
        ({"defaults": SenderOptions(delimiter="#")}, "default delimiter='#'"),
        ({"defaults": SenderOptions(decimal="comma")}, "default decimal='comma'"),
        ({"defaults": SenderOptions(date_order="DMY")}, "default date_order='DMY'"),
        ({"defaults": SenderOptions(header_row=-1)}, "default header_row=-1"),
        ({"defaults": SenderOptions(sheet=" ")}, "default sheet=' '"),
        ({"defaults": SenderOptions(on_existing="replace")}, "default on_existing='replace'"),
        ({"defaults": SenderOptions(on_existing="skip")}, "default on_existing='skip'"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_with_file_and_line(declared, told):
    with pytest.raises(ConfigurationError, match=r"test_dataset\.py:\d+") as error:
        Dataset(**({"name": "orders", "model": Order} | declared))
    assert told in error.value.message


class SharedHeader(pandera.DataFrameModel):
    first: Text = column("Nome")
    second: Text = column("NOME")


class PlainType(pandera.DataFrameModel):
    number: str


class OwnName(pandera.DataFrameModel):
    extra: Text = column()


class OncePerBatch(pandera.DataFrameModel):
    number: Text = column(unique=True)


class CaseOfNumber(pandera.DataFrameModel):
    number: Integer = column(case="lower")


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (SharedHeader, "'first' and 'second' share the header 'nome'"),
        (PlainType, "use a type of import_pipeline.catalog.types"),
        (OwnName, "'extra' has a name that is not allowed"),
        (OncePerBatch, "`unique` sees one batch only"),
        (CaseOfNumber, "'number' has case or remove and is not text"),
    ],
)
def test_a_model_that_cannot_work_is_refused(model, told):
    with pytest.raises(ConfigurationError) as error:
        Dataset(name="wrong", model=model)
    assert told in error.value.message


class Strict(Order):
    amount: Integer = column(ge=2)


def test_the_fingerprint_changes_with_checks_policies_and_defaults():
    prints = {
        Dataset(name="orders", model=Order).fingerprint,
        Dataset(name="orders", model=Strict).fingerprint,
        Dataset(name="orders", model=Order, existing="update").fingerprint,
        Dataset(name="orders", model=Order, defaults=SenderOptions(decimal=",")).fingerprint,
    }
    assert len(prints) == 4
    assert Dataset(name="orders", model=Order).fingerprint in prints


def test_a_rule_set_to_false_is_no_rule():
    class Loose(pandera.DataFrameModel):
        address: Text = column(is_email=False)

    assert Dataset(name="loose", model=Loose).schema.columns["address"].checks == []
