"""Zip archives: what is listed, what is refused by name, and members read back exactly."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from import_pipeline.errors import (
    CorruptFile,
    DuplicateMember,
    EmptyFile,
    EncryptedFile,
    ExpandsTooFar,
    FileTooLarge,
    NestedArchive,
    PermanentImportError,
    TooManyMembers,
    UnsupportedCompression,
)
from import_pipeline.flow.batches.archives import listing as archives
from import_pipeline.flow.batches.archives import zip_directory
from import_pipeline.flow.batches.archives.listing import list_members
from import_pipeline.flow.batches.archives.member_source import START_BYTES, MemberSource
from import_pipeline.flow.batches.sources.source import FileSource

LIMIT = 10**9
CENTRAL_MARK, LOCAL_MARK = b"PK\x01\x02", b"PK\x03\x04"
CENTRAL_FLAGS, CENTRAL_CRC, CENTRAL_SIZE, CENTRAL_OFFSET = 8, 16, 24, 42


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def source(folder: Path, data: bytes) -> FileSource:
    path = folder / "leads.zip"
    path.write_bytes(data)
    return FileSource(path)


def names(found: archives.ListedArchive) -> list[str]:
    return [member.name for member in found.members]


def patched(data: bytes, offset: int, value: bytes, mark: bytes = CENTRAL_MARK) -> bytes:
    """The archive with a field of its first record of a kind replaced."""
    at = data.index(mark) + offset
    return data[:at] + value + data[at + len(value) :]


def test_files_are_listed_in_order_and_hidden_ones_are_skipped_and_counted(tmp_path: Path) -> None:
    files = {
        "b.csv": b"bb",
        "x/": b"",
        "x/a.csv": b"a",
        "__MACOSX/._b.csv": b"x",
        ".DS_Store": b"x",
        "x/~$l": b"",
    }

    found = list_members(source(tmp_path, packed(files)), LIMIT)

    assert [(member.name, member.size) for member in found.members] == [("b.csv", 2), ("x/a.csv", 1)]
    assert found.skipped == ("__MACOSX/._b.csv", ".DS_Store", "x/~$l")


def test_a_member_is_read_as_a_stream_and_out_of_order(tmp_path: Path) -> None:
    content = bytes(range(256)) * 2000
    archive = source(tmp_path, packed({"other.csv": b"x", "big.bin": content}))
    member = MemberSource(archive, "big.bin")

    assert (member.name, member.size) == ("leads.zip › big.bin", len(content))
    assert b"".join(member.chunks()) == content
    assert b"".join(member.chunks()) == content, "again and again the same"
    with member.open() as file:
        assert file.read(100) == content[:100]
        file.seek(-50, io.SEEK_END)
        assert file.read() == content[-50:]
        file.seek(START_BYTES - 5)
        assert file.read(10) == content[START_BYTES - 5 : START_BYTES + 5]
        file.seek(0)
        assert file.read() == content


def test_only_the_beginning_of_a_member_is_unpacked_to_see_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = MemberSource(source(tmp_path, packed({"big.csv": bytes(10 * START_BYTES)})), "big.csv")
    monkeypatch.setattr(MemberSource, "chunks", lambda self: pytest.fail("all of it was unpacked"))

    with member.open() as file:
        assert file.read(START_BYTES // 2) == bytes(START_BYTES // 2)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_stored_and_deflated_members_are_read(tmp_path: Path, method: int) -> None:
    archive = source(tmp_path, packed({"a.csv": b"a;b\n1;2\n"}, method))
    assert names(list_members(archive, LIMIT)) == ["a.csv"]
    assert b"".join(MemberSource(archive, "a.csv").chunks()) == b"a;b\n1;2\n"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_method_is_refused_by_its_name(tmp_path: Path, method: int) -> None:
    with pytest.raises(UnsupportedCompression, match=r"leads.zip › a.csv .*(bzip2|LZMA)"):
        list_members(source(tmp_path, packed({"a.csv": b"a"}, method)), LIMIT)


def test_a_password_is_named(tmp_path: Path) -> None:
    data = patched(packed({"a.csv": b"a"}), CENTRAL_FLAGS, b"\x01\x00")
    with pytest.raises(EncryptedFile, match=r"leads\.zip › a\.csv is locked"):
        list_members(source(tmp_path, data), LIMIT)


@pytest.mark.parametrize(
    "inner",
    [
        packed({"a.csv": b"a"}),
        packed({}),
        b"7z\xbc\xaf\x27\x1c" + bytes(30),
        b"Rar!\x1a\x07\x01\x00",
        bytes(257) + b"ustar\x0000",
    ],
)
def test_an_archive_inside_is_refused_whatever_its_name(tmp_path: Path, inner: bytes) -> None:
    with pytest.raises(NestedArchive, match=r"leads.zip › a.csv is a .* archive inside an archive"):
        list_members(source(tmp_path, packed({"a.csv": inner})), LIMIT)


def test_a_workbook_inside_is_no_archive(tmp_path: Path) -> None:
    workbook = packed({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook/>"})
    assert names(list_members(source(tmp_path, packed({"leads.xlsx": workbook})), LIMIT)) == ["leads.xlsx"]


def test_a_thousand_files_are_taken_and_one_more_is_not(tmp_path: Path) -> None:
    files = {f"{number}.csv": b"" for number in range(1000)}
    assert len(list_members(source(tmp_path, packed({**files, ".DS_Store": b""})), LIMIT).members) == 1000
    with pytest.raises(TooManyMembers, match="1,001 files; at most 1,000"):
        list_members(source(tmp_path, packed({**files, "more.csv": b""})), LIMIT)


def test_a_list_of_contents_too_long_to_be_read_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = packed({f"{number}.csv": b"" for number in range(50)})
    monkeypatch.setattr(zip_directory, "DIRECTORY_BYTES", 1000)
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("the list was read"))
    with pytest.raises(TooManyMembers, match="50 files"):
        list_members(source(tmp_path, data), LIMIT)


def test_nothing_to_import_is_said(tmp_path: Path) -> None:
    for files in ({}, {"x/": b"", ".DS_Store": b"x"}):
        with pytest.raises(EmptyFile, match=r"no file to import in leads\.zip"):
            list_members(source(tmp_path, packed(files)), LIMIT)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("a.csv", b"1")
        archive.writestr("a.csv", b"2")
    with pytest.raises(DuplicateMember, match=r"two files named a\.csv"):
        list_members(source(tmp_path, made.getvalue()), LIMIT)


def test_what_expands_beyond_the_datasets_limit_or_beyond_sense_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = source(tmp_path, packed({"a.csv": bytes(2_000_000), "b.csv": bytes(2_000_000)}))
    assert names(list_members(bomb, 4_000_000)) == ["a.csv", "b.csv"]
    with pytest.raises(FileTooLarge, match="4,000,000 bytes together; at most 3,999,999"):
        list_members(bomb, 3_999_999)
    monkeypatch.setattr(archives, "EXPANSION_FREE_BYTES", 1_000_000)
    with pytest.raises(ExpandsTooFar, match="over 200 times"):
        list_members(bomb, LIMIT)


@pytest.mark.parametrize("stored_as", [5, 5_000_000])
def test_a_size_that_lies_never_gives_more_or_fewer_bytes_than_it_says(
    tmp_path: Path, stored_as: int
) -> None:
    data = patched(packed({"a.csv": b"x" * 1000}), CENTRAL_SIZE, struct.pack("<L", stored_as))
    archive = source(tmp_path, data)
    given_out = 0
    with pytest.raises(CorruptFile, match=r"leads\.zip"):
        for chunk in MemberSource(archive, "a.csv").chunks():
            given_out += len(chunk)
    assert given_out <= min(stored_as, 1000)


def test_a_wrong_checksum_is_corrupt(tmp_path: Path) -> None:
    data = patched(packed({"a.csv": b"x" * 1000}), CENTRAL_CRC, struct.pack("<L", zlib.crc32(b"other")))
    archive = source(tmp_path, data)
    with pytest.raises(CorruptFile, match="damaged"):
        b"".join(MemberSource(archive, "a.csv").chunks())
    with pytest.raises(CorruptFile), MemberSource(archive, "a.csv").open() as file:
        file.read()


def test_files_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """Each alone is sound: a thousand such files make gigabytes of one kernel of data."""
    kernel = packed({"b.csv": b"y" * 100})
    local = kernel[: kernel.index(CENTRAL_MARK)]
    outer = packed({"a.csv": local}, zipfile.ZIP_STORED)
    listed, end = outer.index(CENTRAL_MARK, outer.index(local) + len(local)), outer.rindex(b"PK\x05\x06")
    inside = struct.pack("<L", outer.index(local))
    entry = patched(kernel[len(local) : kernel.rindex(b"PK\x05\x06")], CENTRAL_OFFSET, inside)
    counts = struct.pack("<HHLL", 2, 2, end - listed + len(entry), listed)
    data = outer[:end] + entry + outer[end : end + 8] + counts + outer[end + 20 :]
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert (opened.read("a.csv"), opened.read("b.csv")) == (local, b"y" * 100)

    with pytest.raises(CorruptFile):
        list_members(source(tmp_path, data), LIMIT)


def test_a_file_without_a_name_is_corrupt(tmp_path: Path) -> None:
    """`zipfile` cuts a name at its first NUL, and stumbles over one that is empty."""
    data = packed({"a.csv": b"x"}).replace(b"a.csv", b"\0.csv")
    with pytest.raises(CorruptFile):
        list_members(source(tmp_path, data), LIMIT)


def test_an_archive_cut_short_is_corrupt(tmp_path: Path) -> None:
    data = packed({"a.csv": b"x" * 1000})
    for length in (10, 40, len(data) // 2, len(data) - 1):
        with pytest.raises(CorruptFile, match=r"leads\.zip is damaged or cut short"):
            list_members(source(tmp_path, data[:length]), LIMIT)


@pytest.mark.parametrize(
    ("raw", "marked_utf_8", "read_as"),
    [
        ("ação.csv".encode(), True, "ação.csv"),
        ("ação.csv".encode(), False, "ação.csv"),
        ("año.csv".encode("cp437"), False, "año.csv"),
    ],
)
def test_names_are_read_as_utf_8_or_cp437(
    tmp_path: Path, raw: bytes, marked_utf_8: bool, read_as: str
) -> None:
    data = packed({"x" * len(raw): b"content"}).replace(b"x" * len(raw), raw)
    for mark, offset in ((LOCAL_MARK, 6), (CENTRAL_MARK, CENTRAL_FLAGS)):
        data = patched(data, offset, struct.pack("<H", 0x800 if marked_utf_8 else 0), mark)
    archive = source(tmp_path, data)
    assert names(list_members(archive, LIMIT)) == [read_as]
    assert b"".join(MemberSource(archive, read_as).chunks()) == b"content"


def test_a_path_that_leads_elsewhere_is_only_a_name(tmp_path: Path) -> None:
    archive = source(tmp_path, packed({"../../etc/passwd": b"a", "/abs.csv": b"b", "C:\\x.csv": b"c"}))
    found = names(list_members(archive, LIMIT))
    assert found == ["../../etc/passwd", "/abs.csv", "C:\\x.csv"]
    assert [b"".join(MemberSource(archive, name).chunks()) for name in found] == [b"a", b"b", b"c"]
    assert [path.name for path in tmp_path.iterdir()] == ["leads.zip"]


def test_a_name_is_shown_on_one_line_and_not_for_ever(tmp_path: Path) -> None:
    shown = MemberSource(source(tmp_path, b""), "a\nb\x1b[31m" + "x" * 1000 + ".csv").name
    assert shown.isprintable()
    assert len(shown) < 250
    assert shown.endswith("x.csv")


HOSTILE = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40).filter(
    lambda name: not name.endswith("/")
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(HOSTILE, st.binary(max_size=200), min_size=1, max_size=5))
def test_any_names_and_contents_are_listed_and_read_back_exactly(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    archive = source(tmp_path, packed(files))
    try:
        found = list_members(archive, LIMIT)
    except (EmptyFile, NestedArchive):
        return
    assert len(found.members) + len(found.skipped) == len(files)
    for member in found.members:
        assert b"".join(MemberSource(archive, member.name).chunks()) == files[member.name]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_an_archive_with_any_bytes_changed_is_listed_or_refused_by_name(
    tmp_path: Path, data: st.DataObject
) -> None:
    whole = packed({"a.csv": b"a;b\n1;2\n" * 20, "b.csv": b"x"})
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    archive = source(tmp_path, whole)
    try:
        for member in list_members(archive, LIMIT).members:
            for _ in MemberSource(archive, member.name).chunks():
                pass
    except PermanentImportError as error:
        assert "leads.zip" in error.message
