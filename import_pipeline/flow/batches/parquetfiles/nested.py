"""Lists, structs and maps as compact JSON, column by column: no value is looked at one by one."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from import_pipeline.flow.batches.kinds import BOOLEAN, NUMBER
from import_pipeline.flow.batches.parquetfiles.texts import decoded, is_text, text_and_kinds

_CONTROLS = r"[\x00-\x1f]"
_BARE = pa.array([NUMBER, BOOLEAN], pa.int8())


def is_nested(arrow_type: pa.DataType) -> bool:
    """Whether values of this type are written as JSON."""
    if types.is_dictionary(arrow_type):
        return is_nested(arrow_type.value_type)
    return bool(types.is_nested(arrow_type))


def json_texts(values: pa.Array) -> pa.Array:
    """Each value as JSON; null where it is null."""
    if isinstance(values, pa.ExtensionArray) and not is_text(values.type):
        values = values.storage
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if types.is_struct(kind):
        return _structs(values)
    if types.is_map(kind):
        return _maps(values)
    if types.is_nested(kind):
        return _lists(values)
    if is_text(kind):
        return _quoted(decoded(values)[0])
    texts, kinds = text_and_kinds(values)
    return pc.if_else(pc.is_in(kinds, value_set=_BARE), texts, _quoted(texts))


def _structs(values: pa.StructArray) -> pa.Array:
    if not values.type.num_fields:
        return pc.if_else(pc.is_valid(values), "{}", None)
    pairs = [
        pc.binary_join_element_wise(json.dumps(field.name, ensure_ascii=False), _or_null(inner), ":")
        for field, inner in zip(values.type, values.flatten(), strict=True)
    ]
    joined = pc.binary_join_element_wise("{", pc.binary_join_element_wise(*pairs, ","), "}", "")
    return pc.if_else(pc.is_valid(values), joined, None)


def _maps(values: pa.MapArray) -> pa.Array:
    entries = _entries(values)
    keys, items = json_texts(entries.field(0)), _or_null(entries.field(1))
    return _joined(values, pc.binary_join_element_wise(_as_key(keys), items, ":"), "{", "}")


def _lists(values: pa.Array) -> pa.Array:
    return _joined(values, _or_null(values.flatten()), "[", "]")


def _entries(values: pa.MapArray) -> pa.StructArray:
    """Keys and items of all maps that are not null, one after the other."""
    as_list = values.cast(pa.list_(pa.struct([("k", values.type.key_type), ("v", values.type.item_type)])))
    return as_list.flatten()


def _as_key(keys: pa.Array) -> pa.Array:
    """A key of a map as JSON wants it: text."""
    return pc.if_else(pc.starts_with(keys, '"'), keys, pc.binary_join_element_wise('"', keys, '"', ""))


def _joined(values: pa.Array, inner: pa.Array, opening: str, closing: str) -> pa.Array:
    """The texts of what is inside, joined for each value."""
    lengths = _lengths(values)
    offsets = pa.array(np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths))).astype(np.int32))
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, inner), ",")
    return pc.if_else(pc.is_valid(values), pc.binary_join_element_wise(opening, joined, closing, ""), None)


def _lengths(values: pa.Array) -> np.ndarray:
    if types.is_map(values.type):
        values = values.cast(pa.list_(pa.struct([("k", values.type.key_type), ("v", values.type.item_type)])))
    return np.asarray(pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False), np.int64)


def _or_null(values: pa.Array) -> pa.Array:
    return pc.fill_null(json_texts(values), "null")


def _quoted(texts: pa.Array) -> pa.Array:
    """Texts as JSON strings; null stays null."""
    escaped = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), '"', '\\"')
    if pc.any(pc.match_substring_regex(escaped, _CONTROLS)).as_py():
        for code in range(0x20):
            escaped = pc.replace_substring(escaped, chr(code), json.dumps(chr(code))[1:-1])
    return pc.binary_join_element_wise('"', escaped, '"', "")
