"""The file of the rows that an import into an empty table would insert: `clean.parquet` of a local check."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from import_pipeline.arrays import as_mask, rows_where, whole
from import_pipeline.flow.batches.ahead import read_ahead
from import_pipeline.records import CheckedBatch, FoundDuplicates
from import_pipeline.storage.store import LEAN_PARQUET, Store


class CleanRows:
    """The valid rows of a file that do not lose to another of its rows."""

    def __init__(self, store: Store, checked: Sequence[CheckedBatch], duplicates: FoundDuplicates):
        self._store, self._checked = store, checked
        self._losers = pa.array([], pa.int64())
        if duplicates.key:
            self._losers = store.get_table(duplicates.key, ["_row_number"])["_row_number"]

    def count(self) -> int:
        """Their number."""
        numbers = (self._store.get_table(one.clean_key, ["_row_number"]) for one in self._checked)
        return sum(int(self._kept(rows).sum()) for rows in numbers)

    def write(self, target: Path) -> int:
        """Write them, a batch at a time; their number. Nothing is written if there is no batch."""
        written, writer = 0, None
        try:
            for rows in read_ahead(self._batches()):
                if writer is None:
                    writer = pq.ParquetWriter(target, rows.schema, compression="lz4", **LEAN_PARQUET)
                writer.write_table(rows)
                written += rows.num_rows
        finally:
            if writer is not None:
                writer.close()
        return written

    def _batches(self) -> Iterator[pa.Table]:
        for one in self._checked:
            rows = self._store.get_table(one.clean_key)
            yield rows_where(rows, self._kept(rows))

    def _kept(self, rows: pa.Table) -> np.ndarray:
        return ~as_mask(whole(pc.is_in(rows["_row_number"], value_set=self._losers)))
