"""What a file is by its content, never by its name: binary files are refused by what they look like.

Only recognising lives here. Reading text is `reading.py`'s.
"""

from import_pipeline.errors import UnsupportedFormat

LOOKED_AT = 64 * 1024
_SAVE_AS_CSV = "Save the sheet as CSV (UTF-8) and send that."
_UNPACK = "Unpack it and send the CSV inside."
_SEND_CSV = "Send the rows as a CSV file."
# First bytes, what they are the mark of, what to do.
_SIGNATURES = (
    (b"PK\x03\x04", "a zip archive", _UNPACK),
    (b"PK\x05\x06", "an empty zip archive", _SEND_CSV),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Word file (.xls, .doc)", _SAVE_AS_CSV),
    (b"\x1f\x8b", "a gzip file", _UNPACK),
    (b"BZh", "a bzip2 file", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz file", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"PAR1", "a Parquet file", _SEND_CSV),
    (b"ARROW1", "an Arrow file", _SEND_CSV),
    (b"SQLite format 3\x00", "an SQLite database", _SEND_CSV),
    (b"%PDF-", "a PDF document", _SEND_CSV),
    (b"{\\rtf", "an RTF document", _SEND_CSV),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", _SEND_CSV),
    (b"\xff\xd8\xff", "a JPEG image", _SEND_CSV),
    (b"GIF8", "a GIF image", _SEND_CSV),
)  # fmt: skip
_INSIDE_ZIP = (
    (b"xl/", "an Excel workbook (.xlsx)", _SAVE_AS_CSV),
    (b"opendocument.spreadsheet", "an OpenDocument spreadsheet (.ods)", _SAVE_AS_CSV),
    (b"word/", "a Word document (.docx)", _SEND_CSV),
)
_CONTROLS = bytes(b for b in range(32) if b not in b"\t\n\r\f\v\x1b")
_MOST_CONTROLS = 0.1
_ENOUGH_BYTES = 256
_NULS_OF_UTF_16 = 0.25


def refuse_binary(start: bytes, name: str) -> None:
    """Refuse a file whose first bytes are not those of text.

    Args:
        start: the file's beginning, at least its first 64 KB if it has as many.
        name: the file's name, for the message.

    Raises:
        UnsupportedFormat: fields `looks_like`.
    """
    for mark, what, remedy in _SIGNATURES:
        if start.startswith(mark):
            raise _refusal(name, *_named_inside(start, what, remedy))
    part = start[:LOOKED_AT]
    if not part:
        return
    nuls = part.count(0)
    controls = len(part) - len(part.translate(None, delete=_CONTROLS))
    if nuls > _NULS_OF_UTF_16 * len(part):
        raise _refusal(
            name, "binary data, or UTF-16 text without a byte order mark",
            "Save it as CSV (UTF-8), or state the option encoding, such as utf-16-le.",
        )  # fmt: skip
    if controls > _MOST_CONTROLS * len(part) and len(part) >= _ENOUGH_BYTES:
        raise _refusal(name, "binary data", _SEND_CSV)


def _named_inside(start: bytes, what: str, remedy: str) -> tuple[str, str]:
    """The kind of document that a zip archive is, if its first entries tell."""
    if what == "a zip archive":
        for mark, inside, inside_remedy in _INSIDE_ZIP:
            if mark in start[:LOOKED_AT]:
                return inside, inside_remedy
    return what, remedy


def _refusal(name: str, what: str, remedy: str) -> UnsupportedFormat:
    return UnsupportedFormat(
        f"{name} is not a CSV file: it looks like {what}.", remedy=remedy, looks_like=what
    )
