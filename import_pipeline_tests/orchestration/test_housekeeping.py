"""Housekeeping with a real Dagster instance: its runs, partitions, records and events, and the two jobs.

Staging and the bucket's places are held by flow/housekeeping/.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dagster import AssetCheckKey, AssetKey, AssetRecordsFilter, DagsterRunStatus, RunsFilter
from typer.testing import CliRunner

from import_pipeline.cli.main import app
from import_pipeline.flow.housekeeping.days import kept_days
from import_pipeline.flow.housekeeping.house import House
from import_pipeline.flow.housekeeping.placing import set_aside
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.uploads import lock_table_of
from import_pipeline.orchestration import housekeeping
from import_pipeline.orchestration.event_log import delete_arrival_events
from import_pipeline.orchestration.forgetting import (
    active_in,
    ask_for_missing_reports,
    delete_records,
    delete_runs,
    prune_partitions,
)
from import_pipeline.orchestration.housekeeping import RETENTION_JOB, SWEEP_JOB
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.places import run_records_prefix, staging_prefix
from import_pipeline_tests.orchestration.conftest import World

KEY = "uploads/acme/leads/{}.csv"
GOOD = "email,name\nana@x.example,Ana\n"


@pytest.fixture
def house(world: World):
    """A house of the world's, at any moment."""
    with connect(world.settings.require_database_url()) as conn:
        conn.autocommit = True
        bucket = Bucket(world.s3, world.bucket)

        def at(days: float = 0, **settings: int) -> House:
            chosen = kept_days(world.settings.model_copy(update=settings))
            now = datetime.now(UTC) + timedelta(days=days)
            return House(conn, bucket, chosen, now, active_in(world.instance))

        yield at


def imported(world: World) -> dict[str, Any]:
    return world.import_file(KEY.format("a"), GOOD)


def failed(world: World) -> dict[str, Any]:
    """An upload whose run was lost before its end."""
    world.put(KEY.format("f"), GOOD.replace("ana", "f"))
    [request] = world.tick(run=False)
    world.run_in(DagsterRunStatus.FAILURE, request)
    world.tick(run=False)
    world.tick(run=False)
    row = world.upload(KEY.format("f"))
    assert row["state"] == "failed"
    return row


def stage(world: World, row: dict[str, Any], attempt: str) -> None:
    """Staging of an attempt: an object and a table."""
    key = f"{staging_prefix('leads', row['short_id'], attempt)}batches/0001.parquet"
    table = f"u_{row['short_id']}_{attempt[:8]}"
    world.put(key, b"rows")
    world.sql(f'CREATE UNLOGGED TABLE staging."{table}" (a int)')


def test_a_missing_report_is_asked_for_once_and_written(world, house):
    row = imported(world)
    world.sql("UPDATE imports.uploads SET reported_at = NULL WHERE upload_id = %s", row["upload_id"])
    assert world.tick(run=False) == [], "the sensor alone does not launch it: its run key is taken"

    for days in (0, 0.1):
        house_then = house(days=days)
        ask_for_missing_reports(house_then, world.instance)
        assert house_then.did["reports asked for"] == (1 if days else 0)
    assert len(world.tick()) == 1
    after = world.upload(row["key"])
    assert (after["state"], after["reported_at"] is not None) == ("completed", True)
    assert world.sql("SELECT count(*) AS n FROM leads")[0]["n"] == 1


def arrivals(world: World) -> Any:
    wanted = AssetRecordsFilter(AssetKey(["uploads", "leads"]))
    return world.instance.fetch_materializations(wanted, limit=10).records


def verdicts(world: World, name: str) -> Any:
    key = AssetCheckKey(AssetKey(["imported", "leads"]), name)
    return world.instance.event_log_storage.get_asset_check_execution_history(key, limit=10)


