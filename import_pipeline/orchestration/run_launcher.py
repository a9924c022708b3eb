"""Dagster's run launcher, and an answer to "is this run's worker still there?".

Dagster's own launcher has none: of a code server that was killed with its workers nobody would say so,
and their runs would stay started, and take places in the queue, for ever. Imported by every Dagster
process, so it imports little.
"""

import json
import socket
import time

from dagster import DagsterRun
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value
from dagster._serdes.config_class import ConfigurableClassData

# A code server that is away so long does not come back with its workers.
AWAY_SECONDS = 600.0
BEHIND_SECONDS = 60.0
ANSWER_SECONDS = 10

ALIVE = CheckRunHealthResult(WorkerStatus.RUNNING)


class WatchedRunLauncher(DefaultRunLauncher):
    """Launches runs as `DefaultRunLauncher` does; Dagster's monitoring fails those whose worker is gone.

    A run's worker is a child of the code server that launched it, and that one is asked. Whoever works on
    although given up does no harm: its token is no longer the upload's.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None):
        super().__init__(inst_data)
        self._away_since: dict[str, float] = {}

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Ask the code server that launched the run whether it still has its worker.

        Returns:
            `NOT_FOUND` if it has not, or if the server itself is gone: its socket does not answer, or
            nobody at its address for `AWAY_SECONDS`, or nobody for `BEHIND_SECONDS` behind a server that
            does answer (`dagster code-server` keeps the process that has the workers behind it).
        """
        client = self._get_grpc_client_for_termination(run.run_id)
        if client is None:
            return ALIVE  # it has ended meanwhile, or was started by no code server
        address = str(run.tags.get(GRPC_INFO_TAG))
        request = CanCancelExecutionRequest(run_id=run.run_id)
        try:
            answer = client.can_cancel_execution(request, timeout=ANSWER_SECONDS)
        except DagsterUserCodeUnreachableError:
            return self._unreachable(address, run.run_id, client)
        self._away_since.pop(address, None)
        self._away_since.pop(run.run_id, None)
        if deserialize_value(answer, CanCancelExecutionResult).can_cancel:
            return ALIVE
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, "The code server was started again since; the run's worker is gone."
        )

    def _unreachable(self, address: str, run_id: str, client: DagsterGrpcClient) -> CheckRunHealthResult:
        path = json.loads(address).get("socket")
        if path and not _listens(path):
            return CheckRunHealthResult(
                WorkerStatus.NOT_FOUND, "The code server and the run's worker are gone."
            )
        # A server that stands before others answers for itself, not for one that was killed.
        silent, limit = (run_id, BEHIND_SECONDS) if _beats(client) else (address, AWAY_SECONDS)
        away = time.monotonic() - self._away_since.setdefault(silent, time.monotonic())
        if away < limit:
            return ALIVE
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, f"The code server has not answered for {away:.0f} s."
        )


def _beats(client: DagsterGrpcClient) -> bool:
    try:
        client.heartbeat()
    except DagsterUserCodeUnreachableError:
        return False
    return True


def _listens(path: str) -> bool:
    """Whether a server of this machine has the socket open; one that was killed leaves its file."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True  # it is there, and busy
    return True
