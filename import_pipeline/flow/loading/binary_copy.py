"""Arrow columns as PostgreSQL's binary COPY, a column at a time: no cell passes through Python.

Each column becomes an array of encoded fields (length, then value), and one join of those arrays
is the stream. Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format";
numbers: `numeric_recv` in PostgreSQL's src/backend/utils/adt/numeric.c.
"""

import struct
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from import_pipeline.catalog.types import JSON_ARROW

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
END = struct.pack(">h", -1)
NULL_FIELD = struct.pack(">i", -1)
BLOCK_ROWS = 65_536
BLOCK_BYTES = 32 * 1024 * 1024
POSTGRES_EPOCH_MICROSECONDS = 946_684_800_000_000  # 2000-01-01 after 1970-01-01
POSTGRES_EPOCH_DAYS = 10_957
DIGITS = 18  # that always fit 64 bits

Parts = list[pa.Array]


def copy_rows(
    cursor: psycopg.Cursor,
    table: sql.Identifier,
    rows: pa.Table,
    *,
    load_id: str,
    batch: int,
    json_columns: Sequence[str] = (),
) -> None:
    """COPY rows into a staging table, column by column name, labelled with load and batch.

    Args:
        rows: columns of the types that `catalog.types` allows.
        json_columns: text columns that are jsonb in the table.

    Raises:
        TypeError: a column of another type.
    """
    names = ["_load_id", "_batch", *rows.column_names]
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        table, sql.SQL(", ").join(sql.Identifier(n) for n in names)
    )
    label = load_id.encode()
    start = struct.pack(f">hi{len(label)}sii", len(names), len(label), label, 4, batch)
    with cursor.copy(statement) as copy:
        copy.write(SIGNATURE)
        for block in _blocks(rows):
            copy.write(encode_rows(block, pa.scalar(start, pa.binary()), json_columns))
        copy.write(END)


def encode_rows(rows: pa.Table, start: pa.Scalar, json_columns: Sequence[str] = ()) -> memoryview:
    """The rows as COPY tuples.

    Args:
        start: what every tuple begins with: its number of fields, and the fields before `rows`'s.
    """
    parts: list[pa.Array | pa.Scalar] = [start]
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        whole = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        if whole.type == JSON_ARROW:
            parts += _json(whole.storage)
        else:
            parts += _json(whole) if name in json_columns else _encoder(whole.type)(whole)
    tuples = pc.binary_join_element_wise(*parts, b"", null_handling="replace", null_replacement=NULL_FIELD)
    _, offsets, data = tuples.buffers()
    first, last = np.frombuffer(offsets, np.int32)[[tuples.offset, tuples.offset + len(tuples)]]
    return memoryview(data)[first:last]


def _blocks(rows: pa.Table) -> Iterator[pa.Table]:
    """Slices of bounded rows and, on average, bytes."""
    by_bytes = rows.num_rows * BLOCK_BYTES // max(rows.nbytes, 1)
    size = max(1, min(BLOCK_ROWS, by_bytes))
    for offset in range(0, rows.num_rows, size):
        yield rows.slice(offset, size)


def _encoder(arrow_type: pa.DataType) -> Callable[[pa.Array], Parts]:
    if pa.types.is_string(arrow_type):
        return _text
    if pa.types.is_int64(arrow_type):
        return _bigint
    if pa.types.is_decimal128(arrow_type):
        return _numeric
    if pa.types.is_date32(arrow_type):
        return _date
    if pa.types.is_timestamp(arrow_type) and arrow_type.unit == "us":
        return _timestamp
    if pa.types.is_boolean(arrow_type):
        return _boolean
    raise TypeError(f"no binary form for {arrow_type}")


def _text(column: pa.Array) -> Parts:
    return [_field(column, _lengths(column), 0), _payload(column)]


def _json(column: pa.Array) -> Parts:
    """Version 1 of jsonb's binary form: one byte 1, then the text."""
    prefixed = np.empty(len(column), [("length", ">i4"), ("version", "u1")])
    prefixed["length"], prefixed["version"] = _lengths(column) + 1, 1
    return [_fixed(column, prefixed), _payload(column)]


