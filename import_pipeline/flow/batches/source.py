"""Where the bytes of an upload come from: a local file, or an object pinned to its version.

A source can be read from its start any number of times; nothing here interprets the bytes.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from import_pipeline.records import ListedObject

if TYPE_CHECKING:
    from import_pipeline.storage.bucket import Bucket

CHUNK_BYTES = 8 * 1024 * 1024


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

    def sha256(self) -> str:
        """64 hex; reads the bytes if no pass has read all of them yet."""
        if self._sha256 is None:
            for _ in self.chunks():
                pass
        assert self._sha256 is not None  # noqa: S101 - set at the end of a pass
        return self._sha256
