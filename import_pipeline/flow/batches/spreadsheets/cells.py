"""A column of values as calamine gives them → its canonical text and the kind of each cell, as Arrow columns.

Values are turned by the column, never one by one; `kinds.py` says what each kind's text looks like.
"""

import datetime
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import compress, islice
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.flow.batches import kinds
from import_pipeline.flow.batches.spreadsheets.listed import SheetValues
from import_pipeline.flow.batches.spreadsheets.marks import (
    ColumnMarks,
    ErrorValue,
    NoResult,
    Percent,
    Percentage,
)
from import_pipeline.flow.batches.spreadsheets.number_formats import ZerosFormat

Kinds = npt.NDArray[np.int8]
# Excel keeps and shows 15 digits; a float holds no more for certain.
DIGITS_KEPT = 15
_IMPRECISE_FROM = 10.0**DIGITS_KEPT
_SHOWN = "%.15g".__mod__
NOT_A_NUMBER = "#NUM!"
_TWO_DAYS, _EITHER_DAY = "1900-02-28", "1900-02-28 or 1900-02-29"


def column_cells(values: Sequence[Any], marks: ColumnMarks | None, first_row: int) -> tuple[pa.Array, Kinds]:
    """Text and kind of each cell.

    Args:
        values: the column in consecutive rows, the first of which is `first_row`.
        marks: what is said of cells of this column beside their values.
    """
    text, found = _texts(values)
    if marks is None:
        return text, found
    here = marks.between(first_row, first_row + len(values) - 1)
    return _marked(values, text, found, here, first_row) if len(here.rows) else (text, found)


def first_rows(sheet: SheetValues, rows: int) -> list[list[str]]:
    """The first rows as text, among which a header is looked for: from row 1 and column A on."""
    values = list(islice(sheet.rows(), rows))
    if not values or not sheet.width:
        return []
    before = [""] * sheet.first_column
    columns = [column_cells(column, None, 1)[0].to_pylist() for column in zip(*values, strict=True)]
    return [before + list(row) for row in zip(*columns, strict=True)]


def doubtful_dates(text: pa.Array, found: Kinds) -> tuple[pa.Array, Kinds]:
    """The column with 28 February 1900 as an error.

    Excel counts a 29 February 1900 that never was (ECMA-376, 18.17.4.1: day 60), and calamine gives both
    days as the 28th. Not for formats that write their dates out.
    """
    dates = (found == kinds.DATE) | (found == kinds.TIMESTAMP)
    if not dates.any():
        return text, found
    doubtful = dates & np.asarray(pc.starts_with(text, _TWO_DAYS))
    if not doubtful.any():
        return text, found
    found[doubtful] = kinds.ERROR_VALUE
    return _replaced(text, doubtful, pa.repeat(pa.scalar(_EITHER_DAY), int(doubtful.sum()))), found


def number_texts(numbers: npt.NDArray[np.float64]) -> tuple[pa.Array, Kinds]:
    """Numbers as Excel keeps them: up to 15 digits, no exponent, whole ones without a fraction.

    From 10^15 on digits may be lost already: such a number is IMPRECISE, written as the file holds it.
    """
    sound = np.abs(numbers) < _IMPRECISE_FROM  # not so for NaN
    found = np.where(sound, kinds.NUMBER, kinds.IMPRECISE).astype(np.int8)
    found[~np.isfinite(numbers)] = kinds.ERROR_VALUE
    whole = sound & (np.trunc(numbers) == numbers)
    if whole.all():
        return pa.array(numbers.astype(np.int64)).cast(pa.string()), found
    fractions, imprecise, wrong = sound & ~whole, found == kinds.IMPRECISE, found == kinds.ERROR_VALUE
    parts = [
        (whole, pa.array(numbers[whole].astype(np.int64)).cast(pa.string())),
        (fractions, _fractions(numbers[fractions])),
        (imprecise, pa.array(map(repr, numbers[imprecise].tolist()), pa.string())),
        (wrong, pa.repeat(pa.scalar(NOT_A_NUMBER), int(wrong.sum()))),
    ]
    return _assembled(parts), found


def _fractions(numbers: npt.NDArray[np.float64]) -> pa.Array:
    text = pa.array(list(map(_SHOWN, numbers.tolist())), pa.string())
    tiny = pc.match_substring(text, "e")
    if not pc.any(tiny).as_py():
        return text
    # Rare: below 0.0001, where the format falls back to an exponent.
    plain = [format(Decimal(one), "f") for one in text.filter(tiny).to_pylist()]
    return pc.replace_with_mask(text, tiny, pa.array(plain, pa.string()))


def _texts(values: Sequence[Any]) -> tuple[pa.Array, Kinds]:
    distinct = set(map(type, values))
    if distinct == {str}:
        return pa.array(values, pa.string()), np.zeros(len(values), np.int8)
    if len(distinct) == 1:
        return _CONVERTERS[distinct.pop()](values)
    codes = {kind: code for code, kind in enumerate(distinct)}
    of_each = np.fromiter(map(codes.__getitem__, map(type, values)), np.int8, len(values))
    found = np.zeros(len(values), np.int8)
    parts = []
    for kind, code in codes.items():
        mask = of_each == code
        text, kinds_here = _CONVERTERS[kind](list(compress(values, mask.tolist())))
        found[mask] = kinds_here
        parts.append((mask, text))
    return _assembled(parts), found


