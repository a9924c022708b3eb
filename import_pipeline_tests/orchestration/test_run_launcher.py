"""A run whose worker died with its code server is noticed: asked of real code servers."""

import logging
from pathlib import Path

import psutil
import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.launcher.base import WorkerStatus
from dagster._daemon.monitoring.run_monitoring import monitor_started_run
from dagster._grpc.client import DagsterGrpcClient

from import_pipeline.orchestration import run_launcher
from import_pipeline.orchestration.run_launcher import WatchedRunLauncher
from import_pipeline.services.processes import choose_port
from import_pipeline_tests.orchestration.code_servers import (
    ORIGIN,
    code_servers,
    kill_with_workers,
    launched,
    now,
)


def test_a_run_whose_code_server_was_killed_and_came_back_is_failed_by_the_monitoring(
    deployed: DagsterInstance, tmp_path: Path
) -> None:
    port = choose_port(0, "code")
    client = DagsterGrpcClient(host="127.0.0.1", port=port)
    launcher = deployed.run_launcher
    with code_servers(tmp_path, ["-h", "127.0.0.1", "-p", str(port)], client) as start:
        server = start()
        run = launched(deployed, client)
        assert isinstance(launcher, WatchedRunLauncher)
        assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING

        kill_with_workers(server)
        assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING, "it may come back"
        start()

        assert launcher.check_run_worker_health(run).status == WorkerStatus.NOT_FOUND
        (record,) = deployed.get_run_records()
        monitor_started_run(deployed, None, record, logging.getLogger(__name__))  # type: ignore[arg-type]
        assert now(deployed, run).status == DagsterRunStatus.FAILURE
        said = [str(entry.dagster_event) for entry in deployed.all_logs(run.run_id)]
        assert any("the run's worker is gone" in message for message in said)


def test_a_code_server_that_stays_away_has_lost_its_runs(
    deployed: DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = choose_port(0, "code")
    client = DagsterGrpcClient(host="127.0.0.1", port=port)
    with code_servers(tmp_path, ["-h", "127.0.0.1", "-p", str(port)], client) as start:
        server = start()
        run = launched(deployed, client)
        kill_with_workers(server)
    assert deployed.run_launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    monkeypatch.setattr(run_launcher, "AWAY_SECONDS", 0.0)

    health = deployed.run_launcher.check_run_worker_health(run)

    assert health.status == WorkerStatus.NOT_FOUND
    assert "has not answered for" in str(health.msg)


def test_a_killed_code_server_of_this_machine_leaves_a_socket_that_nobody_answers(
    deployed: DagsterInstance, tmp_path: Path
) -> None:
    path = str(tmp_path / "code.sock")
    client = DagsterGrpcClient(socket=path)
    with code_servers(tmp_path, ["--socket", path], client) as start:
        server = start()
        run = launched(deployed, client)
        assert deployed.run_launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING

        kill_with_workers(server)

        assert deployed.run_launcher.check_run_worker_health(run).status == WorkerStatus.NOT_FOUND


def test_of_a_server_that_stands_before_others_the_one_with_the_worker_counts(
    deployed: DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "code.sock")
    client = DagsterGrpcClient(socket=path)
    launcher = deployed.run_launcher
    with code_servers(tmp_path, ["--socket", path], client, ("code-server", "start")) as start:
        server = start()
        run = launched(deployed, client)
        assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING

        for below in psutil.Process(server.pid).children(recursive=True):
            below.kill()
        assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING, "it may only be slow"
        monkeypatch.setattr(run_launcher, "BEHIND_SECONDS", 0.0)
        health = launcher.check_run_worker_health(run)

    assert health.status == WorkerStatus.NOT_FOUND
    assert "has not answered for" in str(health.msg)


def test_a_run_that_ended_meanwhile_is_let_be(deployed: DagsterInstance) -> None:
    run = DagsterRun(job_name="waiting", status=DagsterRunStatus.STARTED, remote_job_origin=ORIGIN)
    deployed.add_run(run)
    deployed.report_run_canceled(run)
    assert deployed.run_launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
