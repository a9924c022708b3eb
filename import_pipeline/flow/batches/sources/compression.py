"""A compressed file (gz, zst, xz, bz2) as the source of what is inside, expanded as it is read.

One file is inside; archives of several are `archives/`'s. Memory is bounded, and what expands beyond
sense is refused while it expands: nothing is written to the disk for a format that is read in order.
"""

import bz2
import lzma
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final

import zstandard

from import_pipeline.errors import CorruptFile, ExpandsTooFar, FileTooLarge, TruncatedFile
from import_pipeline.flow.batches.sources.source import Source, temporary_file
from import_pipeline.language import told
from import_pipeline.records import Compression

PIECE_BYTES = 4 * 1024 * 1024
# Text compresses 5 to 20 times; what expands beyond both is made to fill a disk.
MOST_EXPANSION = 200
EXPANSION_FREE_BYTES = 256 * 1024 * 1024
# What a decoder may take: xz and zstd ask for as much as the file says. `xz -9` and `zstd -19` need less.
XZ_MEMORY = 128 * 1024 * 1024
ZSTD_WINDOW = 128 * 1024 * 1024
# Zstandard's decoder takes no limit for what comes out; a block of 4 bytes gives at most 128 KB.
_ZSTD_FED_BYTES = 2048
_FED_BYTES = 1024 * 1024
COMPRESSION_NAMES: Final[Mapping[Compression, str]] = {
    "gz": "gzip", "zst": "Zstandard", "xz": "xz", "bz2": "bzip2",
}  # fmt: skip
SUFFIXES: Final[Mapping[Compression, tuple[str, ...]]] = {
    "gz": (".gz", ".gzip"), "zst": (".zst", ".zstd"), "xz": (".xz",), "bz2": (".bz2", ".bz"),
}  # fmt: skip
# Ways in which the libraries say that the bytes are not theirs.
_DAMAGED = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, ValueError)
_SKIPPABLE_FRAME = b"\x2a\x4d\x18"


def compression_of(start: bytes) -> Compression | None:
    """How a file that begins with these bytes (10 or more) is compressed; None if it is not.

    Sources: RFC 1952, RFC 8878 (3.1.1, 3.1.2), the .xz file format 1.2.1, bzip2's block and end marks.
    """
    if start.startswith(b"\x1f\x8b\x08"):
        return "gz"
    if start.startswith(b"\x28\xb5\x2f\xfd") or (start[1:4] == _SKIPPABLE_FRAME and start[0] >> 4 == 5):
        return "zst"
    if start.startswith(b"\xfd7zXZ\x00"):
        return "xz"
    if start.startswith(b"BZh") and start[4:10] in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"):
        return "bz2"
    return None


def is_compressed_name(name: str) -> bool:
    """Whether a name ends like that of a compressed file."""
    return name.lower().endswith(tuple(suffix for some in SUFFIXES.values() for suffix in some))


def name_inside(name: str, compression: Compression) -> str:
    """What the file inside is called: without the last suffix if that is the compression's."""
    suffix = next((s for s in SUFFIXES[compression] if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)] or name


