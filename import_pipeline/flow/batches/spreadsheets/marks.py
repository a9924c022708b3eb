"""What is to be said of single cells beyond the values that calamine gives, gathered from a sheet's own text.

How a format's text is searched for it lies in `sheet_xml.py` and the record modules.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from import_pipeline.flow.batches.spreadsheets.number_formats import ZerosFormat

_LONGEST_FORMULA = 200


@dataclass(frozen=True)
class Percent:
    """The number is shown as a percentage."""


@dataclass(frozen=True)
class ErrorValue:
    """The cell holds an error of the spreadsheet, such as `#N/A`."""

    text: str


@dataclass(frozen=True)
class NoResult:
    """The cell is a formula that was never calculated."""

    formula: str


class Percentage(float):
    """A number that its cell itself tells to be shown as a percentage: no mark is needed."""


Meaning = Percent | ZerosFormat | ErrorValue | NoResult


def no_result(formula: str) -> NoResult:
    """A formula without a result; without its text (it is shared with another cell) `=…`."""
    plain = formula.strip().removeprefix("=")
    return NoResult(f"={plain[:_LONGEST_FORMULA] or '…'}")


@cache
def column_index(letters: bytes) -> int:
    """Column from 0: `A` is 0, `XFD` 16,383."""
    index = 0
    for letter in letters.upper():
        index = index * 26 + letter - 64
    return index - 1


@dataclass(frozen=True)
class ColumnMarks:
    """The marks of one column.

    Attributes:
        rows: as the sender counts, ascending; `what`: for each, a position in `meanings`.
    """

    rows: npt.NDArray[np.int32]
    what: npt.NDArray[np.int32]
    meanings: Sequence[Meaning]

    def between(self, first: int, last: int) -> "ColumnMarks":
        """Those of the rows from `first` to `last`."""
        start, end = np.searchsorted(self.rows, (first, last + 1))
        return ColumnMarks(self.rows[start:end], self.what[start:end], self.meanings)


class Marks:
    """Marks as they are met, then by column: seven million take about 100 MB."""

    def __init__(self) -> None:
        self._rows, self._columns, self._what = array("i"), array("i"), array("i")
        self._meanings: dict[Meaning, int] = {}

    def add(self, row: int, column: int, meaning: Meaning) -> None:
        """Mark one cell; the row counts from 1, the column from 0."""
        self._rows.append(row)
        self._columns.append(column)
        self._what.append(self._meanings.setdefault(meaning, len(self._meanings)))

    def add_all(self, rows: Iterable[int], columns: Iterable[int], meanings: Iterable[Meaning]) -> None:
        """Mark many cells at once."""
        known = self._meanings
        self._rows.extend(rows)
        self._columns.extend(columns)
        self._what.extend([known.setdefault(meaning, len(known)) for meaning in meanings])

    def by_column(self) -> dict[int, ColumnMarks]:
        """The marks of each column that has any, their rows ascending."""
        rows, columns, what = (np.array(a, np.int32) for a in (self._rows, self._columns, self._what))
        order = np.lexsort((rows, columns))
        rows, columns, what = rows[order], columns[order], what[order]
        meanings = tuple(self._meanings)
        starts = np.flatnonzero(np.diff(columns, prepend=-1)) if len(columns) else np.zeros(0, np.int64)
        ends = np.append(starts[1:], len(columns))
        return {
            int(columns[start]): ColumnMarks(rows[start:end], what[start:end], meanings)
            for start, end in zip(starts, ends, strict=False)
        }
