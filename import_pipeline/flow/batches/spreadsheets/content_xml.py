"""The text of an ods (content.xml) as rows of values, piece by piece (OpenDocument 1.3, part 3, 9).

Read here and not by calamine, which refuses white space and comments between cells, and drops tabs, line
breaks and whatever has no stated type. What the sheets are used for is `ods.py`'s.
"""

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from import_pipeline.flow.batches.spreadsheets.limits import LAST_COLUMN, LAST_ROW
from import_pipeline.flow.batches.spreadsheets.marks import ErrorValue, Percentage, no_result

_CELLS = ("table:table-cell", "table:covered-table-cell")
# What lies inside of sheets and cells and is none of their content.
_ASIDE = frozenset({
    "office:annotation", "office:forms", "office:dde-source", "table:shapes", "table:tracked-changes",
    "table:dde-links", "table:content-validations", "table:table-source", "table:scenario", "text:note",
})  # fmt: skip
_FORMULA_PREFIXES = ("of:", "oooc:", "msoxl:")
# Stand for a space, a tab and a line break that are elements: characters that XML cannot have.
_ELEMENTS = {"text:s": "\x01", "text:tab": "\x02", "text:line-break": "\x03"}
_MEANT = str.maketrans({"\x01": " ", "\x02": "\t", "\x03": "\n"})
_COLLAPSED = re.compile(r"[ \t\r\n]+")
_LONGEST_TEXT = 32_767
_DURATION = re.compile(
    r"(?P<sign>-?)P(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)


@dataclass(frozen=True)
class ContentRow:
    """One row of a sheet, or several equal ones.

    Attributes:
        row: of the sheet, from 0.
        repeats: how many rows are like this.
        cells: first column from 0, how many columns, and value of those that are filled, ascending.
    """

    row: int
    repeats: int
    cells: list[tuple[int, int, Any]]


class ContentReader:
    """Follows the tables, rows and cells of a content.xml.

    Attributes:
        hidden: names of the styles that hide a sheet, known once the first sheet is met.

    Args:
        on_table: called with name and style of each sheet as it begins.
        on_row: called with each row that has a filled cell.
        on_merged: called with the first and last row (from 1) of each merged range.
    """

    def __init__(
        self,
        on_table: Callable[[str, str], None],
        on_row: Callable[[ContentRow], None],
        on_merged: Callable[[int, int], None] | None = None,
    ):
        self._on_table, self._on_row, self._on_merged = on_table, on_row, on_merged
        self.hidden: set[str] = set()
        self._style = ""
        self._aside = 0
        self._in_table = False
        self._row = self._column = 0
        self._row_repeats = 1
        self._cell: dict[str, str] | None = None
        self._paragraphs: list[str] = []
        self._text: list[str] | None = None
        self._depth, self._mixed = 0, False
        self._waiting: list[tuple[int, int, Any]] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self.feed = self._parser.Parse

    def close(self) -> None:
        """Say that nothing follows."""
        self._parser.Parse(b"", True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._aside:
            self._aside += 1
        elif self._cell is not None:
            self._start_in_cell(name, attributes)
        elif name in _CELLS and self._in_table:
            self._cell, self._paragraphs = attributes, []
        elif name == "table:table-row":
            self._row_repeats, self._column = _repeats(attributes, "table:number-rows-repeated"), 0
        elif name in _ASIDE or (name == "table:table" and self._in_table):
            self._aside = 1
        elif name == "table:table":
            self._in_table, self._row = True, 0
            self._on_table(attributes.get("table:name", ""), attributes.get("table:style-name", ""))
        elif name == "style:style":
            self._style = attributes.get("style:name", "")
        elif name == "style:table-properties" and attributes.get("table:display") == "false":
            self.hidden.add(self._style)

    def _start_in_cell(self, name: str, attributes: dict[str, str]) -> None:
        if self._text is None:
            if name == "text:p":
                self._text, self._depth, self._mixed = [], 0, False
                self._parser.CharacterDataHandler = self._text.append
            else:
                self._aside = 1  # annotations, drawings, tables inside of cells
            return
        self._mixed = True
        if name in _ASIDE or name.startswith("draw:"):
            self._parser.CharacterDataHandler = None
            self._aside = 1
            return
        self._depth += 1
        if name in _ELEMENTS:
            many = min(_repeats(attributes, "text:c"), _LONGEST_TEXT) if name == "text:s" else 1
            self._text.append(_ELEMENTS[name] * many)

    def _end(self, name: str) -> None:
        if self._aside:
            self._aside -= 1
            if not self._aside and self._text is not None:
                self._parser.CharacterDataHandler = self._text.append
        elif self._text is not None:
            if self._depth:
                self._depth -= 1
            else:
                self._end_paragraph(self._text)
        elif self._cell is not None:
            self._end_cell(self._cell)
        elif name == "table:table-row":
            self._end_row()
        elif name == "table:table":
            self._in_table = False

    def _end_paragraph(self, pieces: list[str]) -> None:
        """Take a paragraph's text.

        One with elements inside follows the format's rule (6.1.2): white space counts once, and what
        counts more is an element. Libraries that know no such elements write text as it is.
        """
        text = "".join(pieces)
        if self._mixed:
            text = _COLLAPSED.sub(" ", text).strip(" ").translate(_MEANT)
        self._paragraphs.append(text)
        self._text, self._parser.CharacterDataHandler = None, None

    def _end_cell(self, cell: dict[str, str]) -> None:
        repeats = _repeats(cell, "table:number-columns-repeated") if cell else 1
        value = _value(cell, self._paragraphs) if cell or self._paragraphs else ""
        if value != "":
            self._waiting.append((self._column, repeats, value))
            if "table:number-rows-spanned" in cell or "table:number-columns-spanned" in cell:
                self._merged(cell)
        self._column += repeats
        self._cell = None

    def _merged(self, cell: dict[str, str]) -> None:
        rows, columns = (
            _repeats(cell, "table:number-rows-spanned"),
            _repeats(cell, "table:number-columns-spanned"),
        )
        if self._on_merged is not None and rows * columns > 1:
            self._on_merged(self._row + 1, self._row + rows)

    def _end_row(self) -> None:
        if self._waiting:
            column, repeats, _ = self._waiting[-1]
            if self._row + self._row_repeats > LAST_ROW or column + repeats > LAST_COLUMN:
                raise ValueError("a cell outside of the sheet")
            self._on_row(ContentRow(self._row, self._row_repeats, self._waiting))
            self._waiting = []
        self._row += self._row_repeats


def _value(cell: dict[str, str], paragraphs: list[str]) -> Any:
    """The value of a cell; empty text: it has none."""
    if cell.get("calcext:value-type") == "error":
        return ErrorValue("\n".join(paragraphs).strip() or "#ERROR!")
    kind = cell.get("office:value-type")
    if kind is None and "table:formula" in cell:
        formula = cell["table:formula"]
        for prefix in _FORMULA_PREFIXES:
            formula = formula.removeprefix(prefix)
        return no_result(formula)
    attribute, convert = _TYPES.get(kind or "", ("", str))
    stored = cell.get(attribute)
    if stored is None:
        return "\n".join(paragraphs)
    try:
        return convert(stored)
    except (ValueError, OverflowError):
        return stored  # what is no such value is a text, and the checks say so


def _date(text: str) -> datetime.date:
    if len(text) == len("2026-02-28"):
        return datetime.date.fromisoformat(text)
    found = datetime.datetime.fromisoformat(text)
    if found.tzinfo is not None:
        raise ValueError(text)
    return found


def _duration(text: str) -> datetime.timedelta:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(text)
    parts = {key: float(found[key] or 0) for key in ("days", "hours", "minutes", "seconds")}
    duration = datetime.timedelta(**parts)
    return -duration if found["sign"] else duration


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


_TYPES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "string": ("office:string-value", str),
    "float": ("office:value", float),
    "currency": ("office:value", float),
    "percentage": ("office:value", Percentage),
    "date": ("office:date-value", _date),
    "time": ("office:time-value", _duration),
    "boolean": ("office:boolean-value", _boolean),
}


def _repeats(attributes: dict[str, str], key: str) -> int:
    number = int(attributes.get(key, "1"))
    if number < 1:
        raise ValueError("repeated less than once")
    return number
