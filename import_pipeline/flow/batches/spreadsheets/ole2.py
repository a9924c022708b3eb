"""The stream of a workbook inside an OLE2 file (MS-CFB): sectors chained by tables.

Only as much as an xls needs; what else such a file may hold is told in `containers.py`. calamine follows
chains without end and believes every length, so it only gets to see an OLE2 file written here.
"""

import struct
from pathlib import Path

from import_pipeline.flow.batches.recognising.containers import encrypted
from import_pipeline.flow.batches.spreadsheets.limits import MOST_EXPANDED, too_large
from import_pipeline.flow.batches.spreadsheets.package import corrupt, truncated
from import_pipeline.language import told

# MS-CFB 2.2 and 2.6.
_HEADER_BYTES, _ENTRY_BYTES, _FAT_IN_HEADER = 512, 128, 109
_LAST = 0xFFFFFFFA
_STREAM, _ROOT = 2, 5
_MARK, _NEW_SECTOR = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 4096
_FREE, _END_OF_CHAIN, _FAT_SECTOR = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_NAMES = ("workbook", "book")


def workbook_stream(path: Path, file: str) -> bytes:
    """The records of an xls.

    Raises:
        EncryptedFile: a workbook of today with a password is inside.
        TruncatedFile: a sector lies beyond the end.
        CorruptFile: there is no workbook in it, or its tables are broken.
        TooLargeForASpreadsheet: over 2 GB.
    """
    size = path.stat().st_size
    if size > MOST_EXPANDED:
        raise too_large(file, told("bytes"), size, MOST_EXPANDED)
    ole = _Ole2(path.read_bytes(), file)
    names = {name.lower() for name, _, _, _ in ole.entries}
    if "encryptedpackage" in names:
        raise encrypted(file)
    for wanted in _NAMES:
        for name, kind, start, length in ole.entries:
            if kind == _STREAM and name.lower() == wanted:
                return ole.stream(start, length)
    raise corrupt(file, told("there is no workbook in it"))


