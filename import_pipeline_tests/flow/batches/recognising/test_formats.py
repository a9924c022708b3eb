"""The content decides what a file is; its name is only held against it; what is no table is named."""

import bz2
import gzip
import io
import lzma
import random
import sqlite3
import struct
import zipfile
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
import xlwt
import zstandard
from odf.opendocument import OpenDocumentSpreadsheet, OpenDocumentText
from odf.table import Table

from import_pipeline.errors import CorruptFile, EncryptedFile, TruncatedFile, UnsupportedFormat
from import_pipeline.flow.batches.recognising.formats import recognise
from import_pipeline_tests.flow.batches.reading_back import BytesSource, inspect, read_back

CSV = "nome;cidade\nAna;São Paulo\n".encode()
TABLE = pa.table({"nome": ["Ana"], "cidade": ["São Paulo"]})


def written(write) -> bytes:  # type: ignore[no-untyped-def]
    target = io.BytesIO()
    write(target)
    return target.getvalue()


def zipped(*names: str, content: bytes = b"content") -> bytes:
    def write(target: io.BytesIO) -> None:
        with zipfile.ZipFile(target, "w") as archive:
            for name in names:
                archive.writestr(name, content)

    return written(write)


def xlsx() -> bytes:
    book = openpyxl.Workbook()
    book.active.append(["nome", "cidade"])
    return written(book.save)


def xls() -> bytes:
    book = xlwt.Workbook()
    book.add_sheet("a").write(0, 0, "nome")
    return written(book.save)


def ods() -> bytes:
    document = OpenDocumentSpreadsheet()
    document.spreadsheet.addElement(Table(name="a"))
    return written(document.write)


def parquet() -> bytes:
    return written(lambda target: pq.write_table(TABLE, target))


def ole2(*parts: str) -> bytes:
    """A compound file with a directory of these parts, over two sectors of four entries each."""
    entries = b"".join(
        (name.encode("utf-16-le")).ljust(64, b"\0") + struct.pack("<H", 2 * len(name) + 2) + bytes(62)
        for name in ("Root Entry", *parts)
    ).ljust(1024, b"\0")
    header = struct.pack("<8s16s5H6x", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 62, 3, 0xFFFE, 9, 6)
    header += struct.pack("<9I", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    header += struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)
    fat = struct.pack("<128I", 0xFFFFFFFD, 2, 0xFFFFFFFE, *[0xFFFFFFFF] * 125)
    return header + fat + entries


READ = {
    "csv": CSV, "json": b'[{"nome": "Ana"}]', "jsonl": b'{"nome": "Ana"}\n{"nome": "Bia"}\n',
    "parquet": parquet(), "xlsx": xlsx(), "xls": xls(), "ods": ods(),
    "xlsm": zipped("[Content_Types].xml", "xl/workbook.xml", "xl/vbaProject.bin"),
    "xlsb": zipped("[Content_Types].xml", "xl/workbook.bin"),
    "zip": zipped("a.csv", "b.csv"),
}  # fmt: skip


@pytest.mark.parametrize("found", READ)
@pytest.mark.parametrize("name", ["people.csv", "people.xls", "people"])
def test_the_content_decides(found: str, name: str) -> None:
    assert recognise(BytesSource(READ[found], name=name)).format == found


@pytest.mark.parametrize("found", [f for f in READ if f != "zip"])
@pytest.mark.parametrize(
    ("compression", "pack"),
    [("gz", gzip.compress), ("zst", zstandard.compress), ("xz", lzma.compress), ("bz2", bz2.compress)],
)
def test_the_content_of_a_compressed_file_decides(found: str, compression: str, pack) -> None:  # type: ignore[no-untyped-def]
    recognised = recognise(BytesSource(pack(READ[found]), name=f"people.{found}.{compression}"))
    assert (recognised.format, recognised.compression, recognised.notices) == (found, compression, ())


@pytest.mark.parametrize(
    ("found", "name", "said"),
    [
        (
            "csv",
            "people.xls",
            "people.xls is named .xls, but holds delimited text (CSV); it was read as that.",
        ),
        (
            "csv",
            "people.JSON",
            "people.JSON is named .json, but holds delimited text (CSV); it was read as that.",
        ),
        (
            "xlsx",
            "people.csv",
            "people.csv is named .csv, but holds an Excel workbook (xlsx); it was read as that.",
        ),
        ("json", "people.jsonl", "people.jsonl is named .jsonl, but holds JSON; it was read as that."),
        ("csv", "p.csv.gz", "p.csv.gz is named like a compressed file, but is none; it was read as it is."),
    ],
)
def test_a_name_that_says_otherwise_is_noted(found: str, name: str, said: str) -> None:
    (notice,) = recognise(BytesSource(READ[found], name=name)).notices
    assert (notice.code, notice.message) == ("name_mismatch", said)


