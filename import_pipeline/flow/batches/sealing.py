"""Rejected rows that must be the same rejects when they come back unedited, though their cells look sound.

A row with too few cells goes back with empty ones, a stray quote goes back written as it should be. So what
was wrong stands as a seal at the end of `_import_errors`, with a checksum of the row's own cells:
`… [stray_quote 5f0c31aa]`, `… [too_few_cells=2 5f0c31aa]` (two cells were not there). Whoever reads a file
of ours takes the seal's word only while the cells are those it was made for: any edit breaks it, and
the row is judged as it stands. Writing the file is `flow/reports/`'s.
"""

import re
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.flow.batches.columns.headers import OUR_COLUMNS

# What cells alone do not show; too many cells do, since they are written beyond our columns.
SEALED_CODES = (
    "too_few_cells", "stray_quote", "unclosed_quote", "undecodable_text",
    "invalid_json", "not_an_object", "repeated_key",
)  # fmt: skip
_SEAL = r" ?\[(?:" + "|".join(SEALED_CODES) + r")(?:=\d+)? [0-9a-f]{8}\]\z"
_PARTS = re.compile(r" ?\[(?P<code>\w+)(?:=(?P<absent>\d+))? (?P<checksum>[0-9a-f]{8})\]\Z")


def seal(messages: Any, problems: Any, cells: Sequence[Any]) -> Any:
    """`_import_errors` with a seal on each row whose fault its cells will not show.

    Args:
        messages: what the column says, Arrow strings without nulls.
        problems: the rows' `_problem`, null for most.
        cells: the sender's own columns, Arrow strings; null where a cell is not there.
    """
    rows = np.flatnonzero(pc.is_in(problems, value_set=pa.array(SEALED_CODES)).to_numpy(zero_copy_only=False))
    if not len(rows):
        return messages
    taken = pa.array(rows)
    seals = [
        _written(code, row)
        for code, row in zip(problems.take(taken).to_pylist(), _rows(cells, taken), strict=True)
    ]
    mask = np.zeros(len(messages), bool)
    mask[rows] = True
    joined = pc.binary_join_element_wise(messages.take(taken), pa.array(seals, pa.string()), " ")
    return pc.replace_with_mask(messages, pa.array(mask), pc.utf8_ltrim_whitespace(joined))


def take_seals(table: pa.Table, columns: int) -> pa.Table:
    """The rows of a file of ours with the problems of those whose seal is whole.

    Args:
        table: columns as in a batch.
        columns: number of cells of the header, our three included.
    """
    own = columns - len(OUR_COLUMNS)
    errors = table[f"c{columns - 1}"].combine_chunks()
    has_seal = pc.fill_null(pc.match_substring_regex(errors, _SEAL), False)
    rows = np.flatnonzero(has_seal.to_numpy(zero_copy_only=False))
    if not len(rows):
        return table
    taken = pa.array(rows)
    cells = [table[f"c{position}"].combine_chunks() for position in range(own)]
    found: dict[int, tuple[str, int]] = {}
    for number, message, row in zip(
        rows.tolist(), errors.take(taken).to_pylist(), _rows(cells, taken), strict=True
    ):
        parts = _PARTS.search(message)
        if parts is not None and parts["checksum"] == _checksum(row):
            found[number] = (parts["code"], int(parts["absent"] or 0))
    return _with_problems(table, found, own) if found else table


def _with_problems(table: pa.Table, found: dict[int, tuple[str, int]], own: int) -> pa.Table:
    """The table with these problems, and without the cells that were not there."""
    sealed = np.zeros(table.num_rows, bool)
    absent = np.zeros(table.num_rows, np.int64)
    for number, (_, cells) in found.items():
        sealed[number], absent[number] = True, cells
    codes = pa.array([found[number][0] for number in np.flatnonzero(sealed).tolist()], pa.string())
    problem = pc.replace_with_mask(table["_problem"].combine_chunks(), pa.array(sealed), codes)
    table = table.set_column(table.schema.get_field_index("_problem"), "_problem", problem)
    for position in range(max(own - int(absent.max()), 0), own):
        column = table[f"c{position}"].combine_chunks()
        kept = pc.if_else(pa.array(absent >= own - position), pa.scalar(None, pa.string()), column)
        table = table.set_column(table.schema.get_field_index(f"c{position}"), f"c{position}", kept)
    return table


def _written(code: str, row: Sequence[str | None]) -> str:
    absent = sum(cell is None for cell in row)
    return f"[{code}{f'={absent}' if absent else ''} {_checksum(row)}]"


def _checksum(row: Sequence[str | None]) -> str:
    """8 hex; a cell that is not there counts as an empty one, as which it goes back."""
    return f"{zlib.crc32(chr(31).join(cell or '' for cell in row).encode()):08x}"


def _rows(cells: Sequence[Any], taken: pa.Array) -> list[tuple[str | None, ...]]:
    """Some rows as Python's tuples: only rows with a seal, which are few in any file."""
    if not cells:
        return [()] * len(taken)
    return list(zip(*(column.take(taken).to_pylist() for column in cells), strict=True))
