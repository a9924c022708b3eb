"""What every parser takes and gives: cells of one column as text, values of its type, faults.

The parsers stand in `text.py`, `numerals.py`, `dates.py`, `brazil.py`, `structured.py`, their table in
`parsers.py`. Which readings a written number or date has is `flow/batches/columns/evidence.py`'s.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.arrays import as_mask, byte_lengths, is_valid
from import_pipeline.catalog.dataset import Column
from import_pipeline.flow.batches.columns.evidence import Readings, date_readings, decimal_readings


@dataclass(frozen=True)
class How:
    """How the cells of one column are read.

    Attributes:
        reading: decimal mark or order of day and month, where the type needs one.
        timezone: of timestamps that state none.
        readings: of the column's cells, if they were looked for already; all cells are text then.
        typed: whether the file's format stores these cells as numbers, dates, …; they are then in the
            notation of `flow/batches/kinds.py`.
    """

    column: Column
    reading: str | None = None
    timezone: str = "UTC"
    readings: Readings | None = None
    typed: bool = False


@dataclass(frozen=True, eq=False)
class Fault:
    """The same thing wrong with one column in some rows.

    Attributes:
        code: row-level code of `codes.py`.
        positions: rows by position (from 0) in the table that was parsed, ascending.
        detail: the `{detail}` of the code's message; a sentence that is to be translated is `told`.
    """

    code: str
    positions: np.ndarray
    detail: str = ""


@dataclass(frozen=True, eq=False)
class Parsed:
    """A parsed column.

    Attributes:
        values: of the declared type (JSON as text); null where the cell is empty or faulty.
        faults: at most one for a cell.
    """

    values: pa.Array
    faults: tuple[Fault, ...] = ()


# Takes the trimmed cells of a column; null and '' are empty cells.
Parser = Callable[[pa.Array, How], Parsed]


class FaultCollector:
    """Collects the faults of one column: the first one found for a cell is the one that counts."""

    def __init__(self, rows: int):
        self.bad = np.zeros(rows, dtype=bool)
        self._faults: list[Fault] = []

    def add(self, code: str, where: "pa.Array | np.ndarray", detail: str = "") -> None:
        """Note a fault for the cells in a mask (null: not there)."""
        new = as_mask(where) & ~self.bad
        if new.any():
            self.bad |= new
            self._faults.append(Fault(code, np.flatnonzero(new), detail))

    def add_at(self, positions: np.ndarray, part: "FaultCollector") -> None:
        """Note the faults that were found in a part of the cells, those at `positions`."""
        self.add_faults(part._faults, positions)

    def add_faults(self, faults: Iterable[Fault], positions: np.ndarray) -> None:
        """Note faults of a part of the cells, those at `positions`."""
        for fault in faults:
            where = np.zeros(len(self.bad), dtype=bool)
            where[positions[fault.positions]] = True
            self.add(fault.code, where, fault.detail)

    def parsed(self, values: pa.Array) -> Parsed:
        """The values, null where a fault was found."""
        if self.bad.any():
            values = pc.if_else(pa.array(self.bad), pa.scalar(None, values.type), values)
        return Parsed(values, tuple(self._faults))


def readings_of(cells: pa.Array, how: How) -> Readings:
    """The readings of trimmed cells of a number or date column."""
    if how.readings is not None:
        return how.readings.among(cells)
    if how.column.type.evidence == "date":
        return date_readings(cells)
    return decimal_readings(cells, how.column.type.affixes)


def is_written(text: pa.Array) -> np.ndarray:
    """Which trimmed cells hold anything."""
    return (byte_lengths(text) > 0) & is_valid(text)


def keep_where(values: pa.Array, mask: np.ndarray) -> pa.Array:
    """The values where the mask says so, null elsewhere."""
    if mask.all():
        return values
    return pc.if_else(pa.array(mask), values, pa.scalar(None, values.type))


def each_group(array: pa.Array, pattern: str) -> Iterator[pa.Array]:
    """The named groups of an RE2 pattern in their order; null where the pattern does not match."""
    yield from pc.extract_regex(array, pattern).flatten()