def _bigint(column: pa.Array) -> Parts:
    return [_field(column, _numbers(column, pa.int64()), 8)]


def _date(column: pa.Array) -> Parts:
    return [_field(column, _numbers(column, pa.int32()) - POSTGRES_EPOCH_DAYS, 4)]


def _timestamp(column: pa.Array) -> Parts:
    return [_field(column, _numbers(column, pa.int64()) - POSTGRES_EPOCH_MICROSECONDS, 8)]


def _boolean(column: pa.Array) -> Parts:
    return [_field(column, _numbers(column, pa.int8()), 1)]


def _numeric(column: pa.Array) -> Parts:
    """Base 10,000 digits, as many for every row; PostgreSQL strips the zeros at both ends."""
    precision, scale = column.type.precision, column.type.scale
    after = -(-scale // 4)
    digits = after + max(1, -(-(precision - scale) // 4))
    padding = 4 * after - scale
    unscaled = _unscaled(column, wide=precision + padding > DIGITS)
    fields = np.zeros(
        len(column),
        [("length", ">i4"), ("digits", ">i2"), ("weight", ">i2"), ("sign", ">u2"), ("scale", ">i2"),
         ("value", ">i2", (digits,))],
    )  # fmt: skip
    fields["length"], fields["digits"], fields["weight"] = 8 + 2 * digits, digits, digits - after - 1
    fields["sign"] = np.where(unscaled < 0, 0x4000, 0)
    fields["scale"] = scale
    rest = np.abs(unscaled) * 10**padding
    for place in reversed(range(digits)):
        quotient = rest // 10_000
        fields["value"][:, place] = rest - quotient * 10_000
        rest = quotient
    return [_fixed(column, fields)]


def _unscaled(column: pa.Array, *, wide: bool) -> np.ndarray:
    """The decimals as integers, `value * 10 ** scale`; 0 for a null.

    Args:
        wide: as Python's integers, for columns of more digits than 64 bits hold (rare).
    """
    filled = pc.fill_null(column, pa.scalar(0, column.type)) if column.null_count else column
    halves = np.frombuffer(filled.buffers()[1], "<i8").reshape(-1, 2)
    halves = halves[filled.offset : filled.offset + len(filled)]
    if not wide:
        return halves[:, 0]
    low = halves[:, 0].astype("<u8").astype(object)
    return np.asarray(halves[:, 1].astype(object) * 2**64 + low, dtype=object)


def _numbers(column: pa.Array, storage: pa.DataType) -> np.ndarray:
    """The values as integers; 0 for a null."""
    return np.asarray(pc.fill_null(column.cast(storage), 0))


def _lengths(column: pa.Array) -> np.ndarray:
    """Bytes of each text; 0 for a null."""
    return np.asarray(pc.fill_null(pc.binary_length(column), 0))


def _payload(column: pa.Array) -> pa.Array:
    filled = pc.fill_null(column, "") if column.null_count else column
    return filled.cast(pa.binary())


def _field(column: pa.Array, values: np.ndarray, size: int) -> pa.Array:
    """Length and value of integer fields of `size` bytes; size 0: the values are the lengths."""
    layout = [("length", ">i4"), ("value", f">i{size}")] if size else [("length", ">i4")]
    fields = np.empty(len(column), layout)
    fields["length"] = size or values
    if size:
        fields["value"] = values
    return _fixed(column, fields)


def _fixed(column: pa.Array, fields: np.ndarray) -> pa.Array:
    """Encoded fields of one width as an Arrow array, null where the column is."""
    width = pa.binary(fields.dtype.itemsize)
    encoded = pa.Array.from_buffers(width, len(fields), [None, pa.py_buffer(fields)]).cast(pa.binary())
    if not column.null_count:
        return encoded
    return pc.if_else(pc.is_valid(column), encoded, pa.scalar(None, pa.binary()))
