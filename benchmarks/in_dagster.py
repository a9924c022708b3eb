"""A whole import as users have it: a file in the bucket, the sensor, the daemon, a run in processes.

The clock is read from outside: a connection of its own looks for the rows' publish in the ledger.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from benchmarks.leads_file import GeneratedFile
from benchmarks.memory import MemoryWatch, run_processes
from import_pipeline.catalog.dataset import Dataset
from import_pipeline.local_pipeline import start_code_server
from import_pipeline.orchestration.control import open_instance
from import_pipeline.orchestration.sensors import SENSOR_NAME
from import_pipeline.records import Counts
from import_pipeline.services.dagster_home import prepare_dagster_home
from import_pipeline.services.running import RunningServices
from import_pipeline.services.supervisor import Supervisor, dagster_environment
from import_pipeline.settings import Settings
from import_pipeline.storage.bucket import Bucket, s3_client

LOOK_SECONDS = 0.05
LIMIT_SECONDS = 600
_LOOK = """
    SELECT state, run_id, published_at IS NOT NULL, reported_at IS NOT NULL, error_message,
           read, inserted, updated, unchanged, duplicate, rejected
    FROM imports.uploads WHERE workspace = %s
"""


@dataclass(frozen=True)
class RunTimes:
    """What one import took.

    Attributes:
        arrival_to_visible: seconds from the end of the upload to the rows being in the table;
            includes the wait for the sensor's next look.
        run_to_visible: seconds from the start of the run's process to the rows being in the table.
        run_to_end: seconds from the start of the run's process to the run's end.
        peak_memory: bytes, of all processes of the run together; `processes`: their number.
    """

    arrival_to_visible: float
    run_to_visible: float
    run_to_end: float
    peak_memory: int
    processes: int


@dataclass(frozen=True)
class RunningDagster:
    """A Dagster daemon with its code server, and the services it uses."""

    services: RunningServices
    supervisor: Supervisor
    home: Path

    @property
    def settings(self) -> Settings:
        """The settings the daemon runs with."""
        return self.services.settings

    @property
    def code_server(self) -> int:
        """Pid of the process below which all runs are."""
        return self.supervisor.processes[0].pid or 0

    def check(self) -> None:
        """See that everything runs."""
        self.supervisor.check(self.services.processes)

    def cpu_seconds(self) -> float:
        """Seconds of processors of code server, daemon and all below them, those that ended included."""
        own = [psutil.Process(process.pid) for process in self.supervisor.processes]
        total = 0.0
        for one in [*own, *(below for process in own for below in process.children(recursive=True))]:
            try:
                used = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += used.user + used.system + used.children_user + used.children_system
        return total

    def tick_seconds(self) -> list[float]:
        """Seconds of each tick of the sensor, its submissions included."""
        with open_instance(self.settings, self.home) as instance:
            (state,) = [s for s in instance.all_instigator_state() if s.instigator_name == SENSOR_NAME]
            ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id)
            return [tick.end_timestamp - tick.timestamp for tick in ticks if tick.end_timestamp]


@contextmanager
def running_dagster(services: RunningServices) -> Iterator[RunningDagster]:
    """Start code server and daemon as `import-pipeline dev` does, without the UI."""
    home = prepare_dagster_home(services.settings.home)
    env = dagster_environment(services.environment(), home)
    with start_code_server(services, home, env, say=_say) as running:
        yield RunningDagster(services, running.start_daemon().supervisor, home)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def import_by_dagster(
    dagster: RunningDagster, dataset: Dataset, file: GeneratedFile, workspace: str
) -> RunTimes:
    """Drop a file, let the sensor find it, and wait until its run is over.

    Raises:
        RuntimeError: the counts are not those of the file, or it takes too long.
    """
    settings = dagster.settings
    bucket = Bucket(s3_client(settings), settings.require_bucket())
    with MemoryWatch(lambda: run_processes(dagster.code_server)) as memory:
        bucket.upload_file(file.path, f"uploads/{workspace}/{dataset.name}/{file.path.name}", {})
        arrived = time.time()
        visible, run_id = _wait(dagster, file.counts, workspace)
        started, ended = _run_times(dagster, run_id)
    return RunTimes(
        arrival_to_visible=visible - arrived,
        run_to_visible=visible - started,
        run_to_end=ended - started,
        peak_memory=memory.peak,
        processes=memory.processes,
    )


def _wait(dagster: RunningDagster, wanted: Counts, workspace: str) -> tuple[float, str]:
    """Moment at which another connection first saw the publish, and the run, once it has reported."""
    visible, until = 0.0, time.monotonic() + LIMIT_SECONDS
    with psycopg.connect(dagster.settings.require_database_url(), autocommit=True) as conn:
        while time.monotonic() < until:
            row = conn.execute(_LOOK, [workspace]).fetchone()
            if row is not None:
                state, run_id, published, reported, problem, *counts = row
                if published and not visible:
                    visible = time.time()
                if state in ("failed", "refused", "cancelled", "ignored"):
                    raise RuntimeError(f"the upload is {state}: {problem}")
                if reported:
                    if Counts(*counts) != wanted:
                        raise RuntimeError(f"the ledger has {Counts(*counts)}, the file {wanted}")
                    return visible, run_id
            dagster.check()
            time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"no import within {LIMIT_SECONDS} s; see {dagster.settings.home / 'logs'}")


def _run_times(dagster: RunningDagster, run_id: str) -> tuple[float, float]:
    """When the run's process was started, and when the run ended; seconds since 1970."""
    with open_instance(dagster.settings, dagster.home) as instance:
        until = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < until:
            stats = instance.get_run_stats(run_id)
            if stats.end_time and stats.launch_time:
                return stats.launch_time, stats.end_time
            time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"run {run_id} does not end")
