"""From the structure of a buffer to Arrow columns of text, one a header cell.

Every record becomes a row, however many cells it has; what is wrong with it stands in `_problem`.
Which records are header or blank, and how rows are numbered over a file, is `splitting.py`'s.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.flow.batches.delimited.scanning import Ints, Scan
from import_pipeline.flow.batches.kinds import batch_schema
from import_pipeline.flow.batches.text.encodings import marked_positions, without_marks
from import_pipeline.formula_guard import unguard

# Later ones win where a record has several.
PROBLEMS = ("too_few_cells", "too_many_cells", "stray_quote", "undecodable_text")


def make_rows(
    buffer: bytes,
    scan: Scan,
    records: Ints,
    *,
    columns: int,
    row_numbers: npt.NDArray[np.int64],
    lines: npt.NDArray[np.int64],
    guarded: bool,
) -> pa.Table:
    """The given records of a scanned buffer as a table with the columns of a batch.

    Args:
        records: indices of the records wanted, ascending.
        columns: number of header cells.
        row_numbers, lines: what `_row_number` and `_line` hold, one each a record.
        guarded: whether cells carry formula guards, to be taken off.
    """
    marks = marked_positions(buffer)
    if len(marks):
        buffer = without_marks(buffer, marks)
    first = scan.first_cell[records]
    cells = scan.first_cell[records + 1] - first
    text = _slices(buffer, scan.content_start, scan.content_end)
    arrays = [
        pa.array(row_numbers, pa.int64()),
        pa.array(lines, pa.int64()),
        _problems(scan, records, cells, columns, marks),
        _overflow(buffer, scan, first, cells, columns),
    ]
    for position in range(columns):
        there = cells > position
        index = 2 * (first + np.int32(position))
        column = text.take(pa.array(index) if there.all() else pa.array(index, mask=~there))
        if scan.doubled.any():
            column = _undoubled(column, there & scan.doubled.take(first + position, mode="clip"))
        arrays.append(unguard(column) if guarded else column)
    return pa.Table.from_arrays(arrays, schema=batch_schema(columns))


def header_cells(buffer: bytes, scan: Scan, record: int) -> tuple[str, ...]:
    """The cells of one record as text."""
    columns = int(scan.first_cell[record + 1] - scan.first_cell[record])
    one = np.array([record], np.int32)
    number = np.zeros(1, np.int64)
    row = make_rows(
        buffer, scan, one, columns=columns, row_numbers=number, lines=number, guarded=False
    ).to_pylist()[0]
    return tuple(row[f"c{position}"] for position in range(columns))


def _slices(buffer: bytes, start: Ints, end: Ints) -> Any:
    """Ranges of a buffer as a string array without copying: cell k is element 2k, the rest lies between."""
    offsets = np.empty(2 * len(start) + 1, np.int32)
    offsets[0:-1:2], offsets[1::2] = start, end
    offsets[-1] = end[-1] if len(end) else 0
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(buffer)]
    return pa.Array.from_buffers(pa.string(), 2 * len(start), buffers)


def _problems(scan: Scan, records: Ints, cells: Ints, columns: int, marks: Ints) -> Any:
    found = np.zeros(len(records), np.int8)
    found[cells < columns] = 1
    found[cells > columns] = 2
    if scan.stray.any():
        bad = np.zeros(scan.records, bool)
        bad[scan.record_of_cell(np.flatnonzero(scan.stray).astype(np.int32))] = True
        found[bad[records]] = 3
    if len(marks):
        bad = np.zeros(scan.records, bool)
        bad[np.searchsorted(scan.record_start, marks[marks < scan.consumed], side="right") - 1] = True
        found[bad[records]] = 4
    if not found.any():
        return pa.nulls(len(records), pa.string())
    return pa.array(PROBLEMS).take(pa.array(found - 1, mask=found == 0))


def _overflow(buffer: bytes, scan: Scan, first: Ints, cells: Ints, columns: int) -> Any:
    """The cells too many, as the sender wrote them, delimiters and quotes included."""
    longer = cells > columns
    if not longer.any():
        return pa.nulls(len(cells), pa.string())
    start = scan.cell_start[first[longer] + columns]
    end = scan.cell_end[first[longer] + cells[longer] - 1]
    index = 2 * (np.cumsum(longer, dtype=np.int32) - 1)
    return _slices(buffer, start, end).take(pa.array(index, mask=~longer))


def _undoubled(column: Any, doubled: npt.NDArray[np.bool_]) -> Any:
    """`""` becomes `"` in the cells where it stands for one quote."""
    if not doubled.any():
        return column
    mask = pa.array(doubled)
    return pc.replace_with_mask(column, mask, pc.replace_substring(column.filter(mask), '""', '"'))
