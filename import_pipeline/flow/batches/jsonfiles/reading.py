"""The rows of a JSON or JSON Lines text in tables; memory is bounded by a piece of it and the longest row.

Row numbers are lines (JSON Lines) or elements counted from 1 (JSON). A row that cannot be read is a row
with a problem and its text, and no other row is the worse for it.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.batches.columns.headers import OUR_TEXT
from import_pipeline.flow.batches.ignoring import IgnoredRows
from import_pipeline.flow.batches.jsonfiles.cells import columns_of
from import_pipeline.flow.batches.jsonfiles.cutting import Cut, Cutting, cutter_of
from import_pipeline.flow.batches.jsonfiles.objects import ParsedRows, parse_rows
from import_pipeline.flow.batches.kinds import batch_schema
from import_pipeline.flow.batches.sealing import take_seals
from import_pipeline.flow.batches.sources.source import Source
from import_pipeline.flow.batches.text.encodings import marked_positions, without_marks
from import_pipeline.records import IgnoredRow, InspectedFile, LineCount


class JsonReader:
    """Reads a file once; its counts are complete when `tables` is exhausted.

    Attributes:
        rows: rows given out so far.
    """

    def __init__(self, source: Source, inspected: InspectedFile, dataset: Dataset):
        self._in_lines = inspected.format == "jsonl"
        self._cutting = Cutting(source, inspected.encoding, cutter_of(inspected.format, source.name))
        self._keys, self._ours = inspected.header, inspected.ours
        self._schema = batch_schema(len(self._keys), range(len(self._keys)))
        # Without names: a header is not repeated here, and a row may say the same as its column is called.
        self._ignoring = IgnoredRows(dataset, [""] * len(inspected.header))
        self.rows = 0

    @property
    def bytes_done(self) -> int:
        """Bytes of the source read so far."""
        return self._cutting.bytes_done

    @property
    def lines(self) -> LineCount:
        """Physical lines of JSON Lines so far, a row being one; all 0 for JSON."""
        if not self._in_lines:
            return LineCount()
        return LineCount(blank=self._cutting.cutter.blank, ignored=self.ignored_rows, rows=self.rows)

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
            PermanentImportError: rows cannot be told apart from somewhere on; `inspect_json` raised it first.
        """
        for cut in self._cutting.cuts():
            table = self._table(cut, parse_rows(cut.texts))
            table = self._ignoring.take(table)
            self.rows += table.num_rows
            yield table

    def _table(self, cut: Cut, parsed: ParsedRows) -> pa.Table:
        numbers = pa.array(cut.numbers, pa.int64())
        if not parsed.objects:
            order, columns = np.zeros(0, np.int64), []
        else:
            order = np.array(parsed.at, np.int64)
            columns = columns_of(parsed.objects, self._keys)
        if parsed.faults:
            columns = _spread(columns, order, len(cut.texts), len(self._keys))
        elif not columns:
            return self._schema.empty_table()
        own = [numbers, numbers, *_problems(cut, parsed)]
        texts, kinds = zip(*columns, strict=True)
        table = pa.Table.from_arrays([*own, *texts, *kinds], schema=self._schema)
        return _of_ours(table, parsed, order) if self._ours else table


def _of_ours(table: pa.Table, parsed: ParsedRows, at: np.ndarray) -> pa.Table:
    """Rows that we handed back as they were: seals, and the text of those that are no objects."""
    table = take_seals(table, sum(name.startswith("c") for name in table.column_names))
    raw = columns_of(parsed.objects, (OUR_TEXT,)) if parsed.objects else []
    if not raw or raw[0][0].null_count == len(raw[0][0]):
        return table
    [(text, _)] = _spread(raw, at, table.num_rows, 1)
    broken = pc.is_valid(table["_problem"].combine_chunks())
    overflow = pc.if_else(broken, pc.coalesce(text, table["_overflow"].combine_chunks()), None)
    return table.set_column(table.column_names.index("_overflow"), "_overflow", overflow)


def _spread(
    columns: list[tuple[pa.Array, pa.Array]], at: np.ndarray, rows: int, width: int
) -> list[tuple[pa.Array, pa.Array]]:
    """Columns of the rows at some places, with nothing at the others."""
    place = np.full(rows, -1, np.int64)
    place[at] = np.arange(len(at))
    index = pa.array(place, mask=place < 0)
    nothing = (pa.nulls(0, pa.string()), pa.nulls(0, pa.int8()))
    return [(text.take(index), kind.take(index).fill_null(0)) for text, kind in columns or [nothing] * width]


def _problems(cut: Cut, parsed: ParsedRows) -> tuple[pa.Array, pa.Array]:
    """What is wrong with rows, and their text where it is."""
    if not parsed.faults:
        return pa.nulls(len(cut.texts), pa.string()), pa.nulls(len(cut.texts), pa.string())
    codes = dict(parsed.faults)
    texts = [_shown(text) if index in codes else None for index, text in enumerate(cut.texts)]
    return (
        pa.array([codes.get(index) for index in range(len(cut.texts))], pa.string()),
        pa.array(texts, pa.string()),
    )


def _shown(text: bytes) -> str:
    """A row's text with U+FFFD for each byte that could not be read."""
    return without_marks(text, marked_positions(text)).decode("utf-8", "replace")
