"""Connections to PostgreSQL, and its errors in our words.

Everything works behind PgBouncer: no prepared statements, no session settings or locks.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import conninfo
from psycopg import errors as pg

from import_pipeline.errors import ConcurrentChange, ConfigurationError, DatabaseUnavailable

CONNECT_TIMEOUT_SECONDS = 10
CONFLICTS = (pg.UniqueViolation, pg.SerializationFailure, pg.DeadlockDetected, pg.LockNotAvailable)
# One that was silent for too long inside of a transaction is ended under a class of its own.
ENDED = (psycopg.OperationalError, pg.IdleInTransactionSessionTimeout)


def connect(url: str, *, application_name: str = "import_pipeline") -> psycopg.Connection:
    """Open a connection; `with` commits at its end and rolls back on an error.

    Raises:
        ConfigurationError: the URL is none; the cause, which quotes it, is cut off.
        DatabaseUnavailable: nothing answers, or it does not let us in.
    """
    role_of(url)
    with translated_errors():
        return psycopg.connect(
            url,
            application_name=application_name[:63],
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            prepare_threshold=None,
        )


def role_of(url: str) -> str:
    """The role that a URL names, or nothing.

    Raises:
        ConfigurationError: it is no address of a database; the cause, which quotes it, is cut off.
    """
    try:
        return str(conninfo.conninfo_to_dict(url).get("user", ""))
    except psycopg.ProgrammingError:
        raise ConfigurationError(
            "The address of the database is not one that PostgreSQL understands.",
            remedy="Set IMPORT_PIPELINE_DATABASE_URL to postgresql://role:password@host:port/database.",
        ) from None


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn PostgreSQL's troubles into ours; mistakes in our SQL stay what they are.

    The cause is cut off where it is an answer of the server's: its DETAIL and CONTEXT may quote a row,
    and so personal values.

    Raises:
        ConcurrentChange: another writer was there; repeating is safe.
        DatabaseUnavailable: no connection, or it was ended.
    """
    try:
        yield
    except CONFLICTS as error:
        raise ConcurrentChange(
            f"PostgreSQL: {error.diag.message_primary or type(error).__name__}.",
            remedy="The step is tried again.",
            constraint=error.diag.constraint_name,
            table=error.diag.table_name,
        ) from None
    except ENDED as error:
        reason = str(error).strip().splitlines()
        state = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
        raise DatabaseUnavailable(
            f"PostgreSQL is not available: {reason[0] if reason else type(error).__name__}{state}",
            remedy="Check that it runs and that IMPORT_PIPELINE_DATABASE_URL is right.",
        ) from (None if error.sqlstate else error)
