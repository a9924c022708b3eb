"""From the structure of a buffer to Arrow columns of text, one a header cell.

Every record becomes a row, however many cells it has; what is wrong with it stands in `_problem`.
Which records are header or blank, and how rows are numbered over a file, is `splitting.py`'s.
"""

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.flow.batches.delimited.scanning import Dialect, Ints, Scan
from import_pipeline.flow.batches.kinds import batch_schema
from import_pipeline.flow.batches.text.encodings import marked_positions, without_marks
from import_pipeline.formula_guard import unguard

# Later ones win where a record has several.
PROBLEMS = ("too_few_cells", "too_many_cells", "stray_quote", "unclosed_quote", "undecodable_text")
_NONE = np.zeros(0, np.int32)


def make_rows(
    buffer: bytes,
    scan: Scan,
    records: Ints,
    *,
    dialect: Dialect,
    columns: int,
    row_numbers: npt.NDArray[np.int64],
    lines: npt.NDArray[np.int64],
    guarded: bool = False,
    unclosed: Ints = _NONE,
) -> pa.Table:
    """The given records of a scanned buffer as a table with the columns of a batch.

    Args:
        records: indices of the records wanted, ascending.
        columns: number of header cells.
        row_numbers, lines: what `_row_number` and `_line` hold, one each a record.
        guarded: whether cells carry formula guards, to be taken off.
        unclosed: records in which a quote opens that never closes; it was scanned as text.
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
        _problems(scan, records, cells, columns, marks, unclosed),
        _overflow(buffer, scan, first, cells, columns),
    ]
    for position in range(columns):
        there = cells > position
        index = 2 * (first + np.int32(position))
        column = text.take(pa.array(index) if there.all() else pa.array(index, mask=~there))
        if scan.doubled.any():
            doubled = there & scan.doubled.take(first + position, mode="clip")
            column = _undoubled(column, doubled, dialect.quote)
        if dialect.escape:
            column = _unescaped(column, dialect)
        arrays.append(unguard(column) if guarded else column)
    return pa.Table.from_arrays(arrays, schema=batch_schema(columns))


def cells_of(buffer: bytes, scan: Scan, records: Ints, dialect: Dialect) -> list[tuple[str, ...]]:
    """The cells of some records as text: for a file's first rows, not for all."""
    cells = scan.first_cell[records + 1] - scan.first_cell[records]
    columns = int(cells.max(initial=0))
    none = np.zeros(len(records), np.int64)
    table = make_rows(buffer, scan, records, dialect=dialect, columns=columns, row_numbers=none, lines=none)
    rows = zip(*(table[f"c{position}"].to_pylist() for position in range(columns)), strict=True)
    return [row[:number] for row, number in zip(rows, cells.tolist(), strict=True)]


def _slices(buffer: bytes, start: Ints, end: Ints) -> Any:
    """Ranges of a buffer as a string array without copying: cell k is element 2k, the rest lies between."""
    offsets = np.empty(2 * len(start) + 1, np.int32)
    offsets[0:-1:2], offsets[1::2] = start, end
    offsets[-1] = end[-1] if len(end) else 0
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(buffer)]
    return pa.Array.from_buffers(pa.string(), 2 * len(start), buffers)


def _problems(scan: Scan, records: Ints, cells: Ints, columns: int, marks: Ints, unclosed: Ints) -> Any:
    found = np.zeros(len(records), np.int8)
    found[cells < columns] = 1
    found[cells > columns] = 2
    if scan.stray.any():
        bad = np.zeros(scan.records, bool)
        bad[scan.record_of_cell(np.flatnonzero(scan.stray).astype(np.int32))] = True
        found[bad[records]] = 3
    if len(unclosed):
        found[np.isin(records, unclosed)] = 4
    if len(marks):
        bad = np.zeros(scan.records, bool)
        bad[np.searchsorted(scan.record_start, marks[marks < scan.consumed], side="right") - 1] = True
        found[bad[records]] = 5
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


def _undoubled(column: Any, doubled: npt.NDArray[np.bool_], quote: str) -> Any:
    """`""` becomes `"` in the cells where it stands for one quote."""
    if not doubled.any():
        return column
    mask = pa.array(doubled)
    return pc.replace_with_mask(column, mask, pc.replace_substring(column.filter(mask), 2 * quote, quote))


def _unescaped(column: Any, dialect: Dialect) -> Any:
    """Without the escape characters that take a meaning away; before any other character they are text."""
    holds = pc.fill_null(pc.match_substring(column, dialect.escape), False)
    if not pc.any(holds).as_py():
        return column
    special = re.escape(dialect.escape + dialect.quote + dialect.delimiter) + r"\r\n"
    pattern = re.escape(dialect.escape) + f"([{special}])"
    return pc.replace_with_mask(
        column, holds, pc.replace_substring_regex(column.filter(holds), pattern, r"\1")
    )
