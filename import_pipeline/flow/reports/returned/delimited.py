"""Rejected rows as CSV or TSV: UTF-8 with byte order mark, the delimiter of the sender's file.

How cells become lines is `csv_lines.py`'s, the apostrophes `formula_guard.py`'s.
"""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.reports.csv_lines import (
    BYTE_ORDER_MARK,
    IMPORT_COLUMNS,
    csv_line,
    csv_lines,
    kinds_by_position,
    quoted,
)
from import_pipeline.flow.reports.returned.shape import own_header, returned_rows
from import_pipeline.formula_guard import guard, unguard
from import_pipeline.records import OpenedUpload, TextFacts


class DelimitedWriter:
    """Writes `rejected.csv` or `rejected.tsv`."""

    def __init__(self, path: Path, opened: OpenedUpload, dataset: Dataset):
        self._opened = opened
        self._delimiter = opened.file.delimiter or ","
        self._kinds = kinds_by_position(opened.file.mapping, dataset)
        self._file = path.open("wb")
        self._file.write(BYTE_ORDER_MARK + csv_line((*own_header(opened), *IMPORT_COLUMNS), self._delimiter))

    def add(self, rejected: pa.Table, errors: pa.Table) -> None:
        """The sender's cells, then ours, then what a row had too much: read again, it is too much again."""
        if rejected.num_rows == 0:
            return
        rows = returned_rows(self._opened, rejected, errors)
        cells = [guard(cells, self._kinds.get(at, "text")) for at, cells in enumerate(rows.cells)]
        ours = [guard(column) for column in rows.ours]
        self._file.write(csv_lines([*cells, *ours], self._delimiter, self._beyond(rows.overflow)))

    def close(self) -> None:
        """Complete the file."""
        self._file.close()

    def _beyond(self, overflow: Any) -> Any:
        """The cells too many of each row, which were kept as the sender wrote them, written as ours are."""
        if overflow.null_count == len(overflow):
            return overflow
        cells = _split(overflow, self._opened.file.text or TextFacts("utf-8", 0, self._delimiter))
        plain = unguard(cells.values) if self._opened.file.ours else cells.values
        written = quoted(guard(plain), self._delimiter)
        return pc.binary_join(
            pa.ListArray.from_arrays(cells.offsets, written, mask=pc.is_null(cells)), self._delimiter
        )


def _split(overflow: Any, text: TextFacts) -> Any:
    """Raw cells between delimiters, as lists; null stays null."""
    marks = [mark for mark in (text.quote, text.escape) if mark]
    special = np.zeros(len(overflow), bool)
    for mark in marks:
        special |= pc.fill_null(pc.match_substring(overflow, mark), False).to_numpy(zero_copy_only=False)
    cells = pc.split_pattern(overflow, text.delimiter)
    if not special.any():
        return cells
    # Rare: cells too many that are quoted, too.
    rows = cells.to_pylist()
    for row in np.flatnonzero(special).tolist():
        rows[row] = _cells_of(overflow[row].as_py(), text)
    return pa.array(rows, cells.type)


def _cells_of(raw: str, text: TextFacts) -> list[str]:
    """The cells of one raw text; what cannot be cut is one cell."""
    reader = csv.reader(
        io.StringIO(raw, newline=""),
        delimiter=text.delimiter,
        quotechar=text.quote or None,
        quoting=csv.QUOTE_MINIMAL if text.quote else csv.QUOTE_NONE,
        escapechar=text.escape or None,
    )
    try:
        lines = list(reader)
    except csv.Error:
        return [raw]
    return lines[0] if len(lines) == 1 else [raw]