def test_a_compression_that_the_name_hides_is_noted() -> None:
    (notice,) = recognise(BytesSource(gzip.compress(CSV), name="people.csv")).notices
    assert "compressed with gzip, which its name does not say" in notice.message


@pytest.mark.parametrize(
    ("found", "name"),
    [("csv", "people.txt"), ("csv", "people"), ("csv", "people.2026"), ("jsonl", "people.json"),
     ("xlsm", "people.xlsx"), ("csv", "people.tsv"), ("parquet", "part-0.snappy.parquet")],
)  # fmt: skip
def test_a_name_that_fits_or_promises_nothing_is_not_noted(found: str, name: str) -> None:
    assert recognise(BytesSource(READ[found], name=name)).notices == ()


def test_a_csv_named_xls_is_read_and_its_report_says_so() -> None:
    source = BytesSource(b"nome;cidade\nAna;Rio\n", name="people.xls")
    assert recognise(source).format == "csv"
    got = read_back(source.data, name="people.xls")
    assert got.cells == [["Ana", "Rio"]]
    assert [n.code for n in got.inspected.notices] == ["name_mismatch"]


def sqlite(folder: Path) -> bytes:
    with sqlite3.connect(folder / "a.db") as connection:
        connection.execute("CREATE TABLE a (b)")
    return (folder / "a.db").read_bytes()


HTML = b"<html><body><table><tr><td>nome</td></tr></table></body></html>"
NOISE = random.Random(1).randbytes(5000)
REFUSED = {
    "a 7-Zip archive": b"7z\xbc\xaf\x27\x1c\x00\x04" + NOISE,
    "a RAR archive": b"Rar!\x1a\x07\x01\x00" + NOISE,
    "a tar archive": b"people.csv".ljust(257, b"\0") + b"ustar\x0000" + bytes(248) + CSV,
    "an Arrow or Feather file": written(lambda t: pa.feather.write_feather(TABLE, t)),
    "an ORC file": written(lambda t: pa.orc.write_table(pa.table({"n": range(5000)}), t)),
    "an Avro file": b"Obj\x01\x04\x14avro.codec\x08null" + NOISE,
    "an SQLite database": b"SQLite format 3\0" + bytes(84),
    "an Access database": b"\0\1\0\0Standard ACE DB\0" + NOISE,
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "an RTF document": b"{\\rtf1\\ansi Ana}",
    "a PNG image": b"\x89PNG\r\n\x1a\n" + NOISE,
    "a JPEG image": b"\xff\xd8\xff\xe0\0\x10JFIF" + NOISE,
    "a TIFF image": b"II*\0" + NOISE,
    "a program": b"\x7fELF\x02\x01\x01" + NOISE,
    "a Word document (.docx)": zipped("[Content_Types].xml", "word/document.xml"),
    "a presentation (.pptx)": zipped("[Content_Types].xml", "ppt/presentation.xml"),
    "an Apple Numbers or Pages document": zipped("Index/Document.iwa", "preview.jpg"),
    "an OpenDocument file that is no spreadsheet": written(OpenDocumentText().write),
    "a Word document (.doc)": ole2("1Table", "Data", "Comp", "WordDocument"),
    "an Outlook message (.msg)": ole2("__properties_version1.0"),
    "a web page": HTML,
    "an XML document": b"<?xml version='1.0'?>\n<rows><row/></rows>",
    "an XML spreadsheet of 2003": b'<?xml version="1.0"?><Workbook '
    b'xmlns="urn:schemas-microsoft-com:office:spreadsheet"/>',
    "a file that was compressed twice": gzip.compress(gzip.compress(CSV)),
    "a zip archive that was compressed once more": gzip.compress(READ["zip"]),
    "binary data": NOISE,
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_table_is_refused_by_what_it_looks_like(what: str) -> None:
    with pytest.raises(UnsupportedFormat) as refused:
        inspect(REFUSED[what])
    assert refused.value.fields["looks_like"] == what
    assert refused.value.remedy


@pytest.mark.parametrize("inside", ["a tar archive", "a PDF document", "a web page"])
def test_what_is_no_table_is_refused_inside_a_compressed_file_too(inside: str) -> None:
    with pytest.raises(UnsupportedFormat, match=inside):
        inspect(gzip.compress(REFUSED[inside]))


def test_a_web_page_saved_as_xls_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedFormat) as refused:
        recognise(BytesSource(b"\xef\xbb\xbf\n <TABLE><tr><td>nome</td></tr></TABLE>", name="leads.xls"))
    assert refused.value.message == "leads.xls is a web page saved as .xls."
    assert "xlsx" in refused.value.remedy


