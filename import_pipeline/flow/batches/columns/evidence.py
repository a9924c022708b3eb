"""Which readings a written decimal or date has, and what a whole column proves.

The patterns here and the spellings of `notations.py` are the only definition: the split counts with
them, the checks parse with them, so they cannot disagree. Typed values are `flow/checks/`'s.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.arrays import as_mask, byte_lengths, is_valid, text_bytes, text_offsets
from import_pipeline.catalog.dataset import Column, Dataset, SenderOptions
from import_pipeline.catalog.types import Evidence
from import_pipeline.flow.batches.columns.alike import (
    AlikeDates,
    alike_dates,
    first_written,
    plain_numbers,
)
from import_pipeline.flow.batches.columns.notations import respelled_dates, respelled_numbers
from import_pipeline.flow.batches.kinds import TEXT
from import_pipeline.records import ColumnVerdict

# A number never begins its thousands groups with 0, so `0.125` is proof of a decimal point.
_SIGN = r"[+-]?"
_INTEGER = r"(?:[1-9]\d{{0,2}}(?:{sep}\d{{3}})+|\d+)"
_NUMBER = r"^" + _SIGN + r"(?:" + _INTEGER + r"(?:{mark}\d+)?|{mark}\d+)$"
COMMA_NUMBER = _NUMBER.format(sep=r"(?:\.)", mark=",")
POINT_NUMBER = _NUMBER.format(sep=",", mark=r"\.")
PLAIN_NUMBER = r"^" + _SIGN + r"\d+$"
# What is taken off both ends of a cell: white space of every kind, zero-width characters and joiners.
WHITE_SPACE = " \t\r\n\v\f\u0085\u00a0\u1680\u180e\u2028\u2029\u202f\u205f\u2060\u3000\ufeff" + "".join(
    chr(c) for c in range(0x2000, 0x200E)
)
# By byte: whether it can be the first or the last of such a character.
_MAYBE_SPACE = np.zeros(256, dtype=bool)
_MAYBE_SPACE[[byte for c in WHITE_SPACE for byte in (c.encode()[0], c.encode()[-1])]] = True
# One in so many is worth looking at by itself.
_FEW = 10

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
        text: the values; those that are written in a rarer way, respelled (`notations.py`).
        by_reading: reading (`,` `.` or `dmy` `mdy` `ymd`) to a boolean array, never null.
        ambiguous: values with two readings that give different results.
        short_years: dates with a named month and a year of two digits, which have no reading; None:
            there is none.
        alike: of a date column, what the dates say that are laid out alike.
    """

    text: pa.Array
    by_reading: Mapping[str, pa.Array]
    ambiguous: pa.Array
    short_years: np.ndarray | None = None
    alike: AlikeDates | None = None

    def among(self, cells: pa.Array) -> "Readings":
        """The same, with a null wherever the cells have one; none of those may have a reading."""
        if cells.null_count == self.text.null_count:
            return self
        there = pc.is_valid(cells)
        text = pc.if_else(there, self.text, pa.scalar(None, self.text.type))
        short_years = self.short_years
        if short_years is not None:
            short_years = short_years & as_mask(there)
        return replace(self, text=text, short_years=short_years)

    def only(self, reading: str) -> pa.Array:
        """Values that have this reading and no other: its proofs."""
        mine = self.by_reading[reading]
        for other, mask in self.by_reading.items():
            if other != reading:
                mine = pc.and_not(mine, mask)
        return mine


def decimal_readings(text: pa.Array, affixes: Sequence[str] = ("R$",)) -> Readings:
    """Readings `,` and `.` (the decimal mark) of written numbers; the cells are trimmed.

    `1.234,56`, `12,5`, `1.234.567` have only `,`; `1,234.56`, `12.5`, `0.125` only `.`;
    `1.234` and `1,234` have both and are ambiguous; `1234` has both and they agree.

    Args:
        affixes: what may stand before or after the number.
    """
    patterns = {",": COMMA_NUMBER, ".": POINT_NUMBER}
    plain = plain_numbers(text)
    masks = {",": pa.array(plain.comma), ".": pa.array(plain.point)}
    masks = _read_by_patterns(text, masks, _unread(text, masks), patterns)
    unread = _unread(text, masks)
    if unread.size:
        spelled = respelled_numbers(text.take(pa.array(unread)), affixes)
        text, masks = _respelled(text, masks, unread, spelled, patterns)
    ambiguous = _both(masks[","], masks["."], ~plain.where, text, PLAIN_NUMBER) | plain.ambiguous
    return Readings(text, masks, pa.array(ambiguous))


