"""The workbook that goes back: the sender's sheets and values, what is wrong shown where it is."""

import datetime
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
import python_calamine

from import_pipeline.flow.batches import kinds
from import_pipeline.flow.reports.returned import shape, workbook
from import_pipeline.flow.reports.returned.sheet_cells import DoesNotFit
from import_pipeline.flow.reports.returned.workbook import WorkbookWriter
from import_pipeline.records import OpenedUpload, Sheet
from import_pipeline_tests.flow.reports.importing import PEOPLE, UPLOAD
from import_pipeline_tests.flow.reports.returned.batches import batch, errors, upload

SECOND = 10_000_000
NONE = errors()
FAULTY = "FFFFC7CE"


def write(path: Path, *batches: tuple[pa.Table, pa.Table], opened: OpenedUpload | None = None) -> Any:
    writer = WorkbookWriter(path, opened or upload(), PEOPLE)
    for rejected, found in batches:
        writer.add(rejected, found)
    writer.close()
    return openpyxl.load_workbook(path)


def values(sheet: Any) -> list[list[Any]]:
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


def test_rows_go_back_into_the_sheets_and_columns_they_came_from(tmp_path: Path) -> None:
    sheets = (Sheet("Plan1", 1, (0, 1, -1, 2)), Sheet("Empty", 1, (0,)), Sheet("Plan2", 3, (3, 1, 0)))
    rows = batch({2: ["a", "b", "c", "d"], 2 * SECOND + 17: ["e", "f", "g", "h"]})
    book = write(tmp_path / "r.xlsx", (rows, NONE), opened=upload(sheets=sheets))
    assert book.sheetnames == ["Plan1", "Plan2"]
    assert values(book["Plan1"]) == [
        ["code", "name", "phone", "_import_row", "_import_upload", "_import_errors"],
        ["a", "b", "c", 2, UPLOAD, None],
    ]
    assert values(book["Plan2"]) == [
        ["city", "name", "code", "_import_row", "_import_upload", "_import_errors"],
        ["h", "f", "e", "Plan2!17", UPLOAD, None],
    ]


def test_values_keep_their_types_and_a_person_sees_them_as_before(tmp_path: Path) -> None:
    written = [("00123", 0), ("-1234.5", kinds.NUMBER), ("123456789012345", kinds.NUMBER),
               ("2026-02-28", kinds.DATE), ("2026-02-28 14:30:15", kinds.TIMESTAMP),
               ("14:30:00", kinds.TIME), ("36:00:00", kinds.TIME), ("true", kinds.BOOLEAN),
               ("15.5%", kinds.PERCENT), ("#N/A", kinds.ERROR_VALUE), ("0.1", kinds.NUMBER)]  # fmt: skip
    rows = batch({at + 2: [text] for at, (text, _) in enumerate(written)}, {0: [kind for _, kind in written]})
    sheet = write(tmp_path / "r.xlsx", (rows, NONE), opened=upload(header=("code",))).worksheets[0]
    cells = [row[0] for row in sheet.iter_rows(min_row=2)]
    assert [cell.value for cell in cells] == [
        "00123", -1234.5, 123456789012345, datetime.datetime(2026, 2, 28),
        datetime.datetime(2026, 2, 28, 14, 30, 15), datetime.time(14, 30), datetime.timedelta(hours=36),
        True, 0.155, "#N/A", 0.1,
    ]  # fmt: skip
    assert [cell.data_type for cell in cells] == ["s", "n", "n", "d", "d", "d", "d", "b", "n", "e", "n"]
    assert [cell.number_format for cell in cells[:9]] == [
        "@", "General", "General", "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss", "hh:mm:ss", "[h]:mm:ss", "General",
        "0.00%",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kind"),
    [("1899-12-31", kinds.DATE), ("1900-02-28", kinds.DATE), ("2026-02-30", kinds.DATE),
     ("2026-02-28 14:30:00-03:00", kinds.TIMESTAMP), ("soon", kinds.NUMBER), ("2026-13-01", kinds.DATE)],
)  # fmt: skip
def test_what_a_sheet_cannot_hold_as_its_kind_goes_back_as_text(tmp_path: Path, text: str, kind: int) -> None:
    rows = batch({2: [text]}, {0: [kind]})
    sheet = write(tmp_path / "r.xlsx", (rows, NONE), opened=upload(header=("code",))).worksheets[0]
    assert (sheet["A2"].value, sheet["A2"].data_type) == (text, "s")


