"""Vehicles: one row a licence plate within a workspace, with its FIPE price."""

import pandera.pandas as pandera

from import_pipeline.catalog.dataset import Dataset, SenderOptions, column
from import_pipeline.catalog.types import Integer, Number, Plate, Text


class Vehicle(pandera.DataFrameModel):
    """Columns and rules of a vehicle file."""

    model: Text = column(
        "Modelo", "Veículo", "Descrição", "Nome do modelo", "Modelo do veículo", "Vehicle", "Vehicle model",
        required=True, example="Fiat Argo 1.0",
    )  # fmt: skip
    plate: Plate = column(
        "Placa", "Placa do veículo", "Licence plate", "License plate", "Plate number", "Registration",
        required=True, personal=True,
    )  # fmt: skip
    year: Integer = column(
        "Ano", "Ano modelo", "Ano do modelo", "Ano de fabricação", "Model year", "Year model",
        required=True, ge=1900, not_after_next_year=True,
    )  # fmt: skip
    fipe_value: Number(14, 2) = column(
        "Valor FIPE", "Preço FIPE", "FIPE", "Tabela FIPE", "Valor tabela FIPE", "Valor", "Preço",
        "FIPE price", "Value", "Price",
        required=True, gt=0,
    )  # fmt: skip


DATASET = Dataset(
    name="vehicles",
    model=Vehicle,
    key=("plate",),
    existing="reject",
    winner="first",
    maximum_size=200_000_000,  # 200 MB, decimal
    unknown_columns="keep",
    timezone="America/Sao_Paulo",
    null_tokens=("", "-", "N/A", "NULL", "n/d"),
    description="Vehicles with their FIPE price: one row a licence plate.",
    defaults=SenderOptions(decimal=",", date_order="dmy"),
)
