"""What is known of a sheet before its values are loaded: two small records that all formats share."""

from dataclasses import dataclass


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
