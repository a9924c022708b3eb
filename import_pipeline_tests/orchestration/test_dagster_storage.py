"""Dagster's storage keeps its connection open, replaces one that was dropped, lets go of it at the end."""

import logging
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from dagster import DagsterInstance, DagsterRunStatus
from psycopg import sql
from sqlalchemy import Engine, Inspector, event, text
from sqlalchemy.exc import OperationalError

from import_pipeline.orchestration import dagster_storage
from import_pipeline.orchestration.control import open_instance
from import_pipeline.orchestration.dagster_storage import PooledPostgresStorage
from import_pipeline.services.dagster_home import prepare_dagster_home
from import_pipeline.settings import DAGSTER_SCHEME, Settings
from import_pipeline_tests.orchestration.test_control import add_run
from import_pipeline_tests.waiting import wait_until

Ask = Callable[[str | sql.Composed], list[tuple[Any, ...]]]


@pytest.fixture
def ask(settings: Settings, as_superuser: Callable[[str], str]) -> Ask:
    """Questions to the server about Dagster's database, asked from another one."""
    url = str(settings.dagster_database_url.get_secret_value()).replace(DAGSTER_SCHEME, "postgresql://", 1)
    name = url.rsplit("/", 1)[1]
    there = as_superuser(settings.require_database_url())

    def asked(query: str | sql.Composed) -> list[tuple[Any, ...]]:
        with psycopg.connect(there, autocommit=True) as conn:
            found = conn.execute(query, {"name": name} if isinstance(query, str) else None)  # type: ignore[arg-type]
            return found.fetchall() if found.description else []

    return asked


def backends(ask: Ask) -> list[int]:
    """Of clients: autovacuum looks into a database whenever it likes."""
    found = ask(
        "SELECT pid FROM pg_stat_activity WHERE datname = %(name)s AND backend_type = 'client backend'"
        " ORDER BY pid"
    )
    return [pid for (pid,) in found]


def test_all_events_of_a_process_go_over_one_connection(deployed: DagsterInstance, ask: Ask) -> None:
    run = deployed.get_run_by_id(add_run(deployed, "acme/a.csv@0", DagsterRunStatus.STARTED))
    assert run is not None
    before = backends(ask)

    for number in range(20):
        deployed.report_engine_event(f"event {number}", run)
        assert backends(ask) == before
    assert len(before) == 1
    assert len(deployed.all_logs(run.run_id)) == 20


