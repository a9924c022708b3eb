"""Text in which every quote stands where it should and every row is as wide as the header: most of any file.

Arrow's reader cuts such text into the same cells as `scanning.py`, in a third of its time. It says nothing
of lines, blank rows and stray quotes, so what it is given is proven regular first, from the few bytes around
quotes and line ends; whatever is not is left to `scanning.py`.
"""

import codecs
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from import_pipeline.arrays import byte_lengths, text_bytes, text_offsets, whole
from import_pipeline.flow.batches.delimited.scanning import CR, LF, Bools, Bytes, Dialect
from import_pipeline.flow.batches.delimited.unclosed import MANY_DELIMITERS
from import_pipeline.flow.batches.text.encodings import marked_positions

# What is longer than this may be one record that has no end.
LONGEST_TEXT = 8 * 1024 * 1024
Longs = npt.NDArray[np.int64]
_WHITE_SPACE = np.zeros(256, bool)
_WHITE_SPACE[list(b" \t\r\n\v\f")] = True


@dataclass(frozen=True)
class RegularRows:
    """The complete records at the beginning of a buffer, none of them blank, each as wide as the header.

    Attributes:
        cells: text of each header cell's column.
        lines: line ends up to and including each record's end, in the buffer; int64.
        consumed: bytes of the records.
    """

    cells: list[pa.StringArray]
    lines: Longs
    consumed: int


class RegularReader:
    """Reads what is regular in the texts of one file.

    Args:
        columns: number of header cells.
    """

    def __init__(self, dialect: Dialect, columns: int):
        self._dialect, self._columns = dialect, columns
        names = [f"c{position}" for position in range(columns)]
        self._names = names
        self._parse = pyarrow.csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=dialect.quote or False,
            newlines_in_values=True,
            ignore_empty_lines=False,
        )
        # As bytes: that they are UTF-8 is known already.
        self._convert = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.binary()), check_utf8=False, strings_can_be_null=False
        )

    def read(self, buffer: bytes) -> RegularRows | None:
        """The complete records of UTF-8 text that begins at a record's start; None: some are irregular."""
        if self._dialect.escape or len(buffer) > LONGEST_TEXT or buffer.startswith(codecs.BOM_UTF8):
            return None
        lines = self._lines(np.frombuffer(buffer, np.uint8), b"\r" in buffer)
        if lines is None:
            return None
        ends, consumed = lines
        if self._may_hide_rows(ends) or len(marked_positions(buffer)):
            return None
        table = self._cut(buffer, consumed)
        if table is None or table.num_rows != len(ends):
            return None
        cells = [whole(column).view(pa.string()) for column in table.columns]
        return None if _may_have_blank(cells) else RegularRows(cells, ends, consumed)

    def _lines(self, data: Bytes, has_cr: bool) -> tuple[Longs, int] | None:
        """Line ends up to each record's end, and where the last one ends; None if quotes are irregular."""
        line_ends = np.flatnonzero(data == LF)
        quotes = np.flatnonzero(data == ord(self._dialect.quote)) if self._dialect.quote else line_ends[:0]
        inside = np.searchsorted(quotes, line_ends) % 2 == 1
        ends = np.flatnonzero(~inside)
        if not len(ends):
            return None
        consumed = int(line_ends[ends[-1]]) + 1
        data, quotes = data[:consumed], quotes[: np.searchsorted(quotes, consumed)]
        if has_cr and not (data[np.flatnonzero(data[:-1] == CR) + 1] == LF).all():
            return None
        return (ends + 1, consumed) if self._stand_well(data, quotes) else None

    def _stand_well(self, data: Bytes, quotes: Longs) -> bool:
        """Whether every other quote opens a cell or stands behind the one that closes it, for `""`."""
        beside = np.zeros(256, bool)
        beside[[LF, CR, *map(ord, self._dialect.delimiter + self._dialect.quote)]] = True
        opening, closing = quotes[0::2], quotes[1::2]
        before = data.take(opening - 1, mode="wrap")  # the last byte is a line end, as what lies before is
        return bool(beside[before].all() and beside[data[closing + 1]].all())

    def _may_hide_rows(self, ends: Longs) -> bool:
        """Whether a record is so long that a quote in it may never have been closed, see `unclosed.py`."""
        inside = np.diff(ends, prepend=0) - 2
        return bool((inside * (self._columns - 1) >= MANY_DELIMITERS).any())

    def _cut(self, buffer: bytes, consumed: int) -> pa.Table | None:
        """The cells; None if a record is wider or narrower than the header."""
        reading = pyarrow.csv.ReadOptions(
            use_threads=False, column_names=self._names, block_size=consumed + 1
        )
        try:
            text = pa.py_buffer(buffer).slice(0, consumed)
            return pyarrow.csv.read_csv(pa.BufferReader(text), reading, self._parse, self._convert)
        except pa.ArrowInvalid:
            return None


def _may_have_blank(columns: list[pa.StringArray]) -> bool:
    """Whether all cells of some row are empty or begin with white space."""
    rows = np.flatnonzero(_begin_white(columns[0]))
    for column in columns[1:]:
        if len(rows):
            rows = rows[_begin_white(column)[rows]]
    return bool(len(rows))


def _begin_white(column: pa.StringArray) -> Bools:
    """Which cells are empty or begin with white space."""
    empty, data = byte_lengths(column) == 0, text_bytes(column)
    if empty.all():
        return empty
    return empty | _WHITE_SPACE[data.take(text_offsets(column)[:-1], mode="clip")]
