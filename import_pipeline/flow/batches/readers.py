"""Which code reads which format: the one table, and what a reader is.

A new format is a folder beside this file with an inspector and a reader, and one line here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import pyarrow as pa

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.flow.batches.delimited.inspecting import inspect_delimited
from import_pipeline.flow.batches.delimited.reading import DelimitedReader
from import_pipeline.flow.batches.jsonfiles.inspecting import inspect_json, inspect_json_lines
from import_pipeline.flow.batches.jsonfiles.reading import JsonReader
from import_pipeline.flow.batches.parquetfiles.inspecting import inspect_parquet
from import_pipeline.flow.batches.parquetfiles.reading import ParquetReader
from import_pipeline.flow.batches.sources.compression import ExpandedSource
from import_pipeline.flow.batches.sources.source import Source
from import_pipeline.flow.batches.spreadsheets.inspecting import inspect_workbook
from import_pipeline.flow.batches.spreadsheets.reading import WorkbookReader
from import_pipeline.flow.batches.spreadsheets.workbooks import WORKBOOK_FORMATS
from import_pipeline.records import Compression, FileFormat, IgnoredRow, InspectedFile, LineCount


class Inspector(Protocol):
    """Looks at a file before its rows are read; refuses what cannot be."""

    def __call__(
        self, source: Source, dataset: Dataset, options: SenderOptions, *, rows_per_batch: int | None = None
    ) -> InspectedFile:
        """Everything later steps need but the checksum.

        Raises:
            PermanentImportError: the file or an option cannot be used.
        """


class RowReader(Protocol):
    """Reads the rows of one file, once, in order; its counts are complete when `tables` is exhausted."""

    @property
    def rows(self) -> int:
        """Rows given out so far."""

    @property
    def bytes_done(self) -> int:
        """Bytes of the source read so far, for progress."""

    @property
    def lines(self) -> LineCount:
        """Physical lines so far by what they belong to; all 0 for a format without lines."""

    @property
    def ignored(self) -> Sequence[IgnoredRow]:
        """The first rows that are no data, at most 100."""

    @property
    def ignored_rows(self) -> int:
        """All rows that are no data."""

    def tables(self) -> Iterator[pa.Table]:
        """The rows, in tables with the columns of a batch (`kinds.batch_schema`); a table may be empty."""


_INSPECTORS: Mapping[FileFormat, Inspector] = {
    "csv": inspect_delimited,
    **dict.fromkeys(WORKBOOK_FORMATS, inspect_workbook),
    "json": inspect_json,
    "jsonl": inspect_json_lines,
    "parquet": inspect_parquet,
}
_READERS: Mapping[FileFormat, Callable[[Source, InspectedFile, Dataset], RowReader]] = {
    "csv": DelimitedReader,
    **dict.fromkeys(WORKBOOK_FORMATS, WorkbookReader),
    "json": JsonReader,
    "jsonl": JsonReader,
    "parquet": ParquetReader,
}


def inspector_of(file_format: FileFormat) -> Inspector:
    """What looks at a file of this format."""
    return _INSPECTORS[file_format]


def expanded(source: Source, compression: Compression | None, dataset: Dataset) -> Source:
    """What is inside a compressed source; a source that is not compressed as it is."""
    return source if compression is None else ExpandedSource(source, compression, dataset.maximum_size)


def open_rows(inside: Source, inspected: InspectedFile, dataset: Dataset) -> RowReader:
    """A reader of the rows of what `expanded` gives."""
    return _READERS[inspected.format](inside, inspected, dataset)
