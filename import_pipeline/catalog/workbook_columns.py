"""What each column of a template says of itself: note, validation, number format and an example that passes.

Derived from the declaration alone: type, rules, whether it is required. Cells are `workbook.py`'s.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

from import_pipeline.catalog.dataset import Column, Dataset
from import_pipeline.catalog.rules import BRAZILIAN_STATES, describe_check, next_year
from import_pipeline.language import Language, Told, say, told

RuleKind = Literal["list", "whole", "decimal", "date", "textLength", "custom"]
# Excel keeps 15 significant digits; longer whole numbers would be altered by it.
MOST_DIGITS = 15
LONGEST_CELL = 32_767  # characters, in the XLSX format
TEXT, WHOLE = "@", "0"
# A hidden sheet of the template, for choices that are too long for a cell's own list.
LISTS_SHEET = "_lists"
DATES: Mapping[Language, str] = {"en": "yyyy-mm-dd", "pt": "dd/mm/yyyy"}
FIRST_DAY = "DATE(1900,1,1)"
YES_NO: Mapping[Language, tuple[str, str]] = {"en": ("true", "false"), "pt": ("sim", "não")}

# By the type's name up to its parameters.
KINDS: Mapping[str, Told] = {
    "Text": told("Text."),
    "Identifier": told("An identifier: kept as text, with its leading zeros."),
    "Email": told("An e-mail address."),
    "Phone": told("A phone number with area code."),
    "Cpf": told("A CPF with its check digits."),
    "Cnpj": told("A CNPJ with its check digits; letters are allowed."),
    "Cep": told("A CEP of eight digits."),
    "Plate": told("A Brazilian licence plate."),
    "Uf": told("The two letters of a Brazilian state."),
    "Url": told("An address on the web."),
    "Choice": told("One of the choices."),
    "Integer": told("A whole number."),
    "Number": told("A number."),
    "Money": told("An amount of money."),
    "Percentage": told("A percentage."),
    "Date": told("A date."),
    "Timestamp": told("A date and time."),
    "Boolean": told("Yes or no."),
    "Json": told("JSON."),
}
# Fewest and most characters that such a text is written with.
LENGTHS: Mapping[str, tuple[int, int]] = {
    "Phone": (8, 30), "Cpf": (11, 14), "Cnpj": (14, 18), "Cep": (8, 10), "Plate": (7, 8),
}  # fmt: skip
# What a plain text is called when it has such a rule.
KIND_OF_RULE: Mapping[str, str] = {"is_email": "Email", "is_plate": "Plate", "is_uf": "Uf"}
EMAIL_FORMULA = 'ISNUMBER(FIND(".",{cell},FIND("@",{cell})+2))'
URL_FORMULA = 'ISNUMBER(FIND("://",{cell}))'


@dataclass(frozen=True)
class CellRule:
    """A data validation: its kind and bounds as spreadsheet formulas, or the choices of a list."""

    kind: RuleKind
    operator: str | None = None
    low: str | None = None
    high: str | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class TemplateColumn:
    """One column of a template.

    Attributes:
        header: the first header declared for it.
        note: sentences in the sender's language, one a line.
        example: a cell that passes; None where none can be told from the declaration.
    """

    header: str
    required: bool
    note: tuple[str, ...]
    example: str | int | Decimal | float | date | datetime | None
    number_format: str
    rule: CellRule


@dataclass(frozen=True)
class _Bounds:
    """What rules say about numbers: the least and the greatest allowed, both included."""

    low: Decimal | None
    high: Decimal | None


def template_columns(dataset: Dataset, language: Language) -> Iterator[TemplateColumn]:
    """The columns in the model's order."""
    for column in dataset.columns:
        declared = dataset.schema.columns[column.name]
        bounds = _bounds(declared.checks, column)
        choices = _choices(column, declared.checks, language)
        value = _example(column, declared, bounds, choices)
        header = next(iter((declared.metadata or {}).get("headers", ())), column.name)
        yield TemplateColumn(
            header=header,
            required=column.required,
            note=tuple(_note(dataset, column, declared.checks, choices, value, language)),
            example=_cell(value, column, language),
            number_format=_number_format(column, language),
            rule=_rule(column, declared.checks, bounds, choices),
        )


def _kind(column: Column) -> str:
    return column.type.name.partition("(")[0]


