"""Sensor ticks: what is noticed, launched, asked for again, and what a stopped tick leaves behind."""

import time
from dataclasses import replace

import pytest
from dagster import AssetKey, DagsterRunStatus, RunRequest, SensorResult, SkipReason

from import_pipeline.errors import ConfigurationError
from import_pipeline.flow.arrivals.pace import Pace, write_pace
from import_pipeline.ledger.arrivals import waiting
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.outcomes import requeue
from import_pipeline.orchestration.sensors import sensor_result
from import_pipeline_tests.orchestration.conftest import World
from import_pipeline_tests.orchestration.test_arrivals import one_lead

LEADS = "E-mail;Nome\nana@exemplo.com;Ana\n"
MORE = "E-mail;Nome\nana@exemplo.com;Ana\nbia@exemplo.com;Bia\n"
KEY = "uploads/acme/leads/leads.csv"


def test_a_new_file_is_launched_once_and_nothing_new_launches_nothing(world: World) -> None:
    world.put(KEY, LEADS)

    first = world.tick()
    second = world.tick()

    assert [request.job_name for request in first] == ["import_leads"]
    assert first[0].tags["import_pipeline/workspace"] == "acme"
    assert first[0].tags["import_pipeline/lane"] == "small"
    assert first[0].tags["dagster/retry_on_asset_or_op_failure"] == "false"
    assert first[0].run_config["execution"] == {"config": {"processes": "one"}}
    assert second == []


def test_the_same_bytes_at_the_same_key_after_success_are_a_new_arrival(world: World) -> None:
    first = world.import_file(KEY, LEADS)
    again = world.import_file(KEY, LEADS)

    assert first["state"] == "completed"
    assert again["state"] == "duplicate_file"
    assert again["upload_id"] != first["upload_id"]


def test_a_new_version_of_a_file_is_imported_beside_the_old_one(world: World) -> None:
    world.import_file(KEY, LEADS)
    newer = world.import_file(KEY, MORE)

    assert (newer["state"], newer["inserted"], newer["duplicate"]) == ("completed", 1, 1)
    assert world.sql("SELECT count(*) AS n FROM imports.uploads") == [{"n": 2}]


def test_a_file_launched_again_after_a_refusal_is_a_new_arrival(world: World) -> None:
    refused = world.import_file(KEY, "Nome\nAna\n")
    mended = world.import_file(KEY, LEADS)

    assert refused["state"] == "refused"
    assert (mended["state"], mended["inserted"]) == ("completed", 1)


def test_a_tick_that_stopped_before_its_runs_is_asked_for_again(world: World) -> None:
    """A ledger row is no proof of a run: the daemon may stop between the two."""
    world.put(KEY, LEADS)
    stopped = world.evaluate()
    assert isinstance(stopped, SensorResult)
    assert world.upload(KEY)["state"] == "detected"

    asked_again = world.tick()

    assert [r.run_key for r in asked_again] == [r.run_key for r in stopped.run_requests or []]
    assert world.upload(KEY)["state"] == "completed"
    assert world.tick() == []


def test_one_bad_request_does_not_stop_the_others(world: World) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        world.put(f"uploads/acme/leads/{name}", f"E-mail\n{name[0]}@exemplo.com\n")
    world.evaluate()
    with connect(world.settings.require_database_url()) as conn:
        conn.execute("UPDATE imports.uploads SET dataset = 'gone' WHERE key LIKE '%%b.csv'")

    launched = world.tick()

    assert len(launched) == 2
    states = world.sql("SELECT file_name, state FROM imports.uploads ORDER BY file_name")
    assert states == [
        {"file_name": "a.csv", "state": "completed"},
        {"file_name": "b.csv", "state": "ignored"},
        {"file_name": "c.csv", "state": "completed"},
    ]


def test_a_request_that_dagster_would_refuse_is_left_out(world: World) -> None:
    world.put(KEY, LEADS)
    world.evaluate()
    with connect(world.settings.require_database_url()) as conn:
        (sound,) = waiting(conn, 10)
    bad = [replace(sound, upload_id="acme/" + "x" * 3000), replace(sound, dataset="gone")]

    result = sensor_result([bad[0], sound, bad[1]], world.datasets, world.settings, {})

    requests: list[RunRequest] = list(result.run_requests or [])
    assert [r.partition_key for r in requests] == [sound.upload_id]
    assert [list(r.partition_keys) for r in result.dynamic_partitions_requests or []] == [[sound.upload_id]]


def test_unknown_datasets_and_bad_workspaces_are_ignored_with_a_reason(world: World) -> None:
    world.put("uploads/acme/leeds/leads.csv", LEADS)
    world.put("uploads/No Name/leads/leads.csv", LEADS)
    world.put("uploads/acme/leads/~$leads.xlsx", b"x")

    assert world.tick() == []

    rows = world.sql("SELECT state, ignored_reason FROM imports.uploads ORDER BY key")
    assert [row["state"] for row in rows] == ["ignored", "ignored"], "an editor's lock file leaves no record"
    assert "leads" in rows[1]["ignored_reason"], "the nearest dataset is named"


def test_at_most_25_runs_a_tick_and_every_workspace_gets_its_turn(world: World) -> None:
    for number in range(30):
        world.put(f"uploads/big/leads/{number:02}.csv", f"E-mail\nb{number}@exemplo.com\n")
    world.put("uploads/small/leads/only.csv", LEADS)

    result = world.evaluate()

    assert isinstance(result, SensorResult)
    requests = list(result.run_requests or [])
    assert len(requests) == 25
    assert {r.tags["import_pipeline/workspace"] for r in requests} == {"big", "small"}


