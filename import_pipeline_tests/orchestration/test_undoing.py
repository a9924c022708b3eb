"""The job `undo_<dataset>`: what it does to the table, what it tells Dagster, what it does not confuse."""

from typing import Any

from dagster import (
    AssetKey,
    AssetRecordsFilter,
    DagsterEventType,
    DagsterRunStatus,
    ExecuteInProcessResult,
    RunRequest,
)
from dagster._core.definitions.asset_key import AssetCheckKey
from dagster._core.storage.event_log.base import PartitionKeyFilter

from import_pipeline.orchestration.reconciling import run_facts
from import_pipeline_tests.orchestration.conftest import World

KEY = "uploads/acme/leads/leads.csv"
LEADS = "E-mail;Nome\nana@exemplo.com;Ana\nbia@exemplo.com;Bia\n"
MORE = "E-mail;Nome\nbia@exemplo.com;Beatriz\ncaio@exemplo.com;Caio\n"
IMPORTED = AssetKey(["imported", "leads"])
COUNTS = AssetCheckKey(IMPORTED, "counts_balance")


def undo(world: World, upload_id: str, **config: Any) -> ExecuteInProcessResult:
    """Launch an undo by hand, as from the UI."""
    return world.defs.resolve_job_def("undo_leads").execute_in_process(
        instance=world.instance,
        partition_key=upload_id,
        run_config={"ops": {"undo_upload": {"config": config}}} if config else {},
        raise_on_error=False,
    )


def why_failed(done: ExecuteInProcessResult) -> str:
    [event] = [e for e in done.all_events if e.event_type == DagsterEventType.STEP_FAILURE]
    told = event.step_failure_data.user_failure_data
    assert told is not None
    return str(told.description)


def newest(world: World, upload_id: str) -> dict[str, Any]:
    """Metadata of the newest materialization of an upload's partition of `imported/leads`."""
    found = world.instance.fetch_materializations(
        AssetRecordsFilter(asset_key=IMPORTED, asset_partitions=[upload_id]), limit=1
    ).records[0]
    assert found.asset_materialization is not None
    return {name: value.value for name, value in found.asset_materialization.metadata.items()}


def observed(world: World, upload_id: str) -> list[dict[str, Any]]:
    found = world.instance.fetch_observations(
        AssetRecordsFilter(asset_key=IMPORTED, asset_partitions=[upload_id]), limit=10
    ).records
    metadata = [r.asset_observation.metadata for r in found if r.asset_observation]
    return [{k: v.value for k, v in one.items()} for one in metadata if "undo removed" in one]


def verdicts(world: World, upload_id: str) -> list[Any]:
    """Evaluations of `counts_balance` for an upload's partition, the newest first."""
    history = world.instance.event_log_storage.get_asset_check_execution_history(
        COUNTS, limit=10, partition_filter=PartitionKeyFilter(key=upload_id)
    )
    events = [record.event.dagster_event for record in history if record.event is not None]
    return [event.asset_check_evaluation_data for event in events if event is not None]


def test_an_undo_takes_the_rows_out_and_says_so_where_the_import_spoke(world: World) -> None:
    first = world.import_file(KEY, LEADS)
    second = world.import_file("uploads/acme/leads/more.csv", MORE)
    assert (second["inserted"], second["duplicate"]) == (1, 1)

    done = undo(world, first["upload_id"])

    assert done.success
    assert world.sql("SELECT email FROM leads") == [{"email": "caio@exemplo.com"}]
    row = world.upload(KEY)
    assert (row["state"], row["undo_removed"], row["undo_restored"], row["undo_left"]) == ("undone", 2, 0, 0)
    shown = newest(world, first["upload_id"])
    assert (shown["state"], shown["dagster/partition_row_count"], shown["undo removed"]) == ("undone", 0, 2)
    assert second["short_id"] in shown["to bring in again"]
    [seen] = observed(world, first["upload_id"])
    assert (seen["undo removed"], seen["undo restored"], seen["undo left"]) == (2, 0, 0)
    assert seen["depending uploads"] == 1
    assert f"import-pipeline reimport {second['short_id']}" in seen["to bring in again"]
    # Read back from Dagster's own record: yielded by an op of no asset, a verdict could be dropped silently.
    before, after = verdicts(world, second["upload_id"]), verdicts(world, first["upload_id"])
    assert (len(before), len(after)) == (1, 2), "other uploads keep their verdict"
    assert after[0].passed
    assert after[0].target_materialization_data.run_id == done.run_id
    assert {name: value.value for name, value in after[0].metadata.items()} == {
        "rows in the table": 0, "rows written": 2, "rows accounted for": 2,
    }  # fmt: skip


