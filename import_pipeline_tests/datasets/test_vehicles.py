import pytest

from import_pipeline.catalog.dataset import normalise_header
from import_pipeline.datasets.vehicles import DATASET

COLUMNS = {c.name: c for c in DATASET.columns}


def test_every_column_is_required_and_the_plate_is_the_key():
    assert list(COLUMNS) == ["model", "plate", "year", "fipe_value"]
    assert all(c.required for c in DATASET.columns)
    assert DATASET.key == ("plate",)


def test_a_plate_that_is_in_the_table_is_a_reject():
    assert DATASET.existing == "reject"


def test_only_the_plate_is_personal():
    assert [c.name for c in DATASET.columns if c.personal] == ["plate"]


def test_a_file_may_have_200_decimal_megabytes():
    assert DATASET.maximum_size == 200_000_000


@pytest.mark.parametrize(
    ("header", "column"),
    [("Modelo", "model"), ("Placa", "plate"), ("Ano", "year"), ("Valor FIPE", "fipe_value"),
     ("License plate", "plate"), ("FIPE price", "fipe_value")],
)  # fmt: skip
def test_headers_in_portuguese_and_english_are_known(header, column):
    assert normalise_header(header) in COLUMNS[column].headers
