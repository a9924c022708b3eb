"""A zip's list of contents, opened with care: what it claims is held against its bytes before it is read.

What the files inside mean to an import is `listing.py`'s.
"""

import errno
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from import_pipeline.errors import CorruptFile, TooManyMembers
from import_pipeline.flow.batches.sources.source import Source
from import_pipeline.language import told

# The list of 1,000 files with names of a kilobyte each, twice; Python holds about ten times as much.
DIRECTORY_BYTES = 4 * 1024 * 1024
MOST_MEMBERS = 1000
DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip
# APPNOTE.TXT 6.3.10, sections 4.3.14 to 4.3.16.
_END, _END_MARK = struct.Struct("<4s4H2LH"), b"PK\x05\x06"
_LOCATOR, _LOCATOR_MARK = struct.Struct("<4sLQL"), b"PK\x06\x07"
_END_64, _END_64_MARK = struct.Struct("<4sQ2H2L4Q"), b"PK\x06\x06"
_LONGEST_COMMENT = 65_535
_FILE_HEADER_BYTES = 30
_IN_ZIP_64 = 0xFFFFFFFF
_UTF_8_NAME = 0x800


@contextmanager
def opened_zip(source: Source) -> Iterator[zipfile.ZipFile]:
    """The zip with its list of contents read; whatever is wrong with its bytes is said as one error.

    Raises:
        CorruptFile: it is damaged or cut short, there or in what is read of it inside the `with`.
        TooManyMembers: its list of contents is too long to be read.
    """
    with source.open() as file:
        try:
            _refuse_long_directory(file, source)
            with zipfile.ZipFile(file) as archive:
                _refuse_impossible(archive, source)
                yield archive
        except DAMAGED as error:
            raise damaged(source.name) from error
        except OSError as error:
            # A place before the file's beginning: the list of contents points there.
            if error.errno != errno.EINVAL:
                raise
            raise damaged(source.name) from error


def damaged(name: str) -> CorruptFile:
    """The error for a zip, or a file in one, whose bytes are not what they should be."""
    return CorruptFile(
        told("{file} is damaged or cut short.", file=name),
        remedy=told("Pack it again and send it once more; if it was copied or downloaded, do that again."),
    )


def member_name(info: zipfile.ZipInfo) -> str:
    """A member's path as its sender named it.

    A zip says whether a name is UTF-8; without that mark it is cp437 by the book, but some programs
    write UTF-8 all the same: bytes that are valid UTF-8 and not ASCII are hardly ever anything else.
    """
    name = info.filename
    if info.flag_bits & _UTF_8_NAME or name.isascii():
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _refuse_long_directory(file: BinaryIO, source: Source) -> None:
    """Look at the end record first: `zipfile` reads the whole list at once, however long it says it is.

    Raises:
        TooManyMembers: it is longer than any list of 1,000 files is.
        BadZipFile: there is no end record.
    """
    size, entries = _directory_size(file, source.size)
    if size > DIRECTORY_BYTES:
        raise too_many(source.name, entries)


def too_many(name: str, members: int) -> TooManyMembers:
    """The error for an archive of more files than are taken."""
    return TooManyMembers(
        told("{file} has {members:,} files; at most {limit:,} are taken from one archive.",
             file=name, members=members, limit=MOST_MEMBERS),
        remedy=told("Send them in several archives."),
        members=members, limit=MOST_MEMBERS,
    )  # fmt: skip


def _directory_size(file: BinaryIO, size: int) -> tuple[int, int]:
    """Bytes and entries of the list of contents, as the end record says."""
    start = max(size - _END.size - _LONGEST_COMMENT - _LOCATOR.size, 0)
    file.seek(start)
    tail = file.read(size - start)
    at = tail.rfind(_END_MARK)
    if at < 0 or len(tail) - at < _END.size:
        raise zipfile.BadZipFile("no end record")
    _, _, _, _, entries, length, offset, _ = _END.unpack_from(tail, at)
    at -= _LOCATOR.size
    if at < 0 or tail[at : at + 4] != _LOCATOR_MARK or _IN_ZIP_64 not in (length, offset):
        return length, entries
    _, _, place, _ = _LOCATOR.unpack_from(tail, at)
    if place > size:
        raise zipfile.BadZipFile("the end record of a large zip lies outside of it")
    file.seek(place)
    record = file.read(_END_64.size)
    if len(record) < _END_64.size or not record.startswith(_END_64_MARK):
        raise zipfile.BadZipFile("no end record of a large zip")
    values = _END_64.unpack(record)
    return values[8], values[7]


def _refuse_impossible(archive: zipfile.ZipFile, source: Source) -> None:
    """Files whose data share bytes are one way to make a bomb: each must lie apart, within the zip.

    Raises:
        BadZipFile: two overlap, one lies outside, or has no name.
    """
    end = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        if not info.filename:
            raise zipfile.BadZipFile("a file has no name")
        if info.header_offset < end:
            raise zipfile.BadZipFile("files overlap")
        end = info.header_offset + _FILE_HEADER_BYTES + len(info.orig_filename) + info.compress_size
    if end > source.size:
        raise zipfile.BadZipFile("a file lies outside of the zip")