def _note(
    dataset: Dataset,
    column: Column,
    checks: Sequence[Any],
    choices: Sequence[str],
    example: Any,
    language: Language,
) -> Iterator[str]:
    yield say(told("Required.") if column.required else told("May be empty."), language)
    ruled = next((KIND_OF_RULE[check.name] for check in checks if check.name in KIND_OF_RULE), None)
    kind = KINDS.get(ruled or _kind(column))
    if choices:
        yield say(told("One of: {choices}.", choices=list(choices[:40])), language)
    elif kind:
        yield say(kind, language)
    for check in checks:
        code, detail = describe_check(check)
        words = {
            "out_of_range": told("The value is {detail}.", detail=detail),
            "wrong_length": told("Text of {detail} characters.", detail=detail),
            "wrong_pattern": told("Text that {detail}.", detail=detail),
            "check_failed": told("{detail}.", detail=detail),
        }
        if code in words:
            yield say(words[code], language)
    if column.name in dataset.key:
        yield say(told("It tells rows apart: a row with a known value is no new row."), language)
    if example is not None:
        shown = _cell(example, column, language)
        yield say(told("Example: {example}", example=_as_text(shown, column, language)), language)


def _as_text(shown: Any, column: Column, language: Language) -> str:
    """A cell as a spreadsheet shows it."""
    if isinstance(shown, datetime):
        return f"{shown:%Y-%m-%d %H:%M}" if language == "en" else f"{shown:%d/%m/%Y %H:%M}"
    if isinstance(shown, date):
        return f"{shown:%Y-%m-%d}" if language == "en" else f"{shown:%d/%m/%Y}"
    if _kind(column) == "Percentage":
        return say(told("{share:.2%}", share=shown), language)
    if isinstance(shown, Decimal):
        return say(told("{number:,}", number=shown), language)
    return str(shown)


def _choices(column: Column, checks: Sequence[Any], language: Language) -> tuple[str, ...]:
    if pa.types.is_boolean(column.arrow_type):
        return YES_NO[language]
    if column.type.choices:
        return tuple(dict.fromkeys(column.type.choices.values()))
    names = {check.name: check.statistics or {} for check in checks}
    if "is_uf" in names or _kind(column) == "Uf":
        return BRAZILIAN_STATES
    allowed = names.get("isin", {}).get("allowed_values")
    return tuple(str(value) for value in allowed) if allowed else ()


def _bounds(checks: Sequence[Any], column: Column) -> _Bounds:
    """Bounds of numbers; an excluded bound is moved by the smallest step of the column."""
    arrow_type = column.arrow_type
    if not (pa.types.is_integer(arrow_type) or pa.types.is_decimal(arrow_type)):
        return _Bounds(None, None)
    scale = arrow_type.scale if pa.types.is_decimal(arrow_type) else 0
    step = Decimal(1).scaleb(-scale)
    lows, highs = [], []
    for check in checks:
        stats = check.statistics or {}
        included_low = check.name == "greater_than_or_equal_to" or stats.get("include_min", False)
        included_high = check.name == "less_than_or_equal_to" or stats.get("include_max", False)
        if stats.get("min_value") is not None:
            lows.append(Decimal(str(stats["min_value"])) + (0 if included_low else step))
        if stats.get("max_value") is not None:
            highs.append(Decimal(str(stats["max_value"])) - (0 if included_high else step))
        if check.name == "not_after_next_year":
            highs.append(Decimal(next_year()))
    return _Bounds(max(lows, default=None), min(highs, default=None))


def _rule(column: Column, checks: Sequence[Any], bounds: _Bounds, choices: tuple[str, ...]) -> CellRule:
    if choices:
        return CellRule("list", choices=choices)
    arrow_type = column.arrow_type
    if pa.types.is_integer(arrow_type) or pa.types.is_decimal(arrow_type):
        return _number_rule(column, bounds)
    if pa.types.is_date(arrow_type) or pa.types.is_timestamp(arrow_type):
        return CellRule("date", "greaterThanOrEqual", FIRST_DAY)
    names = {check.name: check.statistics or {} for check in checks}
    if "is_email" in names:
        return CellRule("custom", low=EMAIL_FORMULA)
    if _kind(column) == "Url":
        return CellRule("custom", low=URL_FORMULA)
    low, high = LENGTHS["Plate"] if "is_plate" in names else LENGTHS.get(_kind(column), (0, LONGEST_CELL))
    length = names.get("str_length", {})
    exact = length.get("exact_value")
    low = exact or length.get("min_value") or low
    high = exact or length.get("max_value") or high
    return CellRule("textLength", "between", str(max(low, int(column.required))), str(high))


