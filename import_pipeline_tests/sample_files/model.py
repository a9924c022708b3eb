"""The dataset that the sample files are of: a column of each declared type, and of each kind of rule."""

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


class Part(pandera.DataFrameModel):
    """A part in stock, with more columns than any real one."""

    code: Identifier = column("Código", "Part code", required=True)
    name: Text = column("Nome", required=True, str_length={"max_value": 40})
    email: Email = column("E-mail", personal=True)
    phone: Phone = column("Telefone")
    cpf: Cpf = column("CPF")
    cnpj: Cnpj = column("CNPJ")
    cep: Cep = column("CEP")
    plate: Plate = column("Placa")
    uf: Uf = column("UF")
    site: Url = column("Site")
    state: Choice("novo", "usado") = column("Estado")
    pieces: Integer = column("Peças", ge=0)
    weight: Number(8, 3) = column("Peso")
    price: Money() = column("Preço")
    discount: Percentage() = column("Desconto")
    made: Date = column("Fabricação")
    sold: Timestamp = column("Venda")
    active: Boolean = column("Ativo")
    details: Json = column("Detalhes")
    shelf: Text = column("Prateleira", str_matches="^[A-Z]-[0-9]+$")
    grade: Text = column("Classe", isin=["A", "B", "C"])

    @pandera.dataframe_check(error="a used part has a weight")
    def a_used_part_has_a_weight(cls, frame):
        """A rule over several columns."""
        return (frame["state"] != "usado") | frame["weight"].notna()


PARTS = Dataset(
    name="parts", model=Part, key=("code",), null_tokens=("", "-", "N/A"), footer=("^Total",),
    maximum_reject_share=1.0, timezone="America/Sao_Paulo",
)  # fmt: skip
HEADER = (
    "Código", "Nome", "E-mail", "Telefone", "CPF", "CNPJ", "CEP", "Placa", "UF", "Site", "Estado", "Peças",
    "Peso", "Preço", "Desconto", "Fabricação", "Venda", "Ativo", "Detalhes", "Prateleira", "Classe",
)  # fmt: skip
COLUMNS = tuple(column.name for column in PARTS.columns)
GOOD = (
    "00123", "Parafuso sextavado", "ana@empresa.com.br", "(11) 98765-4321", "529.982.247-25",
    "12.ABC.345/01DE-35", "01310-100", "ABC1D23", "SP", "https://www.empresa.com.br/contato", "novo", "12",
    "1,25", "R$ 1.234,56", "15,5%", "2026-02-28", "2026-02-28 14:30", "sim", '{"cor": "azul"}', "A-12", "B",
)  # fmt: skip


def good(number: int) -> list[str]:
    """A row without fault, like no other."""
    return [f"{number:05d}", *GOOD[1:]]


def row_with(number: int, **cells: str) -> list[str]:
    """A good row with some cells replaced."""
    row = good(number)
    for name, cell in cells.items():
        row[COLUMNS.index(name)] = cell
    return row
