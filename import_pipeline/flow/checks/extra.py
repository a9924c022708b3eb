"""Unknown columns kept as one JSON object a row: header to text, non-empty cells only.

Whether unknown columns are kept, ignored or refused is the dataset's policy, looked at elsewhere.
"""

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.flow.checks.parsers import cell_faults
from import_pipeline.flow.checks.parsing import Fault, FaultCollector, whole
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
        piece = pc.binary_join_element_wise(f'{key}:"', _escaped(parsed.values), '",', "")
        pieces.append(pc.fill_null(piece, ""))
    if not pieces:
        return pa.nulls(table.num_rows, pa.string()), faults
    # Not with null_handling="skip": it leaves rows out whose pieces are all null (pyarrow 26).
    joined = pc.binary_join_element_wise(*pieces, "")
    last_comma_off = pc.utf8_slice_codeunits(joined, 0, -1)
    inner = pc.if_else(pc.equal(joined, ""), pa.scalar(None, pa.string()), last_comma_off)
    return pc.binary_join_element_wise("{", inner, "}", ""), faults


def _escaped(text: pa.Array) -> pa.Array:
    for character, written in _ESCAPES:
        text = pc.replace_substring(text, character, written)
    data = text.buffers()[2]
    if data is None or not data.size or int(np.frombuffer(data, np.uint8).min()) >= _SPACE:
        return text
    for code in range(1, _SPACE):
        text = pc.replace_substring(text, chr(code), json.dumps(chr(code))[1:-1])
    return text
