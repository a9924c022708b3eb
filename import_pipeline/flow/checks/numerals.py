"""Written numbers to whole numbers and exact decimals, under the column's one decimal mark.

Never rounds: what the column cannot hold exactly is a fault.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.arrays import as_mask
from import_pipeline.flow.batches.columns.evidence import Readings
from import_pipeline.flow.checks.parsing import (
    FaultCollector,
    How,
    Parsed,
    is_written,
    keep_where,
    readings_of,
)
from import_pipeline.language import told

_OTHER_MARK = {
    ",": told(" in a column whose decimal mark is the comma"),
    ".": told(" in a column whose decimal mark is the point"),
}
# A digit, and a sign of currency or the code of one of those that people send.
CURRENCY_SIGN = (
    r"\d.*(?:\p{Sc}|\b(?:ARS|AUD|BRL|CAD|CHF|CLP|CNY|COP|EUR|GBP|JPY|MXN|PYG|USD|UYU)\b)"
    r"|(?:\p{Sc}|\b(?:ARS|AUD|BRL|CAD|CHF|CLP|CNY|COP|EUR|GBP|JPY|MXN|PYG|USD|UYU)\b).*\d"
)
# Whole numbers of so many digits always fit 64 bits.
_MOST_DIGITS = 18
# Longer texts have zeros to lose before Arrow's parsers, which hold 38 digits, see them.
_LONG = 30


def parse_decimal(cells: pa.Array, how: How) -> Parsed:
    """Exact decimals.

    Faults: those of `plain_numbers`, `too_many_decimals`, `number_too_large`.
    """
    found = FaultCollector(len(cells))
    readings = readings_of(cells, how)
    return _decimals(plain_numbers(readings, how, found), found, how.column.arrow_type)


def parse_money(cells: pa.Array, how: How) -> Parsed:
    """Exact amounts in one currency.

    Faults: `wrong_currency` (the sign of another one), those of `parse_decimal`.
    """
    affixes = how.column.type.affixes
    found = FaultCollector(len(cells))
    readings = readings_of(cells, how)
    comma, point = (as_mask(mask) for mask in readings.by_reading.values())
    unread = is_written(readings.text) & ~comma & ~point
    if unread.any():
        found.add("wrong_currency", unread & as_mask(_matches(readings.text, CURRENCY_SIGN)), affixes[0])
    return _decimals(plain_numbers(readings, how, found), found, how.column.arrow_type)


def _decimals(plain: pa.Array, found: FaultCollector, kind: pa.Decimal128Type) -> Parsed:
    values = _cast(plain, kind, _LONG)
    if values is not None:
        return found.parsed(values)
    whole_digits = kind.precision - kind.scale
    found.add("too_many_decimals", _matches(plain, rf"\.\d{{{kind.scale}}}\d*[1-9]"), str(kind.scale))
    found.add("number_too_large", _matches(plain, rf"^[+-]?0*[1-9]\d{{{whole_digits}}}"), str(whole_digits))
    return found.parsed(pc.cast(_shortened(keep_where(plain, ~found.bad), kind.scale), kind))


def parse_integer(cells: pa.Array, how: How) -> Parsed:
    """Whole numbers of 64 bits; `123.0` is 123.

    Faults: those of `plain_numbers`, `not_a_whole_number`, `number_too_large`.
    """
    found = FaultCollector(len(cells))
    plain = plain_numbers(readings_of(cells, how), how, found)
    values = _cast(plain, pa.int64(), _MOST_DIGITS)
    if values is not None:
        return found.parsed(values)
    found.add("not_a_whole_number", _matches(plain, r"\.\d*[1-9]"))
    found.add("number_too_large", _matches(plain, rf"^[+-]?0*[1-9]\d{{{_MOST_DIGITS}}}"), str(_MOST_DIGITS))
    plain = keep_where(plain, ~found.bad)
    if as_mask(_matches(plain, r"[.+]|^-?0\d")).any():
        plain = pc.replace_substring_regex(plain, r"^\+?(-?)0*(\d*?)(?:\.0*)?$", r"\1\2")
        plain = pc.replace_substring_regex(plain, r"^-?$", "0")
    return found.parsed(pc.cast(plain, pa.int64()))


def _cast(plain: pa.Array, kind: pa.DataType, longest: int) -> pa.Array | None:
    """The numbers, if all of them are short and fit the type exactly; None: look at each."""
    if (pc.max(pc.binary_length(plain)).as_py() or 0) > longest:
        return None
    try:
        return pc.cast(plain, kind)
    except pa.ArrowInvalid:
        return None


def plain_numbers(readings: Readings, how: How, found: FaultCollector) -> pa.Array:
    """Numbers as digits with at most one point; null where empty or not readable.

    Args:
        how: its reading is the column's decimal mark; `mixed` or None: a value with one possible
            reading is read so.
        found: the faults so far; gets `ambiguous_number`, `not_a_number`.
    """
    has = {mark: as_mask(mask) for mark, mask in readings.by_reading.items()}
    written = is_written(readings.text)
    nowhere = np.zeros(len(written), dtype=bool)
    if how.reading in _OTHER_MARK:
        comma, point = (has[","], nowhere) if how.reading == "," else (nowhere, has["."])
        other = has["." if how.reading == "," else ","]
        found.add("not_a_number", written & other & ~(comma | point), _OTHER_MARK[how.reading])
    else:
        ambiguous = as_mask(readings.ambiguous)
        comma = has[","] & ~ambiguous
        point = has["."] & ~has[","]
        found.add("ambiguous_number", ambiguous)
    found.add("not_a_number", written & ~(comma | point))
    return _with_point(readings.text, comma, point)


def _with_point(text: pa.Array, comma: np.ndarray, point: np.ndarray) -> pa.Array:
    """The text without thousands separators and with a decimal point."""
    if not point.any():
        return keep_where(_from_comma(text), comma)
    without = pc.replace_substring(text, ",", "")
    if comma.any():
        without = pc.if_else(pa.array(comma), _from_comma(text), without)
    return keep_where(without, comma | point)


def _from_comma(text: pa.Array) -> pa.Array:
    return pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")


def _shortened(plain: pa.Array, scale: int) -> pa.Array:
    """Without the zeros that count for nothing, if any text is long."""
    if (pc.max(pc.binary_length(plain)).as_py() or 0) <= _LONG:
        return plain
    fewer = pc.replace_substring_regex(plain, r"^([+-]?)0+(\d)", r"\1\2")
    return pc.replace_substring_regex(fewer, rf"(\.\d{{{scale}}})0+$", r"\1")


def _matches(text: pa.Array, pattern: str) -> pa.Array:
    return pc.match_substring_regex(text, pattern)
