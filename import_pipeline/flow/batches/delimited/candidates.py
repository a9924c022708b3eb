"""A file's beginning under one dialect: where its header is, and how well its rows fit it.

Which dialect is the best one, `dialects.py` and `quoting.py` decide.
"""

from dataclasses import dataclass

import numpy as np

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import BadOption
from import_pipeline.flow.batches.columns.headers import (
    HEADER_SEARCHED,
    declared_header,
    find_header,
    is_ours,
    matched_columns,
)
from import_pipeline.flow.batches.delimited.cells import cells_of
from import_pipeline.flow.batches.delimited.scanning import Dialect, Scan, scan
from import_pipeline.language import told

# They stand in the text of cells too often: taken only where they uncover columns and cut all rows alike.
RARE_DELIMITERS = (":", "^", "~", " ")
RARE_COLUMNS, RARE_SHARE = 2, 0.9
ROWS_LOOKED_AT = 1000


@dataclass(frozen=True)
class Candidate:
    """A file's beginning under one dialect.

    Attributes:
        record: index of the header among the records of the scan; -1: there is none.
        row: its row as the sender counts; 0: there is none.
        header: its cells; the declared columns where there is none.
        matched: number of declared columns that it names.
        fitting, looked_at: rows behind it with as many cells, of how many.
        is_default: whether the dataset declares this delimiter.
    """

    dialect: Dialect
    scan: Scan
    record: int
    row: int
    header: tuple[str, ...]
    matched: int
    fitting: int
    looked_at: int
    is_default: bool

    @property
    def share(self) -> float:
        """Share of the first rows that have as many cells as the header."""
        return self.fitting / self.looked_at if self.looked_at else 1.0

    @property
    def weight(self) -> tuple[bool, int, bool, float, int]:
        """What makes it better than another, the most important first."""
        cells = len(self.header)
        return (
            is_ours(self.header),
            self.matched,
            self.is_default,
            self.share if self.matched or cells > 1 else 0.0,
            cells,
        )

    @property
    def is_sensible(self) -> bool:
        """Whether a delimiter that is rare has enough evidence."""
        enough = self.matched >= RARE_COLUMNS and self.share >= RARE_SHARE
        return self.is_default or self.dialect.delimiter not in RARE_DELIMITERS or enough


@dataclass(frozen=True)
class Beginning:
    """A file's first bytes, and what is known before they are cut.

    Attributes:
        complete: whether they are all of it.
        header_row: as stated, from 1; 0: there is none; None: to be found.
        skip: bytes before the first row.
        name: of the file, for messages.
        default: the dataset's delimiter.
    """

    head: bytes
    complete: bool
    dataset: Dataset
    header_row: int | None
    skip: int
    name: str
    default: str | None

    def under(self, dialect: Dialect) -> Candidate | None:
        """Header and rows under one dialect; None if all is blank."""
        found = scan(self.head, dialect, final=self.complete)
        records = np.flatnonzero(found.record_start >= self.skip).astype(np.int32)
        filled = records[~found.blank[records]]
        if not len(filled):
            return None
        position = self._header(found, records, dialect)
        record = -1 if position is None else int(records[position])
        behind = filled[filled > record][:ROWS_LOOKED_AT]
        cells = found.first_cell[behind + 1] - found.first_cell[behind]
        if record < 0:
            width = int(np.bincount(cells).argmax()) if len(cells) else 1
            header, matched = declared_header(self.dataset, width), 0
        else:
            header = cells_of(self.head, found, np.array([record], np.int32), dialect)[0]
            width, matched = len(header), len(matched_columns(header, self.dataset))
        return Candidate(
            dialect, found, record, 0 if position is None else position + 1, header, matched,
            int(np.count_nonzero(cells == width)), len(behind), dialect.delimiter == self.default,
        )  # fmt: skip

    def _header(self, found: Scan, records: np.ndarray, dialect: Dialect) -> int | None:
        """Position of the header among the records; None: there is none.

        Raises:
            BadOption: the stated row is not within the first megabyte.
        """
        if self.header_row == 0:
            return None
        if self.header_row is not None:
            if self.header_row <= len(records):
                return self.header_row - 1
            raise BadOption(
                told("The option header-row says {row}, but {file} has {rows} rows in its first "
                     "{size:,} bytes.",
                     row=self.header_row, file=self.name, rows=len(records), size=len(self.head)),
                remedy=told("State the row that names the columns, or leave the option out."),
                option="header_row", value=self.header_row,
            )  # fmt: skip
        first = cells_of(self.head, found, records[:HEADER_SEARCHED], dialect)
        position = find_header(first, self.dataset)
        if position is None and self.dataset.header == "required":
            return int(np.flatnonzero(~found.blank[records])[0])
        return position
