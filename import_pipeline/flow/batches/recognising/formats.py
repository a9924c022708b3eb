"""What a file is by its content, never by its name; what is no table is refused by what it looks like.

Zip and OLE2 files are told apart in `containers.py`, texts in `text_forms.py`; nothing is read here.
"""

import codecs
from dataclasses import dataclass
from typing import Literal

from import_pipeline.errors import EncryptedFile, PermanentImportError, TruncatedFile, UnsupportedFormat
from import_pipeline.flow.batches.recognising.containers import (
    OLE2_MARK,
    encrypted,
    require_xls,
    unsupported,
    zip_format,
)
from import_pipeline.flow.batches.recognising.names import name_notices
from import_pipeline.flow.batches.recognising.text_forms import text_form
from import_pipeline.flow.batches.sources.compression import ExpandedSource, compression_of
from import_pipeline.flow.batches.sources.source import Source
from import_pipeline.flow.batches.text.encodings import encoding_of_mark
from import_pipeline.language import Told, told
from import_pipeline.records import Compression, FileFormat, Notice

LOOKED_AT = 64 * 1024
_SEND_TABLE = told("Send the rows as CSV, JSON, Parquet or a workbook (xlsx, xls, ods).")
_UNPACK = told("Unpack it, and send the files inside or pack them as zip.")
_SAVE_AS_XLSX = told("Open it in the spreadsheet program and save it as xlsx.")
_ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
PARQUET, ENCRYPTED_PARQUET = b"PAR1", b"PARE"
# Offset, bytes, what they are the mark of, what to do. Sources: the formats' own specifications.
ARCHIVE_SIGNATURES: tuple[tuple[int, bytes, Told, Told], ...] = (
    (0, b"7z\xbc\xaf\x27\x1c", told("a 7-Zip archive"), _UNPACK),
    (0, b"Rar!\x1a\x07", told("a RAR archive"), _UNPACK),
    (257, b"ustar", told("a tar archive"), _UNPACK),
    (0, b"MSCF\0\0\0\0", told("a cabinet archive (.cab)"), _UNPACK),
)
SIGNATURES = (
    *ARCHIVE_SIGNATURES,
    (0, b"\x04\x22\x4d\x18", told("an LZ4 file"), _UNPACK),
    (0, b"\x1f\x9d", told("a file of compress (.Z)"), _UNPACK),
    (0, b"LZIP\x01", told("an lzip file"), _UNPACK),
    (0, b"\xff\x06\x00\x00sNaPpY", told("a Snappy file"), _UNPACK),
    (0, b"ARROW1", told("an Arrow or Feather file"), _SEND_TABLE),
    (0, b"FEA1", told("a Feather file"), _SEND_TABLE),
    (0, b"Obj\x01", told("an Avro file"), _SEND_TABLE),
    (0, b"SQLite format 3\0", told("an SQLite database"), _SEND_TABLE),
    (4, b"Standard Jet DB", told("an Access database"), _SEND_TABLE),
    (4, b"Standard ACE DB", told("an Access database"), _SEND_TABLE),
    (0, b"\x89HDF\r\n", told("an HDF5 file"), _SEND_TABLE),
    (0, b"\x93NUMPY", told("a NumPy file"), _SEND_TABLE),
    (0, b"%PDF-", told("a PDF document"), _SEND_TABLE),
    (0, b"{\\rtf", told("an RTF document"), _SEND_TABLE),
    (0, b"%!PS", told("a PostScript document"), _SEND_TABLE),
    (0, b"\x89PNG\r\n\x1a\n", told("a PNG image"), _SEND_TABLE),
    (0, b"\xff\xd8\xff", told("a JPEG image"), _SEND_TABLE),
    (0, b"GIF87a", told("a GIF image"), _SEND_TABLE),
    (0, b"GIF89a", told("a GIF image"), _SEND_TABLE),
    (0, b"II*\0", told("a TIFF image"), _SEND_TABLE),
    (0, b"MM\0*", told("a TIFF image"), _SEND_TABLE),
    (8, b"WEBP", told("a WebP image"), _SEND_TABLE),
    (4, b"ftyp", told("a video or photo (MP4, HEIC)"), _SEND_TABLE),
    (0, b"\x7fELF", told("a program"), _SEND_TABLE),
    (0, b"MZ\x90\0", told("a program"), _SEND_TABLE),
    (0, b"\xcf\xfa\xed\xfe", told("a program"), _SEND_TABLE),
    (0, b"\xca\xfe\xba\xbe", told("a program"), _SEND_TABLE),
)
_LOCKED = (b"-----BEGIN PGP MESSAGE", b"Salted__", b"age-encryption.org/")
# Forms of text that are no table: what they look like, what to do.
NO_TABLE = {
    "html": (told("a web page"), _SAVE_AS_XLSX),
    "mht": (told("a web page"), _SAVE_AS_XLSX),
    "spreadsheet_xml": (told("an XML spreadsheet of 2003"), _SAVE_AS_XLSX),
    "xml": (told("an XML document"), _SEND_TABLE),
}
_CONTROLS = bytes(b for b in range(32) if b not in b"\t\n\r\f\v\x1b")
_MOST_CONTROLS, _MOST_CONTROLS_BEYOND_UTF_8 = 0.1, 0.02
_ENOUGH_BYTES = 256
_NULS_OF_UTF_16 = 0.25


@dataclass(frozen=True)
class Recognised:
    """What a file is.

    Attributes:
        format: of what is inside, if it is compressed; `zip`: an archive of files.
        notices: `name_mismatch` where the name says something else.
    """

    format: FileFormat | Literal["zip"]
    compression: Compression | None = None
    notices: tuple[Notice, ...] = ()


