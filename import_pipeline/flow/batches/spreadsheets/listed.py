"""What all formats share of a sheet: what is known before it is loaded, and how its values are asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class ListedSheet:
    """A sheet of a workbook; charts, dialogs and macros are none."""

    name: str
    visible: bool


@dataclass(frozen=True)
class SheetExtent:
    """How far a sheet reaches.

    Attributes:
        last_row: about the last row with a cell, from 1.
        marked: whether marks must be looked for when its values are read.
        merged: first and last row of merged ranges, where the format tells.
        bytes: about what its rows would have as text.
    """

    last_row: int
    marked: bool
    merged: tuple[tuple[int, int], ...]
    bytes: int


class SheetValues(Protocol):
    """The values of one sheet.

    Attributes:
        first_column: of the sheet's filled part, from 0; cells before it are not in the rows.
        width: cells of each row.
        last_row: of the filled part, from 1; 0: the sheet is empty.
    """

    first_column: int
    width: int
    last_row: int

    def rows(self) -> Iterator[list[Any]]:
        """Every row from the sheet's first one on; an empty cell is the empty text."""
