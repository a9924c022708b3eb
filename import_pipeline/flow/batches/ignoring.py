"""Rows that are no data: a header repeated inside the file, a footer that the dataset declares.

They are taken out of the rows, counted and listed; everything else is a row, and a reject if it is wrong.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.batches.columns.evidence import WHITE_SPACE
from import_pipeline.records import IgnoredRow

LISTED = 100


class IgnoredRows:
    """Takes rows that are no data out of batches, one after the other.

    Attributes:
        listed: the first of them, at most 100; `count`: number of all.
    """

    def __init__(self, dataset: Dataset, header: Sequence[str]):
        self._footer = dataset.footer
        self._header = tuple(cell.strip(WHITE_SPACE) for cell in header)
        self.listed: list[IgnoredRow] = []
        self.count = 0

    def masks(self, rows: pa.Table) -> np.ndarray:
        """Which rows are no data; noted as such.

        Args:
            rows: columns as in a batch.
        """
        repeated, footer = self._repeated(rows), self._footers(rows)
        ignored = repeated | footer
        for position in np.flatnonzero(ignored).tolist():
            self.count += 1
            if len(self.listed) < LISTED:
                why: Literal["repeated_header", "footer"] = (
                    "repeated_header" if repeated[position] else "footer"
                )
                self.listed.append(self._note(rows, position, why))
        return ignored

    def take(self, rows: pa.Table) -> pa.Table:
        """The rows without those that are no data, which are noted."""
        ignored = self.masks(rows)
        return rows.filter(pa.array(~ignored)) if ignored.any() else rows

    def _repeated(self, rows: pa.Table) -> np.ndarray:
        """Rows whose every cell is that of the header."""
        named = [position for position, cell in enumerate(self._header) if cell]
        none = np.zeros(rows.num_rows, bool)
        if not named or not rows.num_rows:
            return none
        # One look at one column finds nothing in nearly every batch.
        trimmed = pc.utf8_trim(rows[f"c{named[0]}"], WHITE_SPACE)
        maybe = np.flatnonzero(_mask(pc.equal(trimmed, self._header[named[0]])) & _whole_rows(rows))
        if not len(maybe):
            return none
        some = rows.take(pa.array(maybe))
        same = np.ones(len(maybe), bool)
        for position, cell in enumerate(self._header):
            same &= _mask(pc.equal(pc.utf8_trim(some[f"c{position}"], WHITE_SPACE), cell))
        none[maybe[same]] = True
        return none

    def _footers(self, rows: pa.Table) -> np.ndarray:
        """Rows whose first filled cell matches one of the dataset's patterns."""
        found = np.zeros(rows.num_rows, bool)
        if not self._footer or not rows.num_rows:
            return found
        first = pa.nulls(rows.num_rows, pa.string())
        for position in range(len(self._header)):
            trimmed = pc.utf8_trim(rows[f"c{position}"], WHITE_SPACE)
            first = pc.coalesce(first, pc.if_else(pc.equal(trimmed, ""), None, trimmed))
            if not first.null_count:
                break
        for pattern in self._footer:
            found |= _mask(pc.match_substring_regex(first, pattern))
        return found

    def _note(self, rows: pa.Table, position: int, why: Literal["repeated_header", "footer"]) -> IgnoredRow:
        row = rows.slice(position, 1).to_pylist()[0]
        cells = [row[f"c{p}"] or "" for p in range(len(self._header))]
        return IgnoredRow(row["_row_number"], why, " | ".join(cells)[:200])


def _whole_rows(rows: pa.Table) -> np.ndarray:
    """Rows with neither too few nor too many cells."""
    return _mask(pc.is_null(rows["_problem"]))


def _mask(answer: "pa.ChunkedArray | pa.Array") -> np.ndarray:
    return np.asarray(pc.fill_null(answer, False).to_numpy(), dtype=bool)
