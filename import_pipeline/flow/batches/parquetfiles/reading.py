"""The rows of a Parquet file in tables, numbered from 1; memory is bounded by a part of a row group.

How values become text is `texts.py`'s and `nested.py`'s.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.batches.ignoring import IgnoredRows
from import_pipeline.flow.batches.kinds import JSON, TEXT, batch_schema
from import_pipeline.flow.batches.parquetfiles.files import opened_parquet
from import_pipeline.flow.batches.parquetfiles.inspecting import schema_of
from import_pipeline.flow.batches.parquetfiles.nested import is_nested, json_texts
from import_pipeline.flow.batches.parquetfiles.texts import decoded, is_text, text_and_kinds
from import_pipeline.flow.batches.sealing import take_seals
from import_pipeline.flow.batches.sources.source import Source
from import_pipeline.records import IgnoredRow, InspectedFile, LineCount

# Rows decoded at once: fewer where rows are large.
MOST_ROWS, FEWEST_ROWS = 32_768, 256
_TABLE_BYTES = 16 * 1024 * 1024


class ParquetReader:
    """Reads a file once; its counts are complete when `tables` is exhausted.

    Attributes:
        rows: rows given out so far.
        bytes_done: the part of the file's bytes that fits the rows read so far.
    """

    def __init__(self, source: Source, inspected: InspectedFile, dataset: Dataset):
        self._source = source
        self._types = [field.type for field in schema_of(inspected)]
        typed = [position for position, kind in enumerate(self._types) if not is_text(kind)]
        self._schema = batch_schema(len(self._types), typed)
        self._ours = inspected.ours
        self._mapped = set(inspected.mapping.values())
        # Without names: a header is not repeated here, and a row may say the same as its column is called.
        self._ignoring = IgnoredRows(dataset, [""] * len(inspected.header))
        self.rows = self.bytes_done = 0

    @property
    def lines(self) -> LineCount:
        """There are none."""
        return LineCount()

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
            CorruptFile: the file is damaged; EncryptedFile: a column needs a key.
        """
        with opened_parquet(self._source) as opened:
            total, read = opened.metadata.num_rows, 0
            groups = (opened.metadata.row_group(at) for at in range(opened.metadata.num_row_groups))
            expanded = sum(group.total_byte_size for group in groups)
            wanted = _TABLE_BYTES * total // max(expanded, 1)
            for part in opened.iter_batches(batch_size=min(max(wanted, FEWEST_ROWS), MOST_ROWS)):
                table = self._ignoring.take(self._table(part, read + 1))
                read += part.num_rows
                self.rows += table.num_rows
                self.bytes_done = self._source.size * read // max(total, 1)
                yield table

    def _table(self, part: pa.RecordBatch, first: int) -> pa.Table:
        numbers = pa.array(np.arange(first, first + part.num_rows, dtype=np.int64))
        undecodable = np.zeros(part.num_rows, bool)
        texts: list[pa.Array] = []
        kinds: list[pa.Array] = []
        for position, values in enumerate(part.columns):
            if is_text(values.type):
                text, bad = decoded(values)
                if position in self._mapped:
                    undecodable |= bad
                texts.append(text)
                continue
            text, kind = _typed(values)
            texts.append(text)
            kinds.append(kind)
        problem = pc.if_else(pa.array(undecodable), "undecodable_text", pa.scalar(None, pa.string()))
        overflow = pa.nulls(part.num_rows, pa.string())
        own = [numbers, numbers, problem, overflow]
        table = pa.Table.from_arrays([*own, *texts, *kinds], schema=self._schema)
        return take_seals(table, len(texts)) if self._ours else table


def _typed(values: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Text and kinds of a column that is no text."""
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if is_nested(values.type):
        texts = json_texts(values)
        return texts, pa.array(np.where(texts.is_valid(), np.int8(JSON), np.int8(TEXT)))
    return text_and_kinds(values)
