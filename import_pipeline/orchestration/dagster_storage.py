"""Dagster's storage in PostgreSQL, over connections that stay open.

dagster-postgres opens a connection for every statement of a run and closes it again: a process of
PostgreSQL and a password check, five milliseconds of CPU, for each of some hundred events of a run. Its web
server keeps one (`optimize_for_webserver`); here every process does, and asks PostgreSQL only what it has to:
not before each statement whether it is there and whether it has a table or a column, nor after each event to
notify those who listen, which nobody does. Imported by all of them.
"""

import multiprocessing
import selectors
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import psycopg2
import sqlalchemy as sa
from dagster import DagsterInstance, EventLogEntry
from dagster._core.storage.config import PostgresStorageConfig
from dagster._core.storage.event_log.schema import AssetKeyTable, SecondaryIndexMigrationTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)
from dagster_postgres.utils import create_pg_engine, get_token_provider_from_config, pg_url_from_config
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

# One stays open; threads that ask at the same time open more, for as long as they need them.
KEPT_OPEN, MORE = 1, 40
# Before firewalls forget a silent connection.
RECYCLE_SECONDS = 300
# A network that drops a connection without a word is noticed if it was not used for so long.
SILENT_SECONDS = 1.0
MIGRATIONS = SecondaryIndexMigrationTable.c
# What this process has seen databases have: URL, then what.
_HAD: set[tuple[str, ...]] = set()
# Dagster tries a connection six times in about a second; so PostgreSQL has half a minute to be there again.
AWAY_SECONDS, LOOK_SECONDS = 5.0, 0.5


class PooledPostgresStorage(DagsterPostgresStorage):
    """Runs, events and schedules over one pool of connections a process; configured as its parent.

    A connection that PostgreSQL or the network dropped is noticed before it is used, and replaced, also by a
    PostgreSQL that is back within half a minute: an event that cannot be written fails its step, whatever
    the step's retries. A process that never had a connection is told at once that it gets none.
    """

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: Any = None,
    ):
        # A process of a run has its run from the tables; others make an instance for every run.
        tables_are_there = (postgres_url, "tables") in _HAD or multiprocessing.parent_process() is not None
        super().__init__(
            postgres_url, should_autocreate_tables and not tables_are_there, inst_data, token_provider
        )
        if should_autocreate_tables:
            _HAD.add((postgres_url, "tables"))
        self._run_storage = _PooledRuns(postgres_url, False, token_provider=token_provider)
        self._event_log_storage = _PooledEventLog(postgres_url, False, token_provider=token_provider)
        self._schedule_storage = _PooledSchedules(postgres_url, False, token_provider=token_provider)
        engine = create_pg_engine(
            postgres_url,
            token_provider,
            isolation_level="AUTOCOMMIT",
            pool_size=KEPT_OPEN,
            max_overflow=MORE,
            pool_recycle=RECYCLE_SECONDS,
        )
        event.listen(engine, "do_connect", _Patience())
        _look_after(engine)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = engine

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData | None, config_value: PostgresStorageConfig
    ) -> "PooledPostgresStorage":
        """As dagster.yaml configures it."""
        return cls(
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=bool(config_value.get("should_autocreate_tables", True)),
            inst_data=inst_data,
            token_provider=get_token_provider_from_config(config_value),
        )


class _Patience:
    """Connects, and after the first time waits for a PostgreSQL that is away. Nothing is executed meanwhile,
    so nothing can be done twice.
    """

    def __init__(self) -> None:
        self._connected = False

    def __call__(self, dialect: Dialect, record: Any, arguments: Any, options: Any) -> DBAPIConnection:
        until = time.monotonic() + (AWAY_SECONDS if self._connected else 0.0)
        while True:
            try:
                connection = dialect.connect(*arguments, **options)
            except psycopg2.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(LOOK_SECONDS)
            else:
                self._connected = True
                return connection


def _look_after(engine: sa.Engine) -> None:
    """Have connections in UTC, and those that ended while they were kept replaced before they are used."""
    event.listen(engine, "connect", _speak_utc)
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", _require_alive)


