"""In which form rejected rows go back, by the format they came in: the one table, and what a writer is.

Most come back as they came; workbooks of other kinds as XLSX; what was compressed, uncompressed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.reports.returned.delimited import DelimitedWriter
from import_pipeline.flow.reports.returned.json_lines import JsonWriter
from import_pipeline.flow.reports.returned.parquet import ParquetWriter
from import_pipeline.flow.reports.returned.workbook import WorkbookWriter
from import_pipeline.records import FileFormat, InspectedFile, OpenedUpload


class RejectedWriter(Protocol):
    """Writes one file of rejected rows, batch by batch; memory does not grow with it."""

    def add(self, rejected: pa.Table, errors: pa.Table) -> None:
        """Write the rejected rows of a batch.

        Args:
            rejected: columns as in a batch, by row number.
            errors: columns as in `ERRORS_SCHEMA`, by row number; those of other rows are passed over.

        Raises:
            DoesNotFit: the form cannot hold them; CSV can.
        """

    def close(self) -> None:
        """Complete the file."""


@dataclass(frozen=True)
class ReturnedForm:
    """A form in which rejected rows go back.

    Attributes:
        open: begins a file, given its path, the upload and its dataset.
    """

    name: str
    content_type: str
    open: Callable[[Path, OpenedUpload, Dataset], RejectedWriter]


CSV = ReturnedForm("rejected.csv", "text/csv; charset=utf-8", DelimitedWriter)
TSV = ReturnedForm("rejected.tsv", "text/tab-separated-values; charset=utf-8", DelimitedWriter)
XLSX = ReturnedForm(
    "rejected.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", WorkbookWriter
)
FORMS: Mapping[FileFormat, ReturnedForm] = {
    "csv": CSV,
    "json": ReturnedForm("rejected.json", "application/json", JsonWriter),
    "jsonl": ReturnedForm("rejected.jsonl", "application/x-ndjson", JsonWriter),
    "parquet": ReturnedForm("rejected.parquet", "application/vnd.apache.parquet", ParquetWriter),
    **dict.fromkeys(("xlsx", "xlsm", "xlsb", "xls", "ods"), XLSX),
}
REJECTED_NAMES = tuple(sorted({form.name for form in (*FORMS.values(), TSV)}))


def form_of(file: InspectedFile) -> ReturnedForm:
    """The form in which rejected rows of this file go back."""
    return TSV if file.delimiter == "\t" else FORMS[file.format]
