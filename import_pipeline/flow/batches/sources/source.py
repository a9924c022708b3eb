"""Where the bytes of an upload come from: a local file, or an object pinned to its version.

A source can be read from its start any number of times; nothing here interprets the bytes.
"""

import hashlib
import io
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from import_pipeline.errors import NoRoomOnDisk
from import_pipeline.language import told
from import_pipeline.records import ListedObject

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from import_pipeline.storage.bucket import Bucket

CHUNK_BYTES = 8 * 1024 * 1024
# One read somewhere in an object takes this much; reading on from there doubles it up to a chunk.
FIRST_RANGE_BYTES = 64 * 1024
# What must be left on the disk beside a temporary copy.
DISK_RESERVE = 256 * 1024 * 1024


class Source(Protocol):
    """Bytes that can be streamed, again and again, always the same."""

    @property
    def name(self) -> str:
        """What people call it; the last part of the path or key."""

    @property
    def size(self) -> int:
        """Bytes."""

    def chunks(self) -> Iterator[bytes]:
        """The bytes from the start, in parts of any size."""

    def open(self) -> BinaryIO:
        """The same bytes as a seekable file, to be closed by the caller: for formats read out of order."""


@dataclass(frozen=True)
class FileSource:
    """A file on this machine."""

    path: Path
    chunk_bytes: int = CHUNK_BYTES

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size

    def chunks(self) -> Iterator[bytes]:
        """The file's bytes."""
        with self.path.open("rb") as file:
            while chunk := file.read(self.chunk_bytes):
                yield chunk

    def open(self) -> BinaryIO:
        """The file."""
        return self.path.open("rb")


@dataclass(frozen=True)
class ObjectSource:
    """An object in the bucket, read only in the version that was listed."""

    bucket: "Bucket"
    listed: ListedObject

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.listed.key.rsplit("/", 1)[-1]

    @property
    def size(self) -> int:
        """Bytes as listed."""
        return self.listed.size

    def chunks(self) -> Iterator[bytes]:
        """The object's bytes.

        Raises:
            ObjectVanished: it was deleted.
            OverwrittenBeforeRead: another object took its key.
        """
        return self.bucket.read_pinned(self.listed, CHUNK_BYTES)

    def open(self) -> BinaryIO:
        """The object as a file, fetched in ranges as they are asked for; raises as `chunks` does."""
        return io.BufferedReader(_PinnedObject(self.bucket, self.listed), FIRST_RANGE_BYTES)


class PositionedFile(io.RawIOBase):
    """A file that is read and of which a position is all that seeking changes."""

    def __init__(self, size: int):
        self._size, self._position = size, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to another place; fetches nothing."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._position = base + offset
        return self._position


class _PinnedObject(PositionedFile):
    """A pinned object as an unbuffered file: one range is held, a longer one when reading goes on."""

    def __init__(self, bucket: "Bucket", listed: ListedObject):
        super().__init__(listed.size)
        self._bucket, self._listed = bucket, listed
        self._start = 0
        self._range = b""
        self._wanted = FIRST_RANGE_BYTES

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill the buffer from the range at hand, else from the next one."""
        view = memoryview(buffer).cast("B")
        at = self._position - self._start
        if not 0 <= at < len(self._range):
            at = self._fetch(len(view))
        part = self._range[at : at + len(view)]
        view[: len(part)] = part
        self._position += len(part)
        return len(part)

    def _fetch(self, length: int) -> int:
        """Get the range that begins here; the offset in it, which is 0."""
        goes_on = self._range and self._position == self._start + len(self._range)
        self._wanted = min(self._wanted * 2, CHUNK_BYTES) if goes_on else FIRST_RANGE_BYTES
        self._start = self._position
        self._range = self._bucket.read_range(self._listed, self._start, max(self._wanted, length))
        return 0


class HashingSource:
    """Another source, whose sha256 is taken on the way by the first pass that reads all of it."""

    def __init__(self, source: Source):
        self._source = source
        self._sha256: str | None = None

    @property
    def name(self) -> str:
        """The other's name."""
        return self._source.name

    @property
    def size(self) -> int:
        """The other's size, bytes."""
        return self._source.size

    def chunks(self) -> Iterator[bytes]:
        """The other's bytes."""
        if self._sha256 is not None:
            yield from self._source.chunks()
            return
        digest = hashlib.sha256()
        for chunk in self._source.chunks():
            digest.update(chunk)
            yield chunk
        self._sha256 = digest.hexdigest()

    def open(self) -> BinaryIO:
        """The other as a file; what is read there is not hashed."""
        return self._source.open()

    @property
    def local_path(self) -> Path | None:
        """Where the other lies on this machine, if it does."""
        return _local_path(self._source)

    def sha256(self) -> str:
        """64 hex; reads the bytes if no pass has read all of them yet."""
        if self._sha256 is None:
            for _ in self.chunks():
                pass
        assert self._sha256 is not None  # noqa: S101 - set at the end of a pass
        return self._sha256


@contextmanager
def spooled(source: Source) -> Iterator[Path]:
    """The source as a file on this machine: itself if it is one, else a copy that is removed afterwards.

    Raises:
        NoRoomOnDisk: the copy would fill the disk; fields `needed`, `free`, in bytes.
    """
    local = _local_path(source)
    if local is not None:
        yield local
        return
    with tempfile.TemporaryDirectory(prefix="import-pipeline-") as folder:
        copy = Path(folder) / "copy"
        with copy.open("wb") as file:
            _write(source.chunks(), file, Path(folder), source.size)
        yield copy


def temporary_file(chunks: Iterable[bytes], size: int = 0) -> BinaryIO:
    """All chunks in a file without a name, at its beginning; it goes when the caller closes it.

    Args:
        size: bytes that are known to come; nothing is written if they do not fit.

    Raises:
        NoRoomOnDisk: they would fill the disk.
    """
    with ExitStack() as unless_written:
        file: BinaryIO = unless_written.enter_context(tempfile.TemporaryFile())
        _write(chunks, file, Path(tempfile.gettempdir()), size)
        file.seek(0)
        unless_written.pop_all()
    return file


def _write(chunks: Iterable[bytes], file: BinaryIO, folder: Path, size: int) -> None:
    """Write chunks while there is room: how many bytes are unpacked may not be known beforehand."""
    ensure_room(size, folder)
    written = 0
    for chunk in chunks:
        ensure_room(written + len(chunk), folder, written)
        file.write(chunk)
        written += len(chunk)


def ensure_room(size: int, folder: Path, written: int = 0) -> None:
    """See that a temporary file of `size` bytes, some of them written already, fits and something is left.

    Raises:
        NoRoomOnDisk: it does not; `free` is what was free before it was begun.
    """
    free = shutil.disk_usage(folder).free + written
    if free < size + DISK_RESERVE:
        raise NoRoomOnDisk(
            told(
                "There is no room for a temporary copy: {needed:,} bytes, with {reserve:,} to be left, of "
                "{free:,} free.",
                needed=size, reserve=DISK_RESERVE, free=free,
            ),
            remedy=told("Free some space in the folder for temporary files."),
            needed=size, free=free,
        )  # fmt: skip


def _local_path(source: Source) -> Path | None:
    if isinstance(source, FileSource):
        return source.path
    return source.local_path if isinstance(source, HashingSource) else None
