"""A report that the ledger has as written stands: who comes after that only clears up, and tells Dagster."""

import json
from typing import Any

import pytest
from dagster import ReexecutionOptions

from import_pipeline.errors import StorageUnavailable
from import_pipeline.flow.reports.writing import write_reports
from import_pipeline.orchestration import ending, failures
from import_pipeline.storage.bucket import Bucket
from import_pipeline_tests.orchestration.conftest import World
from import_pipeline_tests.orchestration.test_failing import KEY, run_three_batches
from import_pipeline_tests.orchestration.test_limits import left_in_staging
from import_pipeline_tests.orchestration.test_undoing import undo

BEFORE = "E-mail;Nome\nana@exemplo.com;Ana\n"
ROWS = f"{BEFORE}bia@exemplo.com;Bia\nsem arroba;B\n"
CHECKS = {"imported__leads_counts_balance", "imported__leads_share_of_rejects"}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_WAIT_SECONDS", 0.01)


def reports(world: World) -> dict[str, bytes]:
    return {key: world.get(key) for key in world.keys("reports/")}


def outputs(world: World, run_id: str) -> list[str]:
    """Outputs of a run's last step to report."""
    events = [e.dagster_event for e in world.instance.all_logs(run_id) if e.dagster_event is not None]
    return [
        event.step_output_data.output_name
        for event in events
        if event.is_successful_output and str(event.step_key).endswith("report_upload")
    ]


@pytest.mark.parametrize("kind", ["published", "dry run"])
@pytest.mark.parametrize("again", ["op", "run"])
def test_trouble_after_the_report_leaves_it_as_it_is_and_the_next_try_ends_green(
    world: World, monkeypatch: pytest.MonkeyPatch, again: str, kind: str
) -> None:
    """Its sources were gone already: it lost its duplicates, or was deleted and never written again."""
    world.import_file("uploads/acme/leads/first.csv", BEFORE)
    first = reports(world)
    world.put(KEY, ROWS, **({"dry-run": "true"} if kind == "dry run" else {}))
    world.tick(run=False)
    deleted, seen = Bucket.delete_prefix, []

    def delete(bucket: Bucket, prefix: str) -> int:
        done = deleted(bucket, prefix)
        if prefix.startswith("staging/") and not seen:
            seen.append(reports(world))
            raise StorageUnavailable("The bucket does not answer.")
        return done

    monkeypatch.setattr(Bucket, "delete_prefix", delete)
    monkeypatch.setattr(failures, "MAX_RETRIES", 0 if again == "run" else 3)
    run = run_three_batches(world)
    if again == "run":
        assert not run.success
        run = run_three_batches(world, ReexecutionOptions.from_failure(run.run_id, world.instance))
    world.tick(run=False)

    assert run.success
    assert reports(world) == seen[0]
    assert b"already_in_table" in b"".join(seen[0][key] for key in seen[0].keys() - first.keys())
    row = world.upload(KEY)
    assert row["state"] == ("checked" if kind == "dry run" else "completed_with_rejects")
    told = outputs(world, run.run_id)
    assert set(told) == (set() if kind == "dry run" else {"imported", "rejected"} | CHECKS)
    assert left_in_staging(world) == []


def test_a_materialization_told_once_more_says_what_the_first_one_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(KEY, ROWS)
    world.tick(run=False)
    deleted, tries = Bucket.delete_prefix, []

    def delete(bucket: Bucket, prefix: str) -> int:
        if prefix.startswith("staging/") and not tries:
            tries.append(prefix)
            raise StorageUnavailable("The bucket does not answer.")
        return deleted(bucket, prefix)

    monkeypatch.setattr(Bucket, "delete_prefix", delete)
    assert world.launch(world.upload(KEY)["upload_id"])

    told = [e.step_materialization_data.materialization for e in world.events(world.upload(KEY)["upload_id"])
            if e.is_step_materialization]  # fmt: skip
    assert [one.asset_key.path[0] for one in told] == ["imported", "rejected"] * 2
    for first, again in zip(told[:2], told[2:], strict=True):
        assert first.metadata.keys() == again.metadata.keys()
        lasting = [name for name in first.metadata if not name.endswith((" link", "first rejects"))]
        assert [first.metadata[n] for n in lasting] == [again.metadata[n] for n in lasting]


def test_an_upload_undone_after_its_report_is_not_told_of_as_imported_by_a_re_execution(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step began the upload anew, with nothing to import it by, and so it failed."""
    world.put(KEY, ROWS)
    world.tick(run=False)

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise StorageUnavailable("The bucket does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr(ending, "_delete_staged", broken)
        failed = run_three_batches(world)
    assert undo(world, world.upload(KEY)["upload_id"]).success
    row = world.upload(KEY)

    again = run_three_batches(world, ReexecutionOptions.from_failure(failed.run_id, world.instance))
    assert again.success
    assert outputs(world, again.run_id) == []
    assert world.upload(KEY) == row
    assert (row["state"], left_in_staging(world)) == ("undone", [])


def test_a_duplicate_file_that_is_re_executed_before_its_report_gets_the_report_of_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was read after all: its report told of rows, and of lines, that nobody had looked at."""
    summaries = []
    world.import_file("uploads/acme/leads/first.csv", ROWS)
    world.put(KEY, ROWS)
    world.tick(run=False)

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise StorageUnavailable("The bucket does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr(ending, "write_reports", broken)
        failed = run_three_batches(world)
    assert (world.upload(KEY)["state"], world.upload(KEY)["reported_at"]) == ("duplicate_file", None)
    assert run_three_batches(world, ReexecutionOptions(failed.run_id)).success

    undisturbed = world.import_file("uploads/acme/leads/third.csv", ROWS)
    for row in (world.upload(KEY), undisturbed):
        summary = json.loads(world.get(f"{row['report_prefix']}summary.json"))
        summaries.append(
            {name: summary[name] for name in ("state", "duplicate_of", "counts", "lines", "batches")}
        )
    assert summaries[0] == summaries[1]


def test_a_step_that_finds_its_orphan_has_reported_writes_no_second_report(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(KEY, ROWS)
    world.tick(run=False)

    def late(*args: Any, **kwargs: Any) -> Any:
        world.sql("UPDATE imports.uploads SET reported_at = now(), report_prefix = 'reports/x/' RETURNING 1")
        return write_reports(*args, **kwargs)

    monkeypatch.setattr(ending, "write_reports", late)

    assert world.launch(world.upload(KEY)["upload_id"])
    assert world.keys("reports/") == []
    assert world.upload(KEY)["report_prefix"] == "reports/x/"
