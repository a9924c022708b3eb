"""Runs of the kill matrix: as the sensor asks for them, as a person launches or re-executes them."""

from collections.abc import Sequence
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.plan.state import KnownExecutionState

from import_pipeline.orchestration.code_server import MODULE
from import_pipeline.orchestration.reconciling import PARTITION_TAG

ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)


def job_of(dataset: str) -> ReconstructableJob:
    """The dataset's job, as a run worker finds it again."""
    pointer = ModuleCodePointer(MODULE, "defs", working_directory=None)
    return ReconstructableRepository(pointer).get_reconstructable_job(f"import_{dataset}")


def new_run(
    instance: DagsterInstance, dataset: str, upload_id: str, *, processes: str, **tags: str
) -> DagsterRun:
    """A run of the upload that nobody executes yet."""
    job = job_of(dataset)
    return instance.create_run_for_job(
        job.get_definition(),
        run_config={"execution": {"config": {"processes": processes}}},
        tags={PARTITION_TAG: upload_id, **tags},
        job_code_origin=job.get_python_origin(),
    )


def re_executed_run(instance: DagsterInstance, dataset: str, parent: DagsterRun) -> DagsterRun:
    """A re-execution from failure of a run that failed or was cancelled."""
    job = job_of(dataset)
    steps, known = KnownExecutionState.build_resume_retry_reexecution(instance, parent)
    plan = create_execution_plan(
        job,
        run_config=parent.run_config,
        step_keys_to_execute=list(steps),
        known_state=known,
        instance_ref=instance.get_ref(),
        tags=parent.tags,
    )
    return instance.create_run_for_job(
        job.get_definition(),
        execution_plan=plan,
        run_config=parent.run_config,
        tags={**_kept(parent.tags), "dagster/is_resume_retry": "true"},
        root_run_id=parent.root_run_id or parent.run_id,
        parent_run_id=parent.run_id,
        job_code_origin=job.get_python_origin(),
    )


def current(instance: DagsterInstance, run_id: str) -> DagsterRun:
    """The run as Dagster knows it now."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run


def runs_of(instance: DagsterInstance, upload_id: str) -> Sequence[DagsterRun]:
    """All runs of an upload, newest first."""
    return instance.get_runs(RunsFilter(tags={PARTITION_TAG: upload_id}))


def give_up(instance: DagsterInstance, run_id: str) -> None:
    """What Dagster's monitoring does with a run whose worker is gone: it ends, and gives its slots back."""
    run = current(instance, run_id)
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    if run.status == DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run)
    elif run.status not in ENDED:
        instance.report_run_failed(run, "The run's worker is gone.")


def _kept(tags: dict[str, Any] | Any) -> dict[str, str]:
    return {k: v for k, v in tags.items() if not k.startswith("dagster/") or k == PARTITION_TAG}