def date_readings(text: pa.Array) -> Readings:
    """Readings `dmy`, `mdy` and `ymd` of written dates, with or without a time; the cells are trimmed.

    Dates that do not exist (`31/02/2026`) have no reading. `05/05/2026` has two that agree.
    A year written first has four digits; one written last has four or two.
    """
    patterns = {"dmy": DMY_DATE, "mdy": MDY_DATE, "ymd": YMD_DATE}
    alike = alike_dates(text)
    masks = {order: pa.array(alike.exist(order)) for order in patterns}
    # No text has the year first and last: what one pattern reads is not looked at with the others.
    by_year = [{"ymd": YMD_DATE}, {"dmy": DMY_DATE, "mdy": MDY_DATE}]
    for some in by_year if _begins_with_a_year(text) else reversed(by_year):
        masks = _read_by_patterns(text, masks, _unread(text, masks), some)
    unread = _unread(text, masks)
    short_years = None
    if unread.size:
        spelled, short = respelled_dates(text.take(pa.array(unread)))
        text, masks = _respelled(text, masks, unread, spelled, patterns)
        if pc.any(short).as_py():
            short_years = np.zeros(len(text), dtype=bool)
            short_years[unread] = as_mask(short)
    ambiguous = _both(masks["dmy"], masks["mdy"], ~alike.where, text, SAME_EITHER_WAY)
    ambiguous |= alike.exist("dmy") & alike.exist("mdy") & (alike.first != alike.second)
    return Readings(text, masks, pa.array(ambiguous), short_years, alike)


def _begins_with_a_year(text: pa.Array) -> bool:
    """Whether the first value of a column does, as most often all do."""
    return bool(re.match(r"\d{4}", first_written(text)))


def _unread(text: pa.Array, masks: Mapping[str, pa.Array]) -> np.ndarray:
    """Positions of the values that hold something and have no reading: mostly few, so looked at twice."""
    missing = (byte_lengths(text) > 0) & is_valid(text)
    for mask in masks.values():
        missing = missing & ~as_mask(mask)
    return np.flatnonzero(missing)


def _read_by_patterns(
    text: pa.Array, masks: Mapping[str, pa.Array], where: np.ndarray, patterns: Mapping[str, str]
) -> dict[str, pa.Array]:
    """Readings with those of the values at `where`, which have none yet."""
    if not where.size:
        return dict(masks)
    some = text if where.size == len(text) else text.take(pa.array(where))
    return _found(some, masks, where, patterns)


def _found(
    some: pa.Array, masks: Mapping[str, pa.Array], where: np.ndarray, patterns: Mapping[str, str]
) -> dict[str, pa.Array]:
    found = dict(masks)
    for reading, pattern in patterns.items():
        has = as_mask(_matches(some, pattern))
        if has.any():
            found[reading] = _with(masks[reading], where, has)
    return found


def _both(one: pa.Array, other: pa.Array, among: np.ndarray, text: pa.Array, agreed: str) -> np.ndarray:
    """Which of some values have both readings and do not match the pattern of those that agree."""
    both = as_mask(one) & as_mask(other) & among
    places = np.flatnonzero(both)
    if places.size:
        both[places] = ~as_mask(_matches(text.take(pa.array(places)), agreed))
    return both


def _respelled(
    text: pa.Array,
    masks: Mapping[str, pa.Array],
    where: np.ndarray,
    spelled: pa.Array,
    patterns: Mapping[str, str],
) -> tuple[pa.Array, dict[str, pa.Array]]:
    """Text and readings with the new spelling of the values at `where`, which have none in the old one."""
    if spelled.equals(text.take(pa.array(where))):
        return text, dict(masks)
    found = _found(spelled, masks, where, patterns)
    chosen = np.zeros(len(text), dtype=bool)
    chosen[where] = True
    return pc.replace_with_mask(text, pa.array(chosen), spelled), found


