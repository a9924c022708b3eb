"""Rejected rows as JSON: an array of objects, or one object a line, as the sender's file was.

A number keeps its digits, true, null, objects and arrays stay what they were; text is text.
"""

import json
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.batches.columns.headers import OUR_COLUMNS, OUR_TEXT
from import_pipeline.flow.batches.kinds import BOOLEAN, IMPRECISE, JSON, NUMBER
from import_pipeline.flow.reports.csv_lines import text_of
from import_pipeline.flow.reports.returned.shape import ReturnedRows, in_parts, own_header, returned_rows
from import_pipeline.records import OpenedUpload

# What JSON writes without quotes, and which is text all the same if it does not look so.
_BARE = pa.array([NUMBER, BOOLEAN, JSON, IMPRECISE], pa.int8())
_NUMERIC = pa.array([NUMBER, IMPRECISE], pa.int8())
NUMBER_PATTERN = r"\A-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\z"
_CONTROL = r"[\x00-\x1f]"


class JsonWriter:
    """Writes `rejected.json` or `rejected.jsonl`, in UTF-8."""

    def __init__(self, path: Path, opened: OpenedUpload, dataset: Dataset):
        self._opened = opened
        names = (*own_header(opened), OUR_TEXT, *OUR_COLUMNS)
        self._keys = [json.dumps(name, ensure_ascii=False) + ": " for name in names]
        self._form: Literal["json", "jsonl"] = "json" if opened.file.format == "json" else "jsonl"
        self._file = path.open("wb")
        self._written = False

    def add(self, rejected: pa.Table, errors: pa.Table) -> None:
        """One object a row, its keys in the order of the header; what was null or not there is null.

        A row that was no object has its text under a key of ours, which other rows do not have.
        """
        for rows, told in in_parts(self._opened, rejected, errors):
            self._write(returned_rows(self._opened, rows, told))

    def _write(self, rows: ReturnedRows) -> None:
        values = [_values(cells, rows.kinds.get(at)) for at, cells in enumerate(rows.cells)]
        text = pc.binary_join_element_wise(self._keys[len(values)], quoted(rows.overflow), "")
        number = pc.match_substring_regex(rows.rows, NUMBER_PATTERN)
        values += [
            pc.if_else(number, rows.rows, quoted(rows.rows)),
            quoted(rows.uploads),
            quoted(rows.errors),
        ]
        keys = [*self._keys[: -len(OUR_COLUMNS) - 1], *self._keys[-len(OUR_COLUMNS) :]]
        pairs = [pc.binary_join_element_wise(*pair, "") for pair in zip(keys, values, strict=True)]
        pairs.insert(len(keys) - len(OUR_COLUMNS), text)
        inside = pc.binary_join_element_wise(*pairs, ", ", null_handling="skip")
        objects = pc.binary_join_element_wise("{", inside, "}", "")
        if self._form == "jsonl":
            self._file.write(text_of(pc.binary_join_element_wise(objects, "\n", "")))
            return
        opening = b",\n" if self._written else b"[\n"
        joined = text_of(pc.binary_join_element_wise(",\n", objects, ""))
        self._file.write(opening + joined.removeprefix(b",\n"))
        self._written = True

    def close(self) -> None:
        """Complete the file."""
        if self._form == "json":
            self._file.write(b"\n]\n" if self._written else b"[]\n")
        self._file.close()


def quoted(cells: Any) -> Any:
    """Text as JSON strings; null stays null."""
    escaped = pc.replace_substring(pc.replace_substring(cells, "\\", "\\\\"), '"', '\\"')
    if pc.any(pc.match_substring_regex(escaped, _CONTROL)).as_py():
        for code in range(0x20):
            escaped = pc.replace_substring(escaped, chr(code), json.dumps(chr(code))[1:-1])
    return pc.binary_join_element_wise('"', escaped, '"', "")


def _values(cells: Any, kinds: Any) -> Any:
    """Cells as JSON values."""
    values = quoted(cells)
    if kinds is not None:
        bare = pc.is_in(kinds, value_set=_BARE)
        strange = pc.and_not(
            pc.is_in(kinds, value_set=_NUMERIC), pc.match_substring_regex(cells, NUMBER_PATTERN)
        )
        values = pc.if_else(pc.and_not(bare, strange), cells, values)
    return pc.fill_null(values, "null")