class ExpandedSource:
    """What a compressed source holds, as a source.

    Args:
        limit: bytes that may come out.

    Attributes:
        bytes_taken: bytes of the compressed source that the latest pass has read: for progress.
    """

    def __init__(self, source: Source, compression: Compression, limit: int):
        self.bytes_taken = 0
        self._source, self._compression, self._limit = source, compression, limit
        self._size: int | None = None

    @property
    def name(self) -> str:
        """The name without the compression's suffix."""
        return name_inside(self._source.name, self._compression)

    @property
    def size(self) -> int:
        """Bytes, expanded; takes a pass over all of them if there was none."""
        if self._size is None:
            for _ in self.chunks():
                pass
        assert self._size is not None  # noqa: S101 - set at the end of a pass
        return self._size

    def chunks(self) -> Iterator[bytes]:
        """The expanded bytes; several members or frames, one behind the other, are one text.

        Raises:
            CorruptFile: the bytes are not what the compression promises, or others stand behind its end.
            TruncatedFile: they end too early.
            FileTooLarge: more comes out than the limit.
            ExpandsTooFar: over 256 MiB come out, and over 200 times what went in.
        """
        size = self.bytes_taken = 0
        for piece in self._pieces():
            size += len(piece)
            if size > self._limit:
                raise self._too_large()
            if size > max(EXPANSION_FREE_BYTES, MOST_EXPANSION * self.bytes_taken):
                raise self._expands_too_far()
            yield piece
        self._size = size

    def open(self) -> BinaryIO:
        """The expanded bytes as a temporary file; raises as `chunks`, and NoRoomOnDisk."""
        return temporary_file(self.chunks())

    def _pieces(self) -> Iterator[bytes]:
        decoder = _Decoder(self._compression)
        for chunk in self._source.chunks():
            self.bytes_taken += len(chunk)
            yield from self._decoded(decoder, chunk)
        if not decoder.complete:
            raise TruncatedFile(
                told("{file} ends before its {compression} data does: part of it is missing.",
                     file=self._source.name, compression=COMPRESSION_NAMES[self._compression]),
                remedy=told("Send the whole file again; an upload or a download may have broken off."),
            )  # fmt: skip

    def _decoded(self, decoder: "_Decoder", chunk: bytes) -> Iterator[bytes]:
        pieces = decoder.feed(chunk)
        while True:
            try:
                piece = next(pieces, None)
            except _DAMAGED as error:
                raise CorruptFile(
                    told("{file} is damaged: it is no whole {compression} file ({reason}).",
                         file=self._source.name, compression=COMPRESSION_NAMES[self._compression],
                         reason=str(error)),
                    remedy=told("Compress the file again, or send it uncompressed."),
                ) from error  # fmt: skip
            if piece is None:
                return
            yield piece

    def _too_large(self) -> FileTooLarge:
        return FileTooLarge(
            told("{file} expands to more than {limit:,} bytes, the most that is taken.",
                 file=self._source.name, limit=self._limit),
            remedy=told("Split it into smaller files."),
            limit=self._limit,
        )  # fmt: skip

    def _expands_too_far(self) -> ExpandsTooFar:
        return ExpandsTooFar(
            told("{file} expands to over {limit} times its size.",
                 file=self._source.name, limit=MOST_EXPANSION),
            remedy=told("Send it uncompressed."),
            limit=MOST_EXPANSION,
        )  # fmt: skip


class _Decoder:
    """Expands members that follow each other, in pieces of bounded size.

    Attributes:
        complete: whether the bytes so far end with the end of a member.
    """

    def __init__(self, compression: Compression):
        self._compression = compression
        self._member: Any = None
        self._padding = False

    @property
    def complete(self) -> bool:
        return self._member is None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What comes out of the next bytes.

        Raises:
            any of `_DAMAGED`: they are not what they should be.
        """
        step = _ZSTD_FED_BYTES if self._compression == "zst" else _FED_BYTES
        for start in range(0, len(data), step):
            yield from self._feed(data[start : start + step])

    def _feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member is None:
                data = self._without_padding(data)
                if not data:
                    return
                self._member = _new_member(self._compression)
            yield from _expand(self._member, data)
            if not self._member.eof:
                return
            data, self._member, self._padding = self._member.unused_data, None, True

    def _without_padding(self, data: bytes) -> bytes:
        """Zeros behind a gzip member or xz stream fill up a block; other bytes begin a member."""
        if self._padding and self._compression in ("gz", "xz"):
            return data.lstrip(b"\0")
        return data


def _new_member(compression: Compression) -> Any:
    if compression == "gz":
        return _GzipMember()
    if compression == "bz2":
        return bz2.BZ2Decompressor()
    if compression == "xz":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY)
    return _ZstdFrame()


class _GzipMember:
    """A gzip member with the interface of the standard library's other decompressors."""

    def __init__(self) -> None:
        self._expander = zlib.decompressobj(wbits=31)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most `max_length` bytes of what comes out; b"" as data goes on with what was fed before."""
        return self._expander.decompress(self._expander.unconsumed_tail + data, max_length)

    @property
    def needs_input(self) -> bool:
        return not self._expander.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._expander.eof

    @property
    def unused_data(self) -> bytes:
        return self._expander.unused_data


class _ZstdFrame:
    """A Zstandard frame with the same interface; how much comes out is bounded by how much is fed."""

    needs_input = True

    def __init__(self) -> None:
        self._expander = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj()

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """All that comes out."""
        return self._expander.decompress(data)

    @property
    def eof(self) -> bool:
        return self._expander.eof

    @property
    def unused_data(self) -> bytes:
        return self._expander.unused_data


def _expand(member: Any, data: bytes) -> Iterator[bytes]:
    """All that comes out of one member for these bytes."""
    piece = member.decompress(data, PIECE_BYTES)
    while piece or not (member.eof or member.needs_input):
        if piece:
            yield piece
        if member.eof:
            return
        piece = member.decompress(b"", PIECE_BYTES)
