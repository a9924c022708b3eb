"""Where staging and report objects lie: the `Store` protocol, and a store over a local folder.

`check` on the command line runs the whole flow over `LocalStore`; a run does over `Bucket`
(`bucket.py`). Which key an object has is `places.py`'s business.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from import_pipeline.errors import StoredObjectMissing
from import_pipeline.storage.recent import TablesInMemory

OCTETS = "application/octet-stream"
# Of Parquet that is written once and read once or twice. Dictionaries are for columns with few values: others
# outgrow a larger one slowly, and are larger for it. A third less CPU, a fifth fewer bytes than by default.
LEAN_PARQUET = {"dictionary_pagesize_limit": 16 * 1024, "write_statistics": False}


class Store(Protocol):
    """Objects by key; writing replaces, and an object is seen whole or not at all."""

    def put_bytes(self, key: str, data: bytes, content_type: str = OCTETS) -> None:
        """Write an object."""

    def get_bytes(self, key: str) -> bytes:
        """Read a whole object; `StoredObjectMissing` if it is not there."""

    def put_file(self, key: str, path: Path, content_type: str = OCTETS) -> None:
        """Write an object from a local file of any size."""

    def get_file(self, key: str, path: Path) -> None:
        """Read an object of any size into a local file; `StoredObjectMissing` if it is not there."""

    def put_table(self, key: str, table: pa.Table) -> None:
        """Write a table of at most one batch (64 MB)."""

    def get_table(self, key: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a table, all columns or those named; `StoredObjectMissing` if it is not there."""

    def list_keys(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix`, sorted."""

    def delete_prefix(self, prefix: str) -> int:
        """Delete all objects whose key begins with `prefix`; the number deleted."""

    def exists(self, key: str) -> bool:
        """Whether there is an object at `key`."""


class LocalStore:
    """A store over a folder; a key is a path below it.

    Args:
        table_bytes: tables are kept in memory up to so many bytes together, further ones as files.
    """

    def __init__(self, root: Path, table_bytes: int = 0):
        self.root = root
        self._tables = TablesInMemory(table_bytes)

    def path(self, key: str) -> Path:
        """The file that holds `key`.

        Raises:
            ValueError: the key would lead out of the folder.
        """
        parts = PurePosixPath(key).parts
        if not parts or ".." in parts or key.startswith("/"):
            raise ValueError(f"not a key of a local store: {key!r}")
        return self.root.joinpath(*parts)

    def put_bytes(self, key: str, data: bytes, content_type: str = OCTETS) -> None:
        """Write a file; its content type is not kept."""
        target = self._parent_made(key)
        half = target.with_name(target.name + ".part")
        half.write_bytes(data)
        half.replace(target)

    def get_bytes(self, key: str) -> bytes:
        """Read a whole file."""
        try:
            return self.path(key).read_bytes()
        except FileNotFoundError:
            raise missing(key) from None

    def put_file(self, key: str, path: Path, content_type: str = OCTETS) -> None:
        """Copy a file in."""
        target = self._parent_made(key)
        half = target.with_name(target.name + ".part")
        shutil.copyfile(path, half)
        half.replace(target)

    def get_file(self, key: str, path: Path) -> None:
        """Copy a file out."""
        try:
            shutil.copyfile(self.path(key), path)
        except FileNotFoundError:
            raise missing(key) from None

    def put_table(self, key: str, table: pa.Table) -> None:
        """Keep a table in memory while there is room, else write it as an Arrow IPC file.

        What lies in a folder is read again by the same machine at once: packing it would only cost time.
        """
        if self._tables.keep(key, table):
            return
        target = self._parent_made(key)
        half = target.with_name(target.name + ".part")
        with pa.OSFile(str(half), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        half.replace(target)

    def get_table(self, key: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Map a table that `put_table` wrote, or read one from Parquet."""
        kept = self._tables.get(key)
        if kept is not None:
            return kept if columns is None else kept.select(list(columns))
        path = self.path(key)
        if not path.exists():
            raise missing(key)
        if path.open("rb").read(4) == b"PAR1":
            return pq.read_table(path, columns=None if columns is None else list(columns))
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
        return table if columns is None else table.select(list(columns))

    def list_keys(self, prefix: str) -> list[str]:
        """Keys of tables in memory and of files, `.part` leftovers excluded."""
        files = (p for p in self.root.rglob("*") if p.is_file() and p.suffix != ".part")
        keys = {p.relative_to(self.root).as_posix() for p in files} | self._tables.keys()
        return sorted(key for key in keys if key.startswith(prefix))

    def delete_prefix(self, prefix: str) -> int:
        """Delete tables and files; folders left empty go too."""
        keys = self.list_keys(prefix)
        for key in keys:
            self._tables.take(key)
            path = self.path(key)
            path.unlink(missing_ok=True)
            for parent in path.parents:
                if parent == self.root or not parent.exists() or any(parent.iterdir()):
                    break
                parent.rmdir()
        return len(keys)

    def exists(self, key: str) -> bool:
        """Whether there is a table or file at `key`."""
        return self._tables.get(key) is not None or self.path(key).is_file()

    def _parent_made(self, key: str) -> Path:
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def missing(key: str) -> StoredObjectMissing:
    """The error for a key that holds nothing."""
    return StoredObjectMissing(
        f"The object {key} is not there any more.", remedy="Launch the import again.", key=key
    )
