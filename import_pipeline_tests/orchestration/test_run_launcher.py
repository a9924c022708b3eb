"""A run whose worker died with its code server is noticed: asked of real code servers."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import WorkerStatus
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._daemon.monitoring.run_monitoring import monitor_started_run
from dagster._grpc.client import DagsterGrpcClient

import import_pipeline_tests
from import_pipeline.orchestration import run_launcher
from import_pipeline.orchestration.control import open_instance
from import_pipeline.orchestration.run_launcher import WatchedRunLauncher
from import_pipeline.services.dagster_home import prepare_dagster_home
from import_pipeline.services.processes import GuardedProcess, choose_port
from import_pipeline.settings import Settings
from import_pipeline_tests.waiting import wait_until

MODULE = "import_pipeline_tests.orchestration.waiting_job"
ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("waiting"), "__repository__"), "waiting"
)
Start = Callable[[], GuardedProcess]


@pytest.fixture
def instance(settings: Settings) -> Iterator[DagsterInstance]:
    """The instance of deploy/dagster.yaml on an empty PostgreSQL."""
    prepare_dagster_home(settings.home)
    with open_instance(settings) as instance:
        yield instance


@contextmanager
def code_servers(folder: Path, arguments: list[str], client: DagsterGrpcClient) -> Iterator[Start]:
    started: list[GuardedProcess] = []

    def start() -> GuardedProcess:
        root = str(Path(import_pipeline_tests.__file__).parent.parent)
        command = [sys.executable, "-m", "dagster", "api", "grpc", *arguments, "-m", MODULE, "-d", root]
        process = GuardedProcess("code", command, env=dict(os.environ), log=folder / "code.log")
        process.start()
        started.append(process)
        wait_until(lambda: _answers(client), 60)
        return process

    try:
        yield start
    finally:
        for process in started:
            process.stop()


def _answers(client: DagsterGrpcClient) -> bool:
    try:
        return bool(client.ping("")["echo"] == "")
    except DagsterUserCodeUnreachableError:
        return False


def _launched(instance: DagsterInstance, client: DagsterGrpcClient) -> DagsterRun:
    run = DagsterRun(job_name="waiting", status=DagsterRunStatus.STARTING, remote_job_origin=ORIGIN)
    instance.add_run(run)
    WatchedRunLauncher.launch_run_from_grpc_client(instance, run, client)
    wait_until(lambda: _now(instance, run).status == DagsterRunStatus.STARTED, 60)
    return _now(instance, run)


def _now(instance: DagsterInstance, run: DagsterRun) -> DagsterRun:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


def _kill_with_workers(server: GuardedProcess) -> None:
    assert server.pid is not None
    for process in [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    server.stop()


def test_a_run_whose_code_server_was_killed_and_came_back_is_failed_by_the_monitoring(
    instance: DagsterInstance, tmp_path: Path
) -> None:
    port = choose_port(0, "code")
    client = DagsterGrpcClient(host="127.0.0.1", port=port)
    launcher = instance.run_launcher
    with code_servers(tmp_path, ["-h", "127.0.0.1", "-p", str(port)], client) as start:
        server = start()
        run = _launched(instance, client)
        assert isinstance(launcher, WatchedRunLauncher)
        assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING

        _kill_with_workers(server)
        assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING, "it may come back"
        start()

        assert launcher.check_run_worker_health(run).status == WorkerStatus.NOT_FOUND
        (record,) = instance.get_run_records()
        monitor_started_run(instance, None, record, logging.getLogger(__name__))  # type: ignore[arg-type]
        assert _now(instance, run).status == DagsterRunStatus.FAILURE
        said = [str(entry.dagster_event) for entry in instance.all_logs(run.run_id)]
        assert any("the run's worker is gone" in message for message in said)


def test_a_code_server_that_stays_away_has_lost_its_runs(
    instance: DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = choose_port(0, "code")
    client = DagsterGrpcClient(host="127.0.0.1", port=port)
    with code_servers(tmp_path, ["-h", "127.0.0.1", "-p", str(port)], client) as start:
        server = start()
        run = _launched(instance, client)
        _kill_with_workers(server)
    assert instance.run_launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    monkeypatch.setattr(run_launcher, "AWAY_SECONDS", 0.0)

    health = instance.run_launcher.check_run_worker_health(run)

    assert health.status == WorkerStatus.NOT_FOUND
    assert "has not answered for" in str(health.msg)


def test_a_killed_code_server_of_this_machine_leaves_a_socket_that_nobody_answers(
    instance: DagsterInstance, tmp_path: Path
) -> None:
    path = str(tmp_path / "code.sock")
    client = DagsterGrpcClient(socket=path)
    with code_servers(tmp_path, ["--socket", path], client) as start:
        server = start()
        run = _launched(instance, client)
        assert instance.run_launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING

        _kill_with_workers(server)

        assert instance.run_launcher.check_run_worker_health(run).status == WorkerStatus.NOT_FOUND


def test_a_run_that_ended_meanwhile_is_let_be(instance: DagsterInstance) -> None:
    run = DagsterRun(job_name="waiting", status=DagsterRunStatus.STARTED, remote_job_origin=ORIGIN)
    instance.add_run(run)
    instance.report_run_canceled(run)
    assert instance.run_launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
