"""What goes back names its rejects in every format, so that the mended file finds exactly those."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from import_pipeline.flow.batches.corrections import FirstUpload, match_corrections
from import_pipeline.row_numbers import row_number
from import_pipeline_tests.flow.reports.importing import STAGING, UPLOAD, Checked, check_file

HEADER = ("Código", "Nome", "Cidade")
ROWS = [("1", "Ana", "Recife"), ("bad", "Zé", "São Paulo"), ("2", "Bia", "x"), ("-5", "Rui", "y")]
SHEETS = {"Plan1": ROWS, "Plan 2!": ROWS[1:2]}


def text(delimiter: str, encoding: str) -> bytes:
    return "\n".join(delimiter.join(row) for row in (HEADER, *ROWS)).encode(encoding)


def objects() -> list[dict[str, str]]:
    return [dict(zip(HEADER, row, strict=True)) for row in ROWS]


def workbook() -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    for name, rows in SHEETS.items():
        sheet = book.create_sheet(name)
        for row in (HEADER, *rows):
            sheet.append(row)
    book.save(file)
    return file.getvalue()


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(objects()), file)
    return file.getvalue()


FORMATS: dict[str, Callable[[], bytes]] = {
    "csv": lambda: text(";", "cp1252"),
    "tsv": lambda: text("\t", "utf-16"),
    "json": lambda: json.dumps(objects()).encode(),
    "jsonl": lambda: "\n".join(json.dumps(row) for row in objects()).encode(),
    "parquet": parquet,
    "xlsx": workbook,
}


def rejected_rows(checked: Checked) -> list[int]:
    tables = [checked.store.get_table(c.rejects_key, ["_row_number"]) for c in checked.checked]
    return sorted(n for table in tables for n in table["_row_number"].to_pylist())


@pytest.mark.parametrize("form", FORMATS)
def test_each_row_that_comes_back_finds_the_reject_it_was(form: str, tmp_path: Path) -> None:
    first = check_file(FORMATS[form](), tmp_path / "first")
    wanted = rejected_rows(first)
    key = first.report().rejected_key
    assert key is not None
    assert key.endswith(f"rejected.{form}")
    back = check_file(first.store.get_bytes(key), tmp_path / "back")

    sheets = tuple(sheet.name for sheet in first.opened.file.sheets)
    known = FirstUpload(UPLOAD, sheets, np.array(wanted, np.int64))
    split = match_corrections(
        back.split,
        back.opened.file,
        file_name="back",
        store=back.store,
        staging=STAGING,
        look_up=lambda ids: [known] if UPLOAD in ids else [],
    )

    keys = back.store.list_keys(split.targets)
    found = [n for key in keys for n in back.store.get_table(key)["row_number"].to_pylist()]
    assert found == wanted
    assert len(wanted) == (3 if form == "xlsx" else 2)
    if form == "xlsx":
        assert wanted[-1] == row_number(1, 2)
    problems = [p for b in split.batches for p in back.store.get_table(b.key)["_problem"].to_pylist()]
    assert problems == [None] * len(wanted)
