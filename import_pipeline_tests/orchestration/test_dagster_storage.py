"""Dagster's storage keeps its connection open, replaces one that was dropped, lets go of it at the end."""

import logging
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from dagster import DagsterInstance, DagsterRunStatus

from import_pipeline.settings import DAGSTER_SCHEME, Settings
from import_pipeline_tests.orchestration.test_control import add_run
from import_pipeline_tests.waiting import wait_until

Ask = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def ask(settings: Settings, as_superuser: Callable[[str], str]) -> Ask:
    """Questions to the server about Dagster's database, asked from another one."""
    url = str(settings.dagster_database_url.get_secret_value()).replace(DAGSTER_SCHEME, "postgresql://", 1)
    name = url.rsplit("/", 1)[1]
    there = as_superuser(settings.require_database_url())

    def asked(query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(there, autocommit=True) as conn:
            return conn.execute(query, {"name": name}).fetchall()  # type: ignore[call-overload, no-any-return]

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


def test_a_disposed_instance_leaves_no_connection(deployed: DagsterInstance, ask: Ask) -> None:
    add_run(deployed, "acme/a.csv@0", DagsterRunStatus.STARTED)
    assert len(backends(ask)) == 1

    deployed.dispose()

    wait_until(lambda: backends(ask) == [])
