"""Rejected rows on their way back to the sender: their own cells, and our three columns, as arrays.

Every format writes these; how, is in the files beside this one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.flow.batches.columns.evidence import WHITE_SPACE
from import_pipeline.flow.batches.columns.headers import OUR_COLUMNS
from import_pipeline.flow.batches.sealing import seal
from import_pipeline.flow.reports.row_places import row_places, sheet_names
from import_pipeline.flow.reports.rows import messages_of
from import_pipeline.records import OpenedUpload

CELLS_AT_ONCE = 250_000


@dataclass(frozen=True, eq=False)
class ReturnedRows:
    """Some rejected rows, by row number; arrays of one length.

    Attributes:
        numbers: row numbers, int64.
        cells: the sender's cells, by position in `own_header`; null where there is none.
        kinds: kinds of cells (`kinds.py`) of the positions that have any but text.
        overflow: the cells too many of each row, or null.
        rows, uploads, errors: our three columns as text.
    """

    numbers: Any
    cells: list[Any]
    kinds: dict[int, Any]
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


def in_parts(
    opened: OpenedUpload, rejected: pa.Table, errors: pa.Table
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Rejected rows and their errors, some rows at a time: a form writes more around a cell than is in it.

    Args:
        rejected: columns as in a batch; `errors`: columns as in `ERRORS_SCHEMA`; both by row number.
    """
    numbers, told = rejected["_row_number"].to_numpy(), errors["row_number"].to_numpy()
    rows = max(CELLS_AT_ONCE // (len(own_header(opened)) + len(OUR_COLUMNS)), 1)
    for start in range(0, len(numbers), rows):
        some = rejected.slice(start, rows)
        first, last = np.searchsorted(told, [numbers[start], numbers[start + some.num_rows - 1] + 1])
        yield some, errors.slice(first, last - first)


def returned_rows(opened: OpenedUpload, rejected: pa.Table, errors: pa.Table) -> ReturnedRows:
    """The rejected rows of a batch as they go back.

    Args:
        rejected: columns as in a batch; `errors`: columns as in `ERRORS_SCHEMA`.
    """
    columns = len(own_header(opened))
    numbers = _whole(rejected["_row_number"])
    kinds = {p: _whole(rejected[f"k{p}"]) for p in range(columns) if f"k{p}" in rejected.column_names}
    cells = [_whole(rejected[f"c{position}"]) for position in range(columns)]
    problems = _whole(rejected["_problem"])
    rows, uploads = _places(opened, rejected, numbers)
    return ReturnedRows(
        numbers=numbers,
        cells=cells,
        kinds=kinds,
        overflow=_whole(rejected["_overflow"]),
        rows=rows,
        uploads=uploads,
        errors=seal(_whole(messages_of(numbers, errors)), problems, cells),
    )


def _places(opened: OpenedUpload, rejected: pa.Table, numbers: Any) -> tuple[Any, Any]:
    """`_import_row` and `_import_upload`; a row that names a first upload already goes on naming it."""
    rows = row_places(numbers, sheet_names(opened))
    uploads = pa.repeat(pa.scalar(opened.upload_id, pa.string()), len(numbers))
    if not opened.file.ours:
        return rows, uploads
    own = len(own_header(opened))
    came_rows, came_uploads = _whole(rejected[f"c{own}"]), _whole(rejected[f"c{own + 1}"])
    named = pc.or_(_filled(came_rows), _filled(came_uploads))
    return pc.if_else(named, came_rows, rows), pc.if_else(named, came_uploads, uploads)


def _filled(cells: Any) -> Any:
    return pc.fill_null(pc.not_equal(pc.utf8_trim(cells, WHITE_SPACE), ""), False)


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