def test_records_runs_and_partitions_go_after_their_days_and_the_ledger_keeps_the_history(world, house):
    done, stuck = imported(world), failed(world)
    [run] = world.instance.get_runs(RunsFilter(tags={"dagster/partition": done["upload_id"]}))
    foreign = world.instance.create_run_for_job(
        world.defs.resolve_job_def("housekeeping_sweep"), status=DagsterRunStatus.SUCCESS
    )
    world.put("dagster/notes.txt", b"not ours")
    assert world.keys(run_records_prefix(run.run_id))
    ours = ["import_leads"]

    early = house(days=29)
    delete_records(early, world.instance)
    prune_partitions(early, world.instance, world.datasets)
    delete_runs(house(days=95), world.instance, world.datasets, ours)
    assert world.keys(run_records_prefix(run.run_id)), "too early"
    assert world.instance.has_run(run.run_id), "its upload is a partition still"
    delete_arrival_events(house(days=95), world.instance, world.datasets)
    assert len(arrivals(world)) == 2
    assert verdicts(world, "counts_balance")

    then = house(days=95)
    delete_records(then, world.instance)
    prune_partitions(then, world.instance, world.datasets)
    delete_runs(then, world.instance, world.datasets, ours)

    assert world.keys("dagster/") == ["dagster/notes.txt"]
    assert world.instance.get_dynamic_partitions("leads_uploads") == []
    assert [one.run_id for one in world.instance.get_runs()] == [foreign.run_id]
    assert verdicts(world, "counts_balance") == []
    delete_arrival_events(then, world.instance, world.datasets)
    assert arrivals(world) == []
    assert world.upload(done["key"])["state"] == "completed"
    assert world.upload(stuck["key"])["state"] == "failed"


def test_a_live_upload_stays_a_partition_and_a_pruned_one_is_brought_back_by_its_retry(world, house):
    stuck = failed(world)
    world.sql("UPDATE imports.uploads SET state = 'running' WHERE upload_id = %s", stuck["upload_id"])
    then = house(days=1000)
    prune_partitions(then, world.instance, world.datasets)
    delete_runs(then, world.instance, world.datasets, ["import_leads"])
    assert world.instance.get_dynamic_partitions("leads_uploads") == [stuck["upload_id"]]
    assert len(world.instance.get_runs()) == 1

    world.sql("UPDATE imports.uploads SET state = 'failed' WHERE upload_id = %s", stuck["upload_id"])
    for_ever = house(days=1000, partition_days=0, run_days=1)
    prune_partitions(for_ever, world.instance, world.datasets)
    delete_runs(for_ever, world.instance, world.datasets, ["import_leads"])
    assert not for_ever.did
    prune_partitions(then, world.instance, world.datasets)
    set_aside(then, world.datasets)
    assert world.instance.get_dynamic_partitions("leads_uploads") == []
    assert world.keys("uploads/") == []
    assert CliRunner().invoke(app, ["retry", stuck["upload_id"]]).exit_code == 0

    assert len(world.tick()) == 1
    after = world.upload(stuck["key"])
    assert after["state"] == "completed"
    assert world.keys("archive/") == [after["original_key"]]
    assert world.keys("quarantine/") == []


def run_job(world: World, name: str) -> Any:
    job = world.defs.resolve_job_def(name)
    return job.execute_in_process(instance=world.instance, raise_on_error=False)


def metadata_of(done: Any) -> dict[str, Any]:
    [output] = [e for e in done.all_events if e.event_type_value == "STEP_OUTPUT"]
    return {name: value.value for name, value in output.event_specific_data.metadata.items()}


def image_of_32_days_ago(world: World, row: dict[str, Any]) -> None:
    """The image of a row that an upload overwrote, too long ago for an undo; and one of now."""
    world.sql(
        "UPDATE imports.uploads SET published_at = published_at - interval '32 days', updated = inserted,"
        " inserted = 0 WHERE upload_id = %s",
        row["upload_id"],
    )
    for number in (row["publish_number"], row["publish_number"] + 1):
        world.sql(
            "INSERT INTO imports.row_history (workspace, dataset, publish_number, upload_id, key)"
            " VALUES ('acme', 'leads', %s, %s, '[]')",
            number,
            row["upload_id"],
        )


