"""A code server of Dagster's, real and killable, with a job whose run waits; and runs launched in it."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._grpc.client import DagsterGrpcClient

import import_pipeline_tests
from import_pipeline.orchestration.run_launcher import WatchedRunLauncher
from import_pipeline.services.processes import GuardedProcess
from import_pipeline_tests.waiting import wait_until

MODULE = "import_pipeline_tests.orchestration.waiting_job"
ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("waiting"), "__repository__"), "waiting"
)
Start = Callable[[], GuardedProcess]


@contextmanager
def code_servers(
    folder: Path, arguments: list[str], client: DagsterGrpcClient, kind: tuple[str, str] = ("api", "grpc")
) -> Iterator[Start]:
    started: list[GuardedProcess] = []

    def start() -> GuardedProcess:
        root = str(Path(import_pipeline_tests.__file__).parent.parent)
        command = [sys.executable, "-m", "dagster", *kind, *arguments, "-m", MODULE, "-d", root]
        process = GuardedProcess("code", command, env=dict(os.environ), log=folder / "code.log")
        process.start()
        started.append(process)
        wait_until(lambda: _answers(client), 60)
        return process

    try:
        yield start
    finally:
        for process in started:
            kill_with_workers(process)


def _answers(client: DagsterGrpcClient) -> bool:
    try:
        return bool(client.ping("")["echo"] == "")
    except DagsterUserCodeUnreachableError:
        return False


def launched(instance: DagsterInstance, client: DagsterGrpcClient) -> DagsterRun:
    run = DagsterRun(job_name="waiting", status=DagsterRunStatus.STARTING, remote_job_origin=ORIGIN)
    instance.add_run(run)
    WatchedRunLauncher.launch_run_from_grpc_client(instance, run, client)
    wait_until(lambda: now(instance, run).status == DagsterRunStatus.STARTED, 60)
    return now(instance, run)


def now(instance: DagsterInstance, run: DagsterRun) -> DagsterRun:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


def kill_with_workers(server: GuardedProcess) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        code_server = psutil.Process(server.pid)
        for process in [code_server, *code_server.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    server.stop()
