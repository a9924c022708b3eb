"""`import-pipeline migrate`: ledger and dataset tables brought up to the code, and the check that they are.

Each step is a transaction of its own under one advisory lock and a lock timeout: two migrates may
run at once, and no import waits behind a lock that migrate waits for.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import errors as pg
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import ConfigurationError, SchemaOutOfDate
from import_pipeline.ledger.access import secure_dataset_table, secure_ledger
from import_pipeline.ledger.connection import connect, role_of, translated_errors
from import_pipeline.ledger.dataset_tables import (
    Misfit,
    add_columns,
    compare_table,
    create_table,
    dataset_table_problems,
)
from import_pipeline.ledger.grants import grant_loader, missing_rights, protect_ledger
from import_pipeline.ledger.readers import grant_readers
from import_pipeline.ledger.states import TRANSITIONS

SCHEMAS = ("imports", "staging")
LOCK_TRIES, LOCK_WAIT_SECONDS, PAUSE_SECONDS = 12, 5, 0.5
T = TypeVar("T")
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('import_pipeline migrate', 0))"
_LOCK_TIMEOUT = f"SET LOCAL lock_timeout = '{LOCK_WAIT_SECONDS}s'"


def migrate(owner_url: str, datasets: Mapping[str, Dataset], *, loader: str | None = None) -> list[str]:
    """Bring ledger and dataset tables up to the code; doing it again does nothing.

    Creates what is missing and adds the nullable columns that a dataset gained. A changed type or
    key is refused, after everything else is done.

    Args:
        owner_url: of the role that owns the tables, `postgresql://…`.
        loader: role that the pipeline runs as, if it is another one.

    Returns:
        What was done, one sentence each.

    Raises:
        ConfigurationError: a table does not fit its dataset (the remedy is the SQL to run), or the
            owner may not do what is needed.
        ConcurrentChange: imports held their locks for too long.
        DatabaseUnavailable: PostgreSQL does not answer.
    """
    with (
        _explained(owner_url),
        connect(owner_url, application_name="import_pipeline migrate") as conn,
    ):
        done = _step(conn, _create_schemas)
        done += _patiently(lambda: _upgrade_ledger(owner_url))
        for work in (_write_transitions, protect_ledger):
            done += _step(conn, work)
        if loader is not None:
            done += _step(conn, partial(grant_loader, loader=loader, tables=[]))
        done += _step(conn, partial(secure_ledger, loader=loader))
        misfits: list[Misfit] = []
        for dataset in datasets.values():
            done += _step(conn, partial(_bring_up, dataset=dataset))
            done += _step(conn, partial(_secure, dataset=dataset, loader=loader))
            misfits += _step(conn, partial(compare_table, dataset=dataset)).misfits
        tables = [dataset.table for dataset in datasets.values()]
        if loader is not None:
            done += _step(conn, partial(grant_loader, loader=loader, tables=tables))
        done += _step(conn, partial(grant_readers, tables=tables))
    if misfits:
        raise _refusal(misfits)
    return done


def check_schema(conn: psycopg.Connection, datasets: Mapping[str, Dataset]) -> list[str]:
    """What of the database is not as this version of the code needs it, one sentence each."""
    version = _version(conn)
    if version is None:
        return ["the ledger is not there: no table imports.schema_version that this role can see"]
    if version != _head():
        known = version in {script.revision for script in _scripts().walk_revisions()}
        newer = "" if known else ", and does not know the database's: upgrade import_pipeline"
        return [f"the ledger is at revision {version}, this version of the code needs {_head()}{newer}"]
    problems = missing_rights(conn, [])
    if not problems and _transitions(conn) != set(TRANSITIONS):
        problems.append("imports.transitions is not the table of transitions of this version of the code")
    for dataset in datasets.values():
        problems += dataset_table_problems(conn, dataset)
    tables = [d.table for d in datasets.values() if compare_table(conn, d).exists]
    return problems or missing_rights(conn, tables)


def require_current(conn: psycopg.Connection, datasets: Mapping[str, Dataset]) -> None:
    """Refuse to work on a database that `check_schema` has complaints about.

    Raises:
        SchemaOutOfDate: names the first problems and says what to type.
    """
    problems = check_schema(conn, datasets)
    if problems:
        shown = "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more" if problems[3:] else "")
        raise SchemaOutOfDate(
            f"The database is not as this version needs it: {shown}.",
            remedy="Type `import-pipeline migrate`.",
            problems=problems,
        )


def _patiently(work: Callable[[], T]) -> T:
    """Repeat a step that could not get its locks; between two tries everyone else gets theirs."""
    for _ in range(LOCK_TRIES - 1):
        try:
            return work()
        except (pg.LockNotAvailable, pg.DeadlockDetected):
            time.sleep(PAUSE_SECONDS)
    return work()


def _step(conn: psycopg.Connection, work: Callable[[psycopg.Connection], T]) -> T:
    """Do a piece of work in a transaction of its own, under the lock that all migrates share."""

    def locked() -> T:
        with conn.transaction():
            conn.execute(_LOCK)
            conn.execute(_LOCK_TIMEOUT)
            return work(conn)

    return _patiently(locked)


@contextmanager
def _explained(owner_url: str) -> Iterator[None]:
    """PostgreSQL's errors as ours; a missing right names the role.

    Raises:
        ConfigurationError: the owner may not do what is needed.
    """
    try:
        with translated_errors():
            yield
    except pg.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"Role {role_of(owner_url)!r} may not migrate: {error.diag.message_primary}.",
            remedy="Set IMPORT_PIPELINE_OWNER_DATABASE_URL to the role that owns the tables.",
        ) from error


def _create_schemas(conn: psycopg.Connection) -> list[str]:
    """A role without rights on the database still works if its schemas were made for it."""
    rows = conn.execute("SELECT nspname FROM pg_namespace").fetchall()
    missing = [schema for schema in SCHEMAS if (schema,) not in rows]
    for schema in missing:
        conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    return [f"created schema {schema}" for schema in missing]


def _upgrade_ledger(owner_url: str) -> list[str]:
    """Run Alembic up to the newest revision, on one connection and in one transaction."""
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(owner_url, application_name="import_pipeline migrate"),
        poolclass=NullPool,
    )
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(_LOCK)
            connection.exec_driver_sql(_LOCK_TIMEOUT)
            raw = connection.connection.driver_connection
            before = _version(raw)  # type: ignore[arg-type]
            config = _alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            after = _version(raw)  # type: ignore[arg-type]
    except DBAPIError as error:
        raise (error.orig or error) from None
    return [] if before == after else [f"upgraded the ledger from revision {before or 'none'} to {after}"]


def _write_transitions(conn: psycopg.Connection) -> list[str]:
    """Make `imports.transitions` the table in `states.py`."""
    if _transitions(conn) == set(TRANSITIONS):
        return []
    conn.execute("DELETE FROM imports.transitions")
    with conn.cursor() as cursor:
        cursor.executemany("INSERT INTO imports.transitions VALUES (%s, %s, %s)", TRANSITIONS)
    return [f"wrote {len(TRANSITIONS)} transitions between states"]


def _bring_up(conn: psycopg.Connection, dataset: Dataset) -> list[str]:
    compared = compare_table(conn, dataset)
    if not compared.exists:
        create_table(conn, dataset)
        return [f"created table public.{dataset.table} of dataset {dataset.name}"]
    if compared.gained:
        add_columns(conn, dataset, compared.gained)
    return [f"added column {name} to public.{dataset.table}" for name in compared.gained]


def _secure(conn: psycopg.Connection, dataset: Dataset, loader: str | None) -> list[str]:
    """Row-level security, unless what has the table's name is none, or another owner's."""
    if "_workspace" not in compare_table(conn, dataset).gained:
        return secure_dataset_table(conn, dataset.table, loader)
    return []


def _refusal(misfits: list[Misfit]) -> ConfigurationError:
    statements = [statement for misfit in misfits for statement in misfit.statements]
    script = "\n".join(statements)
    return ConfigurationError(
        f"Not changed by itself: {'; '.join(misfit.message for misfit in misfits)}.",
        remedy=f"Change the declaration back, or stop imports and run:\n{script}"
        if statements
        else "Rename it, or give the dataset another table.",
        problems=[misfit.message for misfit in misfits],
        sql=script,
    )


def _version(conn: psycopg.Connection) -> str | None:
    """The ledger's revision; None if there is none, or the role may not see it."""
    row = conn.execute(
        "SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'imports' AND c.relname = 'schema_version'"
    ).fetchone()
    if row is None or not row[0]:
        return None
    version = conn.execute("SELECT version_num FROM imports.schema_version").fetchone()
    return None if version is None else str(version[0])


def _transitions(conn: psycopg.Connection) -> set[tuple[str, ...]]:
    return set(conn.execute("SELECT from_state, to_state, why FROM imports.transitions").fetchall())


def _alembic_config() -> Config:
    config = Config()
    location = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", location.replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_alembic_config())


@cache
def _head() -> str:
    return str(_scripts().get_current_head())
