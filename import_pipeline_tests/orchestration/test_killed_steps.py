"""What kills of steps, in the kill matrix (torture/), brought to light: a test for each."""

import json
from typing import Any

import pytest
from dagster import JobExecutionResult, ReexecutionOptions, execute_job, reconstructable
from dagster._core.errors import DagsterExecutionInterruptedError

from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.flow.arrivals.originals import archive_original, quarantine_original
from import_pipeline.flow.batches.splitting import split_file
from import_pipeline.flow.loading.early import EarlyBatches
from import_pipeline.orchestration import ending, failures, steps
from import_pipeline.storage.bucket import Bucket
from import_pipeline_tests.orchestration.conftest import World
from import_pipeline_tests.orchestration.test_failing import ONE_PROCESS, import_leads, started

KEY = "uploads/acme/leads/leads.csv"
# What a step first asks for in a run in one process.
TAKES = {"check_batch": "take_checked", "stage_batch": "take_staged"}
ROWS = "E-mail;Nome\n" + "".join(f"a{n}@exemplo.com;A\n" for n in range(30)) + "sem arroba;B\n"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_WAIT_SECONDS", 0.01)


def published_without_report(world: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """An upload whose run died between the publish and the report; its upload id."""
    world.put(KEY, ROWS)
    world.tick(run=False)
    upload_id = str(world.upload(KEY)["upload_id"])

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise DatabaseUnavailable("PostgreSQL is not available.")

    with monkeypatch.context() as patched:
        patched.setattr(ending, "write_reports", broken)
        assert not world.launch(upload_id)
    assert world.upload(KEY)["published_at"] is not None
    return upload_id


def test_an_original_that_another_run_archives_meanwhile_is_read_where_it_is_now(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that wrote a missing report found the file gone, because the run that had published archived
    it just then: the published upload got a refusal for a report, and no errors.csv."""
    upload_id = published_without_report(world, monkeypatch)
    row = world.upload(KEY)
    moved: list[str | None] = []

    def moved_first(*args: Any, **kwargs: Any) -> Any:
        if not moved:
            bucket = Bucket(world.s3, world.bucket)
            opened = next(iter(bucket.list_objects(KEY)))
            moved.append(archive_original(bucket, _Owned(row), opened).key)
        return split_file(*args, **kwargs)

    monkeypatch.setattr(steps, "split_file", moved_first)

    assert world.launch(upload_id)

    after = world.upload(KEY)
    assert after["reported_at"] is not None
    assert (after["state"], after["original_key"]) == ("completed_with_rejects", moved[0])
    assert {key.rsplit("/", 1)[-1] for key in world.keys("reports/")} == {
        "summary.html", "summary.json", "errors.csv", "rejected.csv",
    }  # fmt: skip
    assert b"Refused" not in world.get(f"{after['report_prefix']}summary.html")


def test_a_report_that_is_written_again_names_the_file_where_its_sender_dropped_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report written after the original was archived told the sender of a key below archive/."""
    upload_id = published_without_report(world, monkeypatch)
    bucket = Bucket(world.s3, world.bucket)
    dropped = next(iter(bucket.list_objects(KEY)))
    archive_original(bucket, _Owned(world.upload(KEY)), dropped)

    assert world.launch(upload_id)

    summary = json.loads(world.get(f"{world.upload(KEY)['report_prefix']}summary.json"))
    assert (summary["source"]["key"], summary["source"]["etag"]) == (KEY, dropped.etag)


def test_an_original_that_was_set_aside_before_the_re_execution_comes_into_the_archive(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was looked for only where it had been opened, and stayed in quarantine/, unknown to the ledger."""
    world.put(KEY, ROWS)
    world.tick(run=False)

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise DatabaseUnavailable("PostgreSQL is not available.")

    with monkeypatch.context() as patched:
        patched.setattr(steps, "publish_upload", broken)
        failed = run_three_batches(world)
    bucket = Bucket(world.s3, world.bucket)
    quarantine_original(bucket, _Owned(world.upload(KEY)), next(iter(bucket.list_objects(KEY))))

    assert run_three_batches(world, ReexecutionOptions.from_failure(failed.run_id, world.instance)).success
    row = world.upload(KEY)
    assert (row["state"], world.keys("quarantine/")) == ("completed_with_rejects", [])
    assert [row["original_key"]] == world.keys("archive/")


@pytest.mark.parametrize(("rows", "place"), [(ROWS, "archive"), ("", "quarantine")])
def test_an_original_is_moved_while_no_newer_run_can_claim_its_upload(
    world: World, monkeypatch: pytest.MonkeyPatch, rows: str, place: str
) -> None:
    """A run that was superseded between two transactions moved what the newer one had just found."""
    moves: list[tuple[str, list[Any]]] = []
    move = Bucket.move

    def watched(bucket: Bucket, source: Any, target: str) -> Any:
        free = world.sql("SELECT upload_id FROM imports.uploads FOR NO KEY UPDATE SKIP LOCKED")
        moves.append((target.split("/")[0], free))
        return move(bucket, source, target)

    monkeypatch.setattr(Bucket, "move", watched)
    world.import_file(KEY, rows)
    assert moves == [(place, [])]


def test_a_published_upload_is_never_refused_whatever_stands_in_the_way_of_its_report(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal of a run that only had to write the report took the upload's report and original."""
    upload_id = published_without_report(world, monkeypatch)
    world.s3.delete_object(Bucket=world.bucket, Key=KEY)

    assert not world.launch(upload_id)

    row = world.upload(KEY)
    assert (row["state"], row["reported_at"], row["error_code"]) == ("completed_with_rejects", None, None)
    assert world.keys("reports/") == []
    told = world.sql("SELECT message FROM imports.events WHERE upload_id = %s", upload_id)
    assert any(line["message"].startswith("object_vanished") for line in told)


@pytest.mark.parametrize("dies_in", list(TAKES))
def test_a_re_execution_makes_up_for_batches_that_no_step_had_begun(
    world: World, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    """Dagster forgets mapped steps that had not begun when their run died: run retries and re-executions
    from failure ended with `batches_missing`, however often they were repeated."""
    world.put(KEY, ROWS)
    world.tick(run=False)

    def dies(*args: Any, **kwargs: Any) -> Any:
        raise DagsterExecutionInterruptedError

    with monkeypatch.context() as patched:
        patched.setattr(EarlyBatches, TAKES[dies_in], dies)
        died = run_three_batches(world)
    (run,) = world.instance.get_runs()
    assert not died.success
    begun = [step for step in started(world, run.run_id) if step.startswith(dies_in)]
    assert len(begun) == 1, "the other batches' steps had not begun"

    again = run_three_batches(world, ReexecutionOptions.from_failure(run.run_id, world.instance))

    assert again.success
    row = world.upload(KEY)
    assert (row["state"], row["read"], row["inserted"]) == ("completed_with_rejects", 31, 30)
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 30}]
    assert world.sql("SELECT count(*) AS n FROM imports.row_errors") == [{"n": 1}]


def run_three_batches(world: World, again: ReexecutionOptions | None = None) -> JobExecutionResult:
    """Import the upload in batches of eleven rows."""
    with execute_job(
        reconstructable(import_leads),
        instance=world.instance,
        run_config={**ONE_PROCESS, "ops": {"leads": {"config": {"rows_per_batch": 11}}}},
        tags={"dagster/partition": world.upload(KEY)["upload_id"]},
        reexecution_options=again,
        raise_on_error=False,
    ) as result:
        return result


class _Owned:
    """What names an upload's places."""

    def __init__(self, row: dict[str, Any]):
        self.workspace: str | None = row["workspace"]
        self.dataset: str | None = row["dataset"]
        self.short_id: str = row["short_id"]
        self.file_name: str = row["file_name"]
