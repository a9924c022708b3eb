"""Workbooks that are damaged, locked, or made to fill memory or disk: each is refused by name."""

import io
import random
import resource
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from import_pipeline.errors import (
    CorruptFile,
    EncryptedFile,
    PermanentImportError,
    TooLargeForASpreadsheet,
    TruncatedFile,
)
from import_pipeline.flow.batches.spreadsheets import package as packages
from import_pipeline.flow.batches.spreadsheets.calamine import guarded
from import_pipeline_tests.flow.batches.reading_back import inspect, read_back
from import_pipeline_tests.flow.batches.spreadsheets import biff12, books

TABLE = {"Plan1": [["Nome", "Valor"], *[[f"Pessoa {n}", n] for n in range(300)]]}
FAR = b'<row r="1">%s</row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'


@pytest.fixture(autouse=True)
def memory_stays_small():
    """What a bomb expands to is far beyond this; the suite's own peak is below."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 600 * 1024  # kilobytes


def directory_with(data: bytes, name: str, **changes: int) -> bytes:
    """A zip whose list of contents says something else about one file."""
    at = data.find(b"PK\x01\x02")
    while data[at + 46 : at + 46 + len(name)] != name.encode():
        at = data.find(b"PK\x01\x02", at + 1)
    places = {"flags": (8, "<H"), "method": (10, "<H"), "crc": (16, "<I"), "size": (24, "<I")}
    edited = bytearray(data)
    for key, value in changes.items():
        offset, kind = places[key]
        struct.pack_into(kind, edited, at + offset, value)
    return bytes(edited)


def test_cells_at_both_ends_of_a_sheet_are_too_many_between_them():
    """calamine holds a sheet as a full rectangle: these two cells would take 500 GB."""
    with pytest.raises(TooLargeForASpreadsheet) as refusal:
        inspect(books.with_sheet(FAR % books.text_cell("A1", "Nome")))
    assert refusal.value.fields["limit"] == 50_000_000
    assert "CSV" in refusal.value.remedy


@pytest.mark.parametrize(
    "cell",
    [
        b"<c r='XFD1048576'><v>1</v></c>",
        b'<c s="1" r="XFD1048576"><v>1</v></c>',
        b'<c  r="XFD1048576"><v>1</v></c>',
        b'<c\nr="xfd1048576"><v>1</v></c>',
        b'<c r = "XFD1048576" ><v>1</v></c>',
        b'<c r="XFD1048576" t="n"><v>1</v></c>',
        b'<c r="XFD1048576" x="/>"><v>1</v></c>',
    ],
)
def test_no_way_of_writing_a_cell_hides_how_far_a_sheet_reaches(cell):
    rows = b'<row r="1">%s</row><row r="2">%s</row>' % (books.text_cell("A1", "Nome"), cell)
    with pytest.raises(TooLargeForASpreadsheet):
        inspect(books.with_sheet(rows))


@pytest.mark.parametrize(
    "hiding",
    [
        b"<!-- </sheetData> -->",
        b"<?x </sheetData> ?>",
        b"<![CDATA[</sheetData>]]>",
        b'<x y="</sheetData>"/>',
        b"""<x y=">" z="<c r='"/>""",
    ],
)
def test_nothing_hides_cells_behind_what_looks_like_their_end(hiding):
    far = b"<row r='2'><c r='XFD1048576'><v>1</v></c></row>"
    rows = b'<row r="1">%s</row>' % books.text_cell("A1", "Nome") + hiding + far
    with pytest.raises((CorruptFile, TooLargeForASpreadsheet)):
        inspect(books.with_sheet(rows))


def test_cells_of_a_second_name_space_are_refused():
    rows = b"<row r='1'>%s<y:c xmlns:y='x' r='XFD1048576'><y:v>1</y:v></y:c></row>"
    with pytest.raises(CorruptFile):
        inspect(books.with_sheet(rows % books.text_cell("A1", "Nome")))


def test_a_row_below_the_last_one_is_refused():
    rows = b'<row r="1">%s</row><row r="4000000000"><c><v>1</v></c></row>'
    with pytest.raises(CorruptFile):
        inspect(books.with_sheet(rows % books.text_cell("A1", "Nome")))


def test_a_binary_sheet_is_measured_too():
    wide = biff12.xlsb({"Plan1": [["Nome"], [*[None] * 16_383, 1]]})
    assert read_back(wide).problems == [(2, "too_many_cells")]
    with pytest.raises(TooLargeForASpreadsheet):
        inspect(biff12.xlsb({"Plan1": [["Nome"], *[[]] * 10_000, [*[None] * 16_383, 1]]}))


def test_an_old_workbook_is_measured_over_all_its_sheets():
    one = [["Nome"], *[[]] * 65_000, [*[None] * 255, 1]]
    with pytest.raises(TooLargeForASpreadsheet):
        inspect(books.xls({f"Plan{n}": one for n in range(4)}))


def test_repeated_cells_of_an_open_document_are_counted_before_they_are_repeated():

    cell = (
        b'<table:table-cell office:value-type="float" office:value="1" table:number-columns-repeated="%d"/>'
    )
    for rows, columns in ((1_000_000, 100), (1, 4_000_000_000), (1_048_577, 1)):
        row = b'<table:table-row table:number-rows-repeated="%d">' % rows + cell % columns
        with pytest.raises((TooLargeForASpreadsheet, CorruptFile)):
            inspect(books.open_document(row + b"</table:table-row>"))


def test_a_part_that_is_larger_than_the_list_of_contents_says_is_refused():
    """zipfile stops at the stated size; calamine would go on to the end of the packed data."""
    rows = books.HEADER_ROW + b"".join(
        b'<row r="%d"><c r="A%d"><v>1</v></c></row>' % (n, n) for n in range(2, 900)
    )
    whole = books.with_sheet(rows)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        content = archive.read(books.SHEET_1)
    for size in (len(content) // 2, len(content) + 100):
        lying = directory_with(whole, books.SHEET_1, size=size, crc=zlib.crc32(content[:size]))
        with pytest.raises(CorruptFile):
            read_back(lying)


def test_a_part_that_shrank_over_a_hundred_times_is_refused_before_it_is_unpacked():
    bomb = books.with_parts(books.xlsx(TABLE), {"xl/sharedStrings.xml": b" " * (101 * 1024**2)})
    with pytest.raises(TooLargeForASpreadsheet, match="times its size"):
        inspect(bomb)


def test_two_gigabytes_unpacked_are_refused_by_the_list_of_contents_alone():
    data = directory_with(books.xlsx(TABLE), "xl/theme/theme1.xml", size=2_200_000_000)
    with pytest.raises(TooLargeForASpreadsheet, match="bytes when unpacked"):
        inspect(data)


def test_thousands_of_parts_are_refused(monkeypatch):
    monkeypatch.setattr(packages, "MOST_PARTS", 20)
    data = books.with_parts(books.xlsx(TABLE), {f"xl/media/{n}.png": b"x" for n in range(20)})
    with pytest.raises(TooLargeForASpreadsheet, match="parts"):
        inspect(data)


LAUGHS = b"".join(
    b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10)
)  # fmt: skip
DECLARED = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">' + LAUGHS + b"]>"


@pytest.mark.parametrize(
    "part",
    ["xl/workbook.xml", "xl/styles.xml", "xl/sharedStrings.xml", books.SHEET_1, "xl/_rels/workbook.xml.rels"],
)
def test_entities_are_never_expanded(part):
    book = books.xlsx(TABLE)
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        content = archive.read(part)
    body = content[content.index(b"?>") + 2 :]
    with pytest.raises(CorruptFile, match="entities"):
        read_back(books.with_parts(book, {part: DECLARED + body}))


def test_entities_in_an_open_document_are_never_expanded():
    book = books.ods(TABLE)
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        content = archive.read("content.xml")
    body = content[content.index(b"?>") + 2 :]
    with pytest.raises(CorruptFile, match="entities"):
        inspect(books.with_parts(book, {"content.xml": DECLARED + body}))


def test_a_sheet_in_utf_16_is_refused_and_not_read_as_empty():
    sheet = (books.BEGIN + books.HEADER_ROW + books.END).decode().encode("utf-16")
    with pytest.raises(CorruptFile, match="UTF-8"):
        inspect(books.with_parts(books.xlsx(TABLE), {books.SHEET_1: sheet}))


@pytest.mark.parametrize("name", ["xlsx", "xlsb", "ods"])
def test_a_locked_part_is_told(name):
    book = books.WRITERS[name](TABLE)
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        part = next(n for n in archive.namelist() if n.endswith(("sheet1.xml", "sheet1.bin", "content.xml")))
    with pytest.raises(EncryptedFile):
        inspect(directory_with(book, part, flags=1))


def test_an_old_workbook_with_a_password_is_told():
    book = books.xls(TABLE)
    begin = book.index(struct.pack("<HH", 0x0809, 16))
    # WRITEACCESS is the record after the beginning of the workbook in what xlwt writes.
    at = book.index(struct.pack("<H", 0x005C), begin)
    locked = book[:at] + struct.pack("<H", 0x002F) + book[at + 2 :]
    with pytest.raises(EncryptedFile):
        inspect(locked)


@pytest.mark.parametrize("name", books.WRITERS)
def test_a_workbook_cut_short_is_refused(name):
    book = books.WRITERS[name](TABLE)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(CorruptFile) as refusal:
            read_back(book[: int(len(book) * share)])
        assert refusal.value.remedy


def test_a_zip_without_its_end_is_called_cut_short(tmp_path):
    path = tmp_path / "a.xlsx"
    path.write_bytes(books.xlsx(TABLE)[:-200])
    with pytest.raises(TruncatedFile), packages.opened_package(path, "a.xlsx"):
        pass


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/_rels/workbook.xml.rels", books.SHEET_1])
def test_a_workbook_without_one_of_its_parts_is_refused(part):
    with pytest.raises(PermanentImportError):
        read_back(books.with_parts(books.xlsx(TABLE), {}, without=[part]))


@pytest.mark.parametrize("name", books.WRITERS)
def test_changed_bytes_end_in_rows_or_in_a_refusal_by_name(name):
    """Whatever calamine does with it, panics included."""
    book, chance = books.WRITERS[name](TABLE), random.Random(7)
    refused = 0
    for _ in range(40):
        damaged = bytearray(book)
        for _ in range(chance.randint(1, 20)):
            damaged[chance.randrange(len(book))] = chance.randrange(256)
        try:
            read_back(bytes(damaged))
        except PermanentImportError as refusal:
            refused += 1
            assert refusal.message and refusal.code != "refused"
    assert refused > 5


class PanicException(BaseException):
    pass


def test_a_panic_inside_calamine_is_a_refusal_and_other_ends_of_the_process_are_not():
    with pytest.raises(CorruptFile), guarded("a.xlsx"):
        raise PanicException("index out of bounds")
    with pytest.raises(KeyboardInterrupt), guarded("a.xlsx"):
        raise KeyboardInterrupt


def test_reading_leaves_no_copy_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    read_back(books.xlsx(TABLE))
    with pytest.raises(PermanentImportError):
        read_back(books.with_sheet(b"<row><c>"))
    assert list(Path(tmp_path).iterdir()) == []
