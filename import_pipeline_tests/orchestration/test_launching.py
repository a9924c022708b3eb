"""Runs launched from outside of the daemon: what is said where nobody would run them, or they fail.

That the daemon runs what was launched is held by cli/test_whole_pipeline.py.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus, job, op
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    CodeLocationOrigin,
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from import_pipeline.errors import ConfigurationError
from import_pipeline.orchestration.launching import Launch, launch_runs, wait_for_runs
from import_pipeline.orchestration.sensors import SENSOR_NAME

UNDO = Launch("undo_leads", "acme/a.csv@0123456789ab", "leads_uploads")


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[DagsterInstance]:
    """An instance that remembers sensors, too."""
    with DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


def nothing_to_say(waiting: int) -> None:
    pass


def sensor_seen(instance: DagsterInstance, origin: CodeLocationOrigin) -> None:
    """What the daemon notes when it evaluates the sensor."""
    repository = RemoteRepositoryOrigin(origin, "__repository__")
    instance.add_instigator_state(
        InstigatorState(
            RemoteInstigatorOrigin(repository, SENSOR_NAME),
            InstigatorType.SENSOR,
            InstigatorStatus.DECLARED_IN_CODE,
            SensorInstigatorData(last_tick_timestamp=1.0),
        )
    )


def test_where_no_daemon_was_ever_at_work_nothing_is_queued(lasting: DagsterInstance) -> None:
    with pytest.raises(ConfigurationError, match="import-pipeline dev"):
        launch_runs(lasting, [UNDO])

    assert lasting.get_runs() == []
    assert lasting.get_dynamic_partitions("leads_uploads") == []


@pytest.mark.slow
def test_code_that_does_not_load_is_named_and_nothing_is_queued(lasting: DagsterInstance) -> None:
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name="no_such_module_anywhere")
    sensor_seen(lasting, ManagedGrpcPythonEnvCodeLocationOrigin(target, "no_such_module_anywhere"))

    with pytest.raises(ConfigurationError, match="no_such_module_anywhere does not load"):
        launch_runs(lasting, [UNDO])

    assert lasting.get_runs() == []


def test_each_run_that_did_not_succeed_has_its_reason(instance: DagsterInstance) -> None:
    @op
    def breaks() -> None:
        raise RuntimeError("two\nlines")

    @op
    def works() -> None:
        pass

    @job
    def broken() -> None:
        breaks()

    @job
    def sound() -> None:
        works()

    failed = broken.execute_in_process(instance=instance, raise_on_error=False).run_id
    done = sound.execute_in_process(instance=instance).run_id
    cancelled = instance.create_run_for_job(sound, status=DagsterRunStatus.CANCELED).run_id

    reasons = wait_for_runs(instance, [failed, done, cancelled, "deleted"], nothing_to_say)

    assert set(reasons) == {failed, cancelled, "deleted"}
    assert "RuntimeError: two lines" in reasons[failed]
    assert reasons[cancelled] == "Its run is canceled."
    assert reasons["deleted"] == "Its run was deleted."


def test_who_waits_is_told_how_many_runs_were_not_started_yet(instance: DagsterInstance) -> None:
    @op
    def works() -> None:
        pass

    @job
    def sound() -> None:
        works()

    runs = [
        instance.create_run_for_job(sound, status=status)
        for status in (DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTED)
    ]
    told: list[int] = []

    def look(waiting: int) -> None:
        told.append(waiting)
        instance.report_run_canceled(runs[len(told) - 1])

    wait_for_runs(instance, [run.run_id for run in runs], look)

    assert told == [1, 0]
