"""A dataset with a column of every declared type, and what becomes of one cell of it."""

from functools import cache

import pandera.pandas as pandera

from import_pipeline.catalog.dataset import Dataset, column
from import_pipeline.catalog.types import (
    Boolean,
    Cep,
    Choice,
    Cnpj,
    Cpf,
    Date,
    Email,
    Identifier,
    Integer,
    Json,
    Money,
    Number,
    Percentage,
    Phone,
    Plate,
    Text,
    Timestamp,
    Uf,
    Url,
)
from import_pipeline.flow.batches import kinds
from import_pipeline_tests.flow.checks.tables import check_of_kinds, told


class Anything(pandera.DataFrameModel):
    text: Text = column()
    identifier: Identifier = column()
    email: Email = column()
    phone: Phone = column()
    cpf: Cpf = column()
    cnpj: Cnpj = column()
    cep: Cep = column()
    plate: Plate = column()
    uf: Uf = column()
    url: Url = column()
    choice: Choice("Novo", "Seminovo", aliases={"0 km": "Novo", "usado": "Seminovo"}) = column()
    integer: Integer = column()
    number: Number(12, 3) = column()
    money: Money("BRL") = column()
    dollars: Money("USD") = column()
    percentage: Percentage() = column()
    day: Date = column()
    moment: Timestamp = column()
    flag: Boolean = column()
    document: Json = column()


ANYTHING = Dataset(name="anything", model=Anything, timezone="America/Sao_Paulo")
NAMES = [c.name for c in ANYTHING.columns]


@cache
def one(name: str) -> Dataset:
    """A dataset of one column of ANYTHING."""
    kind = Anything.__annotations__[name]
    model = type("One", (pandera.DataFrameModel,), {"__annotations__": {name: kind}, name: column()})
    return Dataset(name="one", model=model, timezone=ANYTHING.timezone)


def read(name: str, cell: str | None, reading: str | None = None, kind: int = kinds.TEXT) -> str | None:
    """The stored value as text, or the error's code."""
    checked = check_of_kinds(one(name), [(cell,)], [(kind,)], header=(name,), readings={name: reading})
    if checked.rejects.num_rows:
        ((_, faulty, code),) = told(checked)
        assert faulty == name
        return str(code)
    value = checked.clean[name][0].as_py()
    return None if value is None else str(value)
