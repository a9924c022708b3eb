"""Two datasets for the kill matrix: one that overwrites by key, one without a key, where nothing but
the pipeline itself stands against rows that come twice.
"""

import pandera.pandas as pandera

from import_pipeline.catalog.dataset import Dataset, SenderOptions, column
from import_pipeline.catalog.types import Email, Integer, Number, Text


class Customer(pandera.DataFrameModel):
    """A customer: overwritten when a newer file has the key."""

    email: Email = column("E-mail", required=True, personal=True)
    name: Text = column("Nome", personal=True)
    visits: Integer = column("Visitas", ge=0)
    value: Number(14, 2) = column("Valor")  # type: ignore[valid-type]


class Reading(pandera.DataFrameModel):
    """A reading: only ever appended."""

    meter: Text = column("Medidor", required=True)
    visits: Integer = column("Visitas", ge=0)
    value: Number(14, 2) = column("Valor")  # type: ignore[valid-type]


CUSTOMERS = Dataset(
    name="customers",
    model=Customer,
    key=("email",),
    existing="update",
    winner="last",
    unknown_columns="keep",
    defaults=SenderOptions(decimal=",", date_order="dmy"),
)
READINGS = Dataset(
    name="readings", model=Reading, key=(), defaults=SenderOptions(decimal=",", date_order="dmy")
)
