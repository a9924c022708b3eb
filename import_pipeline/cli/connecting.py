"""How commands reach the ledger and the bucket of the settings in force."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.ledger.connection import connect, translated_errors
from import_pipeline.ledger.migrate import require_current
from import_pipeline.settings import Settings
from import_pipeline.storage.bucket import Bucket, s3_client


@contextmanager
def open_ledger(settings: Settings) -> Iterator[psycopg.Connection]:
    """A connection to the ledger: commits at its end, rolls back on an error.

    Raises:
        ConfigurationError: no database is set, or its schema is older than the code.
        DatabaseUnavailable: it does not answer.
    """
    url = settings.require_database_url()
    with translated_errors(), connect(url, application_name="import-pipeline command") as conn:
        require_current(conn, {})
        conn.commit()
        yield conn


def open_bucket(settings: Settings) -> Bucket:
    """The bucket that files are dropped into.

    Raises:
        ConfigurationError: none is set and no local one is running.
    """
    name = settings.require_bucket()
    return Bucket(s3_client(settings), name)


def datasets_of(settings: Settings) -> dict[str, Dataset]:
    """All datasets by name."""
    return load_datasets(settings.datasets)
