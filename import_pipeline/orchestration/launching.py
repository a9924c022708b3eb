"""Launching a run from the command line as the UI does: through Dagster's queue, of the daemon's own code.

Whether a run of that kind makes sense is the caller's to say.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.definitions.selector import JobSubsetSelector
from dagster._core.remote_origin import CodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.remote_representation.code_location import CodeLocation
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import WorkspaceLoadTarget

from import_pipeline.errors import ConfigurationError
from import_pipeline.orchestration.reconciling import PARTITION_TAG
from import_pipeline.orchestration.sensors import SENSOR_NAME

LOOK_SECONDS = 0.3
WAITING = (DagsterRunStatus.NOT_STARTED, DagsterRunStatus.QUEUED)


@dataclass(frozen=True)
class Launch:
    """A run that is wanted.

    Attributes:
        partitions: name of the set of dynamic partitions; `partition` is added to it if retention took it
            out.
    """

    job_name: str
    partition: str
    partitions: str
    tags: Mapping[str, str] = field(default_factory=dict)
    run_config: Mapping[str, Any] = field(default_factory=dict)


class _OneLocation(WorkspaceLoadTarget):
    """A workspace of the one code location that the daemon's sensor came from."""

    def __init__(self, origin: CodeLocationOrigin):
        self.origin = origin

    def create_origins(self) -> Sequence[CodeLocationOrigin]:
        return [self.origin]


def launch_runs(instance: DagsterInstance, launches: Sequence[Launch]) -> list[str]:
    """Queue runs, each for its partition; the daemon starts them, within its limits.

    Returns:
        Their run ids, in the order of `launches`.

    Raises:
        ConfigurationError: no daemon was ever here, its code does not load, or has no such job.
    """
    repository = _known_repository(instance)
    with _workspace(instance, repository.code_location_origin) as (workspace, location):
        return [_launch(instance, workspace, location, repository.repository_name, one) for one in launches]


def wait_for_runs(
    instance: DagsterInstance, run_ids: Sequence[str], look: Callable[[int], None]
) -> dict[str, str]:
    """Wait until all are finished; why, by run id, of those that did not succeed.

    Args:
        look: told again and again how many of them still wait to be started.
    """
    while True:
        found = {run_id: instance.get_run_by_id(run_id) for run_id in run_ids}
        runs = [run for run in found.values() if run is not None]
        if all(run.status in FINISHED_STATUSES for run in runs):
            break
        look(sum(run.status in WAITING for run in runs))
        time.sleep(LOOK_SECONDS)
    reasons = {
        run_id: "Its run was deleted." if run is None else _why_it_failed(instance, run)
        for run_id, run in found.items()
    }
    return {run_id: reason for run_id, reason in reasons.items() if reason}


def _why_it_failed(instance: DagsterInstance, run: DagsterRun) -> str:
    """What the run's last failed step said, on one line; empty if the run succeeded."""
    if run.status == DagsterRunStatus.SUCCESS:
        return ""
    failed = instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE)
    event = failed[-1].dagster_event if failed else None
    if event is None:
        return f"Its run is {run.status.value.lower()}."
    data = event.step_failure_data
    said = data.user_failure_data.description if data.user_failure_data else None
    # Dagster wraps what nobody foresaw in an error of its own, which only names the op.
    error = data.error.cause or data.error if data.error else None
    return " ".join((said or (error.message if error else "")).split()) or "Its run failed."


def _known_repository(instance: DagsterInstance) -> RemoteRepositoryOrigin:
    """Where the daemon has our definitions from: the sensor that ticked last knows."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    ours = [state for state in states if state.instigator_name == SENSOR_NAME]
    if not ours:
        raise ConfigurationError(
            "No Dagster daemon has been at work here yet, so nobody would run it.",
            remedy="Start `import-pipeline dev`, or `dagster-daemon run -w workspace.yaml`.",
        )
    newest = max(ours, key=lambda state: getattr(state.instigator_data, "last_tick_timestamp", None) or 0.0)
    return newest.origin.repository_origin


@contextmanager
def _workspace(
    instance: DagsterInstance, origin: CodeLocationOrigin
) -> Iterator[tuple[WorkspaceRequestContext, CodeLocation]]:
    with WorkspaceProcessContext(instance, _OneLocation(origin), code_server_log_level="ERROR") as process:
        workspace = process.create_request_context()
        error = workspace.get_code_location_error(origin.location_name)
        if error is not None:
            raise ConfigurationError(
                f"The code of {origin.location_name} does not load: {error.message.strip().splitlines()[-1]}",
                remedy="Load it by hand to see where: `python -c 'import import_pipeline.definitions'`.",
            )
        yield workspace, workspace.get_code_location(origin.location_name)


def _launch(
    instance: DagsterInstance,
    workspace: WorkspaceRequestContext,
    location: CodeLocation,
    repository_name: str,
    wanted: Launch,
) -> str:
    repository = location.get_repository(repository_name)
    if not repository.has_job(wanted.job_name):
        raise ConfigurationError(
            f"Dagster's code location {location.name} has no job {wanted.job_name}.",
            remedy="Upgrade it: the command line is newer than what the daemon runs.",
        )
    selector = JobSubsetSelector(
        location_name=location.name,
        repository_name=repository_name,
        job_name=wanted.job_name,
        op_selection=None,
    )
    job = location.get_job(selector)
    plan = location.get_execution_plan(job, wanted.run_config, None, None, instance).execution_plan_snapshot
    instance.add_dynamic_partitions(wanted.partitions, [wanted.partition])
    run = instance.create_run(
        job_name=wanted.job_name,
        run_id=None,
        run_config=wanted.run_config,
        status=None,
        tags={**job.tags, **wanted.tags, PARTITION_TAG: wanted.partition},
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=plan.step_keys_to_execute,
        execution_plan_snapshot=plan,
        job_snapshot=job.job_snapshot,
        parent_job_snapshot=job.parent_job_snapshot,
        asset_selection=None,
        asset_check_selection=None,
        resolved_op_selection=job.resolved_op_selection,
        op_selection=None,
        remote_job_origin=job.get_remote_origin(),
        job_code_origin=job.get_python_origin(),
        asset_graph=repository.asset_graph,
    )
    return instance.submit_run(run.run_id, workspace).run_id
