"""The texts of rows as Python objects, many at once, and what is wrong with those that are none.

Numbers are decimals with the digits as written. How objects become columns is `cells.py`'s.
"""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from import_pipeline.flow.batches.text.encodings import marked_positions

Fault = Literal["invalid_json", "not_an_object", "repeated_key", "undecodable_text"]
DEEPEST = 200
# Parts the texts of rows where they are parsed together: no text can hold it by chance or on purpose, so
# a row that closes or opens more brackets than its own is noticed.
_PARTING = secrets.token_hex(16)
_BETWEEN = f',"{_PARTING}",'.encode()
# Half of a character beyond U+FFFF, as an escape: JSON allows it, text cannot hold it.
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_HALF = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_MARK_BYTE = b"\xed"


class _RepeatedKey(ValueError):
    """An object names a key twice."""


@dataclass(frozen=True)
class ParsedRows:
    """What came of rows.

    Attributes:
        objects: those that are objects, in order; `at`: their indices among the rows.
        faults: (index, code) of the others.
    """

    objects: list[dict[str, Any]]
    at: list[int]
    faults: list[tuple[int, Fault]]


def parse_rows(texts: Sequence[bytes]) -> ParsedRows:
    """Read rows; one that cannot be read is a fault of its own and of no other row."""
    if not texts:
        return ParsedRows([], [], [])
    together = b"[" + _BETWEEN.join(texts) + b"]"
    if _may_be_read_together(texts, together):
        objects = _parsed_together(together)
        if objects is not None and len(objects) == len(texts):
            return ParsedRows(objects, list(range(len(texts))), [])
    return _parsed_one_by_one(texts)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RepeatedKey
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(
    parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_pairs
)


def _may_be_read_together(texts: Sequence[bytes], together: bytes) -> bool:
    """Whether nothing needs a look at each row: broken text, halves of characters, deep nesting."""
    if _MARK_BYTE in together and len(marked_positions(together)):
        return False
    if b"\\u" in together and _HALF.search(_PAIR.sub("", together.decode("utf-8", "replace"))):
        return False
    return together.count(b"{") + together.count(b"[") <= len(texts) + DEEPEST or not any(
        map(_is_deep, texts)
    )


def _is_deep(text: bytes) -> bool:
    """Whether a row has enough brackets to be nested too deeply."""
    return text.count(b"{") + text.count(b"[") > DEEPEST


def _parsed_together(together: bytes) -> list[dict[str, Any]] | None:
    """The rows' objects; None if any is not valid or no object."""
    try:
        values = _DECODER.decode(together.decode())
    except (ValueError, RecursionError):
        return None
    objects, between = values[0::2], values[1::2]
    if between != [_PARTING] * len(between) or set(map(type, objects)) != {dict}:
        return None
    return list(objects)


def _parsed_one_by_one(texts: Sequence[bytes]) -> ParsedRows:
    """The same for rows of which at least one is wrong: a buffer that has such a row, no other."""
    objects: list[dict[str, Any]] = []
    at: list[int] = []
    faults: list[tuple[int, Fault]] = []
    for index, text in enumerate(texts):
        value = _parsed(text)
        if isinstance(value, dict):
            objects.append(value)
            at.append(index)
        else:
            faults.append((index, value))
    return ParsedRows(objects, at, faults)


def _parsed(text: bytes) -> dict[str, Any] | Fault:
    if _MARK_BYTE in text and len(marked_positions(text)):
        return "undecodable_text"
    try:
        value = _DECODER.decode(text.decode())
        if isinstance(value, dict):
            compact(value).encode()
    except _RepeatedKey:
        return "repeated_key"
    except (ValueError, RecursionError):  # halves of characters are a ValueError of `encode`
        return "invalid_json"
    return value if isinstance(value, dict) else "not_an_object"


def compact(value: Any, depth: int = 0) -> str:
    """A value as JSON without spaces, numbers with the digits as written.

    Raises:
        RecursionError: it is nested more than 200 deep.
    """
    if depth > DEEPEST:
        raise RecursionError
    if isinstance(value, dict):
        parts = [f"{_quoted(key)}:{compact(inner, depth + 1)}" for key, inner in value.items()]
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list):
        return "[" + ",".join([compact(inner, depth + 1) for inner in value]) + "]"
    if isinstance(value, Decimal):
        return str(value)
    return _quoted(value)


_quoted = json.JSONEncoder(ensure_ascii=False).encode
