"""Arrow columns as lines of CSV, a whole batch at once, safe to open in a spreadsheet.

Which rows and columns a report has is `rows.py`'s; the apostrophes are `formula_guard.py`'s.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.arrays import text_bytes, text_offsets
from import_pipeline.catalog.dataset import Column, Dataset
from import_pipeline.formula_guard import ColumnKind, guard

# Excel takes a file without the mark for one in the local 8-bit encoding.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LINE_END = "\r\n"
CSV_TYPE = "text/csv; charset=utf-8"
PHONE_HEADERS = frozenset({"phone", "telefone"})
IMPORT_COLUMNS = ("_import_row", "_import_upload", "_import_errors")


def csv_lines(columns: Sequence[Any], delimiter: str, beyond: Any = None) -> bytes:
    """The lines of a table, each ending with CR LF; nulls become empty cells.

    Args:
        columns: Arrow string arrays of one length, at least two.
        beyond: what follows the last column in rows where it is not null, quoted already.
    """
    if len(columns[0]) == 0:
        return b""
    cells = [quoted(pc.fill_null(column, ""), delimiter) for column in columns]
    lines = pc.binary_join_element_wise(*cells, delimiter)
    if beyond is not None and beyond.null_count < len(beyond):
        tail = pc.binary_join_element_wise("", beyond, delimiter)
        lines = pc.binary_join_element_wise(lines, pc.fill_null(tail, ""), "")
    ended = pc.binary_join_element_wise(lines, LINE_END, "")
    return text_of(ended)


def csv_line(cells: Sequence[str], delimiter: str) -> bytes:
    """One line, guarded: a header."""
    return csv_lines([guard(pa.array([cell], pa.string())) for cell in cells], delimiter)


def kinds_by_position(mapping: Mapping[str, int], dataset: Dataset) -> dict[int, ColumnKind]:
    """Which positions of a file hold numbers or phones, by their columns' types."""
    kinds = kinds_by_column(dataset)
    return {position: kinds[name] for name, position in mapping.items() if name in kinds}


def kinds_by_column(dataset: Dataset) -> dict[str, ColumnKind]:
    """Which declared columns hold numbers or phones; the others hold text."""
    return {column.name: _kind(column) for column in dataset.columns if _kind(column) != "text"}


def _kind(column: Column) -> ColumnKind:
    if pa.types.is_integer(column.arrow_type) or pa.types.is_decimal(column.arrow_type):
        return "number"
    named_so = pa.types.is_string(column.arrow_type) and not PHONE_HEADERS.isdisjoint(column.headers)
    return "phone" if column.type.parser == "phone" or named_so else "text"


def quoted(cells: Any, delimiter: str) -> Any:
    """Cells between quotes where they need it: delimiter, quote, line break, white space at an end."""
    if not _may_hold(cells, delimiter + '"\r\n'):
        return cells
    needs = pc.match_substring_regex(cells, rf'[{re.escape(delimiter)}"\r\n]|\A\s|\s\z')
    if not pc.any(needs).as_py():
        return cells
    doubled = pc.replace_substring(cells, '"', '""')
    return pc.if_else(needs, pc.binary_join_element_wise('"', doubled, '"', ""), cells)


def _may_hold(cells: Any, characters: str) -> bool:
    """Whether a text without nulls may hold one of these ASCII characters, or white space at an end.

    A look at the bytes, many times faster than a pattern, and most columns have none of them.
    """
    if isinstance(cells, pa.ChunkedArray):
        return any(_may_hold(chunk, characters) for chunk in cells.chunks)
    used, offsets = text_bytes(cells), text_offsets(cells)
    if not used.size:
        return False
    if any((used == byte).any() for byte in characters.encode()):
        return True
    ends = np.concatenate((offsets[:-1], offsets[1:] - 1)) - offsets[0]
    return bool(np.isin(used.take(ends, mode="clip"), list(b"\t\n\f\r ")).any())


def text_of(lines: Any) -> bytes:
    """All strings of an array or chunked array without nulls, one after the other."""
    return b"".join(
        _text_of(chunk) for chunk in (lines.chunks if isinstance(lines, pa.ChunkedArray) else [lines])
    )


def _text_of(array: Any) -> bytes:
    if len(array) == 0:
        return b""
    _, offsets, data = array.buffers()
    bounds = memoryview(offsets).cast("i")
    return bytes(memoryview(data)[bounds[array.offset] : bounds[array.offset + len(array)]])
