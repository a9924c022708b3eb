"""What of a Parquet file must be known before its rows are read: columns, types, number of rows.

All of it stands at the file's end; no row is read here.
"""

import base64

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.errors import ExpandsTooFar, UnsupportedFormat
from import_pipeline.flow.batches.columns.headers import map_header
from import_pipeline.flow.batches.parquetfiles.files import opened_parquet
from import_pipeline.flow.batches.parquetfiles.nested import is_nested
from import_pipeline.flow.batches.parquetfiles.texts import is_text
from import_pipeline.flow.batches.sizes import choose_rows_per_batch
from import_pipeline.flow.batches.sources.source import Source
from import_pipeline.language import told
from import_pipeline.records import Detected, InspectedFile

# A column that says the same in every row takes next to nothing; beyond both a file is made to never end.
MOST_CELLS_A_BYTE = 1000
CELLS_FREE = 50_000_000


def inspect_parquet(
    source: Source, dataset: Dataset, options: SenderOptions, *, rows_per_batch: int | None = None
) -> InspectedFile:
    """Everything that must be known of a Parquet file before rows are read.

    Raises:
        PermanentImportError: the file or an option cannot be used; see the classes in `errors.py`.
    """
    with opened_parquet(source) as opened:
        schema = opened.schema_arrow.remove_metadata()
        rows, groups, size = opened.metadata.num_rows, opened.metadata.num_row_groups, source.size
        expanded = _expanded_bytes(opened.metadata)
    cells = rows * len(schema)
    if cells > max(CELLS_FREE, MOST_CELLS_A_BYTE * size):
        raise ExpandsTooFar(
            told("{file} claims {cells:,} cells in {size:,} bytes; at most {limit:,} a byte are taken.",
                 file=source.name, size=size, cells=cells, limit=MOST_CELLS_A_BYTE),
            remedy=told("Send it as CSV."), limit=MOST_CELLS_A_BYTE,
        )  # fmt: skip
    for field in schema:
        _refuse_unknown_type(field, source.name)
    mapped = map_header(schema.names, dataset, source.name)
    return InspectedFile(
        format="parquet",
        header=tuple(schema.names),  # names carry no guard against formulas
        mapping=mapped.mapping,
        unknown=mapped.unknown,
        ours=mapped.ours,
        rows_per_batch=choose_rows_per_batch(rows, max(size, expanded), rows_per_batch),
        schema=base64.b64encode(schema.serialize().to_pybytes()).decode(),
        detected=(
            Detected(
                "rows", f"{rows:,}", told("the file's own count, in {groups} row groups", groups=groups)
            ),
        ),
    )


def schema_of(inspected: InspectedFile) -> pa.Schema:
    """The file's Arrow schema, as `inspect_parquet` kept it."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(inspected.schema)))


def _expanded_bytes(metadata: pq.FileMetaData) -> int:
    return sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))


def _refuse_unknown_type(field: pa.Field, name: str) -> None:
    """Every type that Parquet has is read; an extension of somebody's own is read as what it extends."""
    kind = field.type
    while isinstance(kind, pa.BaseExtensionType) and not is_text(kind):
        kind = kind.storage_type
    if types.is_dictionary(kind):
        kind = kind.value_type
    known = (
        is_text(kind) or is_nested(kind) or types.is_primitive(kind) or types.is_decimal(kind)
    ) and not types.is_interval(kind)
    if not known:
        raise UnsupportedFormat(
            told("{file}: the column {column} has the type {type}, which is not read.",
                 file=name, column=field.name, type=str(kind)),
            remedy=told("Leave the column out, or write it as text."),
            column=field.name,
        )  # fmt: skip
