"""Objects as columns of a batch: a text and a kind for each value.

Strings are text as they are; numbers keep their digits (1.50 stays, 123.0 becomes 123, 1e3 becomes 1000);
what lies nested is compact JSON; null and a missing key are null.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import repeat
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.flow.batches.jsonfiles.objects import compact
from import_pipeline.flow.batches.kinds import BOOLEAN, JSON, NUMBER, TEXT

# Beyond so many digits a number with an exponent stays as written: it is none that anybody means.
_MOST_DIGITS = 400
_KINDS: Final[dict[type, int]] = {
    str: TEXT, type(None): TEXT, Decimal: NUMBER, bool: BOOLEAN, dict: JSON, list: JSON,
}  # fmt: skip
_ONLY_TEXT = {str, type(None)}
_ZERO_FRACTION = r"^(-?[0-9]+)\.0+$"


def keys_of(objects: Sequence[dict[str, Any]]) -> list[str]:
    """All keys, in the order of their first appearance."""
    shapes = dict.fromkeys(map(tuple, objects))
    return list(dict.fromkeys(key for shape in shapes for key in shape))


def columns_of(objects: Sequence[dict[str, Any]], keys: Sequence[str]) -> list[tuple[pa.Array, pa.Array]]:
    """Text and kind of each key's values."""
    # Objects of one shape are turned into columns by the interpreter's own loops; others take one look-up
    # a cell.
    if len(set(map(tuple, objects))) == 1:
        values = dict(zip(objects[0], zip(*map(dict.values, objects), strict=True), strict=True))
        nothing = (None,) * len(objects)
        return [_column(values.get(key, nothing)) for key in keys]
    return [_column(tuple(map(dict.get, objects, repeat(key)))) for key in keys]


def _column(values: Sequence[Any]) -> tuple[pa.Array, pa.Array]:
    types = set(map(type, values))
    if types <= _ONLY_TEXT:
        return pa.array(values, pa.string()), _constant(TEXT, len(values))
    kinds = np.fromiter(map(_KINDS.__getitem__, map(type, values)), np.int8, len(values))
    texts = pa.array(list(map(_text, values)), pa.string())
    return (*_numbers(texts, kinds),) if Decimal in types else (texts, pa.array(kinds))


def _text(value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    if type(value) is Decimal:
        return str(value)
    if type(value) is bool:
        return "true" if value else "false"
    return compact(value)


def _numbers(texts: pa.Array, kinds: np.ndarray) -> tuple[pa.Array, pa.Array]:
    """The canonical form of the numbers: whole ones without fraction, none with an exponent."""
    is_number = pa.array(kinds == NUMBER)
    exponent = pc.fill_null(pc.and_(is_number, pc.match_substring(texts, "E")), False)
    if pc.any(exponent).as_py():
        at = np.flatnonzero(exponent.to_numpy(zero_copy_only=False))
        expanded = [_expanded(Decimal(text)) for text in texts.take(pa.array(at)).to_pylist()]
        texts = pc.replace_with_mask(texts, exponent, pa.array([text for text, _ in expanded], pa.string()))
        kinds[at[[not plain for _, plain in expanded]]] = TEXT
    fraction = pc.fill_null(pc.and_(is_number, pc.match_substring_regex(texts, _ZERO_FRACTION)), False)
    if pc.any(fraction).as_py():
        texts = pc.if_else(fraction, pc.replace_substring_regex(texts, _ZERO_FRACTION, r"\1"), texts)
    return texts, pa.array(kinds)


def _expanded(number: Decimal) -> tuple[str, bool]:
    """A number without exponent, and whether it could be written so."""
    if abs(number.adjusted()) > _MOST_DIGITS or len(number.as_tuple().digits) > _MOST_DIGITS:
        return str(number), False
    return format(number, "f"), True


def _constant(kind: int, length: int) -> pa.Array:
    return pa.array(np.full(length, kind, np.int8))
