"""Dagster's storage in PostgreSQL, over connections that stay open.

dagster-postgres opens a connection for every statement of a run and closes it again: a process of
PostgreSQL and a password check, five milliseconds of CPU, for each of some hundred events of a run. Its web
server keeps one (`optimize_for_webserver`); here every process does. Imported by all of them.
"""

import time
from typing import Any

import psycopg2
from dagster._core.storage.config import PostgresStorageConfig
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import create_pg_engine, get_token_provider_from_config, pg_url_from_config
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect

# One stays open; threads that ask at the same time open more, for as long as they need them.
KEPT_OPEN, MORE = 1, 40
# Before firewalls forget a silent connection.
RECYCLE_SECONDS = 300
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
        super().__init__(postgres_url, should_autocreate_tables, inst_data, token_provider)
        self._event_log_storage = _PooledEventLog(postgres_url, False, token_provider=token_provider)
        engine = create_pg_engine(
            postgres_url,
            token_provider,
            isolation_level="AUTOCOMMIT",
            pool_size=KEPT_OPEN,
            max_overflow=MORE,
            pool_recycle=RECYCLE_SECONDS,
            pool_pre_ping=True,
        )
        event.listen(engine, "do_connect", _Patience())
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


class _PooledEventLog(PostgresEventLogStorage):
    """Lets go of the pool when the instance is disposed of."""

    def dispose(self) -> None:
        super().dispose()
        self._engine.dispose()