def test_a_workspace_with_a_long_queue_does_not_make_another_wait_for_it(world: World) -> None:
    """Dagster's queue is in order of arrival otherwise: one file stood behind fifty of another workspace."""
    for number in range(3):
        world.put(f"uploads/big/leads/{number}.csv", one_lead(number))
    for request in world.tick(run=False):
        world.run_in(DagsterRunStatus.QUEUED, request)
    world.put("uploads/big/leads/3.csv", one_lead(3))
    world.put("uploads/small/leads/only.csv", LEADS)

    later = world.tick(run=False)

    given = {r.tags["import_pipeline/file"]: int(r.tags["dagster/priority"]) for r in world.requested}
    assert given == {"0.csv": 0, "1.csv": -1, "2.csv": -2, "3.csv": -3, "only.csv": 0}
    assert len(later) == 2


def test_after_a_slow_listing_the_next_one_waits_while_what_the_ledger_has_is_launched(world: World) -> None:
    world.put(KEY, LEADS)
    world.evaluate()
    world.cursor = write_pace(Pace(ended=time.time(), seconds=60))
    world.put("uploads/acme/leads/later.csv", MORE)

    (request,) = world.tick(run=False)
    world.run_in(DagsterRunStatus.STARTED, request)
    skipped = world.evaluate()

    assert request.partition_key == world.upload(KEY)["upload_id"]
    assert isinstance(skipped, SkipReason)
    assert "The bucket is listed again in" in str(skipped.skip_message)
    world.cursor = write_pace(Pace(ended=time.time() - 601, seconds=60))
    assert len(world.tick(run=False)) == 1


def test_the_external_asset_is_materialized_at_detection(world: World) -> None:
    world.put(KEY, LEADS)
    world.tick(run=False)

    upload = world.upload(KEY)
    assert world.instance.get_materialized_partitions(AssetKey(["uploads", "leads"])) == {upload["upload_id"]}


def test_the_external_asset_is_not_materialized_again_when_its_file_is_launched_again(world: World) -> None:
    """Noticed is what a file is once, however often a person retries it."""
    world.put(KEY, "no;such;columns\n1;2;3\n")
    first, stopped = world.evaluate(), world.evaluate()
    assert isinstance(first, SensorResult) and isinstance(stopped, SensorResult)
    assert len(first.asset_events) == len(stopped.asset_events) == 1, "rather twice than never"
    world.tick()
    with connect(world.settings.require_database_url()) as conn:
        requeue(conn, [world.upload(KEY)["upload_id"]])

    again = world.evaluate()

    assert isinstance(again, SensorResult)
    assert (len(again.run_requests or []), len(again.asset_events)) == (1, 0)


def test_a_failed_listing_is_an_error_never_nothing_new(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPORT_PIPELINE_BUCKET", "no-such-bucket")

    with pytest.raises(ConfigurationError, match="no-such-bucket"):
        world.evaluate()


def test_a_run_that_is_gone_fails_its_upload_and_a_fresh_launch_imports_it(world: World) -> None:
    world.put(KEY, LEADS)
    requests = world.tick(run=False)
    upload = world.upload(KEY)
    # The run claimed the upload and then its worker was killed: Dagster fails it, the ledger hears nothing.
    run = world.run_in(DagsterRunStatus.STARTED, requests[0])
    world.sql(
        "UPDATE imports.uploads SET state = 'running', token_created = 1, token_run_id = %s, run_id = %s "
        "WHERE upload_id = %s RETURNING 1",
        run.run_id,
        run.run_id,
        upload["upload_id"],
    )
    world.tick(run=False)
    assert world.upload(KEY)["state"] == "running"
    world.instance.report_run_failed(run)

    world.tick(run=False)

    row = world.upload(KEY)
    assert (row["state"], row["error_code"]) == ("failed", "run_failed")
    assert world.launch(row["upload_id"])
    assert world.upload(KEY)["state"] == "completed"


def test_a_run_that_failed_before_its_first_step_fails_its_upload(world: World) -> None:
    """Asked for again under the same key, it would wait for ever: Dagster remembers the key."""
    world.put(KEY, LEADS)
    requests = world.tick(run=False)
    world.instance.report_run_failed(world.run_in(DagsterRunStatus.NOT_STARTED, requests[0]))

    world.tick(run=False)
    world.tick(run=False)

    row = world.upload(KEY)
    assert (row["state"], row["error_code"]) == ("failed", "run_failed")


def test_a_run_cancelled_while_queued_cancels_its_upload(world: World) -> None:
    world.put(KEY, LEADS)
    requests = world.tick(run=False)
    run = world.run_in(DagsterRunStatus.NOT_STARTED, requests[0])
    world.tick(run=False)
    assert world.upload(KEY)["state"] == "queued"
    world.instance.report_run_canceled(run)

    world.tick(run=False)

    assert world.upload(KEY)["state"] == "cancelled"


def test_a_queued_upload_without_a_run_is_launched_again_under_a_new_key(world: World) -> None:
    world.put(KEY, LEADS)
    first = world.tick(run=False)
    world.sql("UPDATE imports.uploads SET state = 'queued' RETURNING 1")
    assert world.tick(run=False) == [], "two minutes are not over"
    world.sql("UPDATE imports.uploads SET queued_at = queued_at - interval '3 minutes' RETURNING 1")

    again = world.tick()

    assert [r.run_key for r in again] != [r.run_key for r in first]
    assert world.upload(KEY)["state"] == "completed"