def test_both_jobs_say_what_they_did_and_what_is_used_before_and_after(world):
    row = imported(world)
    stage(world, row, "77777777")
    image_of_32_days_ago(world, row)

    swept, kept = run_job(world, SWEEP_JOB), run_job(world, RETENTION_JOB)

    assert (swept.success, kept.success) == (True, True)
    said = metadata_of(swept)
    assert said["staging tables: tables dropped"] == 1
    assert said["staging objects: objects deleted"] == 1
    assert (said["bytes in staging/, before"], said["bytes in staging/, after"]) == (4, 0)
    assert said["bytes of database, before"] > 0
    assert said["bytes free on this disk, after"] > 0
    assert metadata_of(kept)["objects in archive/, after"] == 1
    assert metadata_of(kept)["row history: images of rows"] == 1


def test_history_is_not_waited_for_where_a_publish_is_at_work_and_goes_the_next_day(world):
    """Asked for in one transaction, locks held up the publishes of all others behind one that was long."""
    image_of_32_days_ago(world, imported(world))
    with connect(world.settings.require_database_url()) as long_publish:
        lock_table_of(long_publish, "acme", "leads")
        kept = run_job(world, RETENTION_JOB)
    assert kept.success
    said = metadata_of(kept)
    assert said["row history: tables that a publish is at work on, left"] == 1
    assert "row history: images of rows" not in said
    assert metadata_of(run_job(world, RETENTION_JOB))["row history: images of rows"] == 1


def test_a_part_that_fails_stops_no_other_and_the_run_names_it(world, monkeypatch):
    def broken(house: House) -> None:
        house.did["tables dropped"] += 2
        raise ValueError("a bug")

    def working(house: House) -> None:
        house.did["objects deleted"] += 3

    monkeypatch.setattr(housekeeping, "sweep_tables", broken)
    monkeypatch.setattr(housekeeping, "sweep_objects", working)
    done = run_job(world, SWEEP_JOB)

    assert not done.success
    [failure] = [e for e in done.all_events if e.event_type_value == "STEP_FAILURE"]
    told = failure.event_specific_data.user_failure_data
    assert "staging tables" in told.description
    assert told.metadata["staging tables: tables dropped"].value == 2
    assert told.metadata["staging objects: objects deleted"].value == 3


def test_a_lost_connection_ends_only_the_part_that_it_hit(world, monkeypatch):
    """All parts shared one connection: each later one failed, and the run ended without naming any."""

    def hit(house: House) -> None:
        house.conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    def working(house: House) -> None:
        house.did["answers"] += len(house.conn.execute("SELECT 1").fetchall())

    monkeypatch.setattr(housekeeping, "sweep_tables", hit)
    monkeypatch.setattr(housekeeping, "sweep_objects", working)
    assert failure_of(run_job(world, SWEEP_JOB)) == ("staging tables", 1)


def test_a_last_look_that_fails_is_named_and_hides_nothing_that_was_done(world, monkeypatch):
    looks = iter([{}])
    monkeypatch.setattr(housekeeping, "use_of", lambda *_: next(looks))
    monkeypatch.setattr(housekeeping, "sweep_objects", lambda house: house.did.update({"answers": 1}))
    assert failure_of(run_job(world, SWEEP_JOB)) == ("what is used after", 1)


def failure_of(done: Any) -> tuple[str, int]:
    """The parts that a run names, and the number of answers in its metadata."""
    [failure] = [e for e in done.all_events if e.event_type_value == "STEP_FAILURE"]
    told = failure.event_specific_data.user_failure_data.metadata
    return told["failed"].value, told["staging objects: answers"].value
