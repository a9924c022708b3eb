"""One file in a zip as a source: unpacked as it is read, its checksum verified by whoever reads all of it."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

from import_pipeline.flow.arrivals.members import shown_name
from import_pipeline.flow.batches.archives.listing import refuse_packing
from import_pipeline.flow.batches.archives.zip_directory import damaged, member_name, opened_zip
from import_pipeline.flow.batches.sources.source import CHUNK_BYTES, PositionedFile, Source, temporary_file

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

START_BYTES = 128 * 1024


@dataclass(frozen=True)
class MemberSource:
    """A file in an archive, by its path there."""

    archive: Source
    member: str

    @property
    def name(self) -> str:
        """As the sender reads it: `leads.zip › janeiro.csv`."""
        return shown_name(self.archive.name, self.member)

    @cached_property
    def size(self) -> int:
        """Bytes, unpacked."""
        with opened_zip(self.archive) as opened:
            return self._found(opened).file_size

    def chunks(self) -> Iterator[bytes]:
        """The member's bytes.

        Raises:
            CorruptFile: they are not those that were packed, or not as many.
            EncryptedFile, UnsupportedCompression: as `list_members`.
        """
        return self._pieces(CHUNK_BYTES)

    def open(self) -> BinaryIO:
        """The member as a seekable file; raises as `chunks`.

        Its beginning is at hand. Whoever reads on gets a temporary copy: out of order, deflate can only
        be read from the front again and again.

        Raises:
            NoRoomOnDisk: the copy would fill the disk.
        """
        return io.BufferedReader(_UnpackedMember(self))

    def start(self) -> bytes:
        """The first 128 KB."""
        return next(self._pieces(START_BYTES), b"")

    def _pieces(self, length: int) -> Iterator[bytes]:
        with opened_zip(self.archive) as opened:
            info = self._found(opened)
            refuse_packing(self.archive, info)
            done = 0
            with opened.open(info) as file:
                while piece := file.read(length):
                    done += len(piece)
                    yield piece
            if done != info.file_size:
                raise damaged(self.name)

    def _found(self, opened: zipfile.ZipFile) -> zipfile.ZipInfo:
        for info in opened.infolist():
            if member_name(info) == self.member:
                return info
        raise damaged(self.name)


class _UnpackedMember(PositionedFile):
    """A member as a file: its first bytes from memory, all else from a copy that is made when needed."""

    def __init__(self, source: MemberSource):
        super().__init__(source.size)
        self._source = source
        self._start = source.start()
        self._copy: BinaryIO | None = None

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill the buffer from the beginning at hand, else from the copy."""
        view = memoryview(buffer).cast("B")
        part = self._start[self._position : self._position + len(view)]
        if not part and self._position < self._size:
            copy = self._unpacked()
            copy.seek(self._position)
            part = copy.read(len(view))
        view[: len(part)] = part
        self._position += len(part)
        return len(part)

    def close(self) -> None:
        """Let the copy go."""
        if self._copy is not None:
            self._copy.close()
        super().close()

    def _unpacked(self) -> BinaryIO:
        if self._copy is None:
            self._copy = temporary_file(self._source.chunks(), self._size)
        return self._copy
