"""A reject that comes back unedited is the same reject though its cells look sound; edited, it is judged."""

import csv
import io

import pyarrow as pa
import pytest

from import_pipeline.flow.batches.sealing import seal
from import_pipeline_tests.flow.batches.reading_back import ReadBack, read_back

HEADER = ["nome", "cidade", "obs", "_import_row", "_import_upload", "_import_errors"]
REJECTS = {
    "too_few_cells": ["Ana", None, None],
    "stray_quote": ['"Ana" Maria', "Rio", ""],
    "unclosed_quote": ["Ana", '"Rio', "x\ny"],
    "undecodable_text": ["Ana", "R\ufffdo", "=1"],
}


def sealed(code: str | None, cells: list[str | None], message: str = "Row 7: wrong.") -> str:
    problems = pa.array([None, code], pa.string())
    columns = [pa.array([None, cell], pa.string()) for cell in cells]
    first, second = seal(pa.array(["Row 6: x.", message]), problems, columns).to_pylist()
    assert first == "Row 6: x."
    return second


def sent_back(cells: list[str | None], errors: str) -> ReadBack:
    target = io.StringIO()
    csv.writer(target, delimiter=";").writerows([HEADER, [*cells, "7", "acme/f@0", errors]])
    return read_back(target.getvalue().encode())


@pytest.mark.parametrize("code", REJECTS)
def test_an_unedited_reject_is_the_same_reject_cell_by_cell(code: str) -> None:
    done = sent_back(REJECTS[code], sealed(code, REJECTS[code]))
    assert done.problems == [(2, code)]
    assert done.cells[0][:3] == REJECTS[code]


@pytest.mark.parametrize("code", REJECTS)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_any_edit_of_its_cells_breaks_the_seal(code: str, position: int) -> None:
    edited = [cell or "" for cell in REJECTS[code]]
    edited[position] += "!"
    done = sent_back(edited, sealed(code, REJECTS[code]))
    assert (done.problems, done.cells[0][:3]) == ([], edited)


def test_only_what_cells_do_not_show_is_sealed() -> None:
    assert sealed(None, ["Ana", "x", "y"]) == "Row 7: wrong."
    assert sealed("too_many_cells", ["Ana", "x", "y"]) == "Row 7: wrong."
    assert (
        sealed("stray_quote", ["a", "b", "c"], "")
        == sealed("stray_quote", ["a", "b", "c"])[len("Row 7: wrong. ") :]
    )


def test_a_seal_in_a_file_that_is_not_ours_is_text() -> None:
    text = sealed("stray_quote", ["Ana", "x", "y"])
    done = read_back(f"nome;cidade;obs\nAna;x;{text}\n".encode())
    assert (done.problems, done.cells) == ([], [["Ana", "x", text]])