def _speak_utc(connection: Any, _: ConnectionPoolEntry) -> None:
    """Dagster lets PostgreSQL write the session's clock into columns without a zone, and reads them as UTC.

    In another zone its monitoring fails fresh runs as hours old, and where clocks are put back, a run looks
    older than the one it follows. A statement and no option, since PgBouncer follows the one only.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET timezone TO 'UTC'")
    connection.commit()


def _note_use(_: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
    entry.info["used"] = time.monotonic()


def _require_alive(connection: Any, entry: ConnectionPoolEntry, _: Any) -> None:
    """See that a kept connection is still one.

    PostgreSQL that ends one says so, and its kernel does if it cannot: then there is something to read,
    which between two statements there is not. It costs no statement.

    Raises:
        InvalidatePoolError: it was ended; the pool's others are as old.
    """
    if "used" not in entry.info:
        return
    silent = time.monotonic() - entry.info["used"] > SILENT_SECONDS
    if connection.closed or _something_to_read(connection) or (silent and not _answers(connection)):
        raise InvalidatePoolError


def _something_to_read(connection: Any) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(timeout=0))


def _answers(connection: Any) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except psycopg2.Error:
        return False
    return True


def _once_true(method: Callable[..., bool]) -> Callable[..., bool]:
    """Of a storage: what its database has once had is not asked for again, since no migration takes it away.

    Dagster asks inside of other statements, over one more connection each time.
    """

    @wraps(method)
    def answer(self: Any, *subject: str) -> bool:
        asked = (self.postgres_url, method.__name__, *subject)
        if asked not in _HAD and method(self, *subject):
            _HAD.add(asked)
        return asked in _HAD

    return answer


def ask_ahead(instance: DagsterInstance) -> None:
    """Note all that an instance's database has, if it is one of ours, for this process and those it forks."""
    runs, events = instance.run_storage, instance.event_log_storage
    if not (isinstance(runs, _PooledRuns) and isinstance(events, _PooledEventLog)):
        return
    runs.has_run_stats_index_cols()
    with events.index_connection() as conn:
        schema = sa.inspect(conn)
        had = {
            "has_table": schema.get_table_names(),
            "has_asset_key_col": [column["name"] for column in schema.get_columns(AssetKeyTable.name)],
            "has_secondary_index": conn.scalars(
                sa.select(MIGRATIONS.name).where(MIGRATIONS.migration_completed.is_not(None))
            ).all(),
        }
    _HAD.update((events.postgres_url, method, subject) for method in had for subject in had[method])


class _LookedAfter:
    """A storage that replaces dead connections in the web server too, where it has an engine of its own.

    As Dagster has it, the first launch after PostgreSQL was started again is an error, and its run, which is
    recorded already, is launched once more when the monitoring has given it up.
    """

    _engine: sa.Engine

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        super().optimize_for_webserver(statement_timeout, pool_recycle, max_overflow)  # type: ignore[misc]
        _look_after(self._engine)


class _PooledSchedules(_LookedAfter, PostgresScheduleStorage):
    """Nothing but looked after."""


class _PooledRuns(_LookedAfter, PostgresRunStorage):
    """Asks once for the columns that older versions did not have."""

    has_run_stats_index_cols = _once_true(PostgresRunStorage.has_run_stats_index_cols)
    has_backfill_id_column = _once_true(PostgresRunStorage.has_backfill_id_column)


class _PooledEventLog(_LookedAfter, PostgresEventLogStorage):
    """Writes events as Dagster's other databases do, without a NOTIFY that no version still in use hears.

    Asks once for what older versions did not have; lets go of the pool when the instance is disposed of.
    """

    has_table = _once_true(PostgresEventLogStorage.has_table)
    has_secondary_index = _once_true(PostgresEventLogStorage.has_secondary_index)
    has_asset_key_col = _once_true(PostgresEventLogStorage.has_asset_key_col)

    def store_event(self, event: EventLogEntry) -> None:
        SqlEventLogStorage.store_event(self, event)

    def dispose(self) -> None:
        super().dispose()
        self._engine.dispose()