@pytest.mark.parametrize(
    "data",
    [
        ole2("DataSpaces", "EncryptionInfo", "EncryptedPackage"),
        ole2("a", "b", "c", "d", "EncryptedPackage"),
        b"PARE" + NOISE + b"PARE",
        b"PAR1" + NOISE + b"PARE",
        b"-----BEGIN PGP MESSAGE-----\n\nhQEM",
        b"Salted__" + NOISE,
    ],
)
def test_what_has_a_password_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(EncryptedFile) as refused:
        inspect(data)
    assert refused.value.code == "encrypted_file"


def test_a_spreadsheet_with_a_password_is_refused_by_name() -> None:
    mimetype = b"application/vnd.oasis.opendocument.spreadsheet <manifest:encryption-data/>"
    with pytest.raises(EncryptedFile):
        inspect(zipped("mimetype", "content.xml", "META-INF/manifest.xml", content=mimetype))


@pytest.mark.parametrize("data", [parquet()[:-1], b"PAR1", xls()[:300], ole2("Workbook")[:1024]])
def test_what_is_cut_short_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(TruncatedFile) as refused:
        inspect(data)
    assert refused.value.code == "truncated_file"


@pytest.mark.parametrize("data", [xlsx()[:-100], ods()[:200], READ["zip"][:-30]])
def test_a_zip_that_is_cut_short_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(CorruptFile, match="damaged or cut short"):
        inspect(data)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('[{"a": 1}]', "json"),
        ('\n [\n {"a": 1},\n {"a": 2}\n]\n', "json"),
        ("[]", "json"),
        ("[{}]", "json"),
        ("[1, 2]", "json"),
        ('[{"a": 1}, {"a":', "json"),
        ('{"rows": [{"a": 1}], "total": 1}', "json"),
        ('{\n  "rows": [\n    {"a": 1}\n  ]\n}', "json"),
        ('{"a": 1}', "jsonl"),
        ('{"a": 1}\n', "jsonl"),
        ('{"a": 1, "b": [{"c": 1}]}\n{"a": 2}\n', "jsonl"),
        ('{"a": 1\n{"a": 2}\n{"a": 3}\n', "jsonl"),
        ('\r\n{"a": 1}\r\n\r\n{"a": 2}', "jsonl"),
        ('{"a":1\n{"a":2\n', "jsonl"),
        ('[id];name\n1;Ana\n', "csv"),
        ('[id],name\n1,Ana\n', "csv"),
        ("[1],2\n", "csv"),
        ("{id},name\n1,Ana\n", "csv"),
        ("{id: 1},name\n", "csv"),
        ('{"a":1};name\n{"a":2};Ana\n', "csv"),
        ("name,extra\nAna,\"{\"\"a\"\": 1}\"\n", "csv"),
        ("<name>;city\nAna;Rio\n", "csv"),
        ("ORCAMENTO;VALOR\n1;2\n", "csv"),
        ("MZ\x00".rstrip("\0") + ";a\n", "csv"),
        ("BZh9;a\n", "csv"),
        ("PK;a\n1;2\n", "csv"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_a_text_is_what_it_looks_like(text: str, form: str, encoding: str) -> None:
    assert recognise(BytesSource(text.encode(encoding), name="people")).format == form


def test_a_long_line_of_json_is_what_its_name_says() -> None:
    line = b'{"rows": [' + b'{"a": 1},' * 10_000
    assert recognise(BytesSource(line, name="a.json")).format == "json"
    assert recognise(BytesSource(line, name="a.jsonl")).format == "jsonl"


def test_a_directory_that_goes_round_in_circles_ends() -> None:
    data = bytearray(ole2("a"))
    struct.pack_into("<I", data, 512 + 4, 1)
    with pytest.raises(UnsupportedFormat):
        recognise(BytesSource(bytes(data)))