def test_a_dry_run_changes_nothing_and_a_second_undo_has_nothing_to_do(world: World) -> None:
    upload = world.import_file(KEY, LEADS)["upload_id"]
    world.sql("UPDATE leads SET name = 'Ana Maria' WHERE email = 'ana@exemplo.com'")

    assert undo(world, upload, dry_run=True).success
    assert world.upload(KEY)["state"] == "completed"
    assert len(world.sql("SELECT email FROM leads")) == 2
    assert newest(world, upload)["state"] == "completed"
    [seen] = observed(world, upload)
    assert (seen["state"], seen["undo left changed_since"]) == ("undo (dry run)", 1)
    assert "changed since the import" in seen["first rows left"]
    assert "ana@" not in str(seen), "personal values are masked"

    assert undo(world, upload).success
    assert undo(world, upload).success, "a run that was killed after its commit is launched again"
    assert world.sql("SELECT name, _upload_id FROM leads") == [{"name": "Ana Maria", "_upload_id": None}]
    shown = newest(world, upload)
    assert shown["undo removed"] == 1
    assert "ana@exemplo.com" in world.get(shown["all rows left"]).decode(), "the sender is shown the values"
    assert shown["all rows left"] == observed(world, upload)[0]["all rows left"]


def test_what_cannot_be_undone_fails_its_run_with_the_reason_and_is_not_tried_again(world: World) -> None:
    world.put(KEY, LEADS)
    world.tick(run=False)
    upload = world.upload(KEY)["upload_id"]
    waiting = undo(world, upload)
    world.run(world.requested[0])
    world.sql("UPDATE imports.uploads SET published_at = published_at - interval '31 days'")
    late = undo(world, upload)

    assert not waiting.success
    assert "Cancel its run, or wait for its end" in why_failed(waiting)
    assert not late.success
    assert "could be undone for 30 days, until" in why_failed(late)
    assert not [e for e in late.all_events if e.event_type == DagsterEventType.STEP_UP_FOR_RETRY]
    assert len(world.sql("SELECT email FROM leads")) == 2


def test_an_undo_run_is_no_import_run_for_the_sensor(world: World) -> None:
    """It has the upload's partition tag too: failed, it must end no import; alive, hold none up."""
    world.put(KEY, LEADS)
    [request] = world.tick(run=False)
    upload = world.upload(KEY)["upload_id"]
    assert not undo(world, upload).success
    undoing = world.run_in(
        DagsterRunStatus.STARTED, RunRequest(job_name="undo_leads", partition_key=upload, run_key="x")
    )

    assert run_facts(world.instance, [upload]) == {}
    world.tick(run=False)
    assert world.upload(KEY)["state"] == "detected", "no import run is there, whatever became of the undo"
    assert world.run(request)
    world.tick(run=False)
    assert world.upload(KEY)["state"] == "completed"
    world.instance.report_run_failed(undoing)
    world.tick(run=False)
    assert world.upload(KEY)["state"] == "completed"


def test_an_undone_upload_is_imported_anew_and_can_be_undone_again(world: World) -> None:
    upload = world.import_file(KEY, LEADS)["upload_id"]
    assert undo(world, upload).success
    assert world.launch(upload)
    row = world.upload(KEY)
    assert (row["state"], row["inserted"], row["undo_removed"]) == ("completed", 2, None)
    assert newest(world, upload)["dagster/partition_row_count"] == 2
    assert undo(world, upload).success
    assert world.sql("SELECT email FROM leads") == []


def test_without_its_partition_an_undo_says_which_command_brings_it_back(world: World) -> None:
    upload = world.import_file(KEY, LEADS)["upload_id"]
    world.instance.delete_dynamic_partition("leads_uploads", upload)

    done = world.defs.resolve_job_def("undo_leads").execute_in_process(
        instance=world.instance, tags={"dagster/partition": upload}, raise_on_error=False
    )

    assert not done.success
    assert f"import-pipeline undo '{upload}'" in why_failed(done)
    assert len(world.sql("SELECT email FROM leads")) == 2