def test_a_connection_that_was_dropped_is_replaced_and_no_event_is_lost(
    deployed: DagsterInstance, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    run = deployed.get_run_by_id(add_run(deployed, "acme/a.csv@0", DagsterRunStatus.STARTED))
    assert run is not None
    (first,) = backends(ask)
    with caplog.at_level(logging.WARNING):
        ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %(name)s")
        wait_until(lambda: backends(ask) == [])
        deployed.report_engine_event("after", run)

    assert backends(ask) not in ([], [first])
    assert len(deployed.all_logs(run.run_id)) == 1
    assert not [record for record in caplog.records if "Retrying" in record.message]


def test_a_connection_in_use_is_not_asked_whether_it_is_there_and_a_silent_one_is(
    deployed: DagsterInstance, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = deployed.get_run_by_id(add_run(deployed, "acme/a.csv@0", DagsterRunStatus.STARTED))
    assert run is not None
    answered: list[bool] = []

    def note(connection: Any) -> bool:
        answered.append(answers(connection))
        return answered[-1]

    answers = dagster_storage._answers
    monkeypatch.setattr(dagster_storage, "_answers", note)
    deployed.report_engine_event("at once", run)
    assert not answered

    (first,) = backends(ask)
    monkeypatch.setattr(dagster_storage, "SILENT_SECONDS", 0.0)
    deployed.report_engine_event("after a while", run)
    assert answered
    assert all(answered)
    assert backends(ask) == [first]

    # A network that drops a connection leaves nothing to read: only the question tells.
    monkeypatch.setattr(dagster_storage, "_something_to_read", lambda _: False)
    ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %(name)s")
    wait_until(lambda: backends(ask) == [])
    deployed.report_engine_event("after it was dropped", run)
    assert False in answered
    assert len(deployed.all_logs(run.run_id)) == 3


def test_the_web_server_replaces_connections_that_postgresql_dropped(
    deployed: DagsterInstance, ask: Ask
) -> None:
    """It has three pools of its own; a launch uses two, the pages of sensors and schedules the third."""
    deployed.optimize_for_webserver(statement_timeout=15_000, pool_recycle=3600, max_overflow=20)
    run = deployed.get_run_by_id(add_run(deployed, "acme/a.csv@0", DagsterRunStatus.STARTED))
    assert run is not None
    deployed.report_engine_event("before", run)
    assert deployed.all_instigator_state() == []
    assert len(backends(ask)) == 3

    ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %(name)s")
    wait_until(lambda: backends(ask) == [])

    deployed.report_engine_event("after", run)
    assert deployed.all_instigator_state() == []
    assert deployed.get_run_by_id(run.run_id) == run
    assert len(deployed.all_logs(run.run_id)) == 2


@pytest.mark.parametrize("web_server", [False, True])
def test_a_run_is_stamped_in_utc_whatever_zone_the_server_is_in(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, web_server: bool
) -> None:
    """West of Greenwich the monitoring failed fresh runs; when clocks went back, tokens did."""
    monkeypatch.setenv("PGTZ", "America/Sao_Paulo")  # as if the server's configuration said so
    prepare_dagster_home(settings.home)
    with open_instance(settings) as instance:
        if web_server:
            instance.optimize_for_webserver(statement_timeout=15_000, pool_recycle=3600, max_overflow=20)
        before = time.time()
        record = instance.get_run_record_by_id(add_run(instance, "acme/a.csv@0", DagsterRunStatus.QUEUED))
        assert record is not None
        assert abs(record.create_timestamp.timestamp() - before) < 60
        for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
            with storage._engine.connect() as conn:  # type: ignore[union-attr]
                assert conn.scalar(text("SHOW timezone")) == "UTC"


def test_an_event_is_one_statement(deployed: DagsterInstance, ask: Ask) -> None:
    run = deployed.get_run_by_id(add_run(deployed, "acme/a.csv@0", DagsterRunStatus.STARTED))
    assert run is not None
    deployed.report_engine_event("first", run)
    engine = deployed.event_log_storage._engine  # type: ignore[attr-defined]
    with statements(engine) as asked:
        deployed.report_engine_event("second", run)
    assert [statement.split()[:3] for statement in asked] == [["INSERT", "INTO", "event_logs"]]
    (pid,) = backends(ask)
    ((last,),) = ask(sql.SQL("SELECT query FROM pg_stat_activity WHERE pid = {}").format(pid))
    assert last.startswith("INSERT INTO event_logs")


def test_what_dagsters_database_has_is_asked_for_once_and_what_it_has_not_again(
    deployed: DagsterInstance,
) -> None:
    storage: Any = deployed.event_log_storage
    runs: Any = deployed.run_storage
    assert storage.has_table("event_logs")
    assert storage.has_asset_key_col("cached_status_data")
    assert runs.has_run_stats_index_cols()
    assert runs.has_backfill_id_column()
    with statements(storage._engine) as asked:
        assert storage.has_table("event_logs")
        assert storage.has_asset_key_col("cached_status_data")
        assert runs.has_run_stats_index_cols()
        assert runs.has_backfill_id_column()
        assert not asked

        assert not storage.has_table("of_a_later_version")
        with storage.index_connection() as conn:
            conn.execute(text("CREATE TABLE of_a_later_version (id int)"))
        assert storage.has_table("of_a_later_version")
        assert not storage.has_asset_key_col("of_a_later_version")


def test_tables_are_looked_for_once_in_a_process_and_not_in_one_of_a_run(
    deployed: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = deployed.run_storage.postgres_url  # type: ignore[attr-defined]
    looked: list[str] = []
    listing = Inspector.get_table_names

    def note(inspector: Inspector, *rest: Any, **more: Any) -> list[str]:
        looked.append(str(inspector.engine.url.database))
        return listing(inspector, *rest, **more)

    monkeypatch.setattr(Inspector, "get_table_names", note)
    PooledPostgresStorage(url)
    assert not looked
    monkeypatch.setattr(dagster_storage, "_HAD", set())
    PooledPostgresStorage(url)
    assert len(looked) == 3, "those of runs, events and schedules"
    monkeypatch.setattr(dagster_storage, "_HAD", set())
    monkeypatch.setattr(multiprocessing, "parent_process", multiprocessing.current_process)
    PooledPostgresStorage(url)
    assert len(looked) == 3


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """What is asked of the database meanwhile."""
    asked: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def closed_for(ask: Ask) -> Iterator[Callable[[float], threading.Timer]]:
    """Lets nobody into Dagster's database for so many seconds, as a PostgreSQL that is started again."""
    (name,) = ask("SELECT %(name)s::text")[0]
    let_in = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    timers: list[threading.Timer] = []

    def close(seconds: float) -> threading.Timer:
        ask(let_in.format(sql.Identifier(name), sql.SQL("false")))
        ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %(name)s")
        wait_until(lambda: backends(ask) == [])
        opened = let_in.format(sql.Identifier(name), sql.SQL("true"))
        timers.append(threading.Timer(seconds, ask, [opened]))
        timers[-1].start()
        return timers[-1]

    yield close
    for timer in timers:
        timer.join()


def test_an_event_waits_for_a_postgresql_that_comes_back(
    deployed: DagsterInstance, closed_for: Callable[[float], threading.Timer]
) -> None:
    run = deployed.get_run_by_id(add_run(deployed, "acme/a.csv@0", DagsterRunStatus.STARTED))
    assert run is not None

    reopening = closed_for(3.0)
    deployed.report_engine_event("after", run)

    assert not reopening.is_alive()
    assert len(deployed.all_logs(run.run_id)) == 1


def test_one_that_stays_away_is_reported(
    deployed: DagsterInstance,
    closed_for: Callable[[float], threading.Timer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dagster_storage, "AWAY_SECONDS", 0.1)
    add_run(deployed, "acme/a.csv@0", DagsterRunStatus.STARTED)
    reopening = closed_for(3.0)
    with pytest.raises(OperationalError):
        deployed.run_storage._engine.connect()  # type: ignore[attr-defined] # as all Dagster's tries do
    assert reopening.is_alive()


def test_a_disposed_instance_leaves_no_connection(deployed: DagsterInstance, ask: Ask) -> None:
    add_run(deployed, "acme/a.csv@0", DagsterRunStatus.STARTED)
    assert len(backends(ask)) == 1

    deployed.dispose()

    wait_until(lambda: backends(ask) == [])
