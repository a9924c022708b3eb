"""The parts of a zipped workbook (xlsx, xlsm, xlsb, ods), unpacked piece by piece within the limits.

Sizes that the zip claims are checked before anything is unpacked, and every part is held to its claim.
What the parts mean is for the modules of each format.
"""

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree
from xml.parsers import expat

from import_pipeline.errors import CorruptFile, TruncatedFile
from import_pipeline.flow.batches.archives.zip_directory import opened_zip
from import_pipeline.flow.batches.recognising.containers import encrypted
from import_pipeline.flow.batches.sources.source import FileSource
from import_pipeline.flow.batches.spreadsheets.limits import (
    MOST_EXPANDED,
    MOST_OF_A_SMALL_PART,
    MOST_PARTS,
    MOST_RATIO,
    RATIO_FREE_BYTES,
    too_large,
)
from import_pipeline.language import Told, told

# Small enough for what is searched in it to stay in the processor's cache.
PIECE_BYTES = 256 * 1024
_READ_BYTES = 64 * 1024
_LOCAL_HEADER, _LOCAL_MARK = 30, b"PK\x03\x04"
_ENCRYPTED = 0x1 | 0x40 | 0x2000
# Entities can be declared in a document type only, and no workbook has one.
_DECLARATIONS = (b"<!DOCTYPE", b"<!ENTITY")
_OTHER_ENCODINGS = (b"\xff\xfe", b"\xfe\xff", b"\x00<", b"<\x00")
_PROLOG_BYTES = 64 * 1024


def corrupt(file: str, what: Told) -> CorruptFile:
    """The refusal of a workbook that is not what its format promises; `what` says where."""
    return CorruptFile(
        told("{file} is a damaged workbook: {what}.", file=file, what=what),
        remedy=told("Open it, save it under a new name, and send that; or send the rows as a CSV file."),
        what=what,
    )


def truncated(file: str) -> TruncatedFile:
    """The refusal of a workbook that ends too early."""
    return TruncatedFile(
        told("{file} is cut short: the end of the workbook is missing.", file=file),
        remedy=told("Send the whole file again; an upload or a download may have broken off."),
    )