def recognise(source: Source, *, encoding: str | None = None, limit: int = 50 * 1024**3) -> Recognised:
    """Tell by its content what a file is.

    Args:
        encoding: of a text, as its sender states it.
        limit: bytes that may come out of a compressed file.

    Raises:
        CorruptFile, TruncatedFile: it is damaged.
        EncryptedFile: it has a password.
        UnsupportedFormat: it holds no table that can be read; field `looks_like`.
        FileTooLarge, ExpandsTooFar: a compressed workbook expands to too much.
    """
    start = _start_of(source)
    compression = compression_of(start)
    inside: Source = source
    if compression is not None:
        inside = ExpandedSource(source, compression, limit)
        start = _beginning(inside)
        if compression_of(start) is not None or start.startswith(b"PK\x05\x06"):
            raise unsupported(source.name, told("a file that was compressed twice"), _UNPACK)
    found = _format_of(inside, start, encoding)
    if found == "zip" and compression is not None:
        raise unsupported(source.name, told("a zip archive that was compressed once more"), _UNPACK)
    return Recognised(found, compression, name_notices(source.name, found, compression))


def refuse_binary(start: bytes, name: str) -> None:
    """Refuse bytes that are no text of any kind.

    Args:
        start: the file's beginning, at least its first 64 KB if it has as many.

    Raises:
        UnsupportedFormat: field `looks_like`.
    """
    part = start[:LOOKED_AT]
    if not part:
        return
    if part.count(0) > _NULS_OF_UTF_16 * len(part):
        raise unsupported(
            name, told("binary data, or UTF-16 text without a byte order mark"),
            told("Save it as CSV (UTF-8), or state the option encoding, such as utf-16-le."),
        )  # fmt: skip
    if _is_binary(part):
        raise unsupported(name, told("binary data"), _SEND_TABLE)


def _start_of(source: Source) -> bytes:
    with source.open() as file:
        return file.read(LOOKED_AT)


def _beginning(source: Source) -> bytes:
    """The first 64 KB of a source that is expensive to open: its chunks tell."""
    start = b""
    for chunk in source.chunks():
        start += chunk
        if len(start) >= LOOKED_AT:
            break
    return start[:LOOKED_AT]


def _format_of(source: Source, start: bytes, encoding: str | None) -> FileFormat | Literal["zip"]:
    if start.startswith(_ZIP_MARKS):
        return zip_format(source)
    if start.startswith(OLE2_MARK):
        require_xls(source)
        return "xls"
    if start.startswith((PARQUET, ENCRYPTED_PARQUET)):
        _require_parquet(source, start)
        return "parquet"
    _refuse_known(source.name, start)
    return _format_of_text(source.name, start, encoding)


def _require_parquet(source: Source, start: bytes) -> None:
    """See that both ends of a Parquet file are there, and readable without a key."""
    with source.open() as file:
        file.seek(max(source.size - len(PARQUET), 0))
        end = file.read()
    if ENCRYPTED_PARQUET in (start[:4], end):
        raise encrypted(source.name)
    if end != PARQUET or source.size < 12:
        raise TruncatedFile(
            told("{file} is a Parquet file without its end: part of it is missing.", file=source.name),
            remedy=told("Send the whole file again; an upload or a download may have broken off."),
        )


def _refuse_known(name: str, start: bytes) -> None:
    """Refuse what carries the mark of a kind of file that is not read."""
    if start.startswith(_LOCKED):
        raise EncryptedFile(
            told("{file} is encrypted.", file=name), remedy=told("Decrypt it and send what is inside.")
        )
    for offset, mark, what, remedy in SIGNATURES:
        if start[offset : offset + len(mark)] == mark:
            raise unsupported(name, what, remedy)
    # Three letters are no proof: a header may begin with them.
    if start.startswith(b"ORC") and _is_binary(start):
        raise unsupported(name, told("an ORC file"), _SEND_TABLE)


def _is_binary(part: bytes) -> bool:
    """Whether there are more control characters than in text; NULs alone pad the cells of some exports."""
    if len(part) < _ENOUGH_BYTES:
        return False
    controls = len(part) - len(part.translate(None, delete=_CONTROLS))
    if controls > _MOST_CONTROLS * len(part):
        return True
    if controls - part.count(0) <= _MOST_CONTROLS_BEYOND_UTF_8 * len(part):
        return False
    try:
        codecs.utf_8_decode(part, "strict", False)
    except UnicodeDecodeError:
        return True
    return False


def _format_of_text(name: str, start: bytes, encoding: str | None) -> FileFormat:
    complete = len(start) < LOOKED_AT
    form = text_form(_decoded(start, encoding), complete=complete, name=name)
    if form == "csv" or form == "json" or form == "jsonl":  # noqa: PLR1714 - mypy narrows by each
        return form
    raise _no_table(name, form)


def _decoded(start: bytes, encoding: str | None) -> str:
    """The beginning as text, well enough to see its form: what does not decode is no bracket."""
    unmarked = {b"\0": "utf-16-le"}.get(start[1:2]) or {b"\0": "utf-16-be"}.get(start[:1])
    try:
        text = start.decode(encoding_of_mark(start) or encoding or unmarked or "utf-8", "replace")
    except (LookupError, ValueError):
        text = start.decode("utf-8", "replace")  # an encoding that there is not is refused with the options
    return text.removeprefix("\ufeff")


def _no_table(name: str, form: str) -> PermanentImportError:
    what, remedy = NO_TABLE[form]
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    if suffix in (".xls", ".xlsx", ".csv"):
        return UnsupportedFormat(
            told("{file} is {what} saved as {suffix}.", file=name, what=what, suffix=suffix),
            remedy=remedy, looks_like=str(what),
        )  # fmt: skip
    return unsupported(name, what, remedy)
