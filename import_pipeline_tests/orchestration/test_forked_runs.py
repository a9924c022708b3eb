"""Run workers are forked by a real code server, and looked after as those that Dagster starts itself."""

from pathlib import Path

import psutil
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.launcher.base import WorkerStatus
from dagster._grpc.client import DagsterGrpcClient

from import_pipeline.services.processes import choose_port
from import_pipeline_tests.orchestration.code_servers import code_servers, launched, now
from import_pipeline_tests.waiting import wait_until


def test_run_workers_are_forked_stopped_and_missed_when_they_die(
    deployed: DagsterInstance, tmp_path: Path
) -> None:
    port = choose_port(0, "code")
    client = DagsterGrpcClient(host="127.0.0.1", port=port)
    with code_servers(tmp_path, ["-h", "127.0.0.1", "-p", str(port)], client) as start:
        server = start().pid
        first, second = launched(deployed, client), launched(deployed, client)
        workers = [_worker(deployed, run) for run in (first, second)]

        fork_server = workers[0].parent()
        assert fork_server is not None
        assert "multiprocessing.forkserver" in " ".join(fork_server.cmdline())
        assert workers[1].parent() == fork_server
        assert server in [parent.pid for parent in fork_server.parents()]

        assert deployed.run_launcher.terminate(first.run_id)
        wait_until(lambda: now(deployed, first).status == DagsterRunStatus.CANCELED, 60)
        workers[1].kill()
        wait_until(lambda: now(deployed, second).status == DagsterRunStatus.FAILURE, 60)

        fork_server.kill()
        wait_until(lambda: _is_gone(fork_server))
        third = launched(deployed, client)
        assert _worker(deployed, third).parent() != fork_server
        assert deployed.run_launcher.check_run_worker_health(third).status == WorkerStatus.RUNNING


def _is_gone(process: psutil.Process) -> bool:
    """Whether it has ended with all its threads: before that, its parent is told that it lives."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
    except psutil.NoSuchProcess:
        return True


def _worker(instance: DagsterInstance, run: DagsterRun) -> psutil.Process:
    """The process that says it executes the run."""
    said = wait_until(
        lambda: [e for e in instance.all_logs(run.run_id) if "Executing steps" in str(e.dagster_event)], 60
    )
    return psutil.Process(int(str(said[0].dagster_event.message).rsplit("pid: ", 1)[1].rstrip(")")))
