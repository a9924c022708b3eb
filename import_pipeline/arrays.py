"""Arrow arrays as numpy sees them: masks, lengths, rows of a table. Knows nothing of what they hold."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def as_mask(where: "pa.Array | np.ndarray") -> np.ndarray:
    """A boolean numpy array; null is False. Ten times faster than Arrow's, which goes bit by bit."""
    if isinstance(where, np.ndarray):
        return where
    filled = pc.fill_null(where, False) if where.null_count else where
    return _unpacked(filled.buffers()[1], filled)


def is_valid(array: pa.Array) -> np.ndarray:
    """Which values are not null."""
    if not array.null_count:
        return np.ones(len(array), dtype=bool)
    return _unpacked(array.buffers()[0], array)


def byte_lengths(text: pa.Array) -> np.ndarray:
    """Bytes of each text; of a null any number."""
    offsets = text_offsets(text)
    return offsets[1:] - offsets[:-1]


def text_offsets(text: pa.Array) -> np.ndarray:
    """Where each text begins in its data buffer, and where the last one ends; one number more than texts."""
    if not len(text):
        return np.zeros(1, np.int64)
    width = np.int64 if pa.types.is_large_string(text.type) else np.int32
    return _read_only(text.buffers()[1], width)[text.offset : text.offset + len(text) + 1]


def text_bytes(text: pa.Array) -> np.ndarray:
    """The bytes of all texts, one behind the other."""
    data, offsets = text.buffers()[2], text_offsets(text)
    return _read_only(data, np.uint8)[offsets[0] : offsets[-1]] if data else np.zeros(0, np.uint8)


def rows_where(table: pa.Table, mask: np.ndarray) -> pa.Table:
    """The rows of a mask, in one chunk.

    Arrow filters a column by runs of rows, a table row by row: where most rows are kept, columns are faster.
    """
    if mask.all():
        return table
    if np.count_nonzero(mask) * 4 < len(mask) * 3:
        return table.take(pa.array(np.flatnonzero(mask)))
    chosen = pa.array(mask)
    return pa.Table.from_arrays([whole(c).filter(chosen) for c in table.columns], schema=table.schema)


def whole(column: "pa.ChunkedArray | pa.Array") -> pa.Array:
    """A column as one array."""
    if isinstance(column, pa.Array):
        return column
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
    )


def _read_only(data: pa.Buffer, kind: type) -> np.ndarray:
    """What Arrow holds, which nobody may write to."""
    view: np.ndarray = np.frombuffer(data, kind)
    view.flags.writeable = False
    return view


def _unpacked(bits: "pa.Buffer | None", array: pa.Array) -> np.ndarray:
    end = array.offset + len(array)
    packed = np.frombuffer(bits, np.uint8) if bits else np.zeros(0, np.uint8)
    return np.unpackbits(packed, count=end, bitorder="little")[array.offset :].view(bool)
