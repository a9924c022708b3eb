"""Arrow columns of a Parquet file as text and kinds, in the canonical forms of `kinds.py`, and no way back.

Everything is exact: integers and decimals in all their digits, floats as the shortest text that gives the
same float, times with the fraction they have. Nested values are `nested.py`'s.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from import_pipeline.flow.batches.kinds import BOOLEAN, DATE, IMPRECISE, NUMBER, TEXT, TIME, TIMESTAMP

# From here on not every whole number is a float of this type (IEEE 754: 53 and 24 bits of fraction).
_EXACT: Final = {pa.float64(): 2.0**53, pa.float32(): 2.0**24}
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_UUID_DASHES = (8, 12, 16, 20)
_OUT_OF_RANGE = "<value out of range"
SECONDS_A_UNIT: Final = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def is_text(arrow_type: pa.DataType) -> bool:
    """Whether values of this type are text or bytes: such a column has no kinds."""
    if types.is_dictionary(arrow_type):
        return is_text(arrow_type.value_type)
    return (
        types.is_null(arrow_type)
        or _is_string(arrow_type)
        or _is_binary(arrow_type)
        or arrow_type == pa.uuid()
    )


def text_and_kinds(values: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The values as text, and the kind of each; nested types excluded.

    Raises:
        NotImplementedError: a type that Parquet files do not have.
    """
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    text, kind = _text_and_kind(values)
    if isinstance(kind, int):
        return text, pa.array(np.where(_valid(text), np.int8(kind), np.int8(TEXT)))
    return text, pa.array(kind, pa.int8())


def decoded(values: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Text columns as UTF-8, and which cells are no text: those are hexadecimal, as `\\\\x89ab`."""
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if types.is_null(values.type):
        return pa.nulls(len(values), pa.string()), np.zeros(len(values), bool)
    if values.type == pa.uuid():
        return _uuids(values.storage), np.zeros(len(values), bool)
    # What a file calls text is not always: nobody has looked at it yet.
    data = pc.cast(values, pa.binary())
    try:
        return pc.cast(data, pa.string()), np.zeros(len(values), bool)
    except pa.ArrowInvalid:
        return _partly_decoded(data)


def _partly_decoded(data: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """The same where some cell is no UTF-8, which is rare enough for a look at each."""
    cells, bad = [], np.zeros(len(data), bool)
    for index, value in enumerate(data.to_pylist()):
        try:
            cells.append(None if value is None else value.decode())
        except UnicodeDecodeError:
            bad[index] = True
            cells.append("\\x" + value.hex())
    return pa.array(cells, pa.string()), bad


def _text_and_kind(values: pa.Array) -> tuple[pa.Array, int | np.ndarray]:
    for is_of, convert in _CONVERSIONS:
        if is_of(values.type):
            return convert(values)
    raise NotImplementedError(f"no text for {values.type}")


def _cast(values: pa.Array) -> pa.Array:
    return pc.cast(values, pa.string())


def _floats(values: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Shortest texts; those beyond what the type keeps exactly are imprecise, and NaN is no number."""
    if values.type == pa.float16():
        values = pc.cast(values, pa.float32())
    texts = pc.cast(values, pa.string())
    # In NumPy: comparing with NaN is false, and null is NaN here.
    numbers = values.to_numpy(zero_copy_only=False)
    kinds = np.where(np.abs(numbers) >= _EXACT[values.type], np.int8(IMPRECISE), np.int8(NUMBER))
    kinds[~np.isfinite(numbers)] = TEXT
    small = (kinds == NUMBER) & _mask(pc.match_substring(texts, "e"))
    if small.any():
        few = [format(Decimal(text), "f") for text in texts.filter(pa.array(small)).to_pylist()]
        texts = pc.replace_with_mask(texts, pa.array(small), pa.array(few, pa.string()))
    return texts, kinds


def _decimals(values: pa.Array) -> pa.Array:
    texts = pc.cast(values, pa.string())
    if values.type.scale < 0:  # written with an exponent; hardly any program makes such a type
        return pa.array([None if v is None else format(v, "f") for v in values.to_pylist()], pa.string())
    return _without_zeros(texts)


def _without_zeros(texts: pa.Array) -> pa.Array:
    """Texts of numbers or times without zeros at the end of their fraction."""
    shorter = pc.replace_substring_regex(texts, r"(\.[0-9]*[1-9])0+$", r"\1")
    return pc.replace_substring_regex(shorter, r"\.0*$", "")


def _timestamps(values: pa.Array) -> pa.Array:
    """Wall time, and the offset where the type has a zone."""
    if values.type.tz is None:
        return _without_zeros(pc.cast(values, pa.string()))
    wall = _without_zeros(pc.cast(pc.local_timestamp(values), pa.string()))
    offset = pc.replace_substring_regex(pc.strftime(values, "%z"), r"^([+-]\d\d)(\d\d)$", r"\1:\2")
    return pc.binary_join_element_wise(wall, offset, "")


def _dates(texts: pa.Array, kind: int) -> tuple[pa.Array, np.ndarray]:
    """Dates that no calendar has are text."""
    strange = _mask(pc.starts_with(texts, _OUT_OF_RANGE))
    return texts, np.where(_valid(texts) & ~strange, np.int8(kind), np.int8(TEXT))


def _seconds(values: pa.Array) -> pa.Array:
    """Durations in seconds."""
    digits = SECONDS_A_UNIT[values.type.unit]
    counts = pc.cast(pc.cast(values, pa.int64()), pa.decimal128(19, 0))
    unit = pa.scalar(Decimal(1).scaleb(-digits), pa.decimal128(10, digits))
    return _decimals(pc.multiply(counts, unit))


def _uuids(values: pa.Array) -> pa.Array:
    """16 bytes each as `123e4567-e89b-…`."""
    filled = pc.fill_null(values, bytes(16))
    data = np.frombuffer(filled.buffers()[1], np.uint8)[16 * filled.offset :][: 16 * len(values)].reshape(
        -1, 16
    )
    digits = np.empty((len(values), 32), np.uint8)
    digits[:, 0::2], digits[:, 1::2] = _HEX[data >> 4], _HEX[data & 15]
    dashed = np.insert(digits, _UUID_DASHES, ord("-"), axis=1)
    offsets = np.arange(0, 36 * len(values) + 1, 36, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(dashed))]
    texts = pa.Array.from_buffers(pa.string(), len(values), buffers)
    return pc.if_else(pc.is_valid(values), texts, None)


_CONVERSIONS: Final[tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...]] = (
    (types.is_boolean, lambda values: (_cast(values), BOOLEAN)),
    (types.is_integer, lambda values: (_cast(values), NUMBER)),
    (types.is_floating, _floats),
    (types.is_decimal, lambda values: (_decimals(values), NUMBER)),
    (types.is_date, lambda values: _dates(_cast(values), DATE)),
    (types.is_timestamp, lambda values: _dates(_timestamps(values), TIMESTAMP)),
    (types.is_time, lambda values: (_without_zeros(_cast(values)), TIME)),
    (types.is_duration, lambda values: (_seconds(values), NUMBER)),
)


def _is_string(kind: pa.DataType) -> bool:
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return (
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def _valid(values: pa.Array) -> np.ndarray:
    return np.asarray(pc.is_valid(values).to_numpy(zero_copy_only=False), bool)


def _mask(answer: Any) -> np.ndarray:
    return np.asarray(pc.fill_null(answer, False).to_numpy(zero_copy_only=False), bool)
