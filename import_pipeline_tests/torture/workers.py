"""Run workers for the kill matrix: what `dagster api execute_run` does, in a process forked from one
that has imported everything, so that a run starts at once. Its steps are forked from there as well.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

PRELOAD = ["import_pipeline.orchestration.preload", "import_pipeline_tests.torture.probe"]


def start_worker(run_id: str, log: Path) -> ForkServerProcess:
    """Execute a run that Dagster knows, in a process of its own; whoever asks may kill it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    process = context.Process(target=work, args=(run_id, str(log)), daemon=False)
    process.start()
    return process


def work(run_id: str, log: str) -> None:
    """In the worker: the body of `dagster api execute_run`."""
    from dagster import DagsterInstance
    from dagster._cli.api import _execute_run_command_body
    from dagster._utils.interrupts import capture_interrupts

    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(file, standard)
    # Its steps come from the same fork server, not from one more that imports everything again.
    multiprocessing.forkserver._forkserver.ensure_running = lambda: None  # type: ignore[method-assign]
    with capture_interrupts(), DagsterInstance.get() as instance:
        code = _execute_run_command_body(run_id, instance, lambda _: None, set_exit_code_on_failure=False)
    sys.exit(code)
