"""undo_left.csv: every row that an undo left in the table, for the sender, so with the values of its key.

Which rows those are is `flow/loading/undoing.py`'s; the ledger and the UI have the first ones, masked.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.reports.csv_lines import BYTE_ORDER_MARK, csv_line, csv_lines, kinds_by_column
from import_pipeline.flow.reports.row_places import in_sheets
from import_pipeline.formula_guard import guard
from import_pipeline.ledger.rows import UploadRow
from import_pipeline.storage.places import reports_prefix

LEFT_ROWS = "undo_left.csv"


def left_rows_key(row: UploadRow) -> str:
    """Where the list of an upload's left rows lies: beside its report."""
    return reports_prefix(row.workspace, row.dataset, row.short_id) + LEFT_ROWS


def write_left_rows(
    path: Path, blocks: Iterable[Sequence[pa.Array]], key: Sequence[str], row: UploadRow, dataset: Dataset
) -> None:
    """Write the list, block by block: row, in a workbook its sheet, key, and why the row was left.

    Args:
        blocks: row numbers, codes, and the columns of `key` as text, in the order of the file.
    """
    delimiter = row.delimiter or ","
    sheets = _sheets(row)
    header = ("row", *(("sheet",) if sheets else ()), *key, "reason")
    kinds = [kinds_by_column(dataset).get(name, "text") for name in key]
    with path.open("wb") as file:
        file.write(BYTE_ORDER_MARK + csv_line(header, delimiter))
        for numbers, codes, *values in blocks:
            guarded = [guard(column, kind) for column, kind in zip(values, kinds, strict=True)]
            file.write(csv_lines([*_places(numbers, sheets), *guarded, codes], delimiter))


def _places(numbers: Any, sheets: Sequence[str]) -> list[Any]:
    """The rows as the sender counts them; one whose number somebody else wrote may be of no sheet."""
    if not sheets:
        return [numbers.cast(pa.string())]
    sheet, rows = in_sheets(numbers)
    known = pc.if_else(pc.less(sheet, len(sheets)), sheet, pa.scalar(None, pa.int64()))
    return [rows, guard(pa.array(sheets, pa.string()).take(known))]


def _sheets(row: UploadRow) -> list[str]:
    """The sheets that its row numbers count in: of a correction, whose numbers are another upload's, none."""
    if row.details.get("split", {}).get("targets"):
        return []
    return [sheet["name"] for sheet in row.details.get("opened", {}).get("file", {}).get("sheets", [])]
