"""The types a dataset's columns are declared with: what is stored, how cells are read, what is checked.

One `ColumnType` says it all of a type; LIBRARY lists ours. Parsers are in `flow/checks/` (`parsers.py` is
their table), rules in `rules.py`. A dataset may bring a type of its own: see docs/add-a-dataset.md.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from pandera.engines import pandas_engine

Case = Literal["lower", "upper"]
Evidence = Literal["decimal", "date"]
JSON_ARROW = pa.json_(pa.string())
_POSTGRES_TYPES = {
    pa.string(): "text",
    pa.int64(): "bigint",
    pa.date32(): "date",
    pa.timestamp("us", tz="UTC"): "timestamp with time zone",
    pa.bool_(): "boolean",
    JSON_ARROW: "jsonb",
}
# Signs and codes of each currency that a Money column may be declared in; no sign means the declared one.
CURRENCY_SIGNS: Mapping[str, tuple[str, ...]] = {
    "BRL": ("R$", "BRL"),
    "USD": ("US$", "U$", "USD", "$"),
    "EUR": ("€", "EUR"),
    "GBP": ("£", "GBP"),
    "ARS": ("AR$", "ARS"),
    "JPY": ("¥", "JPY"),
}


def storage_type(arrow_type: pa.DataType) -> pa.DataType:
    """The plain Arrow type that holds the values: JSON is text."""
    return arrow_type.storage_type if isinstance(arrow_type, pa.BaseExtensionType) else arrow_type


@dataclass(frozen=True, eq=False, repr=False)
class ColumnType(pandas_engine.DataType):
    """One declared type; also the dtype that pandera checks, so it stands in a model as it is.

    Attributes:
        name: what it is called in documentation and listings.
        arrow_type: of the values after parsing; decides the PostgreSQL type (`postgres_type`).
        parser: name in `flow/checks/parsers.py`, or a function of the same signature, `(cells, how)`.
        evidence: what the whole column must settle: its decimal mark, or its order of day and month.
        affixes: what may stand before or after a number, such as `R$` or `%`.
        case: the case that text is stored in.
        remove: characters taken out of text before it is checked.
        checks: rules of every column of the type, as `column()` takes them.
        choices: what a cell may say, and what is stored for it.
        example: a cell as people write it.
    """

    name: str
    arrow_type: pa.DataType
    parser: "str | Callable[..., Any]" = "text"
    evidence: Evidence | None = None
    affixes: tuple[str, ...] = ()
    case: Case | None = None
    remove: str = ""
    checks: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)
    example: str = ""

    def __post_init__(self) -> None:
        # Not the base class's: it warns of every dtype that pandera itself does not know.
        object.__setattr__(self, "type", pd.ArrowDtype(storage_type(self.arrow_type)))

    def check(self, pandera_dtype: Any, data_container: Any = None) -> bool:
        """Whether a parsed column is of this type: the parser has looked at its values."""
        return bool(getattr(pandera_dtype, "type", None) == self.type)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"ColumnType({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ColumnType) and self.facts() == other.facts()

    def __hash__(self) -> int:
        return hash((self.name, str(self.arrow_type)))

    def facts(self) -> tuple[Any, ...]:
        """What decides how its cells are read, for the dataset's fingerprint."""
        parser = self.parser if isinstance(self.parser, str) else _source(self.parser)
        return (self.name, str(self.arrow_type), parser, self.evidence, self.affixes, self.case, self.remove,
                sorted(self.checks.items(), key=str), list(self.choices.items()))  # fmt: skip


def _number(name: str, precision: int, scale: int, affixes: tuple[str, ...], example: str) -> ColumnType:
    return ColumnType(
        name, pa.decimal128(precision, scale), "decimal", "decimal", affixes=affixes, example=example
    )


