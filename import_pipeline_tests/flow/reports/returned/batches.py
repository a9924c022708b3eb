"""Rejected rows as a batch has them, and an upload that they belong to, made without reading a file."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.flow.batches.kinds import batch_schema
from import_pipeline.flow.checks.messages import ERRORS_SCHEMA
from import_pipeline.records import FileFormat, InspectedFile, ListedObject, OpenedUpload, Sheet, Token
from import_pipeline_tests.flow.reports.importing import PEOPLE, UPLOAD

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEADER = ("code", "name", "phone", "city")
MAPPING = {"code": 0, "name": 1, "phone": 2, "city": 3}


def upload(
    file_format: FileFormat = "xlsx",
    *,
    header: Sequence[str] = HEADER,
    sheets: Sequence[Sheet] = (),
    ours: bool = False,
) -> OpenedUpload:
    """An upload of people."""
    mapping = {name: at for name, at in MAPPING.items() if at < len(header)}
    own = range(len(header) - 3 * ours)
    file = InspectedFile(
        format=file_format, header=tuple(header), mapping=mapping, ours=ours, rows_per_batch=1000,
        unknown=tuple(at for at in own if at not in mapping.values()), sheets=tuple(sheets),
    )  # fmt: skip
    return OpenedUpload(
        upload_id=UPLOAD, short_id="0123456789ab", identity="0123456789ab", workspace="acme",
        dataset="people", fingerprint=PEOPLE.fingerprint, attempt="attempt1", token=Token(1.0, "r"),
        source=ListedObject("b", "k", "e", 1, NOON), source_time=NOON, file_name="people",
        options=SenderOptions(), staging="staging/", file=file,
    )  # fmt: skip


def batch(
    rows: Mapping[int, Sequence[str | None]],
    kinds: Mapping[int, Sequence[int]] | None = None,
    *,
    overflow: Sequence[str | None] | None = None,
) -> pa.Table:
    """Rows by row number, cells by position; kinds by position."""
    kinds, columns = kinds or {}, max(map(len, rows.values()), default=0)
    schema = batch_schema(columns, kinds)
    content: dict[str, Any] = {
        "_row_number": list(rows), "_line": list(rows), "_problem": [None] * len(rows),
        "_overflow": overflow or [None] * len(rows),
    }  # fmt: skip
    content |= {f"c{at}": [cells[at] for cells in rows.values()] for at in range(columns)}
    content |= {f"k{at}": list(of_column) for at, of_column in kinds.items()}
    return pa.table(content, schema=schema)


def errors(*found: tuple[int, str, str]) -> pa.Table:
    """Error rows of (row number, column, message)."""
    rows = [
        {"row_number": row, "column": column, "header": column, "value": "", "code": "c", "severity": "error",
         "message": message, "remedy": f"Mend {column}."}
        for row, column, message in found
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=ERRORS_SCHEMA)