class Package:
    """An open workbook as its parts.

    Attributes:
        name: the file's, for messages.
        parts: part names in the zip's order.
    """

    def __init__(self, file: BinaryIO, infos: dict[str, zipfile.ZipInfo], name: str):
        self._file, self._infos, self.name = file, infos, name
        self.parts = tuple(infos)

    def find(self, name: str) -> str | None:
        """The part of this name, whatever its case; None if there is none."""
        wanted = name.lstrip("/").lower()
        return next((part for part in self.parts if part.lower() == wanted), None)

    def size(self, part: str) -> int:
        """Bytes, unpacked."""
        return self._infos[part].file_size

    def chunks(self, part: str) -> Iterator[bytes]:
        """The part, unpacked, in pieces of at most 256 KB.

        Raises:
            CorruptFile: its bytes are not those that were packed, or not as many as the zip says.
        """
        info = self._infos[part]
        done, checksum = 0, 0
        for piece in self._unpacked(info):
            done += len(piece)
            if done > info.file_size:
                raise corrupt(self.name, told("{part} is larger than the list of contents says", part=part))
            checksum = zlib.crc32(piece, checksum)
            yield piece
        if done != info.file_size or checksum != info.CRC:
            raise corrupt(self.name, told("{part} is not what was packed", part=part))

    def xml_chunks(self, part: str) -> Iterator[bytes]:
        """As `chunks`, of a part that is XML.

        Raises:
            CorruptFile: as `chunks`; or it declares entities, or is in another encoding than UTF-8.
        """
        start = True
        for piece in self.chunks(part):
            if start:
                prolog = piece[:_PROLOG_BYTES]
                if any(mark in prolog for mark in _DECLARATIONS):
                    raise corrupt(self.name, told("{part} declares XML entities", part=part))
                if prolog[:2] in _OTHER_ENCODINGS:
                    raise corrupt(self.name, told("{part} is not in UTF-8", part=part))
            start = False
            yield piece

    def xml(self, part: str) -> ElementTree.Element:
        """A small part, parsed.

        Raises:
            CorruptFile: it is no XML, declares entities, or is not what was packed.
            TooLargeForASpreadsheet: it has over 32 MB.
        """
        if self.size(part) > MOST_OF_A_SMALL_PART:
            raise too_large(
                self.name, told("bytes of names and formats"), self.size(part), MOST_OF_A_SMALL_PART
            )
        text = b"".join(self.xml_chunks(part))
        if any(mark in text for mark in _DECLARATIONS):
            raise corrupt(self.name, told("{part} declares XML entities", part=part))
        try:
            return ElementTree.fromstring(text)  # noqa: S314 - without entities, within 32 MB
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            raise corrupt(self.name, told("{part} is not XML", part=part)) from error

    def verify(self, part: str) -> None:
        """See that a part is what was packed and no XML bomb; raises as `xml_chunks`."""
        for _ in self.xml_chunks(part) if part.lower().endswith((".xml", ".rels")) else self.chunks(part):
            pass

    def _unpacked(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """The bytes as they come; never more than 256 KB at once, whatever they claim."""
        self._file.seek(info.header_offset)
        header = self._file.read(_LOCAL_HEADER)
        if len(header) < _LOCAL_HEADER or not header.startswith(_LOCAL_MARK):
            raise corrupt(
                self.name, told("{part} is not where the list of contents says", part=info.filename)
            )
        extra = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        self._file.seek(extra, 1)
        packed = self._packed(info)
        if info.compress_type == zipfile.ZIP_STORED:
            yield from packed
            return
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for raw in packed:
                yield inflater.decompress(raw, PIECE_BYTES)
                while inflater.unconsumed_tail:
                    yield inflater.decompress(inflater.unconsumed_tail, PIECE_BYTES)
        except zlib.error as error:
            raise corrupt(self.name, told("{part} cannot be unpacked", part=info.filename)) from error
        if not inflater.eof:
            raise corrupt(self.name, told("{part} cannot be unpacked", part=info.filename))

    def _packed(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        left = info.compress_size
        while left:
            raw = self._file.read(min(left, _READ_BYTES))
            if not raw:
                raise truncated(self.name)
            left -= len(raw)
            yield raw


def check_well_formed(chunks: Iterable[bytes]) -> None:
    """See that a part is XML to the letter; only then can its tags be told apart by their looks.

    Raises:
        ValueError: it is not.
    """
    parser = expat.ParserCreate()
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise ValueError(str(error)) from error


@contextmanager
def opened_package(path: Path, name: str) -> Iterator[Package]:
    """A zipped workbook whose list of contents keeps the limits.

    Args:
        path: the file; `name`: what the sender calls it.

    Raises:
        CorruptFile: damaged, or packed in a way that no workbook is.
        EncryptedFile: a part has a password.
        TooLargeForASpreadsheet: too many parts, too many bytes, or too many for the file's size.
    """
    try:
        with opened_zip(FileSource(path)) as archive:
            infos = archive.infolist()
    except CorruptFile as error:
        raise _broken(path, name) from error
    by_name = {info.filename: info for info in infos}
    if len({part.lower() for part in by_name}) != len(infos):
        raise corrupt(name, told("two parts have the same name"))
    _check_sizes(infos, name)
    with path.open("rb") as file:
        yield Package(file, by_name, name)


def _broken(path: Path, name: str) -> CorruptFile:
    """A zip without its list of contents, which stands at the end, was cut short."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 65_557, 0))
        return (
            corrupt(name, told("its list of contents is broken"))
            if b"PK\x05\x06" in file.read()
            else truncated(name)
        )


def _check_sizes(infos: list[zipfile.ZipInfo], name: str) -> None:
    if len(infos) > MOST_PARTS:
        raise too_large(name, told("parts"), len(infos), MOST_PARTS)
    if any(info.flag_bits & _ENCRYPTED for info in infos):
        raise encrypted(name)
    if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in infos):
        raise corrupt(name, told("it is packed in a way that spreadsheets are not"))
    expanded = sum(info.file_size for info in infos)
    if expanded > MOST_EXPANDED:
        raise too_large(name, told("bytes when unpacked"), expanded, MOST_EXPANDED)
    for info in infos:
        if info.file_size > RATIO_FREE_BYTES and info.file_size > MOST_RATIO * max(info.compress_size, 1):
            ratio = info.file_size // max(info.compress_size, 1)
            raise too_large(name, told("times its size when unpacked"), ratio, MOST_RATIO)
