"""Rejected rows as CSV or TSV: UTF-8 with byte order mark, the delimiter of the sender's file.

How cells become lines is `csv_lines.py`'s, the apostrophes `formula_guard.py`'s.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.reports.csv_lines import (
    BYTE_ORDER_MARK,
    IMPORT_COLUMNS,
    csv_line,
    csv_lines,
    kinds_by_position,
)
from import_pipeline.flow.reports.returned.shape import own_header, returned_rows
from import_pipeline.formula_guard import guard, unguard
from import_pipeline.records import OpenedUpload


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
        """The cells too many of each row as one cell; the same cell again if the row comes back as it was."""
        if overflow.null_count == len(overflow):
            return overflow
        whole = pc.match_substring_regex(overflow, r'\A"(?:[^"]|"")*"\z')
        inner = pc.replace_substring(pc.utf8_slice_codeunits(overflow, 1, -1), '""', '"')
        plain = pc.if_else(whole, inner, overflow)
        return guard(unguard(plain) if self._opened.file.ours else plain)