def _number_rule(column: Column, bounds: _Bounds) -> CellRule:
    arrow_type = column.arrow_type
    if pa.types.is_decimal(arrow_type):
        kind: RuleKind = "decimal"
        most = Decimal(10) ** min(arrow_type.precision - arrow_type.scale, MOST_DIGITS)
    else:
        kind, most = "whole", Decimal(10) ** MOST_DIGITS - 1
    # A cell formatted as a percentage holds hundredths.
    unit = 100 if _kind(column) == "Percentage" else 1
    low = -most if bounds.low is None else bounds.low
    high = most if bounds.high is None else bounds.high
    return CellRule(kind, "between", f"{low / unit:f}", f"{high / unit:f}")


def _number_format(column: Column, language: Language) -> str:
    arrow_type = column.arrow_type
    if pa.types.is_integer(arrow_type):
        return WHOLE
    if pa.types.is_decimal(arrow_type):
        decimals = "." + "0" * arrow_type.scale if arrow_type.scale else ""
        return "0.00%" if _kind(column) == "Percentage" else f"#,##0{decimals}"
    if pa.types.is_timestamp(arrow_type):
        return f"{DATES[language]} hh:mm"
    return DATES[language] if pa.types.is_date(arrow_type) else TEXT


def _example(column: Column, declared: Any, bounds: _Bounds, choices: Sequence[str]) -> Any:
    """The first candidate that the column's own rules accept; None if none does."""
    stated = (declared.metadata or {}).get("example", "")
    for candidate in _candidates(column, bounds, choices, stated):
        stored = candidate
        if isinstance(candidate, str):
            stored = candidate.translate(str.maketrans("", "", column.remove))
            stored = stored.upper() if column.case == "upper" else stored
            stored = stored.lower() if column.case == "lower" else stored
        if _passes(stored, declared):
            return candidate
    return None


def _candidates(column: Column, bounds: _Bounds, choices: Sequence[str], stated: str) -> Iterator[Any]:
    arrow_type = column.arrow_type
    if pa.types.is_boolean(arrow_type):
        yield True
    elif pa.types.is_integer(arrow_type):
        numbers = (12, bounds.high, bounds.low)
        yield from (int(number) for number in numbers if number is not None)
    elif pa.types.is_decimal(arrow_type):
        step = Decimal(1).scaleb(-arrow_type.scale)
        room = Decimal(10) ** (arrow_type.precision - arrow_type.scale)
        usual = "15.5" if _kind(column) == "Percentage" else "1234.56"
        for number in (Decimal(usual), Decimal("12.5"), Decimal(1), Decimal("0.5"), bounds.low, bounds.high):
            if number is not None and abs(number) < room:
                yield number.quantize(step)
    elif pa.types.is_timestamp(arrow_type):
        yield datetime(2026, 2, 28, 14, 30, tzinfo=UTC)
    elif pa.types.is_date(arrow_type):
        yield date(2026, 2, 28)
    else:
        texts = (stated, "SP" if "SP" in choices else "", *choices[:1], column.type.example,
                 "ana@empresa.com.br", "ABC1D23", "A", "ABC")  # fmt: skip
        yield from filter(None, texts)


def _passes(value: Any, declared: Any) -> bool:
    """Whether the declared rules accept a value as it would be stored."""
    dtype = pd.ArrowDtype(pa.string()) if isinstance(value, str) else declared.dtype.type
    series = pd.Series([value], dtype=dtype)
    return all(bool(check(series).check_passed) for check in declared.checks)


def _cell(value: Any, column: Column, language: Language) -> Any:
    """A value as it is written into the workbook."""
    if value is True:
        return YES_NO[language][0]
    if _kind(column) == "Percentage" and isinstance(value, Decimal):
        return value / 100
    if isinstance(value, datetime):
        # Cells have no zone; the dataset's is assumed when they are read.
        return value.replace(tzinfo=None)
    return value
