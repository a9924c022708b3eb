"""Quotes that open a cell and are never closed: found before they swallow the rows behind them.

A quoted cell may hold many lines, so a quote that is forgotten takes whatever follows up to the next
quote. It is known by evidence that lines of text do not give:

- A record that is wrong as it stands (text behind its closing quote, or not as many cells as the
  header) has such a quote if the line where the quote opens, read with the quote as text, and each of
  the lines it takes, read by itself, have as many cells as the header; 6 delimiters in all must fit.
  Where the lines inside fit by 30 delimiters, the first and the last one need not.
- A record that is right as it stands has one only if the first line, the last one and nine tenths of those
  inside fit, the latter by 30 delimiters. Text with a table of the same width inside is no such record:
  its first and last line have cells of the row around them, so not both can fit.
- A quote still open at the end of the file, or after 16 MB, is never closed.

The row where it opened is a reject; the next line is a row of its own. Nothing is altered here.
"""

import csv
from dataclasses import dataclass

import numpy as np

from import_pipeline.flow.batches.delimited.scanning import Dialect, Scan

MATCHING_SHARE = 0.9
FEW_DELIMITERS, MANY_DELIMITERS = 6, 30
_LINES_INSIDE = 3
# Blank lines inside say nothing, but they count as lines.
_FILLED_SHARE = 0.5
_LINES_LOOKED_AT = 500


@dataclass(frozen=True)
class _Taken:
    """A record of several lines, as lines: where a quote opens, those inside the cell, the last one."""

    cells_before: int
    opening: bytes
    inside: list[bytes]
    closing: bytes


def find_unclosed(buffer: bytes, found: Scan, dialect: Dialect, columns: int, *, first: int) -> int:
    """Offset of the first quote among the complete records that is never closed, by evidence; -1: none.

    Args:
        buffer: what was scanned.
        columns: number of header cells.
        first: index of the first record to look at.
    """
    if not dialect.quote or columns <= 1 or found.records <= first:
        return -1
    taken = np.diff(found.lines, prepend=np.int32(0))
    several = taken > 1
    several[:first] = False
    if 0 <= found.open_quote < found.consumed:
        several[-1] = False  # the text ends in it: dealt with elsewhere
    if not several.any():
        return -1
    wrong = np.diff(found.first_cell) != columns
    if found.stray.any():
        wrong[found.record_of_cell(np.flatnonzero(found.stray).astype(np.int32))] = True
    inside = (taken - 2) * (columns - 1)
    by_inside = (inside >= MANY_DELIMITERS) & wrong
    enough = np.where(wrong, taken * (columns - 1) >= FEW_DELIMITERS, inside >= MANY_DELIMITERS)
    records = np.flatnonzero(several & enough & ~found.blank).astype(np.int32)
    if not len(records):
        return -1
    # Cheap for all of them: with fewer delimiters than that the lines cannot fit.
    places = np.flatnonzero(np.frombuffer(buffer, np.uint8) == ord(dialect.delimiter))
    bounds = np.append(found.record_start, np.int32(found.consumed))
    there = np.searchsorted(places, bounds[records + 1]) - np.searchsorted(places, bounds[records])
    at_the_ends = np.where(by_inside[records], 0, 2 * (columns - 1))
    records = records[there >= MATCHING_SHARE * inside[records] * _FILLED_SHARE + at_the_ends]
    for record in records.tolist():
        offset = _look_at(buffer, found, dialect, columns, record, wrong=bool(wrong[record]))
        if offset >= 0:
            return offset
    return -1


def _look_at(buffer: bytes, found: Scan, dialect: Dialect, columns: int, record: int, *, wrong: bool) -> int:
    """One record of several lines: the offset of its quote that is never closed; -1: it has none."""
    cells = range(int(found.first_cell[record]), int(found.first_cell[record + 1]))
    ends = [
        (buffer.count(b"\n", start, end) or buffer.count(b"\r", start, end), cell)
        for cell in cells
        for start, end in [(int(found.cell_start[cell]), int(found.cell_end[cell]))]
    ]
    _, cell = max(ends)
    opened = int(found.cell_start[cell])
    if buffer[opened : opened + 1] != dialect.quote.encode():
        return -1
    swallowed = buffer[opened : int(found.cell_end[cell])].splitlines()
    rest = buffer[int(found.cell_end[cell]) : int(found.cell_end[cells[-1]])]
    if len(swallowed) < 2:
        return -1
    lines = _Taken(cell - cells[0], b"x" + swallowed[0][1:], swallowed[1:-1], swallowed[-1] + rest)
    return opened if _is_evidence(lines, dialect, columns, wrong=wrong) else -1


def _is_evidence(lines: _Taken, dialect: Dialect, columns: int, *, wrong: bool) -> bool:
    inside = [line for line in lines.inside[:_LINES_LOOKED_AT] if line.strip()]
    fitting = sum(_cells(line, dialect) == columns for line in inside)
    if fitting < MATCHING_SHARE * len(inside):
        return False
    many = fitting >= _LINES_INSIDE and fitting * (columns - 1) >= MANY_DELIMITERS
    if wrong and many:
        return True
    ends_fit = (
        lines.cells_before + _cells(lines.opening, dialect) == columns
        and _cells(lines.closing, dialect) == columns
    )
    return ends_fit and (many or (wrong and (fitting + 2) * (columns - 1) >= FEW_DELIMITERS))


def _cells(line: bytes, dialect: Dialect) -> int:
    """Number of cells of one physical line, read by itself; 0 if it cannot be."""
    quote = dialect.quote.encode()
    if quote not in line and not dialect.escape:
        return line.count(dialect.delimiter.encode()) + 1
    reader = csv.reader(
        [line.decode("latin-1")],
        delimiter=dialect.delimiter, quotechar=dialect.quote, escapechar=dialect.escape or None,
    )  # fmt: skip
    try:
        return len(next(reader))
    except (csv.Error, StopIteration):
        return 0
