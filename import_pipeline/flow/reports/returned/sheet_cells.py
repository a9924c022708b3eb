"""Cells of a batch as the XML of a worksheet's rows, a column at a time.

Text is text whatever it looks like, never a formula; numbers keep their digits, since their text is
written as it is. Which sheets a workbook has and how it looks is `workbook.py`'s.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from xlsxwriter.utility import xl_col_to_name

from import_pipeline.flow.batches.kinds import (
    BOOLEAN,
    DATE,
    ERROR_VALUE,
    IMPRECISE,
    NO_RESULT,
    NUMBER,
    PERCENT,
    TEXT,
    TIME,
    TIMESTAMP,
)
from import_pipeline.formula_guard import guard_equals

# Excel's own limits: https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3
LONGEST_TEXT, MOST_ROWS, MOST_COLUMNS = 32_767, 1_048_576, 16_384
# What only a sheet tells apart: a time of more than a day, and a cell with nothing in it.
DURATION: Final = 100
EMPTY: Final = 101
# Days from 1899-12-30, where Excel's count begins, to 1970; before March 1900 it has a day too many.
DAYS_TO_1970, FIRST_DAY = 25_569, 61
_PATTERNS: Mapping[int, str] = {
    NUMBER: r"\A-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\z",
    BOOLEAN: r"\A(?:true|false)\z",
    DATE: r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\z",
    TIMESTAMP: r"\A[0-9]{4}-[0-9]{2}-[0-9]{2} (?:[01][0-9]|2[0-3])(?::[0-5][0-9]){2}(?:\.[0-9]{1,6})?\z",
    TIME: r"\A(?P<h>[0-9]+):(?P<m>[0-9]{2}):(?P<s>[0-9]{2}(?:\.[0-9]{1,6})?)\z",
    PERCENT: r"\A-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?%\z",
    ERROR_VALUE: r"(?s)",
    NO_RESULT: r"(?s)",
}
# Every program knows these errors; another one becomes `#VALUE!`, which is one as well.
_ERRORS = r"\A#(?:N/A|REF!|VALUE!|DIV/0!|NAME\?|NUM!|NULL!)\z"
_ESCAPED = ("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")
# XML holds no control character but tab and line feed (a carriage return it reads as one); workbooks
# write them `_x000D_`, and so must write text that looks like that as `_x005F_x000D_`.
_CONTROLS = [code for code in range(0x20) if code not in (0x09, 0x0A)]
_CONTROL = r"[\x00-\x08\x0B-\x1F]"
_LOOKS_ESCAPED = r"_x[0-9A-Fa-f]{4}(?:_|[\x00-\x08\x0B-\x1F])"


class DoesNotFit(Exception):
    """A workbook cannot hold this text, or so many columns."""


def rows_xml(first_row: int, cells: Sequence[Any], faulty: Sequence[np.ndarray], kinds: Sequence[np.ndarray],
             styles: Mapping[int, tuple[str, str]]) -> Any:  # fmt: skip
    """One `<row>` element a row.

    Args:
        first_row: its number in the sheet, from 1.
        cells: text arrays of one length, by column of the sheet; null or empty: an empty cell.
        faulty: by column, which cells are highlighted.
        kinds: by column, what each cell is (`sheet_kinds`).
        styles: by kind, the index of the style of a plain and of a faulty cell.
    """
    count = len(cells[0])
    rows = pa.array(np.arange(first_row, first_row + count)).cast(pa.string())
    elements = [
        _column_xml(xl_col_to_name(at), rows, *column, styles)
        for at, column in enumerate(zip(cells, faulty, kinds, strict=True))
    ]
    opening = pc.binary_join_element_wise('<row r="', rows, '">', "")
    return pc.binary_join_element_wise(opening, *elements, "</row>\n", "")


def sheet_kinds(cells: Any, kinds: Any) -> np.ndarray:
    """What each cell is in the sheet: its kind if the sheet can hold it as such, else text."""
    found = np.zeros(len(cells), np.int16)
    if kinds is not None:
        given = pc.fill_null(kinds, TEXT).to_numpy(zero_copy_only=False)
        for kind in np.unique(given).tolist():
            target = NUMBER if kind == IMPRECISE else kind
            if target in _PATTERNS:
                like = pc.fill_null(pc.match_substring_regex(cells, _PATTERNS[target]), False)
                found[(given == kind) & like.to_numpy(zero_copy_only=False)] = target
    _bare_days(cells, found)
    long = np.flatnonzero(found == TIME)
    if len(long):
        days = _time_serials(cells.take(pa.array(long))).to_numpy(zero_copy_only=False)
        found[long[days >= 1]] = DURATION
    empty = pc.fill_null(pc.equal(cells, ""), True).to_numpy(zero_copy_only=False)
    found[empty] = EMPTY
    return found


def refuse_what_no_sheet_holds(cells: Any) -> None:
    """Text that a cell of a workbook cannot hold is never cut: another format takes the rows.

    Raises:
        DoesNotFit: a text is longer than 32,767 characters, or has U+FFFE or U+FFFF.
    """
    longest = pc.max(pc.binary_length(cells)).as_py() or 0
    if longest > LONGEST_TEXT:
        long = cells.filter(pc.greater(pc.binary_length(cells), LONGEST_TEXT)).to_pylist()
        if any(utf_16_length(text) > LONGEST_TEXT for text in long):
            raise DoesNotFit
    if pc.any(pc.match_substring_regex(cells, r"[\x{FFFE}\x{FFFF}]")).as_py():
        raise DoesNotFit


def utf_16_length(text: str) -> int:
    """Characters as Excel counts them."""
    return len(text.encode("utf-16-le")) // 2


def escaped_text(cells: Any) -> Any:
    """Text as it stands inside an element."""
    looks = pc.match_substring_regex(cells, _LOOKS_ESCAPED)
    if pc.any(looks).as_py():
        cells = pc.if_else(looks, pc.replace_substring(cells, "_x", "_x005F_x"), cells)
    for character, entity in _ESCAPED:
        cells = pc.replace_substring(cells, character, entity)
    if pc.any(pc.match_substring_regex(cells, _CONTROL)).as_py():
        for code in _CONTROLS:
            cells = pc.replace_substring(cells, chr(code), f"_x{code:04X}_")
    return cells


def _bare_days(cells: Any, found: np.ndarray) -> None:
    """Days that are none, or that Excel counts wrongly or not at all, become text."""
    for kind in (DATE, TIMESTAMP):
        some = np.flatnonzero(found == kind)
        if not len(some):
            continue
        days = pc.utf8_slice_codeunits(cells.take(pa.array(some)), 0, 10)
        numbers = pc.strptime(days, "%Y-%m-%d", "s", error_is_null=True).cast(pa.int64())
        early = pc.less(numbers, (FIRST_DAY - DAYS_TO_1970) * 86_400)
        written = pc.strftime(pc.fill_null(numbers, 0).cast(pa.timestamp("s")), "%Y-%m-%d")
        bad = pc.or_(pc.fill_null(early, True), pc.not_equal(written, days))
        found[some[bad.to_numpy(zero_copy_only=False)]] = TEXT


def _column_xml(letters: str, rows: Any, cells: Any, faulty: np.ndarray, kinds: np.ndarray,
                styles: Mapping[int, tuple[str, str]]) -> Any:  # fmt: skip
    """The `<c>` elements of one column; an empty cell that is not faulty has none."""
    parts, places = [], []
    groups = kinds.astype(np.int32) * 2 + faulty
    for group in np.unique(groups).tolist():
        kind, is_faulty = divmod(group, 2)
        some = np.flatnonzero(groups == group)
        places.append(some)
        which = pa.array(some)
        if kind == EMPTY and not is_faulty:
            parts.append(pa.repeat(pa.scalar("", pa.string()), len(some)))
            continue
        body = ("/>",) if kind == EMPTY else _BODIES[kind](cells.take(which))
        opening = f'" s="{styles[kind][is_faulty]}"'
        parts.append(pc.binary_join_element_wise(f'<c r="{letters}', rows.take(which), opening, *body, ""))
    if len(parts) == 1:
        return parts[0]
    back = np.empty(len(rows), np.int64)
    back[np.concatenate(places)] = np.arange(len(rows))
    return pa.concat_arrays(parts).take(pa.array(back))


def _text_body(cells: Any) -> tuple[Any, ...]:
    # Text in the cell itself needs no table of shared strings, which would be held in memory.
    return _inline(guard_equals(cells))


def _inline(cells: Any) -> tuple[Any, ...]:
    return ' t="inlineStr"><is><t xml:space="preserve">', escaped_text(cells), "</t></is></c>"


def _error_body(cells: Any) -> tuple[Any, ...]:
    known = pc.match_substring_regex(cells, _ERRORS)
    return ' t="e"><v>', pc.if_else(known, cells, "#VALUE!"), "</v></c>"


def _serial(days: Any) -> tuple[Any, ...]:
    return "><v>", days.cast(pa.string()), "</v></c>"


def _date_body(cells: Any) -> tuple[Any, ...]:
    days = cells.cast(pa.date32()).cast(pa.int32())
    return _serial(pc.add(days, DAYS_TO_1970))


def _timestamp_body(cells: Any) -> tuple[Any, ...]:
    microseconds = cells.cast(pa.timestamp("us")).cast(pa.int64())
    return _serial(pc.add(pc.divide(microseconds.cast(pa.float64()), 86_400e6), float(DAYS_TO_1970)))


def _time_serials(cells: Any) -> Any:
    parts = pc.extract_regex(cells, _PATTERNS[TIME])
    hours, minutes, seconds = (pc.struct_field(parts, name).cast(pa.float64()) for name in "hms")
    whole = pc.add(pc.multiply(pc.add(pc.multiply(hours, 60.0), minutes), 60.0), seconds)
    return pc.divide(whole, 86_400.0)


def _percent_body(cells: Any) -> tuple[Any, ...]:
    numbers = pc.utf8_slice_codeunits(cells, 0, -1).cast(pa.float64())
    return _serial(pc.divide(numbers, 100.0))


_BODIES: Mapping[int, Callable[[Any], tuple[Any, ...]]] = {
    TEXT: _text_body,
    NUMBER: lambda cells: ("><v>", cells, "</v></c>"),
    BOOLEAN: lambda cells: (' t="b"><v>', pc.if_else(pc.equal(cells, "true"), "1", "0"), "</v></c>"),
    DATE: _date_body,
    TIMESTAMP: _timestamp_body,
    TIME: lambda cells: _serial(_time_serials(cells)),
    DURATION: lambda cells: _serial(_time_serials(cells)),
    PERCENT: _percent_body,
    ERROR_VALUE: _error_body,
    # Its text: in the rows handed back the formula would mean other cells.
    NO_RESULT: _inline,
}
