"""The rows of a delimited text, chunk by chunk, each numbered as a spreadsheet shows it.

Memory is bounded by the chunk and the longest record allowed. Lines are counted where they are met;
whether the counts balance is checked in `splitting.py`.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import CountsDoNotBalance, PermanentImportError, UnsupportedFormat
from import_pipeline.flow.batches.delimited.cells import make_rows
from import_pipeline.flow.batches.delimited.dialects import SEPARATOR_LINE, unclosed
from import_pipeline.flow.batches.delimited.scanning import Scan, scan
from import_pipeline.flow.batches.ignoring import IgnoredRows
from import_pipeline.flow.batches.source import Source
from import_pipeline.flow.batches.text.encodings import Transcoder
from import_pipeline.flow.batches.text.lines import LineCounter
from import_pipeline.records import IgnoredRow, InspectedFile, LineCount, TextFacts

# Bytes looked at together; numpy's temporary arrays take about ten times as much.
PIECE_BYTES = 4 * 1024 * 1024
LONGEST_RECORD = 16 * 1024 * 1024


class DelimitedReader:
    """Reads a file once; its counts are complete when `tables` is exhausted.

    Attributes:
        bytes_done: bytes of the source read so far.
        rows: rows given out so far.
        records: records met so far, header and blank ones included: the last row number.
    """

    def __init__(self, source: Source, inspected: InspectedFile, dataset: Dataset):
        self._source, self._inspected, self._dataset = source, inspected, dataset
        self._text = inspected.text or TextFacts("utf-8", 0)
        self._transcoder = Transcoder(self._text.encoding)
        self._ignoring = IgnoredRows(dataset, inspected.header)
        self._rest = b""
        self._line_ends = 0
        self._header_found = False
        self._before = self._header = self._blank = self._in_rows = 0
        self.bytes_done = self.rows = self.records = 0

    @property
    def lines(self) -> LineCount:
        """Physical lines so far, by what they belong to."""
        return LineCount(
            before_header=self._before, header=self._header, blank=self._blank, rows=self._in_rows
        )

    @property
    def ignored(self) -> list[IgnoredRow]:
        """The first rows that are no data."""
        return self._ignoring.listed

    @property
    def ignored_rows(self) -> int:
        """All rows that are no data."""
        return self._ignoring.count

    def tables(self) -> Iterator[pa.Table]:
        """The rows in order, in tables with the columns of a batch; a table may be empty.

        Raises:
            UnclosedQuote: a quoted cell does not close by the end of the file, or for 16 MB.
            UnsupportedFormat: a row is longer than 16 MB.
        """
        for chunk in self._source.chunks():
            for start in range(0, len(chunk), PIECE_BYTES):
                piece = chunk[start : start + PIECE_BYTES]
                self.bytes_done += len(piece)
                yield self._read(self._transcoder.feed(piece), final=False)
        yield self._read(self._transcoder.feed(b"", final=True), final=True)

    def _read(self, text: bytes, *, final: bool) -> pa.Table:
        buffer = self._rest + text if self._rest else text
        found = scan(buffer, self._text.delimiter, final=final)
        self._rest = buffer[found.consumed :]
        if (final and found.open_quote >= 0) or len(self._rest) > LONGEST_RECORD:
            raise self._too_long(buffer, found, final)
        ends = self._line_ends + found.lines.astype(np.int64)
        starts = np.concatenate((np.array([self._line_ends], np.int64), ends))[: found.records]
        taken = np.diff(ends, prepend=self._line_ends)
        table = self._table(buffer, found, starts + 1, taken)
        self.records += found.records
        self.rows += table.num_rows
        self._line_ends = int(ends[-1]) if found.records else self._line_ends
        return table

    def _table(
        self, buffer: bytes, found: Scan, lines: npt.NDArray[np.int64], taken: npt.NDArray[np.int64]
    ) -> pa.Table:
        """The rows among the records found, and the lines of all of them counted."""
        first = 0 if self._header_found else self._skip_header(buffer, lines, taken)
        is_row = ~found.blank
        is_row[:first] = False
        self._in_rows += int(taken[is_row].sum())
        self._blank += int(taken[first:][found.blank[first:]].sum())
        chosen = np.flatnonzero(is_row).astype(np.int32)
        return make_rows(
            buffer,
            found,
            chosen,
            columns=len(self._inspected.header),
            row_numbers=chosen.astype(np.int64) + (self.records + 1),
            lines=lines[chosen],
            guarded=self._inspected.ours,
        )

    def _skip_header(self, buffer: bytes, lines: npt.NDArray[np.int64], taken: npt.NDArray[np.int64]) -> int:
        """Count what stands before the header, and the header; the number of records passed."""
        position = int(np.searchsorted(lines, self._text.header_line))
        if position and self._before == 0 and SEPARATOR_LINE.match(buffer):
            self.records = -1  # spreadsheets do not show this line
        self._before += int(taken[:position].sum())
        if position == len(lines):
            return position
        if lines[position] != self._text.header_line:
            raise CountsDoNotBalance(
                f"{self._source.name}: the header was found in line {self._text.header_line}, "
                f"but a row begins in line {lines[position]}.",
                header_line=self._text.header_line, found=int(lines[position]),
            )  # fmt: skip
        self._header_found = True
        self._header = int(taken[position])
        return position + 1

    def _too_long(self, buffer: bytes, found: Scan, final: bool) -> PermanentImportError:
        """The refusal of a record that does not end."""
        row = self.records + found.records + (not final)
        counter = LineCounter()
        counter.add(buffer[: max(found.open_quote, 0) or found.consumed])
        counter.add(b"x")
        line = self._line_ends + counter.lines
        if found.open_quote >= 0:
            return unclosed(row, line, self._source.name)
        return UnsupportedFormat(
            f"{self._source.name}: row {row}, line {line}, is longer than {LONGEST_RECORD:,} bytes.",
            remedy="Send a CSV file with one row a line.",
            row=row, line=line,
        )  # fmt: skip
