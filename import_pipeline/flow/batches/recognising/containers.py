"""What a zip or an OLE2 file is, by the names of the parts inside: workbook, document, archive.

Their contents are read elsewhere: workbooks in `spreadsheets/`, archives in `archives/`.
"""

import struct
import zipfile
from collections.abc import Iterator
from typing import BinaryIO, Literal

from import_pipeline.errors import EncryptedFile, TruncatedFile, UnsupportedFormat
from import_pipeline.flow.batches.archives.zip_directory import opened_zip
from import_pipeline.flow.batches.sources.source import Source
from import_pipeline.language import Told, told

# MS-CFB 2.2.
OLE2_MARK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
SAVE_AS_XLSX = told("Open it in its program and save the rows as xlsx or CSV.")
_ODS = b"application/vnd.oasis.opendocument.spreadsheet"
_MANIFEST = "meta-inf/manifest.xml"
_READ_BYTES = 1024 * 1024
DOCUMENTS = (
    ("word/document.xml", told("a Word document (.docx)")),
    ("ppt/presentation.xml", told("a presentation (.pptx)")),
    ("visio/document.xml", told("a drawing (.vsdx)")),
    ("index/document.iwa", told("an Apple Numbers or Pages document")),
    ("index.zip", told("an Apple Numbers or Pages document")),
)
# MS-CFB 2.2, 2.3, 2.6: offsets in the header and in an entry of the directory.
_HEADER_BYTES, _ENTRY_BYTES, _FAT_IN_HEADER = 512, 128, 109
_LAST_SECTOR = 0xFFFFFFFA
# A workbook has a dozen parts; the largest legal chain would be walked for hours.
_MOST_DIRECTORY_SECTORS = 4096
OLE_DOCUMENTS = (
    ("WordDocument", told("a Word document (.doc)")),
    ("PowerPoint Document", told("a presentation (.ppt)")),
    ("VisioDocument", told("a drawing (.vsd)")),
    ("__properties_version1.0", told("an Outlook message (.msg)")),
)

ZipFormat = Literal["xlsx", "xlsm", "xlsb", "ods", "zip"]


def zip_format(source: Source) -> ZipFormat:
    """What a zip is; `zip` if it is an archive of files.

    Raises:
        CorruptFile: it is damaged or cut short.
        EncryptedFile: it is a workbook with a password.
        UnsupportedFormat: it is another kind of document.
    """
    with opened_zip(source) as archive:
        parts = {info.filename.replace("\\", "/").lower(): info for info in archive.infolist()}
        if any(name in parts for name in ("xl/workbook.xml", "xl/workbook.bin")):
            if any(info.flag_bits & 1 for info in parts.values()):
                raise encrypted(source.name)
            if "xl/workbook.bin" in parts:
                return "xlsb"
            return "xlsm" if "xl/vbaproject.bin" in parts else "xlsx"
        for part, what in DOCUMENTS:
            if part in parts:
                raise unsupported(source.name, what, SAVE_AS_XLSX)
        return "ods" if _is_open_document(source.name, archive, parts) else "zip"


def _is_open_document(name: str, archive: zipfile.ZipFile, parts: dict[str, zipfile.ZipInfo]) -> bool:
    """Whether it is an OpenDocument spreadsheet (ODF 1.3 part 2, 3.3 and 4.8)."""
    if "content.xml" not in parts or not ({"mimetype", _MANIFEST} & parts.keys()):
        return False
    manifest = _beginning(archive, parts.get(_MANIFEST))
    kind = _beginning(archive, parts.get("mimetype")) or manifest
    if _ODS not in kind:
        raise unsupported(name, told("an OpenDocument file that is no spreadsheet"), SAVE_AS_XLSX)
    if b"encryption-data" in manifest:
        raise encrypted(name)
    return True


def _beginning(archive: zipfile.ZipFile, info: zipfile.ZipInfo | None) -> bytes:
    if info is None:
        return b""
    with archive.open(info) as part:
        return part.read(_READ_BYTES)


def require_xls(source: Source) -> None:
    """See that an OLE2 file is an Excel workbook.

    Raises:
        EncryptedFile: it is a workbook of today with a password.
        TruncatedFile: it ends before its directory.
        UnsupportedFormat: it is another kind of document.
    """
    with source.open() as file:
        parts = set(_ole_parts(file, source.name))
    if parts & {"EncryptedPackage", "EncryptionInfo"}:
        raise encrypted(source.name)
    if parts & {"Workbook", "Book", "WORKBOOK", "BOOK"}:
        return
    what = next(
        (what for part, what in OLE_DOCUMENTS if part in parts), told("an old Office file without a workbook")
    )
    raise unsupported(source.name, what, SAVE_AS_XLSX)


def _ole_parts(file: BinaryIO, name: str) -> Iterator[str]:
    """Names in an OLE2 file's directory (MS-CFB 2.6)."""
    header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        raise _cut_short(name)
    size = 1 << struct.unpack_from("<H", header, 30)[0]
    if size not in (512, 4096):
        raise _cut_short(name)
    sector: int = struct.unpack_from("<I", header, 48)[0]
    fat = struct.unpack_from(f"<{_FAT_IN_HEADER}I", header, 76)
    for _ in range(_MOST_DIRECTORY_SECTORS):
        if sector >= _LAST_SECTOR:
            return
        entries = _sector(file, sector, size, name)
        for start in range(0, size, _ENTRY_BYTES):
            length = min(struct.unpack_from("<H", entries, start + 64)[0], 64)
            yield entries[start : start + max(length - 2, 0)].decode("utf-16-le", "replace")
        table, place = divmod(sector, size // 4)
        # A directory that goes on beyond 7 MB of sectors the header names: its first part has told enough.
        if table >= _FAT_IN_HEADER or fat[table] >= _LAST_SECTOR:
            return
        sector = struct.unpack_from("<I", _sector(file, fat[table], size, name), place * 4)[0]


def _sector(file: BinaryIO, number: int, size: int, name: str) -> bytes:
    file.seek((number + 1) * size)
    data = file.read(size)
    # The last sector of a file may be cut after its data.
    if not data:
        raise _cut_short(name)
    return data.ljust(size, b"\0")


def _cut_short(name: str) -> TruncatedFile:
    return TruncatedFile(
        told("{file} is an old Office file that is damaged or cut short.", file=name),
        remedy=told("Save it again and send it once more; if it was copied or downloaded, do that again."),
    )


def encrypted(name: str) -> EncryptedFile:
    """The error for a file with a password."""
    return EncryptedFile(
        told("{file} is protected by a password.", file=name),
        remedy=told("Save it without a password and send that."),
    )


def unsupported(name: str, what: Told, remedy: Told) -> UnsupportedFormat:
    """The error for content of a kind that is not read; field `looks_like`."""
    return UnsupportedFormat(
        told("{file} holds no table that can be read: it looks like {what}.", file=name, what=what),
        remedy=remedy, looks_like=str(what),
    )  # fmt: skip