@pytest.mark.parametrize("text", ["=1+1", "=cmd|' /C calc'!A0", "@SUM(A1)", "+1", "-1", "\t=1", "http://x.y"])
def test_no_text_is_a_formula_a_link_or_a_command(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.xlsx"
    sheet = write(path, (batch({2: [text]}), NONE), opened=upload(header=("code",))).worksheets[0]
    assert (sheet["A2"].data_type, sheet["A2"].value.lstrip("'")) == ("s", text)
    with zipfile.ZipFile(path) as package:
        xml = package.read("xl/worksheets/sheet1.xml")
    assert b"<f" not in xml
    assert b"hyperlink" not in xml


def test_a_formula_without_result_goes_back_as_its_text_and_other_text_cannot_look_like_it(
    tmp_path: Path,
) -> None:
    rows = batch({2: ["=A1+B1"], 3: ["=A1+B1"]}, {0: [kinds.NO_RESULT, kinds.TEXT]})
    sheet = write(tmp_path / "r.xlsx", (rows, NONE), opened=upload(header=("code",))).worksheets[0]
    assert [sheet["A2"].value, sheet["A3"].value] == ["=A1+B1", "'=A1+B1"]
    assert [sheet["A2"].data_type, sheet["A3"].data_type] == ["s", "s"]


def test_faulty_cells_are_highlighted_and_say_why(tmp_path: Path) -> None:
    rows = batch({2: ["1", "", "p", "c"], 5: ["x", "n", "p", "c"], 6: ["y", "n", "p", "c"]})
    found = errors((2, "name", "Empty."), (5, "code", "First."), (5, "code", "Second."), (6, "", "Broken."))
    sheet = write(tmp_path / "r.xlsx", (rows, found)).worksheets[0]
    cells = {cell.coordinate: cell for row in sheet.iter_rows(min_row=2) for cell in row}
    colored = {at for at, cell in cells.items() if cell.fill.fill_type and cell.fill.fgColor.rgb == FAULTY}
    assert colored == {"B2", "A3", "G4"}
    comments = {at: cell.comment.text for at, cell in cells.items() if cell.comment}
    assert comments == {"B2": "Empty. Mend name.", "A3": "First. Mend code.\nSecond. Mend code."}
    assert cells["G3"].value == "First. | Second."


def test_the_first_comments_of_the_file_are_kept_and_every_faulty_cell_is_highlighted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "MOST_COMMENTS", 3)
    monkeypatch.setattr(shape, "CELLS_AT_ONCE", 8)
    rows = [batch({row: ["x"] for row in range(first, first + 4)}) for first in (2, 6)]
    found = [errors(*((row, "code", "No.") for row in range(first, first + 4))) for first in (2, 6)]
    sheet = write(
        tmp_path / "r.xlsx", *zip(rows, found, strict=True), opened=upload(header=("code",))
    ).worksheets[0]
    cells = [row[0] for row in sheet.iter_rows(min_row=2)]
    assert [bool(cell.comment) for cell in cells] == [True] * 3 + [False] * 5
    assert all(cell.fill.fgColor.rgb == FAULTY for cell in cells)


def test_the_header_stays_in_sight_and_filters(tmp_path: Path) -> None:
    sheet = write(tmp_path / "r.xlsx", (batch({2: ["1", "n" * 30, "p", "c"]}), NONE)).worksheets[0]
    assert (sheet.freeze_panes, sheet.auto_filter.ref, sheet.dimensions) == ("A2", "A1:G2", "A1:G2")
    assert all(cell.font.bold for cell in sheet[1])
    assert 30 < sheet.column_dimensions["B"].width < 40
    assert sheet.column_dimensions["A"].width >= 10


@pytest.mark.parametrize(
    "text",
    [
        "a\rb",
        "\r\n",
        "\x00\x01\x1f",
        "_x0041_",
        "_x0041_x0042_",
        "_x0041\x01",
        " lead",
        "<&>\"'",
        "é😀",
        "]]>",
    ],
)
def test_characters_that_xml_does_not_hold_are_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.xlsx"
    write(path, (batch({2: [text]}), NONE), opened=upload(header=("code",)))
    assert read_back(path) == text


