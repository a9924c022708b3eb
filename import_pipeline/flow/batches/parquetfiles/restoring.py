"""Cells back to the Arrow type that they came from: the other way round of `texts.py` and `nested.py`.

Returned rows are few beside those of the file: nested values are turned one by one.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from import_pipeline.flow.batches.parquetfiles.nested import is_nested
from import_pipeline.flow.batches.parquetfiles.texts import SECONDS_A_UNIT

_HEXADECIMAL = r"^\\x(?:[0-9a-f]{2})*$"
_OUT_OF_RANGE = r"^<value out of range: (?P<count>-?[0-9]+)>$"


def restore(cells: pa.Array, arrow_type: pa.DataType) -> pa.Array:
    """The values that a file had of this type.

    Args:
        cells: text as in a batch, of a column of `ParquetReader`.

    Raises:
        pa.ArrowInvalid: a cell is no text of such a value.
    """
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    if arrow_type == pa.uuid():
        return pa.array([None if v is None else bytes.fromhex(v.replace("-", "")) for v in cells.to_pylist()],
                        arrow_type)  # fmt: skip
    if isinstance(arrow_type, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(arrow_type, restore(cells, arrow_type.storage_type))
    if types.is_dictionary(arrow_type):
        return restore(cells, arrow_type.value_type).dictionary_encode().cast(arrow_type)
    if is_nested(arrow_type):
        values = [None if v is None else json.loads(v, parse_float=Decimal) for v in cells.to_pylist()]
        return pa.array([_value(value, arrow_type) for value in values], arrow_type)
    for is_of, convert in _CONVERSIONS:
        if is_of(arrow_type):
            return convert(cells, arrow_type)
    return pc.cast(cells, arrow_type)


def _bytes(cells: pa.Array, arrow_type: pa.DataType) -> pa.Array:
    """Text as its UTF-8; what stands there in hexadecimal was none."""
    coded = pc.fill_null(pc.match_substring_regex(cells, _HEXADECIMAL), False)
    if not pc.any(coded).as_py():
        return pc.cast(pc.cast(cells, pa.binary()), arrow_type)
    values = [
        None if text is None else bytes.fromhex(text[2:]) if is_coded else text.encode()
        for text, is_coded in zip(cells.to_pylist(), coded.to_pylist(), strict=True)
    ]
    return pa.array(values, arrow_type)


def _timestamps(cells: pa.Array, arrow_type: pa.DataType) -> pa.Array:
    """Times with offsets, or without; beyond the calendar their count stands there."""
    count = pc.struct_field(pc.extract_regex(cells, _OUT_OF_RANGE), "count")
    if not pc.any(pc.is_valid(count)).as_py():
        return _instants(cells, arrow_type)
    wide = pa.int32() if types.is_date32(arrow_type) else pa.int64()
    counted = pc.cast(pc.cast(count, wide), arrow_type)
    return pc.coalesce(counted, _instants(pc.if_else(pc.is_valid(count), None, cells), arrow_type))


def _instants(cells: pa.Array, arrow_type: pa.DataType) -> pa.Array:
    if types.is_timestamp(arrow_type) and arrow_type.tz is not None:
        return pc.cast(pc.cast(cells, pa.timestamp(arrow_type.unit, "UTC")), arrow_type)
    return pc.cast(cells, arrow_type)


def _times(cells: pa.Array, arrow_type: pa.DataType) -> pa.Array:
    moments = pc.binary_join_element_wise("1970-01-01", cells, " ")
    return pc.cast(pc.cast(moments, pa.timestamp(arrow_type.unit)), arrow_type)


def _nothing(cells: pa.Array, arrow_type: pa.DataType) -> pa.Array:
    return pa.nulls(len(cells))


def _durations(cells: pa.Array, arrow_type: pa.DataType) -> pa.Array:
    unit = Decimal(1).scaleb(SECONDS_A_UNIT[arrow_type.unit])
    counts = [None if text is None else int(Decimal(text) * unit) for text in cells.to_pylist()]
    return pc.cast(pa.array(counts, pa.int64()), arrow_type)


def _decimals(cells: pa.Array, arrow_type: pa.DataType) -> pa.Array:
    """Exact, with the zeros that the type's scale adds."""
    return pa.array([None if text is None else Decimal(text) for text in cells.to_pylist()], arrow_type)


def _halves(cells: pa.Array, arrow_type: pa.DataType) -> pa.Array:
    return pa.array(pc.cast(cells, pa.float32()).to_numpy(zero_copy_only=False).astype(np.float16),
                    mask=pc.is_null(cells).to_numpy(zero_copy_only=False))  # fmt: skip


def _is_binary(arrow_type: pa.DataType) -> bool:
    return (
        types.is_binary(arrow_type)
        or types.is_large_binary(arrow_type)
        or types.is_fixed_size_binary(arrow_type)
        or types.is_binary_view(arrow_type)
    )


def _is_text(arrow_type: pa.DataType) -> bool:
    return (
        types.is_string(arrow_type) or types.is_large_string(arrow_type) or types.is_string_view(arrow_type)
    )


def _texts(cells: pa.Array, arrow_type: pa.DataType) -> pa.Array:
    """Text as it is; broken text was shown in hexadecimal and stays so: it is no text to come back to."""
    return pc.cast(cells, arrow_type)


_CONVERSIONS: Final[tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], Any]], ...]] = (
    (_is_text, _texts),
    (_is_binary, _bytes),
    (types.is_timestamp, _timestamps),
    (types.is_date, _timestamps),
    (types.is_time, _times),
    (types.is_duration, _durations),
    (types.is_decimal, _decimals),
    (types.is_float16, _halves),
    (types.is_null, _nothing),
)


def _value(value: Any, arrow_type: pa.DataType) -> Any:
    """A JSON value as the Python value of a type."""
    if value is None:
        return None
    if types.is_struct(arrow_type):
        return {field.name: _value(value.get(field.name), field.type) for field in arrow_type}
    if types.is_map(arrow_type):
        return [
            (_value(key, arrow_type.key_type), _value(inner, arrow_type.item_type))
            for key, inner in value.items()
        ]
    if types.is_nested(arrow_type):
        return [_value(inner, arrow_type.value_type) for inner in value]
    text = json.dumps(value) if isinstance(value, bool) else str(value)
    return restore(pa.array([text], pa.string()), arrow_type)[0].as_py()
