"""Rejected rows on their way back to the sender: their own cells, and our three columns, as arrays.

Every format writes these; how, is in the files beside this one.
"""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.flow.batches.headers import OUR_COLUMNS
from import_pipeline.flow.reports.rows import messages_of
from import_pipeline.records import OpenedUpload
from import_pipeline.row_numbers import ROWS_OF_A_SHEET


@dataclass(frozen=True, eq=False)
class ReturnedRows:
    """Some rejected rows, by row number; arrays of one length.

    Attributes:
        numbers: row numbers, int64.
        cells: the sender's cells, by position in `own_header`; null where there is none.
        kinds: kinds of cells (`kinds.py`) of the positions that have any but text.
        problems: why a row could not be cut into cells, or null; `overflow`: its cells too many, or null.
        rows, uploads, errors: our three columns as text.
    """

    numbers: Any
    cells: list[Any]
    kinds: dict[int, Any]
    problems: Any
    overflow: Any
    rows: Any
    uploads: Any
    errors: Any

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def ours(self) -> tuple[Any, Any, Any]:
        """Our three columns, in their order."""
        return self.rows, self.uploads, self.errors


def own_header(opened: OpenedUpload) -> tuple[str, ...]:
    """The sender's headers: in a `rejected.*` that came back, without our three."""
    return opened.file.header[: -len(OUR_COLUMNS)] if opened.file.ours else opened.file.header


def returned_rows(opened: OpenedUpload, rejected: pa.Table, errors: pa.Table) -> ReturnedRows:
    """The rejected rows of a batch as they go back.

    Args:
        rejected: columns as in a batch; `errors`: columns as in `ERRORS_SCHEMA`.
    """
    columns = len(own_header(opened))
    numbers = _whole(rejected["_row_number"])
    kinds = {p: _whole(rejected[f"k{p}"]) for p in range(columns) if f"k{p}" in rejected.column_names}
    rows, uploads = _places(opened, rejected, numbers)
    return ReturnedRows(
        numbers=numbers,
        cells=[_whole(rejected[f"c{position}"]) for position in range(columns)],
        kinds=kinds,
        problems=_whole(rejected["_problem"]),
        overflow=_whole(rejected["_overflow"]),
        rows=rows,
        uploads=uploads,
        errors=_whole(messages_of(numbers, errors)),
    )


def row_places(numbers: Any, sheets: "list[str] | tuple[str, ...]") -> Any:
    """Row numbers as `_import_row` says them: `17`, in a further sheet of a workbook `Plan2!17`."""
    if not sheets:
        return numbers.cast(pa.string())
    sheet = pc.divide(numbers, ROWS_OF_A_SHEET)
    row = pc.subtract(numbers, pc.multiply(sheet, ROWS_OF_A_SHEET)).cast(pa.string())
    openings = pa.array([f"{name}!" if position else "" for position, name in enumerate(sheets)])
    return pc.binary_join_element_wise(openings.take(sheet), row, "")


def _places(opened: OpenedUpload, rejected: pa.Table, numbers: Any) -> tuple[Any, Any]:
    """`_import_row` and `_import_upload`: of a correction those it came with, of the first upload."""
    rows = row_places(numbers, [sheet.name for sheet in opened.file.sheets])
    return rows, pa.repeat(pa.scalar(opened.upload_id, pa.string()), len(numbers))


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