def read_back(path: Path) -> str:

    return python_calamine.CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()[1][0]


@pytest.mark.parametrize("text", ["x" * 32_768, "😀" * 16_384, "a\ufffeb", "a\uffffb"])
def test_text_that_no_cell_holds_is_not_cut(tmp_path: Path, text: str) -> None:
    with pytest.raises(DoesNotFit):
        write(tmp_path / "r.xlsx", (batch({2: [text]}), NONE), opened=upload(header=("code",)))


def test_the_longest_text_that_a_cell_holds_is_whole(tmp_path: Path) -> None:
    text = "é" * 32_767
    book = write(tmp_path / "r.xlsx", (batch({2: [text]}), NONE), opened=upload(header=("code",)))
    assert book.worksheets[0]["A2"].value == text


def test_more_messages_than_a_cell_holds_are_cut_visibly(tmp_path: Path) -> None:
    found = errors(*((2, "code", "x" * 1000) for _ in range(40)))
    sheet = write(
        tmp_path / "r.xlsx", (batch({2: ["1"]}), found), opened=upload(header=("code",))
    ).worksheets[0]
    assert sheet["D2"].value.endswith("… (errors.csv)")
    assert 10_000 < len(sheet["D2"].value) < 32_767


def test_more_columns_than_a_sheet_has_do_not_fit(tmp_path: Path) -> None:
    header = tuple(f"h{at}" for at in range(16_382))
    with pytest.raises(DoesNotFit):
        write(tmp_path / "r.xlsx", (batch({2: ["x"] * len(header)}), NONE), opened=upload(header=header))


def test_a_full_sheet_goes_on_in_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MOST_ROWS", 3)
    rows = batch({row: [str(row)] for row in range(2, 7)})
    book = write(
        tmp_path / "r.xlsx", (rows, NONE), opened=upload(header=("code",), sheets=[Sheet("P", 1, (0,))])
    )
    assert [[row[0] for row in values(sheet)[1:]] for sheet in book] == [["2", "3"], ["4", "5"], ["6"]]
    assert book.sheetnames == ["P", "P (2)", "P (3)"]


@pytest.mark.parametrize(
    ("names", "given"),
    [(["a/b", "a:b"], ["a_b", "a_b (2)"]), (["x" * 40, "X" * 40], ["x" * 31, "X" * 23 + " (2)"]),
     (["'q'", "History"], ["q", "History_"]), (["", "?"], ["rejected", "_"])],
)  # fmt: skip
def test_names_that_excel_does_not_take_are_changed(
    tmp_path: Path, names: list[str], given: list[str]
) -> None:
    sheets = [Sheet(name, 1, (0,)) for name in names]
    rows = batch({2: ["1"], SECOND + 2: ["2"]})
    book = write(tmp_path / "r.xlsx", (rows, NONE), opened=upload(header=("code",), sheets=sheets))
    assert book.sheetnames == given
    assert book.worksheets[1]["B2"].value == f"{names[1]}!2"


def test_cells_too_many_stand_after_ours(tmp_path: Path) -> None:
    rows = batch({2: ["1"], 3: ["2"]}, overflow=[None, "too much"])
    sheet = write(tmp_path / "r.xlsx", (rows, NONE), opened=upload(header=("code",))).worksheets[0]
    assert [row[4] for row in values(sheet)] == [None, None, "too much"]


def test_a_correction_keeps_naming_the_first_upload(tmp_path: Path) -> None:
    header = ("code", "_import_row", "_import_upload", "_import_errors")
    rows = batch({2: ["x", "Plan2!9", "acme/first.xlsx@aaaaaaaaaaaa", "old"], 3: ["y", "", None, ""]})
    sheet = write(tmp_path / "r.xlsx", (rows, errors((2, "code", "New."))),
                  opened=upload(header=header, ours=True)).worksheets[0]  # fmt: skip
    assert values(sheet) == [
        list(header),
        ["x", "Plan2!9", "acme/first.xlsx@aaaaaaaaaaaa", "New."],
        ["y", 3, UPLOAD, None],
    ]


def test_a_workbook_without_rows_is_no_file(tmp_path: Path) -> None:
    writer = WorkbookWriter(tmp_path / "r.xlsx", upload(), PEOPLE)
    writer.close()
    assert list(tmp_path.iterdir()) == []
