"""Unknown columns kept as one JSON object a row: header to text, non-empty cells only.

Whether unknown columns are kept, ignored or refused is the dataset's policy, looked at elsewhere.
"""

import functools
import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.arrays import text_bytes, whole
from import_pipeline.flow.checks.parsers import cell_faults
from import_pipeline.flow.checks.parsing import Fault, FaultCollector
from import_pipeline.flow.checks.text import add_text_faults, empty_as_null, trimmed

_ESCAPES = (("\\", "\\\\"), ('"', '\\"'))
_SPACE = 0x20


def extra_names(header: Sequence[str], unknown: Sequence[int]) -> tuple[str, ...]:
    """The JSON key of each unknown column, all different: its header; `column 5` if it has none."""
    names: list[str] = []
    for position in unknown:
        base = header[position].replace("\0", "").strip() or f"column {position + 1}"
        name, copy = base, 1
        while name in names:
            copy += 1
            name = f"{base} ({copy})"
        names.append(name)
    return tuple(names)


def build_extra(
    table: pa.Table, header: Sequence[str], unknown: Sequence[int]
) -> tuple[pa.Array, list[tuple[int, Fault]]]:
    """JSON texts (null: nothing to keep) that PostgreSQL's jsonb takes.

    Returns:
        one text a row, and what is wrong with cells as (position in the header, fault).
    """
    pieces: list[pa.Array] = []
    faults: list[tuple[int, Fault]] = []
    for position, name in zip(unknown, extra_names(header, unknown), strict=True):
        text = trimmed(whole(table[f"c{position}"]))
        kinds = f"k{position}"
        typed = kinds in table.column_names
        found = cell_faults(whole(table[kinds])) if typed else FaultCollector(len(text))
        add_text_faults(text, found)
        parsed = found.parsed(empty_as_null(text))
        faults += [(position, fault) for fault in parsed.faults]
        key = json.dumps(name, ensure_ascii=False)
        pieces.append(pc.binary_join_element_wise(f'{key}:"', _escaped(parsed.values), '"', ""))
    if not pieces:
        return pa.nulls(table.num_rows, pa.string()), faults
    # Not with null_handling="skip": it leaves rows out whose pieces are all null (pyarrow 26).
    inner = functools.reduce(lambda a, b: pc.coalesce(pc.binary_join_element_wise(a, b, ","), a, b), pieces)
    return pc.binary_join_element_wise("{", inner, "}", ""), faults


def _escaped(text: pa.Array) -> pa.Array:
    used = text_bytes(text)
    for character, written in _ESCAPES:
        if (used == ord(character)).any():
            text = pc.replace_substring(text, character, written)
    if not used.size or int(used.min()) >= _SPACE:
        return text
    for code in range(1, _SPACE):
        text = pc.replace_substring(text, chr(code), json.dumps(chr(code))[1:-1])
    return text
