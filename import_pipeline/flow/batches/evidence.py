"""Which readings a written decimal or date has, and what a whole column proves.

The patterns here are the only definition: the split counts with them, the checks parse with them,
so reading and parsing cannot disagree. Turning text into typed values is `flow/checks/`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.records import ColumnVerdict

Kind = Literal["decimal", "date"]

# A number never begins its thousands groups with 0, so `0.125` is proof of a decimal point.
_SIGN = r"[+-]?"
_INTEGER = r"(?:[1-9]\d{{0,2}}(?:{sep}\d{{3}})+|\d+)"
_NUMBER = r"^" + _SIGN + r"(?:" + _INTEGER + r"(?:{mark}\d+)?|{mark}\d+)$"
COMMA_NUMBER = _NUMBER.format(sep=r"(?:\.)", mark=",")
POINT_NUMBER = _NUMBER.format(sep=",", mark=r"\.")
PLAIN_NUMBER = r"^" + _SIGN + r"\d+$"
CURRENCY = r"^([+-]?)\s*R\$\s*([+-]?)\s*"
WHITE_SPACE = " \t\r\n\v\f\u00a0\u2007\u202f\u200b\ufeff"

TIME = (
    r"(?:[T ]+(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?(?: ?[AaPp][Mm])?"
    r"(?: ?(?:Z|z|UTC|[+-]\d{2}(?::?\d{2})?))?)?"
)
_LEAP_CENTURY = r"(?:[02468][048]|[13579][26])00"
_LEAP_YEAR = r"(?:\d{2}(?:0[48]|[2468][048]|[13579][26])|" + _LEAP_CENTURY + r")"
_LEAP_SHORT = r"(?:0[048]|[2468][048]|[13579][26])"
_MONTH = r"(?:0?[1-9]|1[0-2])"
_MONTH_OF_30 = r"(?:0?[13-9]|1[0-2])"
_MONTH_OF_31 = r"(?:0?[13578]|1[02])"
_DAY = r"(?:0?[1-9]|1\d|2[0-8])"
_FEBRUARY = r"0?2"
_YEAR = r"(?:\d{4}|\d{2})"
_SEPARATORS = ("/", "-", r"\.")


def _dates(order: str) -> str:
    """Pattern of the dates that exist, written in `order` (`dmy`, `mdy`, `ymd`) with one separator."""
    year, leap = (r"\d{4}", _LEAP_YEAR) if order == "ymd" else (_YEAR, f"(?:{_LEAP_YEAR}|{_LEAP_SHORT})")
    days = [(_DAY, _MONTH, year), ("(?:29|30)", _MONTH_OF_30, year), ("31", _MONTH_OF_31, year),
            ("29", _FEBRUARY, leap)]  # fmt: skip
    written = []
    for separator in _SEPARATORS:
        for day, month, of_year in days:
            parts = {"d": day, "m": month, "y": of_year}
            written.append(separator.join(parts[letter] for letter in order))
    return "^(?:" + "|".join(written) + ")" + TIME + "$"


DMY_DATE = _dates("dmy")
MDY_DATE = _dates("mdy")
YMD_DATE = _dates("ymd")
# Day and month are the same number: both orders give the same date.
SAME_EITHER_WAY = (
    "^(?:"
    + "|".join(f"0?{n}{s}0?{n}{s}" if n < 10 else f"{n}{s}{n}{s}" for n in range(1, 13) for s in _SEPARATORS)
    + ")"
)


@dataclass(frozen=True)
class Readings:
    """Which readings each value of an array has; a null value has none.

    Attributes:
        text: the values trimmed and, for numbers, without the currency sign.
        by_reading: reading (`,` `.` or `dmy` `mdy` `ymd`) to a boolean array, never null.
        ambiguous: values with two readings that give different results.
    """

    text: pa.Array
    by_reading: Mapping[str, pa.Array]
    ambiguous: pa.Array

    def only(self, reading: str) -> pa.Array:
        """Values that have this reading and no other: its proofs."""
        mine = self.by_reading[reading]
        for other, mask in self.by_reading.items():
            if other != reading:
                mine = pc.and_not(mine, mask)
        return mine


def decimal_readings(values: pa.Array) -> Readings:
    """Readings `,` and `.` (the decimal mark) of written numbers.

    `1.234,56`, `12,5`, `1.234.567` have only `,`; `1,234.56`, `12.5`, `0.125` only `.`;
    `1.234` and `1,234` have both and are ambiguous; `1234` has both and they agree.
    """
    text = clean_number(values)
    comma, point = _matches(text, COMMA_NUMBER), _matches(text, POINT_NUMBER)
    both = pc.and_(comma, point)
    if pc.any(both).as_py():
        both = pc.and_not(both, _matches(text, PLAIN_NUMBER))
    return Readings(text, {",": comma, ".": point}, both)


def date_readings(values: pa.Array) -> Readings:
    """Readings `dmy`, `mdy` and `ymd` of written dates, with or without a time.

    Dates that do not exist (`31/02/2026`) have no reading. `05/05/2026` has two that agree.
    A year written first has four digits; one written last has four or two.
    """
    text = clean(values)
    masks = {
        "dmy": _matches(text, DMY_DATE),
        "mdy": _matches(text, MDY_DATE),
        "ymd": _matches(text, YMD_DATE),
    }
    both = pc.and_(masks["dmy"], masks["mdy"])
    if pc.any(both).as_py():
        both = pc.and_not(both, _matches(text, SAME_EITHER_WAY))
    return Readings(text, masks, both)


def clean(values: pa.Array) -> pa.Array:
    """Without white space around, non-breaking and zero-width included."""
    return pc.utf8_trim(values, WHITE_SPACE)


def clean_number(values: pa.Array) -> pa.Array:
    """Trimmed, without the currency sign `R$`: `R$ -12,50` gives `-12,50`."""
    text = clean(values)
    has_sign = pc.match_substring(text, "R$")
    if not pc.any(has_sign).as_py():
        return text
    spaced = pc.replace_substring(text, "\u00a0", " ")
    plain = pc.replace_substring_regex(spaced, CURRENCY, r"\1\2")
    return pc.if_else(pc.fill_null(has_sign, False), plain, text)


def kind_of(arrow_type: pa.DataType) -> Kind | None:
    """The kind of verdict that a column of this type needs; None: its text has one reading."""
    if pa.types.is_decimal(arrow_type) or pa.types.is_integer(arrow_type):
        return "decimal"
    if pa.types.is_date(arrow_type) or pa.types.is_timestamp(arrow_type):
        return "date"
    return None


@dataclass
class _Tally:
    kind: Kind
    position: int
    proofs: dict[str, int]
    ambiguous: int = 0


class ColumnEvidence:
    """Counts, chunk by chunk, what the values of a file's decimal and date columns prove."""

    def __init__(self, dataset: Dataset, mapping: Mapping[str, int]):
        self._tallies: dict[str, _Tally] = {}
        for column in dataset.columns:
            kind = kind_of(column.arrow_type)
            if kind is None or column.name not in mapping:
                continue
            proofs = {",": 0, ".": 0} if kind == "decimal" else {"dmy": 0, "mdy": 0}
            self._tallies[column.name] = _Tally(kind, mapping[column.name], proofs)

    def add(self, table: pa.Table) -> None:
        """Count one chunk of rows; rows with a problem prove nothing, since their cells may be shifted.

        Args:
            table: columns `_problem` and `c0`, `c1`, … as in a batch.
        """
        sound = table["_problem"]
        rows = table if sound.null_count == len(sound) else table.filter(pc.is_null(sound))
        for tally in self._tallies.values():
            column: Any = rows[f"c{tally.position}"].combine_chunks()
            readings = decimal_readings(column) if tally.kind == "decimal" else date_readings(column)
            for reading in tally.proofs:
                tally.proofs[reading] += _count(readings.only(reading))
            tally.ambiguous += _count(readings.ambiguous)

    def verdicts(self, stated: SenderOptions, defaults: SenderOptions) -> tuple[ColumnVerdict, ...]:
        """One verdict a column: stated by the sender, else proven, else the dataset's default, else none."""
        return tuple(
            _verdict(
                name,
                tally,
                stated.decimal if tally.kind == "decimal" else stated.date_order,
                defaults.decimal if tally.kind == "decimal" else defaults.date_order,
            )
            for name, tally in self._tallies.items()
        )


def _verdict(column: str, tally: _Tally, stated: str | None, default: str | None) -> ColumnVerdict:
    proven = [reading for reading, number in tally.proofs.items() if number]
    reading: str | None
    source: Literal["evidence", "stated", "default", "not_needed", "none"]
    if stated is not None:
        reading, source = stated, "stated"
    elif proven:
        reading, source = (proven[0] if len(proven) == 1 else "mixed"), "evidence"
    elif not tally.ambiguous:
        reading, source = default, "not_needed"
    elif default is not None:
        reading, source = default, "default"
    else:
        reading, source = None, "none"
    return ColumnVerdict(column, tally.kind, reading, source, dict(tally.proofs), tally.ambiguous)


def _matches(values: pa.Array, pattern: str) -> pa.Array:
    return pc.fill_null(pc.match_substring_regex(values, pattern), False)


def _count(mask: pa.Array) -> int:
    return int(pc.sum(mask).as_py() or 0)
