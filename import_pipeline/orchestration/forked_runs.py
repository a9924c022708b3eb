"""Run workers forked from a server that has imported everything, instead of each started from nothing.

Dagster's code server starts a new Python for each run, which spends two to three seconds importing. Here it
takes them from a fork server, as runs do with their steps. See docs/adr/0014-run-workers-are-forked.md.
"""

import multiprocessing
import sys
from functools import wraps
from multiprocessing.context import BaseContext
from typing import Any

from import_pipeline.orchestration.executor import PRELOAD

SERVER = "dagster._grpc.server"


def fork_run_workers() -> None:
    """If this process is a Dagster code server, have it fork its run workers from now on.

    Called when the definitions are loaded, before the server answers. The fork server starts with the first
    run; it is a process of its own without threads, so forking is safe, and is started again if it dies.
    Does nothing in other processes, and where there is no fork server.
    """
    server = sys.modules.get(SERVER)
    if server is None or "forkserver" not in multiprocessing.get_all_start_methods():
        return
    start_run = server.DagsterApiServer.StartRun
    if getattr(start_run, "forks", False):
        return

    @wraps(start_run)
    def start_forked_run(self: Any, request: Any, context: Any) -> Any:
        self._mp_ctx = _fork_server()
        return start_run(self, request, context)

    start_forked_run.forks = True  # type: ignore[attr-defined]
    server.DagsterApiServer.StartRun = start_forked_run


def _fork_server() -> BaseContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context
