"""JSON that goes back: numbers with their digits, everything else what it was."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from import_pipeline.flow.batches import kinds
from import_pipeline.flow.reports.returned.json_lines import JsonWriter, quoted
from import_pipeline.records import FileFormat
from import_pipeline_tests.flow.reports.importing import PEOPLE, UPLOAD
from import_pipeline_tests.flow.reports.returned.batches import batch, errors, upload


def write(
    path: Path, form: FileFormat, *batches: pa.Table, header: tuple[str, ...] = ("code", "name")
) -> str:
    writer = JsonWriter(path, upload(form, header=header), PEOPLE)
    for rejected in batches:
        writer.add(
            rejected, errors(*((row, "code", "No.") for row in rejected["_row_number"].to_pylist()[:1]))
        )
    writer.close()
    return path.read_text(encoding="utf-8")


TYPED = [("text", 0, "text"), ("007", 0, "007"), ("0.10", kinds.NUMBER, Decimal("0.10")),
         ("12345678901234567890.5", kinds.NUMBER, Decimal("12345678901234567890.5")),
         ("1.2345678901234567e+17", kinds.IMPRECISE, Decimal("1.2345678901234567e+17")),
         ("true", kinds.BOOLEAN, True), ("false", kinds.BOOLEAN, False), (None, 0, None), ("", 0, ""),
         ('{"a":[1,null]}', kinds.JSON, {"a": [1, None]}), ("NaN", kinds.NUMBER, "NaN")]  # fmt: skip


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_each_value_is_what_it_was(tmp_path: Path, form: FileFormat) -> None:
    rows = batch(
        {at: [text, "n"] for at, (text, _, _) in enumerate(TYPED)}, {0: [kind for _, kind, _ in TYPED]}
    )
    text = write(tmp_path / "r", form, rows)
    found: list[dict[str, Any]] = (
        json.loads(text, parse_float=Decimal)
        if form == "json"
        else [json.loads(line, parse_float=Decimal) for line in text.splitlines()]
    )
    assert [(row["code"], type(row["code"])) for row in found] == [
        (value, type(value)) for _, _, value in TYPED
    ]
    assert list(found[0]) == ["code", "name", "_import_row", "_import_upload", "_import_errors"]
    assert [found[1][name] for name in found[1]][2:] == [1, UPLOAD, ""]
    assert found[0]["_import_errors"] == "No."
    assert '"code": 0.10,' in text


def test_an_array_is_whole_over_batches_and_empty_without_rows(tmp_path: Path) -> None:
    rows = [batch({row: [str(row), "n"] for row in range(first, first + 2)}) for first in (1, 3)]
    found = json.loads(write(tmp_path / "r", "json", *rows))
    assert [row["code"] for row in found] == ["1", "2", "3", "4"]
    assert json.loads(write(tmp_path / "e", "json")) == []
    assert write(tmp_path / "l", "jsonl") == ""


def test_keys_are_text_of_any_kind(tmp_path: Path) -> None:
    header = ('a"b', "c\nd é")
    assert list(json.loads(write(tmp_path / "r", "json", batch({1: ["1", "2"]}), header=header))[0])[:2] == [
        *header
    ]


@settings(max_examples=40)
@given(st.lists(st.none() | st.text(), max_size=5))
def test_any_text_is_the_same_text_again(texts: list[str | None]) -> None:
    written = quoted(pa.array(texts, pa.string())).to_pylist()
    assert [None if text is None else json.loads(text) for text in written] == texts
