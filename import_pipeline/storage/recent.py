"""What a process keeps of the bucket in memory until it needs it again, up to so many bytes."""

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from import_pipeline.records import ListedObject


class TablesInMemory:
    """Tables by key, up to so many bytes together; the first ones first. Threads may share it.

    Args:
        size: bytes.
    """

    def __init__(self, size: int = 0):
        self._room = size
        self._tables: dict[str, pa.Table] = {}
        self._lock = threading.Lock()

    def keep(self, key: str, table: pa.Table) -> bool:
        """Keep a table in place of an older one, if there is room; whether there is."""
        with self._lock:
            self._forget(key)
            if table.nbytes > self._room:
                return False
            self._room -= table.nbytes
            self._tables[key] = table
            return True

    def get(self, key: str) -> pa.Table | None:
        """The table; None if it is not kept."""
        return self._tables.get(key)

    def take(self, key: str) -> pa.Table | None:
        """The table, which is kept no longer; None if it was not."""
        with self._lock:
            return self._forget(key)

    def _forget(self, key: str) -> pa.Table | None:
        table = self._tables.pop(key, None)
        if table is not None:
            self._room += table.nbytes
        return table

    def keys(self) -> set[str]:
        """What is kept."""
        return set(self._tables)


class OriginalInMemory:
    """An original's bytes, kept by a pass over all of it for the next one, which lets go of them as it reads.

    Args:
        size: bytes; of a larger original none are kept.
    """

    def __init__(self, size: int = 0):
        self._size = size
        self._kept: tuple[ListedObject, deque[bytes]] | None = None

    def chunks(self, source: ListedObject, fetched: Iterator[bytes]) -> Iterator[bytes]:
        """The object's bytes: as kept, once, else as fetched.

        Args:
            fetched: the bytes from the object's start; nothing of it is asked for if they are kept.
        """
        kept, self._kept = self._kept, None
        if kept is None or kept[0] != source:
            yield from self._keeping(source, fetched)
            return
        _, chunks = kept
        try:
            yield chunks[0]
        except GeneratorExit:  # who read only the beginning leaves all of it to the next one
            self._kept = kept
            raise
        chunks.popleft()
        while chunks:
            yield chunks.popleft()

    def _keeping(self, source: ListedObject, fetched: Iterator[bytes]) -> Iterator[bytes]:
        if not 0 < source.size <= self._size:
            yield from fetched
            return
        chunks: deque[bytes] = deque()
        for chunk in fetched:
            chunks.append(chunk)
            yield chunk
        self._kept = source, chunks


@dataclass(frozen=True)
class Recent:
    """What a process that runs several steps need not get from the bucket again.

    Attributes:
        tables: written, and not read yet.
        original: read once, and not again yet.
    """

    tables: TablesInMemory = field(default_factory=TablesInMemory)
    original: OriginalInMemory = field(default_factory=OriginalInMemory)