# Typed Any, because a model's annotations are dtype objects, which mypy does not take for types.
Text: Any = ColumnType("Text", pa.string(), example="Ana Souza")
Identifier: Any = ColumnType("Identifier", pa.string(), "identifier", example="00123")
Email: Any = ColumnType(
    "Email", pa.string(), case="lower", checks={"is_email": True}, example="ana@empresa.com.br"
)
Phone: Any = ColumnType("Phone", pa.string(), "phone", example="(11) 98765-4321")
Cpf: Any = ColumnType("Cpf", pa.string(), "cpf", example="529.982.247-25")
Cnpj: Any = ColumnType("Cnpj", pa.string(), "cnpj", example="12.ABC.345/01DE-35")
Cep: Any = ColumnType("Cep", pa.string(), "cep", example="01310-100")
Plate: Any = ColumnType(
    "Plate", pa.string(), case="upper", remove="-", checks={"is_plate": True}, example="ABC1D23"
)
Uf: Any = ColumnType("Uf", pa.string(), "uf", example="SP")
Url: Any = ColumnType("Url", pa.string(), "url", example="https://www.empresa.com.br/contato")
Integer: Any = ColumnType("Integer", pa.int64(), "integer", "decimal", affixes=("R$",), example="12")
Date: Any = ColumnType("Date", pa.date32(), "date", "date", example="28/02/2026")
Timestamp: Any = ColumnType(
    "Timestamp", pa.timestamp("us", tz="UTC"), "timestamp", "date", example="28/02/2026 14:30"
)
Boolean: Any = ColumnType("Boolean", pa.bool_(), "boolean", example="sim")
Json: Any = ColumnType("Json", JSON_ARROW, "json", example='{"cor": "azul"}')


def Number(precision: int = 14, scale: int = 2) -> Any:  # noqa: N802 - reads as a type
    """An exact decimal number of `precision` digits in all, `scale` of them after the point."""
    return _number(f"Number({precision}, {scale})", precision, scale, ("R$",), "1.234,56")


def Money(currency: str = "BRL", precision: int = 14, scale: int = 2) -> Any:  # noqa: N802 - reads as a type
    """An amount in one currency; a cell with the sign of another is a reject.

    Args:
        currency: ISO 4217 code, one of CURRENCY_SIGNS.

    Raises:
        ValueError: a currency whose signs are not known here.
    """
    if currency not in CURRENCY_SIGNS:
        raise ValueError(f"the currency {currency!r} is not one of: {', '.join(CURRENCY_SIGNS)}")
    signs = CURRENCY_SIGNS[currency]
    name = f"Money({currency!r}, {precision}, {scale})"
    return ColumnType(
        name,
        pa.decimal128(precision, scale),
        "money",
        "decimal",
        affixes=signs,
        example=f"{signs[0]} 1.234,56",
    )


def Percentage(precision: int = 7, scale: int = 4) -> Any:  # noqa: N802 - reads as a type
    """A number of hundredths: `15,5%` and `15,5` are both stored as 15.5."""
    return _number(f"Percentage({precision}, {scale})", precision, scale, ("%",), "15,5%")


def Choice(*options: str, aliases: Mapping[str, str] | None = None) -> Any:  # noqa: N802 - reads as a type
    """One of some texts; a cell may differ from it in case, accents and white space around.

    Args:
        options: what is stored, as written here.
        aliases: further texts that cells may have, and the option that each stands for.

    Raises:
        ValueError: there is no option, or an alias stands for none of them.
    """
    aliases = aliases or {}
    if not options or not set(aliases.values()) <= set(options):
        raise ValueError("a Choice needs options, and each of its aliases one of them")
    choices = {option: option for option in options} | dict(aliases)
    name = f"Choice({', '.join(map(repr, options))})"
    return ColumnType(name, pa.string(), "choice", choices=choices, example=options[0])


LIBRARY: tuple[ColumnType, ...] = (
    Text, Identifier, Email, Phone, Cpf, Cnpj, Cep, Plate, Uf, Url, Choice("novo", "usado"), Integer,
    Number(), Money(), Percentage(), Date, Timestamp, Boolean, Json,
)  # fmt: skip


def type_of(dtype: Any) -> ColumnType | None:
    """The declared type of a pandera dtype; a bare Arrow dtype is the plain type of its values."""
    if isinstance(dtype, ColumnType):
        return dtype
    arrow_type = getattr(getattr(dtype, "type", None), "pyarrow_dtype", None)
    if arrow_type is None:
        return None
    if pa.types.is_decimal128(arrow_type):
        plain: ColumnType = Number(arrow_type.precision, arrow_type.scale)
        return plain
    return next((t for t in (Text, Integer, Date, Timestamp, Boolean) if t.arrow_type == arrow_type), None)


def postgres_type(arrow_type: pa.DataType) -> str:
    """The PostgreSQL type that holds `arrow_type` without loss.

    Raises:
        TypeError: a type that no dataset column may have.
    """
    if pa.types.is_decimal(arrow_type):
        return f"numeric({arrow_type.precision},{arrow_type.scale})"
    if arrow_type not in _POSTGRES_TYPES:
        raise TypeError(f"a dataset column cannot be of type {arrow_type}; use import_pipeline.catalog.types")
    return _POSTGRES_TYPES[arrow_type]


def _source(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return f"{function.__module__}.{function.__qualname__}"
