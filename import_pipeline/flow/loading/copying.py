"""Arrow tables into PostgreSQL by binary COPY (ADBC), in one transaction with a little SQL.

The only place that knows ADBC: its connections, and its errors in our words.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
from psycopg.conninfo import make_conninfo

from import_pipeline.errors import ConcurrentChange, DatabaseUnavailable, ImportFailed, ImportPipelineError
from import_pipeline.ledger.connection import CONNECT_TIMEOUT_SECONDS

# SQLSTATEs, https://www.postgresql.org/docs/current/errcodes-appendix.html
CONFLICTS = ("23505", "40001", "40P01", "55P03")
PRIMARY = "PG_DIAG_MESSAGE_PRIMARY"
UNAVAILABLE_CLASSES = ("08", "53", "57", "58")


class CopyConnection:
    """One ADBC connection with one open transaction."""

    def __init__(self, connection: Any):
        self._connection = connection

    def execute(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement with `$1`, `$2`, … and return its rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(query, values or None)
            return list(cursor.fetchall()) if cursor.description else []

    def append(self, schema: str, table: str, rows: pa.Table) -> None:
        """COPY rows into a table, column by column name."""
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, rows, mode="append", db_schema_name=schema)

    def commit(self) -> None:
        """Commit; without it everything is rolled back at the end."""
        self._connection.commit()


@contextmanager
def copy_connection(url: str, *, application_name: str = "import_pipeline") -> Iterator[CopyConnection]:
    """Open a connection for COPY; it closes at the end, whatever happened.

    Args:
        url: `postgresql://…`; SQLAlchemy's `postgresql+driver://…` is understood too.

    Raises:
        DatabaseUnavailable: nothing answers, or the connection ended.
        ConcurrentChange: another writer was in the way; repeating is safe.
        ImportFailed: PostgreSQL refused the rows or a statement.
    """
    info = make_conninfo(
        libpq_url(url), application_name=application_name[:63], connect_timeout=CONNECT_TIMEOUT_SECONDS
    )
    try:
        connection = adbc.connect(info)
        try:
            yield CopyConnection(connection)
        finally:
            connection.close()
    except adbc_driver_manager.Error as error:
        # The cause is cut off: its detail quotes cells, which may be personal.
        raise _translated(error) from None


def libpq_url(url: str) -> str:
    """The URL as libpq reads it: without SQLAlchemy's driver name."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}"


def _translated(error: adbc_driver_manager.Error) -> ImportPipelineError:
    state = error.sqlstate or ""
    reason = _primary_message(error)
    if state in CONFLICTS:
        return ConcurrentChange(f"PostgreSQL: {reason}.", remedy="The step is tried again.", sqlstate=state)
    if state[:2] in UNAVAILABLE_CLASSES or error.status_code == adbc_driver_manager.AdbcStatusCode.IO:
        return DatabaseUnavailable(
            f"PostgreSQL is not available: {reason}.",
            remedy="Check that it runs and that IMPORT_PIPELINE_DATABASE_URL is right.",
            sqlstate=state,
        )
    return ImportFailed(f"PostgreSQL refused the rows of a batch: {reason}.", sqlstate=state)


def _primary_message(error: adbc_driver_manager.Error) -> str:
    """What PostgreSQL says in one line; its DETAIL and CONTEXT quote values."""
    primary = [text for name, text in error.details or [] if name in (b"PG_DIAG_MESSAGE_PRIMARY", PRIMARY)]
    text = primary[0].decode(errors="replace") if primary else str(error)
    lines = text.strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")
