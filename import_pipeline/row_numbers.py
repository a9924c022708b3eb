"""Row numbers over several sheets: one number a row, and back to what the sender counts.

The first sheet read has the sheet's own row numbers; each further sheet begins ten million higher, which
no spreadsheet reaches (1,048,576 rows). Other formats have no sheets and may have as many rows as they like.
"""

from collections.abc import Sequence

ROWS_OF_A_SHEET = 10_000_000


def row_number(sheet: int, row: int) -> int:
    """The number of a row of the sheet at position `sheet` (from 0) among those read."""
    return sheet * ROWS_OF_A_SHEET + row


def sheet_and_row(number: int, sheets: Sequence[str]) -> tuple[str, int]:
    """The sheet's name (empty for a file without sheets) and the row as the sender counts it."""
    if not sheets:
        return "", number
    sheet, row = divmod(number, ROWS_OF_A_SHEET)
    return sheets[sheet], row
