"""What a tick asks of Dagster again, and what not: runs that came to nothing, reports that are missing."""

import pytest
from dagster import DagsterRunStatus, RunRequest, SensorResult

from import_pipeline.errors import TookTooLong
from import_pipeline.ledger.claims import claim
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.outcomes import record_cancelled, record_failed, requeue
from import_pipeline.orchestration import reconciling
from import_pipeline.records import Token
from import_pipeline_tests.orchestration.conftest import World

KEY = "uploads/acme/leads/leads.csv"
LEADS = "E-mail;Nome\nana@exemplo.com;Ana\n"


def test_an_upload_that_is_cancelled_while_the_sensor_submits_its_run_stays_cancelled(world: World) -> None:
    """Dagster submits the runs of a tick one after the other; the cancellation was forgotten."""
    world.put(KEY, LEADS)
    result = world.evaluate()
    assert isinstance(result, SensorResult)
    upload_id = world.upload(KEY)["upload_id"]
    with connect(world.settings.require_database_url()) as conn:
        record_cancelled(conn, upload_id)
    for added in result.dynamic_partitions_requests or []:
        world.instance.add_dynamic_partitions(added.partitions_def_name, list(added.partition_keys))
    (request,) = result.run_requests or []

    assert not world.run(request)
    assert world.upload(KEY)["state"] == "cancelled"
    assert world.launch(upload_id), "a person may"


def asked(world: World) -> list[RunRequest]:
    result = world.evaluate()
    return list(result.run_requests or []) if isinstance(result, SensorResult) else []


def test_a_run_that_was_created_and_never_submitted_is_asked_for_again_under_its_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its daemon was killed between the two; Dagster submits it when it is asked for the key again."""
    world.put(KEY, LEADS)
    (request,) = world.tick(run=False)
    run = world.run_in(DagsterRunStatus.NOT_STARTED, request)

    assert asked(world) == [], "it may be submitted at this moment"
    assert world.upload(KEY)["state"] == "queued"
    monkeypatch.setattr(reconciling, "SECONDS_WITHOUT_RUN", 0.0)
    assert [one.run_key for one in asked(world)] == [request.run_key]
    assert world.upload(KEY)["state"] == "detected"
    world.instance.report_run_canceled(run)
    assert asked(world) == []
    assert asked(world) == []
    assert world.upload(KEY)["state"] == "cancelled"


def test_an_upload_that_is_launched_again_while_its_run_still_ends_is_asked_for_when_it_has(
    world: World,
) -> None:
    """It was taken for the run that the upload waits for, and two minutes went by without one."""
    world.put(KEY, LEADS)
    (request,) = world.tick(run=False)
    run = world.run_in(DagsterRunStatus.STARTED, request)
    upload_id = world.upload(KEY)["upload_id"]
    with connect(world.settings.require_database_url()) as conn:
        claim(conn, upload_id, Token(5.0, run.run_id), run.run_id)
        record_failed(conn, upload_id, TookTooLong("It ran too long.", limit=1))
        requeue(conn, [upload_id])

    assert asked(world) == []
    assert world.upload(KEY)["state"] == "detected"
    world.instance.report_run_failed(run)
    assert [one.run_key for one in asked(world)] == [f"{upload_id}#2"]
