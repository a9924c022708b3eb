"""Steps that fail for reasons of ours: what is kept, what is repeated, and that nothing is lost."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from dagster import (
    JobDefinition,
    JobExecutionResult,
    ReexecutionOptions,
    build_schedule_context,
    execute_job,
    reconstructable,
)
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.test_utils import instance_for_test

from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.errors import CountsDoNotBalance, DatabaseUnavailable
from import_pipeline.flow.batches.splitting import split_file
from import_pipeline.flow.checks.checking import check_batch
from import_pipeline.flow.loading.publishing import publish_upload
from import_pipeline.flow.reports.writing import write_reports
from import_pipeline.ledger.connection import connect
from import_pipeline.orchestration import batches, ending, failures, steps
from import_pipeline.orchestration.build import build_defs
from import_pipeline.orchestration.failures import MAX_RETRIES, wait_seconds
from import_pipeline.orchestration.resources import build_resources
from import_pipeline_tests.orchestration.conftest import World

KEY = "uploads/acme/leads/leads.csv"
ROWS = "E-mail;Nome\n" + "".join(f"a{n}@exemplo.com;A\n" for n in range(30))
ONE_PROCESS = {"execution": {"config": {"processes": "one"}}}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_WAIT_SECONDS", 0.01)


def import_leads() -> JobDefinition:
    return build_defs(datasets=load_datasets("")).resolve_job_def("import_leads")


def run_three_batches(world: World, again: ReexecutionOptions | None = None) -> JobExecutionResult:
    """Import the upload in batches of ten rows; `again` re-executes an earlier run."""
    with execute_job(
        reconstructable(import_leads),
        instance=world.instance,
        run_config={**ONE_PROCESS, "ops": {"leads": {"config": {"rows_per_batch": 10}}}},
        tags={"dagster/partition": world.upload(KEY)["upload_id"]},
        reexecution_options=again,
        raise_on_error=False,
    ) as result:
        return result


def started(world: World, run_id: str) -> list[str]:
    """Steps that a run started, as often as it started them."""
    entries = [e.dagster_event for e in world.instance.all_logs(run_id) if e.dagster_event is not None]
    return [
        str(event.step_key).removeprefix("leads.")
        for event in entries
        if event.event_type_value in ("STEP_START", "STEP_RESTARTED")
    ]


def noticed(world: World) -> str:
    world.put(KEY, ROWS)
    world.tick(run=False)
    return str(world.upload(KEY)["upload_id"])


def test_back_off_doubles_and_has_jitter() -> None:
    first = failures.FIRST_WAIT_SECONDS
    assert [wait_seconds(n, 0.5) for n in range(3)] == [first, 2 * first, 4 * first]
    assert wait_seconds(0, 0.0) < wait_seconds(0, 1.0)


def test_a_batch_that_fails_leaves_the_table_untouched_and_re_execution_repeats_only_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    noticed(world)

    def broken(batch: Any, *args: Any, **kwargs: Any) -> Any:
        if batch.number == 2:
            raise DatabaseUnavailable("PostgreSQL is not available.")
        return check_batch(batch, *args, **kwargs)

    monkeypatch.setattr(batches, "check_batch", broken)
    failed = run_three_batches(world)
    world.tick(run=False)

    assert not failed.success
    assert started(world, failed.run_id).count("check_batch[batch_0002]") == MAX_RETRIES + 1
    assert started(world, failed.run_id).count("stage_batch[batch_0003]") == 1, "the others went on"
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 0}]
    row = world.upload(KEY)
    assert (row["state"], row["error_code"]) == ("failed", "database_unavailable")
    assert world.keys("uploads/") == [KEY]

    monkeypatch.setattr(batches, "check_batch", check_batch)
    again = run_three_batches(world, ReexecutionOptions.from_failure(failed.run_id, world.instance))

    assert again.success
    assert sorted(set(started(world, again.run_id))) == [
        "check_batch[batch_0002]",
        "find_duplicates",
        "publish_upload",
        "report_upload",
        "stage_batch[batch_0002]",
    ]
    row = world.upload(KEY)
    assert (row["state"], row["read"], row["inserted"]) == ("completed", 30, 30)
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 30}]


def test_trouble_that_passes_is_retried_and_nobody_notices(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = noticed(world)
    tries: list[int] = []

    def shaky(*args: Any, **kwargs: Any) -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise DatabaseUnavailable("PostgreSQL is not available.")
        return split_file(*args, **kwargs)

    monkeypatch.setattr(steps, "split_file", shaky)

    assert world.launch(upload_id)
    assert len(tries) == 3
    assert world.upload(KEY)["state"] == "completed"


def test_postgresql_down_at_start_is_named_and_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = noticed(world)
    url = world.settings.require_database_url()
    monkeypatch.setenv("IMPORT_PIPELINE_DATABASE_URL", "postgresql://nobody:x@127.0.0.1:1/imports")

    with pytest.raises(DatabaseUnavailable, match="PostgreSQL is not available"):
        world.evaluate()
    assert not world.launch(upload_id)
    monkeypatch.setenv("IMPORT_PIPELINE_DATABASE_URL", url)

    failures_seen = [str(event) for event in world.events(upload_id)]
    assert any("PostgreSQL is not available" in event for event in failures_seen)
    assert world.keys("uploads/") == [KEY]
    assert world.launch(upload_id)
    assert world.upload(KEY)["inserted"] == 30


def test_s3_down_in_the_middle_is_named_and_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = noticed(world)
    endpoint = str(world.settings.aws_endpoint_url)

    def then_down(*args: Any, **kwargs: Any) -> Any:
        split = split_file(*args, **kwargs)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        return split

    monkeypatch.setattr(steps, "split_file", then_down)
    monkeypatch.setattr(failures, "MAX_RETRIES", 0)
    assert not world.launch(upload_id)
    monkeypatch.setattr(steps, "split_file", split_file)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    world.tick(run=False)

    row = world.upload(KEY)
    assert (row["state"], row["error_code"]) == ("failed", "storage_unavailable")
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 0}]
    assert world.launch(upload_id)
    assert world.upload(KEY)["inserted"] == 30


def test_a_table_that_does_not_fit_fails_its_uploads_before_the_work_and_says_what_to_type(
    world: World, as_owner: Callable[[str], str]
) -> None:
    with connect(as_owner(world.settings.require_database_url())) as conn:
        conn.execute("ALTER TABLE public.leads DROP COLUMN notes")
    world.put("uploads/acme/vehicles/v.csv", "Modelo;Placa;Ano;Valor FIPE\nGol;ABC1D23;2020;50.000,00\n")
    world.put(KEY, ROWS)
    world.tick()
    world.tick(run=False)

    row = world.upload(KEY)
    assert (row["state"], row["error_code"]) == ("failed", "table_does_not_fit")
    assert "notes" in row["error_message"]
    assert "import-pipeline migrate" in row["error_remedy"]
    assert row["batches"] is None
    assert world.upload("uploads/acme/vehicles/v.csv")["state"] == "completed"


def test_a_resume_after_staging_finds_the_rows_even_if_postgresql_emptied_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    noticed(world)

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise DatabaseUnavailable("PostgreSQL is not available.")

    monkeypatch.setattr(steps, "publish_upload", broken)
    failed = run_three_batches(world)
    assert not failed.success
    (table,) = world.sql("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'staging'")
    with connect(world.settings.require_database_url()) as conn:
        conn.execute(f'TRUNCATE staging."{table["name"]}"')

    monkeypatch.setattr(steps, "publish_upload", publish_upload)
    again = run_three_batches(world, ReexecutionOptions.from_failure(failed.run_id, world.instance))

    assert again.success
    assert set(started(world, again.run_id)) == {"publish_upload", "report_upload"}
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 30}]


def test_a_reader_that_loses_a_row_publishes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    upload_id = noticed(world)

    def one_less(*args: Any, **kwargs: Any) -> Any:
        split = split_file(*args, **kwargs)
        return replace(split, read=split.read + 1)

    monkeypatch.setattr(steps, "split_file", one_less)
    assert not world.launch(upload_id)
    world.tick(run=False)

    row = world.upload(KEY)
    assert (row["state"], row["error_code"]) == ("failed", CountsDoNotBalance.code)
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 0}]
    assert world.keys("uploads/") == [KEY]


def test_published_but_not_reported_is_finished_by_the_next_launch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = noticed(world)

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise DatabaseUnavailable("PostgreSQL is not available.")

    monkeypatch.setattr(ending, "write_reports", broken)
    assert not world.launch(upload_id)
    world.tick(run=False)
    row = world.upload(KEY)
    assert (row["state"], row["reported_at"]) == ("completed", None)
    published_at = row["published_at"]

    monkeypatch.setattr(ending, "write_reports", write_reports)
    assert world.launch(upload_id)

    row = world.upload(KEY)
    assert row["reported_at"] is not None
    assert row["published_at"] == published_at, "it is never published again"
    assert (row["state"], row["inserted"]) == ("completed", 30)
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 30}]
    assert f"{row['report_prefix']}summary.json" in world.keys("reports/")
    assert world.keys("staging/") == []


def test_an_older_run_that_is_superseded_writes_nothing(world: World) -> None:
    upload_id = noticed(world)
    world.sql(
        "UPDATE imports.uploads SET state = 'running', token_created = 1e12, token_run_id = 'newer',"
        " run_id = 'newer' WHERE upload_id = %s RETURNING 1",
        upload_id,
    )

    assert not world.launch(upload_id)

    row = world.upload(KEY)
    assert (row["state"], row["token_run_id"], row["error_code"]) == ("running", "newer", None)
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 0}]
    assert world.keys("uploads/") == [KEY]


def test_a_launch_on_a_pruned_partition_says_how_to_bring_it_back(world: World) -> None:
    upload_id = noticed(world)
    world.instance.delete_dynamic_partition("leads_uploads", upload_id)
    job = world.defs.resolve_job_def("import_leads")
    run = world.instance.create_run_for_job(
        job, tags={"dagster/partition": upload_id}, run_config=ONE_PROCESS
    )
    result = execute_run(InMemoryJob(job), run, world.instance)

    assert not result.success
    said = " ".join(str(e.user_message) + str(e.dagster_event) for e in world.instance.all_logs(run.run_id))
    assert "import-pipeline retry" in said
    assert world.upload(KEY)["state"] == "detected"
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 0}]


def test_the_failed_are_launched_again_by_the_schedule_and_pruned_ones_are_left_out(world: World) -> None:
    for name in ("a", "b"):
        world.put(f"uploads/acme/leads/{name}.csv", f"E-mail\n{name}@exemplo.com\n")
    world.tick(run=False)
    world.sql("UPDATE imports.uploads SET state = 'failed', error_code = 'run_failed' RETURNING 1")
    kept = world.upload("uploads/acme/leads/a.csv")["upload_id"]
    repository = world.defs.get_repository_def()
    schedule = repository.get_schedule_def("retry_failed_leads")

    # A schedule's context takes its instance from a file: one that lives in memory has none.
    with (
        instance_for_test() as instance,
        build_schedule_context(
            instance=instance,
            resources={"database": build_resources()["database"]},
            repository_def=repository,
        ) as context,
    ):
        instance.add_dynamic_partitions("leads_uploads", [kept])
        data = schedule.evaluate_tick(context)

    assert [request.partition_key for request in data.run_requests or []] == [kept]
