"""The sweep and retention over real uploads, runs, tables and objects: what goes, and what must stay."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from dagster import DagsterRunStatus, RunsFilter
from psycopg import sql

from import_pipeline.flow.housekeeping.days import kept_days
from import_pipeline.flow.housekeeping.house import House
from import_pipeline.flow.housekeeping.placing import delete_past, set_aside
from import_pipeline.flow.housekeeping.sweeping import abort_unfinished, sweep_objects, sweep_tables
from import_pipeline.ledger.connection import connect
from import_pipeline.orchestration import housekeeping
from import_pipeline.orchestration.forgetting import (
    active_in,
    ask_for_missing_reports,
    delete_records,
    delete_runs,
    prune_partitions,
)
from import_pipeline.orchestration.housekeeping import RETENTION_JOB, SWEEP_JOB
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.places import archive_key, quarantine_key, run_records_prefix, staging_prefix
from import_pipeline_tests.orchestration.conftest import World

KEY = "uploads/acme/leads/{}.csv"
GOOD = "email,name\nana@x.example,Ana\n"
BAD = "nothing,here\n1,2\n"


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


def imported(world: World, name: str = "a", data: str | None = None) -> dict[str, Any]:
    return world.import_file(KEY.format(name), data or GOOD.replace("ana", name))


def failed(world: World, name: str = "f") -> dict[str, Any]:
    """An upload whose run was lost before its end; its staging is left behind."""
    world.put(KEY.format(name), GOOD.replace("ana", name))
    [request] = world.tick(run=False)
    row = world.upload(KEY.format(name))
    world.run_in(DagsterRunStatus.FAILURE, request)
    world.tick(run=False)
    world.sql("UPDATE imports.uploads SET attempt = '12345678' WHERE upload_id = %s", row["upload_id"])
    world.tick(run=False)
    row = world.upload(KEY.format(name))
    assert row["state"] == "failed"
    return row


def stage(world: World, row: dict[str, Any], attempt: str) -> tuple[str, str]:
    """Staging of an attempt: its object and its table."""
    key = f"{staging_prefix('leads', row['short_id'], attempt)}batches/0001.parquet"
    table = f"u_{row['short_id']}_{attempt[:8]}"
    world.put(key, b"rows")
    world.sql(f'CREATE UNLOGGED TABLE staging."{table}" (a int)')
    return key, table


def tables(world: World) -> set[str]:
    return {
        row["tablename"] for row in world.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'staging'")
    }


def test_the_sweep_takes_what_dead_attempts_left_and_nothing_of_one_that_may_go_on(world, house):
    done, stuck = imported(world), failed(world)
    stage(world, done, done["attempt"])
    stage(world, stuck, "99999999")
    kept = stage(world, stuck, "12345678")
    world.sql("CREATE TABLE staging.of_somebody_else (a int)")
    world.put("staging/notes.txt", b"not ours")
    now = house()

    for _ in range(2):
        sweep_tables(now)
        sweep_objects(now)

    assert tables(world) == {kept[1], "of_somebody_else"}
    assert world.keys("staging/") == [kept[0], "staging/notes.txt"]
    assert (now.did["tables dropped"], now.did["objects deleted"]) == (2, 2)

    later = house(days=7.1)
    sweep_tables(later)
    sweep_objects(later)
    assert tables(world) == {"of_somebody_else"}
    assert world.keys("staging/") == ["staging/notes.txt"]


def test_the_sweep_leaves_what_a_transaction_or_a_run_of_dagster_holds(world, house):
    stuck = failed(world)
    kept = stage(world, stuck, "12345678")
    later = house(days=30)
    with psycopg.connect(world.settings.require_database_url()) as holder:
        holder.execute("SELECT FROM imports.uploads WHERE upload_id = %s FOR UPDATE", [stuck["upload_id"]])
        sweep_tables(later)
        sweep_objects(later)
    job = world.defs.resolve_job_def("import_leads")
    run = world.instance.create_run_for_job(
        job, tags={"dagster/partition": stuck["upload_id"]}, status=DagsterRunStatus.STARTED
    )
    sweep_tables(later)
    sweep_objects(later)
    assert tables(world) == {kept[1]}
    assert world.keys("staging/") == [kept[0]]

    world.instance.report_run_canceled(run)
    sweep_tables(later)
    sweep_objects(later)
    assert (tables(world), world.keys("staging/")) == (set(), [])


def test_a_table_that_an_orphan_still_writes_to_is_left_for_the_next_sweep(world, house):
    done = imported(world)
    _, table = stage(world, done, "77777777")
    now = house()
    with psycopg.connect(world.settings.require_database_url()) as orphan:
        orphan.execute(sql.SQL("INSERT INTO {} VALUES (1)").format(sql.Identifier("staging", table)))
        sweep_tables(now)
        assert now.did["tables in use, left"] == 1
    sweep_tables(now)
    assert tables(world) == set()


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


def test_unfinished_uploads_of_ours_are_given_up_and_those_of_senders_are_not(world, house):
    for key in ("archive/acme/leads/0123456789ab/a.csv", "uploads/acme/leads/big.csv"):
        world.s3.create_multipart_upload(Bucket=world.bucket, Key=key)

    young, old = house(days=0.5), house(days=1.1)
    abort_unfinished(young)
    assert not young.did["unfinished uploads given up"]
    abort_unfinished(old)

    assert old.did["unfinished uploads given up"] == 1
    left = world.s3.list_multipart_uploads(Bucket=world.bucket)["Uploads"]
    assert [one["Key"] for one in left] == ["uploads/acme/leads/big.csv"]


def test_originals_and_reports_go_after_their_days_and_the_ledger_knows(world, house):
    done, bad = imported(world), imported(world, "bad", BAD)
    archived, refused = done["original_key"], bad["original_key"]
    assert (archived.split("/")[0], refused.split("/")[0]) == ("archive", "quarantine")
    world.put("archive/readme.txt", b"not ours")

    early = house(days=29, archive_days=1, quarantine_days=30, report_days=30)
    late = house(days=40, archive_days=1, quarantine_days=30, report_days=30)
    for then in (early, late):
        for place in ("archive", "quarantine", "reports"):
            delete_past(then, place)
        if then is early:
            assert not then.did["objects deleted"], (
                "an undo is possible for 30 days, whatever the settings say"
            )
            assert {archived, refused} <= set(world.keys())

    assert world.keys() == ["archive/readme.txt", *world.keys("dagster/")]
    after = [world.upload(row["key"]) for row in (done, bad)]
    assert [(row["original_key"], row["report_prefix"]) for row in after] == [(None, None)] * 2
    told = world.sql("SELECT message FROM imports.events WHERE message ~ '^Its .* was kept for'")
    assert len(told) == 4


def test_an_original_that_a_run_is_to_read_stays_however_old(world, house):
    bad = imported(world, "bad", BAD)
    world.sql(
        "UPDATE imports.uploads SET state = 'detected', launch_number = 2 WHERE upload_id = %s",
        bad["upload_id"],
    )
    delete_past(house(days=400), "quarantine")

    assert world.keys("quarantine/") == [bad["original_key"]]


def test_kept_for_ever_means_that_nothing_goes(world, house):
    imported(world)
    before = world.keys()
    then = house(
        days=4000,
        archive_days=0,
        quarantine_days=0,
        report_days=0,
        set_aside_days=0,
        partition_days=0,
        run_days=0,
    )
    for place in ("archive", "quarantine", "reports"):
        delete_past(then, place)
    set_aside(then, world.datasets)
    prune_partitions(then, world.instance, world.datasets)
    delete_runs(then, world.instance, world.datasets, ["import_leads"])

    assert world.keys() == before
    assert not then.did


def test_what_did_not_make_it_leaves_uploads_and_can_still_be_launched(world, house):
    stuck = failed(world)
    world.put("uploads/acme/nothing/x.csv", GOOD)
    world.tick(run=False)
    ignored = world.upload("uploads/acme/nothing/x.csv")

    set_aside(house(days=13), world.datasets)
    assert len(world.keys("uploads/")) == 2
    then = house(days=15)
    set_aside(then, world.datasets)
    set_aside(then, world.datasets)

    assert then.did["originals put away"] == 2
    assert world.keys("uploads/") == []
    places = {row["original_key"] for row in (world.upload(stuck["key"]), world.upload(ignored["key"]))}
    assert places == {
        quarantine_key("acme", "leads", stuck["short_id"], "f.csv"),
        quarantine_key("acme", "nothing", ignored["short_id"], "x.csv"),
    }
    assert world.launch(stuck["upload_id"])
    assert world.upload(stuck["key"])["original_key"] == archive_key(
        "acme", "leads", stuck["short_id"], "f.csv"
    )


def test_a_newer_file_at_the_key_of_a_failed_one_stays(world, house):
    stuck = failed(world)
    world.s3.delete_object(Bucket=world.bucket, Key=stuck["key"])
    world.put(stuck["key"], "email,name\nnew@x.example,New\n")
    then = house(days=15)

    set_aside(then, world.datasets)
    set_aside(then, world.datasets)

    assert then.did["originals already gone"] == 1
    assert world.keys("uploads/") == [stuck["key"]]


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

    then = house(days=95)
    delete_records(then, world.instance)
    prune_partitions(then, world.instance, world.datasets)
    delete_runs(then, world.instance, world.datasets, ours)

    assert world.keys("dagster/") == ["dagster/notes.txt"]
    assert world.instance.get_dynamic_partitions("leads_uploads") == []
    assert [one.run_id for one in world.instance.get_runs()] == [foreign.run_id]
    assert world.upload(done["key"])["state"] == "completed"
    again = world.instance.get_run_record_by_id(run.run_id)
    assert again is None
    assert stuck["state"] == "failed"


def test_a_live_upload_keeps_its_partition_and_its_runs(world, house):
    stuck = failed(world)
    world.sql("UPDATE imports.uploads SET state = 'running' WHERE upload_id = %s", stuck["upload_id"])
    then = house(days=1000)
    prune_partitions(then, world.instance, world.datasets)
    delete_runs(then, world.instance, world.datasets, ["import_leads"])

    assert world.instance.get_dynamic_partitions("leads_uploads") == [stuck["upload_id"]]
    assert len(world.instance.get_runs()) == 1


def test_a_pruned_upload_is_brought_back_by_its_retry(world, house):
    stuck = failed(world)
    prune_partitions(house(days=100), world.instance, world.datasets)
    assert not world.instance.has_dynamic_partition("leads_uploads", stuck["upload_id"])
    world.sql(
        "UPDATE imports.uploads SET state = 'detected', launch_number = 2 WHERE upload_id = %s",
        stuck["upload_id"],
    )

    assert len(world.tick()) == 1
    assert world.upload(stuck["key"])["state"] == "completed"


def run_job(world: World, name: str) -> Any:
    job = world.defs.resolve_job_def(name)
    return job.execute_in_process(instance=world.instance, raise_on_error=False)


def metadata_of(done: Any) -> dict[str, Any]:
    [output] = [e for e in done.all_events if e.event_type_value == "STEP_OUTPUT"]
    return {name: value.value for name, value in output.event_specific_data.metadata.items()}


def test_both_jobs_say_what_they_did_and_what_is_used_before_and_after(world):
    row = imported(world)
    stage(world, row, "77777777")

    swept, kept = run_job(world, SWEEP_JOB), run_job(world, RETENTION_JOB)

    assert (swept.success, kept.success) == (True, True)
    said = metadata_of(swept)
    assert said["staging tables: tables dropped"] == 1
    assert said["staging objects: objects deleted"] == 1
    assert (said["bytes in staging/, before"], said["bytes in staging/, after"]) == (4, 0)
    assert said["bytes of database, before"] > 0
    assert said["bytes free on this disk, after"] > 0
    assert metadata_of(kept)["objects in archive/, after"] == 1


def test_a_part_that_fails_stops_no_other_and_the_run_names_it(world, monkeypatch):
    row = imported(world)
    stage(world, row, "77777777")

    def broken(house: House) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(housekeeping, "sweep_tables", broken)
    done = run_job(world, SWEEP_JOB)

    assert not done.success
    [failure] = [e for e in done.all_events if e.event_type_value == "STEP_FAILURE"]
    assert "staging tables" in failure.event_specific_data.user_failure_data.description
    assert world.keys("staging/") == []
    assert len(tables(world)) == 1
