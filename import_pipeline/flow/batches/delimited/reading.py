"""The rows of a delimited text, chunk by chunk, each numbered as a spreadsheet shows it.

Memory is bounded by the chunk and the longest record allowed. Lines are counted where they are met;
whether the counts balance is checked in `splitting.py`. Which quotes are never closed is `unclosed.py`'s.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import CountsDoNotBalance, UnclosedQuote, UnsupportedFormat
from import_pipeline.flow.batches.delimited.cells import make_rows
from import_pipeline.flow.batches.delimited.dialects import SEPARATOR_LINE
from import_pipeline.flow.batches.delimited.regular import RegularReader, RegularRows
from import_pipeline.flow.batches.delimited.scanning import Dialect, Ints, Scan, scan
from import_pipeline.flow.batches.delimited.unclosed import find_unclosed
from import_pipeline.flow.batches.ignoring import IgnoredRows
from import_pipeline.flow.batches.kinds import batch_schema
from import_pipeline.flow.batches.sealing import take_seals
from import_pipeline.flow.batches.sources.source import Source
from import_pipeline.flow.batches.text.encodings import Transcoder
from import_pipeline.flow.batches.text.lines import LineCounter
from import_pipeline.language import told
from import_pipeline.records import IgnoredRow, InspectedFile, LineCount, TextFacts

# Bytes looked at together: the arrays over them, ten times as large, come and go faster than those of more.
PIECE_BYTES = 2 * 1024 * 1024
LONGEST_RECORD = 16 * 1024 * 1024
# Behind a quote that is never closed the text is looked at in small windows again, since more may follow.
FIRST_WINDOW = 64 * 1024
MOST_UNCLOSED = 1000
# Pieces in a row that were not regular; in such a file the next ones hardly are.
MOST_IRREGULAR = 4

Longs = npt.NDArray[np.int64]


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
        self._dialect = Dialect(self._text.delimiter, self._text.quote, self._text.escape)
        self._transcoder = Transcoder(self._text.encoding)
        self._regular = RegularReader(self._dialect, len(inspected.header))
        self._irregular = 0
        self._ignoring = IgnoredRows(dataset, inspected.header)
        self._rest = b""
        # Offsets in the rest of quotes that are never closed; they are read as text.
        self._hidden: list[int] = []
        self._unclosed = 0
        self._line_ends = 0
        self._header_found = False
        self._before = self._header = self._blank = self._ignored = self._in_rows = 0
        self.bytes_done = self.rows = self.records = 0

    @property
    def lines(self) -> LineCount:
        """Physical lines so far, by what they belong to."""
        return LineCount(
            before_header=self._before,
            header=self._header,
            blank=self._blank,
            ignored=self._ignored,
            rows=self._in_rows,
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
            UnclosedQuote: over 1,000 quotes are never closed.
            UnsupportedFormat: a row is longer than 16 MB.
        """
        for chunk in self._source.chunks():
            for start in range(0, len(chunk), PIECE_BYTES):
                piece = chunk[start : start + PIECE_BYTES]
                self.bytes_done += len(piece)
                text = self._transcoder.feed(piece)
                self._rest = self._rest + text if self._rest else text
                regular = self._read_regular()
                if regular is None:
                    yield from self._read(final=False)
                else:
                    yield self._regular_table(regular)
                    self._rest = self._rest[regular.consumed :]
        self._rest += self._transcoder.feed(b"", final=True)
        yield from self._read(final=True)

    def _read_regular(self) -> RegularRows | None:
        """The complete records of what is left, if that is all they are."""
        plain = self._header_found and not self._hidden and not self._inspected.ours
        if not plain or self._irregular == MOST_IRREGULAR:
            return None
        found = self._regular.read(self._rest)
        self._irregular = 0 if found else self._irregular + 1
        return found

    def _regular_table(self, found: RegularRows) -> pa.Table:
        """The records as rows; their lines counted."""
        records = len(found.lines)
        ends = self._line_ends + found.lines
        starts = np.append(np.int64(self._line_ends), ends[:-1])
        numbers = np.arange(self.records + 1, self.records + records + 1)
        table = pa.Table.from_arrays(
            [pa.array(numbers), pa.array(starts + 1), *[pa.nulls(records, pa.string())] * 2, *found.cells],
            schema=batch_schema(len(found.cells)),
        )
        return self._counted(table, ends - starts, records, int(ends[-1]))

    def _read(self, *, final: bool) -> Iterator[pa.Table]:
        """The rows of the records that are complete in what is left."""
        window = len(self._rest)
        while True:
            buffer = self._rest[:window]
            to_end = window >= len(self._rest)
            visible = self._visible(buffer)
            found = scan(visible, self._dialect, final=final and to_end)
            offset = self._find_unclosed(visible, found, final=final and to_end)
            if offset >= 0:
                self._hide(offset, visible)
                window = FIRST_WINDOW
                continue
            if found.records or to_end:
                yield self._table(buffer, found)
                self._rest = self._rest[found.consumed :]
                self._hidden = [at - found.consumed for at in self._hidden if at >= found.consumed]
            if to_end:
                return
            window *= 4

    def _visible(self, buffer: bytes) -> bytes:
        """The text as it is cut: quotes that are never closed are letters."""
        if not self._hidden:
            return buffer
        patched = bytearray(buffer)
        for offset in self._hidden:
            if offset < len(patched):
                patched[offset] = ord("x")
        return bytes(patched)

    def _find_unclosed(self, visible: bytes, found: Scan, *, final: bool) -> int:
        """Offset of the first quote that is never closed; -1: none.

        Raises:
            UnsupportedFormat: a row is longer than 16 MB, and no quote is to blame.
        """
        first = self._first_row(found)
        offset = find_unclosed(visible, found, self._dialect, len(self._inspected.header), first=first)
        if offset >= 0:
            return offset
        bounds = np.append(found.record_start, np.int32(found.consumed))
        long = np.flatnonzero(np.diff(bounds) > LONGEST_RECORD)
        if len(long) or len(visible) - found.consumed > LONGEST_RECORD:
            record = int(long[0]) if len(long) else found.records
            start = int(bounds[record])
            cut = scan(visible[start : start + LONGEST_RECORD], self._dialect, final=False)
            if cut.open_quote < 0:
                raise self._too_long(found, record)
            return start + cut.open_quote
        return found.open_quote if final else -1

    def _hide(self, offset: int, visible: bytes) -> None:
        """Read the quote at an offset as text from now on.

        Raises:
            UnclosedQuote: there were too many.
        """
        self._unclosed += 1
        if self._unclosed > MOST_UNCLOSED:
            counter = LineCounter()
            counter.add(visible[:offset] + b"x")
            raise UnclosedQuote(
                told("{file} has more than {number:,} quotes that open a cell and are never closed; the last "
                     "one seen is in line {line}.",
                     file=self._source.name, number=MOST_UNCLOSED, line=self._line_ends + counter.lines),
                remedy=told('Write a quote inside text twice (""), and such text between quotes.'),
                row=self.records + 1, line=self._line_ends + counter.lines,
            )  # fmt: skip
        self._hidden.append(offset)

    def _table(self, buffer: bytes, found: Scan) -> pa.Table:
        """The rows among the records found, and the lines of all of them counted."""
        ends = self._line_ends + found.lines.astype(np.int64)
        lines = np.concatenate((np.array([self._line_ends], np.int64), ends))[: found.records] + 1
        taken = np.diff(ends, prepend=self._line_ends)
        first = self._skip_header(buffer, lines, taken)
        is_row = ~found.blank
        is_row[:first] = False
        self._blank += int(taken[first:][found.blank[first:]].sum())
        chosen = np.flatnonzero(is_row).astype(np.int32)
        unclosed = self._unclosed_records(buffer, found, lines)
        table = make_rows(
            buffer,
            found,
            chosen,
            dialect=self._dialect,
            columns=len(self._inspected.header),
            row_numbers=chosen.astype(np.int64) + (self.records + 1),
            lines=lines[chosen],
            guarded=self._inspected.ours,
            unclosed=unclosed,
        )
        return self._counted(
            table, taken[chosen], found.records, int(ends[-1]) if found.records else self._line_ends
        )

    def _counted(self, table: pa.Table, taken: Longs, records: int, line_ends: int) -> pa.Table:
        """The rows of so many records that are data; where the file stands now."""
        table = self._without_ignored(table, taken)
        self.records += records
        self.rows += table.num_rows
        self._line_ends = line_ends
        return table

    def _without_ignored(self, table: pa.Table, taken: Longs) -> pa.Table:
        """The table without the rows that are no data, their lines counted; seals of ours taken."""
        ignored = self._ignoring.masks(table)
        in_ignored = int(taken[ignored].sum())
        self._ignored += in_ignored
        self._in_rows += int(taken.sum()) - in_ignored
        if ignored.any():
            table = table.filter(pa.array(~ignored))
        return take_seals(table, len(self._inspected.header)) if self._inspected.ours else table

    def _unclosed_records(self, buffer: bytes, found: Scan, lines: Longs) -> Ints:
        """The records with a quote that is never closed; their line becomes the one where it opens."""
        hidden = np.array([offset for offset in self._hidden if offset < found.consumed], np.int32)
        if not len(hidden):
            return hidden
        records = np.searchsorted(found.record_start, hidden, side="right") - 1
        records, first = np.unique(records, return_index=True)
        for record, offset in zip(records.tolist(), hidden[first].tolist(), strict=True):
            counter = LineCounter()
            counter.add(buffer[found.record_start[record] : offset] + b"x")
            lines[record] += counter.lines - 1
        return records.astype(np.int32)

    def _line_of(self, found: Scan, record: int) -> int:
        return self._line_ends + 1 + (int(found.lines[record - 1]) if record else 0)

    def _first_row(self, found: Scan) -> int:
        """Index of the first record behind the header."""
        if self._header_found or not self._text.header_line:
            return 0
        starts = self._line_ends + 1 + np.concatenate((np.zeros(1, np.int64), found.lines))[: found.records]
        return int(np.searchsorted(starts, self._text.header_line)) + 1

    def _skip_header(self, buffer: bytes, lines: Longs, taken: Longs) -> int:
        """Count what stands before the header, and the header; the number of records passed."""
        if self._header_found or not len(lines):
            return 0
        has_hint = not self._before and SEPARATOR_LINE.match(buffer) is not None
        if not self._text.header_line:
            position = int(has_hint)
        else:
            position = int(np.searchsorted(lines, self._text.header_line))
        if position and has_hint:
            self.records = -1  # spreadsheets do not show this line
        self._before += int(taken[:position].sum())
        if not self._text.header_line:
            self._header_found = True
            return position
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

    def _too_long(self, found: Scan, record: int) -> UnsupportedFormat:
        """The refusal of a record that does not end."""
        row, line = self.records + record + 1, self._line_of(found, record)
        return UnsupportedFormat(
            told("{file}: row {row}, line {line}, is longer than {size:,} bytes.",
                 file=self._source.name, row=row, line=line, size=LONGEST_RECORD),
            remedy=told("Send a CSV file with one row a line."),
            row=row, line=line,
        )  # fmt: skip