def _with(mask: pa.Array, where: np.ndarray, has: np.ndarray) -> pa.Array:
    """The mask with the answers for some of its values, none of which is set in it."""
    full = as_mask(mask)
    full[where] = has
    return pa.array(full)


def readings_of(cells: pa.Array, column: Column) -> Readings:
    """The readings of the cells of a decimal or date column."""
    text = clean(cells)
    return (
        date_readings(text) if column.type.evidence == "date" else decimal_readings(text, column.type.affixes)
    )


def clean(values: pa.Array) -> pa.Array:
    """Without white space around, non-breaking and zero-width included.

    The texts themselves where none has any, which a look at their first and last bytes tells.
    """
    offsets, lengths = text_offsets(values), byte_lengths(values)
    used = text_bytes(values)
    if not used.size:
        return values
    first = offsets[:-1] - offsets[0]
    some = _MAYBE_SPACE.take(used.take(first, mode="clip"))
    some |= _MAYBE_SPACE.take(used.take(first + lengths - 1, mode="clip"))
    places = np.flatnonzero(some)
    if not places.size:
        return values
    if places.size * _FEW > len(values):
        return pc.utf8_trim(values, WHITE_SPACE)
    taken = values.take(pa.array(places))
    shorter = pc.utf8_trim(taken, WHITE_SPACE)
    if shorter.equals(taken):
        return values
    some[:] = False
    some[places] = True
    return pc.replace_with_mask(values, pa.array(some), shorter)


@dataclass
class _Tally:
    """What was counted of one column; `tokens`: null tokens that would be counted as values."""

    column: Column
    kind: Evidence
    position: int
    proofs: dict[str, int]
    tokens: pa.Array
    ambiguous: int = 0


class ColumnEvidence:
    """Counts, chunk by chunk, what the values of a file's decimal and date columns prove."""

    def __init__(self, dataset: Dataset, mapping: Mapping[str, int]):
        self._tallies: dict[str, _Tally] = {}
        for column in dataset.columns:
            kind = column.type.evidence
            if kind is None or column.name not in mapping:
                continue
            proofs = {",": 0, ".": 0} if kind == "decimal" else {"dmy": 0, "mdy": 0}
            tokens = pa.array(null_tokens(column, dataset), pa.string())
            read = readings_of(tokens, column).by_reading.values()
            tokens = tokens.filter(pa.array(np.logical_or.reduce([np.asarray(mask) for mask in read])))
            self._tallies[column.name] = _Tally(column, kind, mapping[column.name], proofs, tokens)

    def add(self, table: pa.Table) -> dict[str, Readings]:
        """Count one chunk of rows.

        Rows with a problem prove nothing, since their cells may be shifted; nor do cells that the format
        itself stores as numbers or dates, since they have one reading whatever the others have.

        Args:
            table: columns `_problem`, `c0`, `c1`, … and `k0`, … as in a batch.

        Returns:
            by column, the readings of the cells of its sound rows; of columns of text only.
        """
        found = {}
        sound = table["_problem"]
        rows = table if sound.null_count == len(sound) else table.filter(pc.is_null(sound))
        for tally in self._tallies.values():
            readings = readings_of(_written_cells(rows, tally), tally.column)
            for reading in tally.proofs:
                tally.proofs[reading] += _count(readings.only(reading))
            tally.ambiguous += _count(readings.ambiguous)
            if f"k{tally.position}" not in rows.column_names:
                found[tally.column.name] = readings
        return found

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


def null_tokens(column: Column, dataset: Dataset) -> tuple[str, ...]:
    """What stands for an empty cell in a column."""
    return dataset.null_tokens if column.null_tokens is None else column.null_tokens


def _written_cells(rows: pa.Table, tally: _Tally) -> pa.Array:
    """The cells of a column that were written as text; null tokens and typed cells are null."""
    cells: Any = rows[f"c{tally.position}"].combine_chunks()
    kinds = f"k{tally.position}"
    if kinds in rows.column_names:
        is_text = pc.fill_null(pc.equal(rows[kinds].combine_chunks(), TEXT), True)
        cells = pc.if_else(is_text, cells, pa.scalar(None, cells.type))
    if len(tally.tokens):
        cells = pc.if_else(pc.is_in(clean(cells), value_set=tally.tokens), pa.scalar(None, cells.type), cells)
    return cells


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
