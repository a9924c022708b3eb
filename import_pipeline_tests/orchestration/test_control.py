"""What the command line asks of Dagster: runs cancelled, pools limited, daemon and sensor judged."""

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from typer.testing import CliRunner

from import_pipeline.cli.main import app
from import_pipeline.errors import ConfigurationError
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.uploads import get_upload
from import_pipeline.orchestration.control import (
    find_dagster_home,
    heartbeat_age,
    look_at_sensor,
    set_pool_limits,
    unfinished_runs,
    wrong_pool_limits,
)
from import_pipeline.orchestration.reconciling import PARTITION_TAG
from import_pipeline_tests.ledger.conftest import add, move

ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("import_pipeline"), "repository"), "import_leads"
)


def add_run(instance: DagsterInstance, upload_id: str, status: DagsterRunStatus) -> str:
    run = DagsterRun(
        job_name="import_leads", status=status, tags={PARTITION_TAG: upload_id}, remote_job_origin=ORIGIN
    )
    instance.add_run(run)
    return run.run_id


def test_cancelling_an_upload_cancels_its_queued_run_and_no_other(settings, deployed):
    with connect(settings.require_database_url()) as conn:
        upload = add(conn, "a.csv")
        move(conn, upload, "queued")
        conn.commit()
        run = add_run(deployed, upload, DagsterRunStatus.QUEUED)
        other = add_run(deployed, "acme/other@x", DagsterRunStatus.QUEUED)

        cancelled = CliRunner().invoke(app, ["cancel", upload])

        assert cancelled.exit_code == 0, cancelled.output
        assert deployed.get_run_by_id(run).status == DagsterRunStatus.CANCELED
        assert [left.run_id for left in unfinished_runs(deployed)] == [other]
        assert get_upload(conn, upload).state == "cancelled"


def test_a_run_whose_worker_answers_no_more_is_cancelled_all_the_same(settings, deployed, monkeypatch):
    """Nobody would end it otherwise: the ledger would wait for a run that never stops."""
    monkeypatch.setattr("import_pipeline.cli.steering.STOP_SECONDS", 0.0)
    with connect(settings.require_database_url()) as conn:
        upload = add(conn, "a.csv")
        move(conn, upload, "running")
        conn.commit()
        run = add_run(deployed, upload, DagsterRunStatus.STARTED)

        cancelled = CliRunner().invoke(app, ["cancel", upload])

        assert cancelled.exit_code == 0, cancelled.output
        assert deployed.get_run_by_id(run).status == DagsterRunStatus.CANCELED
        assert get_upload(conn, upload).state == "cancelled"


def test_limits_of_pools_are_wrong_until_they_are_set(settings, deployed):
    assert set(wrong_pool_limits(deployed, settings)) == {"imports_staging", "imports_publishing"}

    set_pool_limits(deployed, settings)

    assert wrong_pool_limits(deployed, settings) == {}
    more = settings.model_copy(update={"database_connections": 40})
    assert set(wrong_pool_limits(deployed, more)) == {"imports_staging", "imports_publishing"}


def test_before_any_daemon_ran_nothing_is_known_of_daemon_and_sensor(deployed):
    assert heartbeat_age(deployed) is None
    assert look_at_sensor(deployed).state == "unseen"


def test_without_a_dagster_home_it_is_said_what_to_start(settings):
    with pytest.raises(ConfigurationError, match="import-pipeline dev"):
        find_dagster_home(settings)
