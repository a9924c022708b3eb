"""Rejected rows as Parquet, with the types of the sender's file; our three columns are text."""

import base64
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.batches.columns.headers import OUR_COLUMNS
from import_pipeline.flow.batches.parquetfiles.restoring import restore
from import_pipeline.flow.reports.returned.shape import own_header, returned_rows
from import_pipeline.records import OpenedUpload


class ParquetWriter:
    """Writes `rejected.parquet`, a row group a batch."""

    def __init__(self, path: Path, opened: OpenedUpload, dataset: Dataset):
        self._opened = opened
        theirs = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(opened.file.schema)))
        own = [theirs.field(position).with_nullable(True) for position in range(len(own_header(opened)))]
        self._schema = pa.schema([*own, *(pa.field(name, pa.string()) for name in OUR_COLUMNS)])
        self._writer = pq.ParquetWriter(path, self._schema)

    def add(self, rejected: pa.Table, errors: pa.Table) -> None:
        """Write the rows with the values that the file had."""
        if rejected.num_rows == 0:
            return
        rows = returned_rows(self._opened, rejected, errors)
        own = [restore(cells, self._schema.field(at).type) for at, cells in enumerate(rows.cells)]
        self._writer.write_table(pa.Table.from_arrays([*own, *rows.ours], schema=self._schema))

    def close(self) -> None:
        """Complete the file."""
        self._writer.close()
