"""Opening a Parquet file, and saying what is wrong with one that cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from import_pipeline.errors import CorruptFile, PermanentImportError
from import_pipeline.flow.batches.recognising.containers import encrypted
from import_pipeline.flow.batches.sources.source import Source
from import_pipeline.language import told

# Pages are read through a buffer of this size, not a column of a row group at once.
_BUFFER_BYTES = 1024 * 1024


@contextmanager
def opened_parquet(source: Source) -> Iterator[pq.ParquetFile]:
    """The file, its pages read as they are needed.

    Raises:
        CorruptFile: it is damaged, there or where it is read inside the `with`.
        EncryptedFile: it needs a key.
    """
    with source.open() as file:
        try:
            with pq.ParquetFile(
                file, pre_buffer=False, buffer_size=_BUFFER_BYTES, page_checksum_verification=True
            ) as opened:
                yield opened
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(source.name, error) from error


def _unreadable(name: str, error: Exception) -> PermanentImportError:
    said = str(error)
    if "encrypt" in said.lower() or "decrypt" in said.lower():
        return encrypted(name)
    return CorruptFile(
        told(
            "{file} is a Parquet file that cannot be read: {reason}.",
            file=name,
            reason=said[:200].rstrip("."),
        ),
        remedy=told("Write it again, and check it with the program that made it."),
    )
