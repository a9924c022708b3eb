"""What the command line asks of Dagster: is it alive, is the sensor on, cancel this upload's runs.

Decisions and words are the command line's; here are only the calls into a Dagster instance.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from dagster import DagsterInstance, DagsterRun, RunsFilter
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.scheduler.instigation import InstigatorStatus
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster_postgres import PostgresRunStorage
from sqlalchemy import text

from import_pipeline.errors import ConfigurationError
from import_pipeline.orchestration.executor import steps_at_once
from import_pipeline.orchestration.pools import ensure_pool_limits, most_connections, pool_limits
from import_pipeline.orchestration.reconciling import PARTITION_TAG
from import_pipeline.orchestration.sensors import SENSOR_NAME
from import_pipeline.settings import Settings

LOOK_SECONDS = 0.2
DAGSTER_HOME = "DAGSTER_HOME"


@dataclass(frozen=True)
class SensorFact:
    """How the sensor does.

    Attributes:
        state: `unseen`: no daemon has evaluated it yet.
        last_tick: when it looked last; `last_status`: `success`, `skipped`, `failure` or `started`.
        error: first line of the last tick's error.
    """

    state: Literal["on", "off", "unseen"]
    last_tick: datetime | None = None
    last_status: str = ""
    error: str = ""


def find_dagster_home(settings: Settings) -> Path:
    """The folder of Dagster's dagster.yaml: DAGSTER_HOME if set, else the local one.

    Raises:
        ConfigurationError: neither is there.
    """
    named = os.environ.get(DAGSTER_HOME)
    home = Path(named) if named else settings.home.absolute() / "dagster"
    if not (home / "dagster.yaml").exists():
        raise ConfigurationError(
            f"There is no dagster.yaml in {home}.",
            remedy="Start `import-pipeline dev`, or set DAGSTER_HOME to the folder of Dagster's instance.",
            variable=DAGSTER_HOME,
        )
    return home


@contextmanager
def open_instance(settings: Settings, home: Path | None = None) -> Iterator[DagsterInstance]:
    """Dagster's instance, as the daemon and the UI use it.

    Args:
        home: folder of dagster.yaml; default: `find_dagster_home`.

    Raises:
        ConfigurationError: no instance is configured, or no database for it.
    """
    chosen = home or find_dagster_home(settings)
    # dagster.yaml names this variable; running local services tell its value in a file.
    variable = "IMPORT_PIPELINE_DAGSTER_DATABASE_URL"
    before = os.environ.get(variable)
    os.environ[variable] = settings.require_dagster_database_url()
    try:
        with DagsterInstance.from_config(str(chosen)) as instance:
            yield instance
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def set_pool_limits(instance: DagsterInstance, settings: Settings) -> None:
    """Set the limits of the pools before the first run needs one."""
    ensure_pool_limits(instance, settings.database_connections)


def wrong_pool_limits(instance: DagsterInstance, settings: Settings) -> dict[str, int]:
    """Pools whose limit is missing or not the one of the settings, with the one it should be."""
    current = {limit.name: limit.limit for limit in instance.event_log_storage.get_pool_limits()}
    wanted = pool_limits(settings.database_connections)
    return {pool: limit for pool, limit in wanted.items() if current.get(pool) != limit}


def connections_of_runs(instance: DagsterInstance, settings: Settings) -> int | None:
    """How many PostgreSQL connections imports hold at most; None: Dagster does not limit runs."""
    queue = instance.get_concurrency_config().run_queue_config
    if queue is None or queue.max_concurrent_runs < 0:
        return None
    return most_connections(
        settings.database_connections, runs=queue.max_concurrent_runs, steps=steps_at_once()
    )


def watches_run_workers(instance: DagsterInstance) -> bool:
    """Whether runs end whose worker is gone, rather than stay started."""
    return instance.run_monitoring_enabled and instance.run_launcher.supports_check_run_worker_health


def zone_of_dagster(instance: DagsterInstance) -> str | None:
    """The time zone of Dagster's sessions, if it is not UTC's; None: it is, or SQLite has them."""
    storage = instance.run_storage
    if not isinstance(storage, PostgresRunStorage):
        return None
    with storage.connect() as conn:
        zone = conn.execute(
            text(
                "SELECT current_setting('timezone') WHERE EXISTS (SELECT FROM generate_series(1, 12) AS month"
                " WHERE extract(timezone FROM make_timestamptz(2026, month, 1, 12, 0, 0)) <> 0)"
            )
        ).scalar()
    return None if zone is None else str(zone)


def heartbeat_age(instance: DagsterInstance) -> float | None:
    """Seconds since the daemon's slowest part gave a sign of life; None if one never did."""
    beats = instance.get_daemon_heartbeats()
    needed = instance.get_required_daemon_types()
    if any(kind not in beats for kind in needed):
        return None
    return time.time() - min(beats[kind].timestamp for kind in needed)


def look_at_sensor(instance: DagsterInstance) -> SensorFact:
    """Whether the sensor is on, and how its last look at the bucket went."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    found = [state for state in states if state.instigator_name == SENSOR_NAME]
    if not found:
        return SensorFact("unseen")
    off = all(state.status == InstigatorStatus.STOPPED for state in found)
    ticks = [
        tick
        for state in found
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=2)
    ]
    # The newest tick is often the one under way, which says nothing yet.
    done = [tick for tick in ticks if tick.status.value != "STARTED"] or ticks
    if not done:
        return SensorFact("off" if off else "on")
    last = max(done, key=lambda tick: tick.timestamp)
    error = last.error.message.strip().split("\n")[0] if last.error else ""
    moment = datetime.fromtimestamp(last.timestamp, UTC)
    return SensorFact("off" if off else "on", moment, last.status.value.lower(), error)


def unfinished_runs(instance: DagsterInstance, upload_id: str | None = None) -> list[DagsterRun]:
    """Runs of an upload (None: of any) that are queued or running."""
    tags = None if upload_id is None else {PARTITION_TAG: upload_id}
    return list(instance.get_runs(RunsFilter(tags=tags, statuses=list(NOT_FINISHED_STATUSES))))


def cancel_runs(instance: DagsterInstance, upload_id: str, seconds: float) -> int:
    """Cancel every run of an upload, and wait until they have stopped.

    A run whose worker does not answer is marked cancelled; its token no longer counts in the
    ledger then, so that it can write nothing.

    Args:
        seconds: longest wait for a clean stop.

    Returns:
        Number of runs cancelled.
    """
    runs = unfinished_runs(instance, upload_id)
    for run in runs:
        _cancel(instance, run)
    until = time.monotonic() + seconds
    while unfinished_runs(instance, upload_id) and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
    for run in unfinished_runs(instance, upload_id):
        instance.report_run_canceled(run)
    return len(runs)


def _cancel(instance: DagsterInstance, run: DagsterRun) -> None:
    try:
        instance.run_coordinator.cancel_run(run.run_id)
    except DagsterUserCodeUnreachableError:
        # The server that started the worker is gone, so the worker is as good as gone too.
        instance.report_run_canceled(run)
