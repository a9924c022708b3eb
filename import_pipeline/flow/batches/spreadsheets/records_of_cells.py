"""What the binary formats xls and xlsb share: codes of error cells, and a sheet's extent while records pass.

How their records are found lies in `xls.py` and `xlsb.py`.
"""

from dataclasses import dataclass, field

from import_pipeline.flow.batches.spreadsheets.limits import check_cells
from import_pipeline.flow.batches.spreadsheets.listed import SheetExtent
from import_pipeline.flow.batches.spreadsheets.marks import Marks, Meaning, Percent
from import_pipeline.flow.batches.spreadsheets.number_formats import (
    PERCENT_IDS,
    is_percent,
    zeros_format,
)

# MS-XLS 2.5.10 and MS-XLSB 2.5.97.2, BErr.
ERRORS = {
    0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!",
    0x2A: "#N/A", 0x2B: "#GETTING_DATA",
}  # fmt: skip
_BYTES_OF_A_CELL = 12


def error_text(code: int) -> str:
    """How a spreadsheet shows an error."""
    return ERRORS.get(code, "#ERROR!")


def special_formats(cell_formats: list[int], codes: dict[int, str]) -> dict[int, Meaning]:
    """Cell formats that say more than the number, by their place.

    Args:
        cell_formats: the number format of each; `codes`: those that the file declares.
    """
    found: dict[int, Meaning] = {}
    for index, number in enumerate(cell_formats):
        code = codes.get(number, "")
        zeros = zeros_format(code)
        if is_percent(code) or (number in PERCENT_IDS and not code):
            found[index] = Percent()
        elif zeros is not None:
            found[index] = zeros
    return found


@dataclass
class SheetRecords:
    """What the records of one sheet tell beside its values.

    Attributes:
        rows, columns: of the filled cells met so far, each the first and the last, from 0.
    """

    marks: Marks = field(default_factory=Marks)
    filled: int = 0
    rows: tuple[int, int] = (1 << 30, -1)
    columns: tuple[int, int] = (1 << 30, -1)
    merged: list[tuple[int, int]] = field(default_factory=list)
    marked: bool = False

    def cell(self, row: int, column: int, meaning: Meaning | None) -> None:
        """Take note of a filled cell; row and column count from 0."""
        self.filled += 1
        if not self.rows[0] <= row <= self.rows[1]:
            self.rows = (min(self.rows[0], row), max(self.rows[1], row))
        if not self.columns[0] <= column <= self.columns[1]:
            self.columns = (min(self.columns[0], column), max(self.columns[1], column))
        if meaning is not None:
            self.marked = True
            self.marks.add(row + 1, column, meaning)

    def block(self, rows: tuple[int, int], columns: tuple[int, int], meaning: Meaning | None) -> None:
        """Take note of a block of equal cells: first and last row and column, from 0."""
        self.cell(rows[0], columns[0], meaning)
        self.cell(rows[1], columns[1], None)
        height, width = rows[1] - rows[0] + 1, columns[1] - columns[0] + 1
        self.filled += height * width - 2
        if meaning is not None and height * width > 1:
            for row in range(rows[0], rows[1] + 1):
                for column in range(columns[0], columns[1] + 1):
                    if (row, column) != (rows[0], columns[0]):
                        self.marks.add(row + 1, column, meaning)

    def extent(self, file: str) -> SheetExtent:
        """How far the sheet reaches.

        Raises:
            TooLargeForASpreadsheet: over 50 million cells.
        """
        if self.filled:
            height, width = self.rows[1] - self.rows[0] + 1, self.columns[1] - self.columns[0] + 1
            check_cells(file, height * width)
        return SheetExtent(self.rows[1] + 1, self.marked, tuple(self.merged), self.filled * _BYTES_OF_A_CELL)
