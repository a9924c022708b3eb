"""Dagster's storage keeps its connection open, replaces one that was dropped, lets go of it at the end."""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from dagster import DagsterInstance, DagsterRunStatus
from psycopg import sql
from sqlalchemy.exc import OperationalError

from import_pipeline.orchestration import dagster_storage
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
    return [pid for (pid,) in ask("SELECT pid FROM pg_stat_activity WHERE datname = %(name)s ORDER BY pid")]


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
