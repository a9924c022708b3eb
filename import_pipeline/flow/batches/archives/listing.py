"""Zip archives: which files inside become uploads, and what is refused; names inside are only names.

Reading one of them is `member_source.py`'s; what becomes of them in the ledger `ledger/members.py`'s.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

from import_pipeline.errors import (
    DuplicateMember,
    EmptyFile,
    EncryptedFile,
    ExpandsTooFar,
    FileTooLarge,
    NestedArchive,
    UnsupportedCompression,
)
from import_pipeline.flow.arrivals.identity import is_never_an_import
from import_pipeline.flow.arrivals.members import ArchiveMember, shown_name
from import_pipeline.flow.batches.archives.zip_directory import (
    MOST_MEMBERS,
    member_name,
    opened_zip,
    too_many,
)
from import_pipeline.flow.batches.recognising.formats import ARCHIVE_SIGNATURES
from import_pipeline.flow.batches.sources.compression import EXPANSION_FREE_BYTES, MOST_EXPANSION
from import_pipeline.flow.batches.sources.source import Source
from import_pipeline.language import told

SKIPPED_FOLDER = "__MACOSX/"
_LOOKED_AT = 512
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_AES = 99
UNREAD_METHODS = {9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 98: "PPMd"}
READ_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# A workbook or document is a zip that begins with one of these.
_DOCUMENT_PARTS = (b"[Content_Types].xml", b"mimetype", b"_rels/", b"docProps/", b"xl/", b"word/", b"ppt/")


@dataclass(frozen=True)
class ListedArchive:
    """What is in an archive.

    Attributes:
        members: files that are to be imported, in the archive's order.
        skipped: paths of files that never are: `__MACOSX/`, `.DS_Store` and other hidden or temporary ones.
    """

    members: tuple[ArchiveMember, ...]
    skipped: tuple[str, ...]


def list_members(archive: Source, maximum_size: int) -> ListedArchive:
    """The files in a zip, from its list of contents and the first bytes of each.

    Args:
        maximum_size: bytes that all files together may have, unpacked.

    Raises:
        CorruptFile: the archive is damaged, or its list does not fit its bytes.
        EncryptedFile: a file in it has a password.
        NestedArchive: a file in it is an archive itself.
        TooManyMembers: over 1,000 files.
        DuplicateMember: two files of one name.
        UnsupportedCompression: a file is packed otherwise than by deflate.
        FileTooLarge, ExpandsTooFar: too much comes out of it.
        EmptyFile: there is no file in it.
    """
    with opened_zip(archive) as opened:
        files = [info for info in opened.infolist() if not info.is_dir()]
        wanted = [info for info in files if not _is_skipped(member_name(info))]
        skipped = tuple(member_name(info) for info in files if _is_skipped(member_name(info)))
        _refuse_numbers(archive, wanted, maximum_size)
        _refuse_names(archive, wanted)
        for info in wanted:
            refuse_packing(archive, info)
        for info in wanted:
            with opened.open(info) as file:
                _refuse_nested(archive, info, file.read(_LOOKED_AT))
    return ListedArchive(tuple(ArchiveMember(member_name(i), i.file_size) for i in wanted), skipped)


def _is_skipped(name: str) -> bool:
    return name.startswith(SKIPPED_FOLDER) or is_never_an_import(name)


def _refuse_numbers(archive: Source, wanted: Sequence[zipfile.ZipInfo], maximum_size: int) -> None:
    """Too few, too many, too large."""
    if not wanted:
        raise EmptyFile(
            told("There is no file to import in {file}.", file=archive.name),
            remedy=told("Pack the files again and send the archive once more."),
        )
    if len(wanted) > MOST_MEMBERS:
        raise too_many(archive.name, len(wanted))
    expanded = sum(info.file_size for info in wanted)
    if expanded > maximum_size:
        raise FileTooLarge(
            told("The files in {file} have {size:,} bytes together; at most {limit:,} are taken.",
                 file=archive.name, size=expanded, limit=maximum_size),
            remedy=told("Send them in several archives."),
            size=expanded, limit=maximum_size,
        )  # fmt: skip
    if expanded > max(EXPANSION_FREE_BYTES, MOST_EXPANSION * archive.size):
        raise ExpandsTooFar(
            told("{file} has {size:,} bytes and would expand to {expanded:,}, over {limit} times as much.",
                 file=archive.name, size=archive.size, expanded=expanded, limit=MOST_EXPANSION),
            remedy=told("Send the files without an archive."),
            expanded=expanded, limit=MOST_EXPANSION * archive.size,
        )  # fmt: skip


def _refuse_names(archive: Source, wanted: Sequence[zipfile.ZipInfo]) -> None:
    """A name is all that tells one member from another."""
    seen: set[str] = set()
    for name in map(member_name, wanted):
        if name in seen:
            raise DuplicateMember(
                told("{file} has two files named {member}.", file=archive.name, member=name),
                remedy=told("Rename or remove one of them and pack the archive again."),
                member=name,
            )
        seen.add(name)


def refuse_packing(archive: Source, info: zipfile.ZipInfo) -> None:
    """Refuse a file that cannot be unpacked within bounds.

    Raises:
        EncryptedFile: it is locked with a password.
        UnsupportedCompression: `zipfile` bounds what comes out of deflate only.
    """
    name = shown_name(archive.name, member_name(info))
    if info.flag_bits & _ENCRYPTED or info.compress_type == _AES:
        raise EncryptedFile(
            told("{file} is locked with a password.", file=name),
            remedy=told("Pack it again without a password."),
            member=member_name(info),
        )
    if info.compress_type not in READ_METHODS:
        method = UNREAD_METHODS.get(info.compress_type, f"{info.compress_type}")
        raise UnsupportedCompression(
            told("{file} is compressed by the method {method}, which is not read.", file=name, method=method),
            remedy=told("Pack it again as an ordinary zip (method deflate), or send the file itself."),
            member=member_name(info), method=method,
        )  # fmt: skip


def _refuse_nested(archive: Source, info: zipfile.ZipInfo, start: bytes) -> None:
    """An archive inside; one in disguise is refused by its own run."""
    what = next(
        (what for at, mark, what, _ in ARCHIVE_SIGNATURES if start[at : at + len(mark)] == mark), None
    )
    if _is_zip(start):
        what = told("a zip archive")
    if what is not None:
        raise nested(shown_name(archive.name, member_name(info)), member_name(info), what)


def nested(file: str, member: str, what: str) -> NestedArchive:
    """The error for an archive in an archive."""
    return NestedArchive(
        told("{file} is {what} inside an archive.", file=file, what=what),
        remedy=told("Unpack it, and send its files or pack them into one archive."),
        member=member, looks_like=str(what),
    )  # fmt: skip


def _is_zip(start: bytes) -> bool:
    """Whether a file begins as a zip whose first file, named from byte 30 on, no document begins with."""
    if start.startswith(b"PK\x05\x06"):
        return True
    return start.startswith(b"PK\x03\x04") and not start[30:].startswith(_DOCUMENT_PARTS)
