import pyarrow as pa
import pytest

from import_pipeline.catalog.dataset import normalise_header
from import_pipeline.datasets.leads import DATASET

COLUMNS = {c.name: c for c in DATASET.columns}


def test_the_columns_are_those_declared_in_their_order():
    assert list(COLUMNS) == [
        "email", "name", "phone", "company", "position", "source", "city", "state", "estimated_value",
        "created_at", "notes",
    ]  # fmt: skip
    assert COLUMNS["estimated_value"].arrow_type == pa.decimal128(14, 2)
    assert COLUMNS["created_at"].arrow_type == pa.timestamp("us", "UTC")


def test_only_the_email_is_required_and_is_the_key():
    assert DATASET.key == ("email",)
    assert [c.name for c in DATASET.columns if c.required] == ["email"]


def test_what_names_a_person_is_personal():
    assert {c.name for c in DATASET.columns if c.personal} == {"email", "name", "phone", "notes"}
    assert DATASET.personal_extra


def test_rows_in_the_table_stay_and_unknown_columns_are_kept():
    assert (DATASET.existing, DATASET.unknown_columns, DATASET.winner) == ("skip", "keep", "first")


def test_what_a_file_does_not_settle_is_read_as_in_brazil():
    assert (DATASET.defaults.decimal, DATASET.defaults.date_order) == (",", "dmy")
    assert DATASET.timezone == "America/Sao_Paulo"


@pytest.mark.parametrize(
    ("header", "column"),
    [("E-mail", "email"), ("Correio eletrônico", "email"), ("TELEFONE", "phone"), ("Celular", "phone"),
     ("Nome", "name"), ("Empresa", "company"), ("Cargo", "position"), ("Origem", "source"),
     ("Município", "city"), ("UF", "state"), ("valor_estimado", "estimated_value"),
     ("Data de criação", "created_at"), ("Observações", "notes"), ("Job title", "position")],
)  # fmt: skip
def test_headers_in_portuguese_and_english_are_known(header, column):
    assert normalise_header(header) in COLUMNS[column].headers
