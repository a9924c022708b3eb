"""Where a row stands, for people: its row, in a workbook with several sheets its sheet as well.

Tables of errors keep our row numbers; only what is told counts within the sheets (`row_numbers.py`).
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.language import Language, say, told
from import_pipeline.records import OpenedUpload
from import_pipeline.row_numbers import ROWS_OF_A_SHEET

# Stands for the row in a sentence, until the rows of a whole batch take its place.
_ROW = "\0"


def sheet_names(opened: OpenedUpload) -> list[str]:
    """The sheets that are read, in their order; empty for other formats."""
    return [sheet.name for sheet in opened.file.sheets]


def in_sheets(numbers: Any) -> tuple[Any, Any]:
    """Positions of the sheets of row numbers, and the rows as the sender counts them, as text."""
    sheet = pc.divide(numbers, ROWS_OF_A_SHEET)
    return sheet, pc.subtract(numbers, pc.multiply(sheet, ROWS_OF_A_SHEET)).cast(pa.string())


def row_places(numbers: Any, sheets: Sequence[str]) -> Any:
    """Row numbers as `_import_row` says them: `17`, in a further sheet of a workbook `Plan2!17`."""
    if not sheets:
        return numbers.cast(pa.string())
    sheet, rows = in_sheets(numbers)
    openings = pa.array([f"{name}!" if position else "" for position, name in enumerate(sheets)])
    return pc.binary_join_element_wise(openings.take(sheet), rows, "")


def message_openings(numbers: Any, header: str, sheets: Sequence[str], language: Language) -> Any:
    """`Sheet "Plan2", row 17, column "Nome": ` for each row; without sheets and header `Row 17: `."""
    if len(sheets) < 2:
        sheet, rows = None, in_sheets(numbers)[1] if sheets else numbers.cast(pa.string())
    else:
        sheet, rows = in_sheets(numbers)
    parts = [
        _opening(name, header, language).partition(_ROW) for name in (sheets if sheet is not None else ("",))
    ]
    before, after = (pa.array([part[at] for part in parts], pa.string()) for at in (0, 2))
    if sheet is None:
        return pc.binary_join_element_wise(before[0], rows, after[0], "")
    return pc.binary_join_element_wise(before.take(sheet), rows, after.take(sheet), "")


def _opening(sheet: str, header: str, language: Language) -> str:
    if sheet and header:
        return say(
            told('Sheet "{sheet}", row {row}, column "{column}": ', sheet=sheet, row=_ROW, column=header),
            language,
        )
    if sheet:
        return say(told('Sheet "{sheet}", row {row}: ', sheet=sheet, row=_ROW), language)
    if header:
        return say(told('Row {row}, column "{column}": ', row=_ROW, column=header), language)
    return say(told("Row {row}: ", row=_ROW), language)