def as_ole2(stream: bytes, file: str) -> bytes:
    """The stream alone as an OLE2 file: one chain of sectors, one table of them, one directory.

    Raises:
        TooLargeForASpreadsheet: the table would not fit into the header's list, about 450 MB.
    """
    size, per_table = _NEW_SECTOR, _NEW_SECTOR // 4
    padded = stream.ljust(-(-max(len(stream), 1) // size) * size, b"\0")
    sectors = len(padded) // size
    tables = 1
    while tables * per_table < sectors + 2 + tables:
        tables += 1
    if tables > _FAT_IN_HEADER:
        raise too_large(file, told("bytes"), len(stream), _FAT_IN_HEADER * per_table * size)
    # Behind the stream: the directory, the tables, and a sector of small streams, without which the root
    # would count as empty.
    chain = [*range(1, sectors), _END_OF_CHAIN, _END_OF_CHAIN, *[_FAT_SECTOR] * tables, _END_OF_CHAIN]
    chain += [_FREE] * (tables * per_table - len(chain))
    at = [sectors + 1 + n for n in range(tables)]
    header = struct.pack(
        "<8s16s5H6x9I", _MARK, b"", 0x3E, 4, 0xFFFE, 12, 6, 1, tables, sectors, 0, 4096,
        _END_OF_CHAIN, 0, _END_OF_CHAIN, 0,
    )  # fmt: skip
    header += struct.pack(f"<{_FAT_IN_HEADER}I", *at, *[_FREE] * (_FAT_IN_HEADER - tables))
    directory = _entry("Root Entry", _ROOT, 1, sectors + 1 + tables, 64) + _entry(
        "Workbook", _STREAM, _FREE, 0, len(padded)
    )
    table = struct.pack(f"<{len(chain)}I", *chain)
    return header.ljust(size, b"\0") + padded + directory.ljust(size, b"\0") + table + bytes(size)


def _entry(name: str, kind: int, child: int, start: int, length: int) -> bytes:
    """An entry of the directory (MS-CFB 2.6.1)."""
    text = name.encode("utf-16-le") + b"\0\0"
    head = struct.pack("<64sHBBIII", text, len(text), kind, 1, _FREE, _FREE, child)
    return head + bytes(36) + struct.pack("<IQ", start, length)


class _Ole2:
    """An OLE2 file held in memory.

    Attributes:
        entries: name, kind, first sector and length of each stream and storage.
    """

    def __init__(self, data: bytes, file: str):
        self._data, self._file = data, file
        if len(data) < _HEADER_BYTES:
            raise truncated(file)
        shift, mini_shift = struct.unpack_from("<HH", data, 30)
        if shift not in (9, 12) or mini_shift != 6:
            raise corrupt(file, told("its first bytes are broken"))
        self._size, self._mini_size = 1 << shift, 1 << mini_shift
        directory, self._cutoff, mini_fat = struct.unpack_from("<I4xII", data, 48)
        self._fat = self._table(self._fat_sectors())
        self.entries = list(self._entries(self._chain(directory)))
        self._mini_fat = self._table(self._sectors(mini_fat))
        root = next(((start, size) for _, kind, start, size in self.entries if kind == _ROOT), None)
        self._mini = self._chain(root[0])[: root[1]] if root else b""

    def stream(self, start: int, length: int) -> bytes:
        """A stream's bytes."""
        if length >= self._cutoff:
            content = self._chain(start)
        else:
            size, sectors, at, seen = self._mini_size, [], start, 0
            while at < _LAST and at < len(self._mini_fat) and seen <= len(self._mini_fat):
                sectors.append(self._mini[at * size : (at + 1) * size])
                at, seen = self._mini_fat[at], seen + 1
            content = b"".join(sectors)
        if len(content) < length:
            raise truncated(self._file)
        return content[:length]

    def _fat_sectors(self) -> list[int]:
        """Where the table of sectors lies: named in the header, then in sectors of their own."""
        named = [s for s in struct.unpack_from(f"<{_FAT_IN_HEADER}I", self._data, 76) if s < _LAST]
        at, count = struct.unpack_from("<II", self._data, 68)
        for _ in range(min(count, len(self._data) // self._size)):
            if at >= _LAST:
                break
            entries = struct.unpack(f"<{self._size // 4}I", self._sector(at))
            named += [s for s in entries[:-1] if s < _LAST]
            at = entries[-1]
        return named

    def _table(self, sectors: list[int]) -> tuple[int, ...]:
        content = b"".join(self._sector(sector) for sector in sectors)
        return struct.unpack(f"<{len(content) // 4}I", content)

    def _sectors(self, start: int) -> list[int]:
        """A chain of sectors; one that comes back to itself ends where it is longer than the file."""
        chain: list[int] = []
        while start < _LAST:
            if start >= len(self._fat) or len(chain) > len(self._data) // self._size:
                raise corrupt(self._file, told("its table of sectors is broken"))
            chain.append(start)
            start = self._fat[start]
        return chain

    def _chain(self, start: int) -> bytes:
        return b"".join(self._sector(sector) for sector in self._sectors(start))

    def _sector(self, number: int) -> bytes:
        start = (number + 1) * self._size
        content = self._data[start : start + self._size]
        if not content:
            raise truncated(self._file)
        return content.ljust(self._size, b"\0")

    def _entries(self, directory: bytes) -> "list[tuple[str, int, int, int]]":
        found = []
        for at in range(0, len(directory) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
            length = min(struct.unpack_from("<H", directory, at + 64)[0], 64)
            name = directory[at : at + max(length - 2, 0)].decode("utf-16-le", "replace")
            start, size = struct.unpack_from("<II", directory, at + 116)
            found.append((name, directory[at + 66], start, size))
        return found