def _assembled(parts: Sequence[tuple[npt.NDArray[np.bool_], pa.Array]]) -> pa.Array:
    """One array from parts that fill the places of their masks; every place is in one mask."""
    places = np.concatenate([np.flatnonzero(mask) for mask, _ in parts])
    order = np.empty(len(places), np.int64)
    order[places] = np.arange(len(places))
    return pa.concat_arrays([text for _, text in parts]).take(pa.array(order))


def _strings(values: Sequence[str]) -> tuple[pa.Array, Kinds]:
    return pa.array(values, pa.string()), np.zeros(len(values), np.int8)


def _floats(values: Sequence[float]) -> tuple[pa.Array, Kinds]:
    return number_texts(np.array(values, np.float64))


def _shown_percentages(values: Sequence[float]) -> tuple[pa.Array, Kinds]:
    return _as_percentages(values), np.full(len(values), kinds.PERCENT, np.int8)


def _as_percentages(numbers: Sequence[float]) -> pa.Array:
    """0.155 becomes `15.5%`; to 15 digits, since a product has more than were written."""
    times_100 = (np.array(numbers, np.float64) * 100).tolist()
    shown, _ = number_texts(np.array(list(map(float, map(_SHOWN, times_100)))))
    return pc.binary_join_element_wise(shown, "%", "")


def _booleans(values: Sequence[bool]) -> tuple[pa.Array, Kinds]:
    return pa.array(values, pa.bool_()).cast(pa.string()), np.full(len(values), kinds.BOOLEAN, np.int8)


def _written(kind: int, write: Callable[[Any], str]) -> Callable[[Sequence[Any]], tuple[pa.Array, Kinds]]:
    """A converter of values that write themselves."""

    def convert(values: Sequence[Any]) -> tuple[pa.Array, Kinds]:
        return pa.array(map(write, values), pa.string()), np.full(len(values), kind, np.int8)

    return convert


def _duration(value: datetime.timedelta) -> str:
    """Hours may exceed 24: `36:00:00`, as a cell of format `[h]:mm:ss` shows it."""
    seconds, micro = divmod(abs(value) // datetime.timedelta(microseconds=1), 1_000_000)
    sign = "-" if value < datetime.timedelta() else ""
    fraction = f".{micro:06d}" if micro else ""
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}"


_CONVERTERS: dict[type, Callable[[Sequence[Any]], tuple[pa.Array, Kinds]]] = {
    str: _strings,
    float: _floats,
    int: _floats,
    bool: _booleans,
    datetime.date: _written(kinds.DATE, datetime.date.isoformat),
    datetime.datetime: _written(kinds.TIMESTAMP, str),
    datetime.time: _written(kinds.TIME, datetime.time.isoformat),
    datetime.timedelta: _written(kinds.TIME, _duration),
    Percentage: _shown_percentages,
    ErrorValue: _written(kinds.ERROR_VALUE, attrgetter("text")),
    NoResult: _written(kinds.NO_RESULT, attrgetter("formula")),
}


def _marked(
    values: Sequence[Any], text: pa.Array, found: Kinds, marks: ColumnMarks, first_row: int
) -> tuple[pa.Array, Kinds]:
    """Cells as their marks say: formats first, then errors and formulas, which have no value."""
    places, percent = marks.rows - first_row, _are(marks, Percent)
    text = _percentages(values, text, found, places[percent])
    replaced: dict[int, str] = {}
    # Identifiers shown with zeros, errors and formulas without result: cell by cell, since each is its own.
    for place, what in zip(places[~percent].tolist(), marks.what[~percent].tolist(), strict=True):
        meaning = marks.meanings[what]
        if isinstance(meaning, ZerosFormat) and found[place] == kinds.NUMBER:
            shown = meaning.shown(values[place])
            if shown is not None:
                replaced[place], found[place] = shown, kinds.TEXT
        elif isinstance(meaning, ErrorValue):
            replaced[place], found[place] = meaning.text, kinds.ERROR_VALUE
        elif isinstance(meaning, NoResult):
            replaced[place], found[place] = meaning.formula, kinds.NO_RESULT
    if replaced:
        text = _replaced(text, np.array(sorted(replaced)), [replaced[place] for place in sorted(replaced)])
    return text, found


def _are(marks: ColumnMarks, kind: type) -> npt.NDArray[np.bool_]:
    wanted = np.array([isinstance(meaning, kind) for meaning in marks.meanings], bool)
    return wanted[marks.what]


def _percentages(values: Sequence[Any], text: pa.Array, found: Kinds, places: Any) -> pa.Array:
    """The numbers among these places as percentages: 0.155 becomes `15.5%`."""
    places = np.unique(places[found[places] == kinds.NUMBER])
    if not len(places):
        return text
    found[places] = kinds.PERCENT
    return _replaced(text, places, _as_percentages([values[place] for place in places.tolist()]))


def _replaced(text: pa.Array, places: Any, by: Any) -> pa.Array:
    mask = np.zeros(len(text), bool)
    mask[places] = True
    return pc.replace_with_mask(
        text, pa.array(mask), by if isinstance(by, pa.Array) else pa.array(by, pa.string())
    )
