"""Code that is changed between a failure and its re-execution: nothing of the old rules is loaded."""

from dataclasses import replace
from typing import Any

import pytest
from dagster import JobDefinition, JobExecutionResult, ReexecutionOptions, execute_job, reconstructable
from dagster._core.definitions.reconstruct import ReconstructableJob

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.flow.loading.publishing import publish_upload
from import_pipeline.flow.reports.writing import write_reports
from import_pipeline.orchestration import ending, failures, steps
from import_pipeline.orchestration.build import build_defs
from import_pipeline.orchestration.limits import MOST_ATTEMPTS
from import_pipeline_tests.orchestration.conftest import World

KEY = "uploads/acme/leads/leads.csv"
ROWS = "E-mail;Nome\n" + "".join(f"a{n}@exemplo.com;{'Nada' if n % 2 else 'Ana'}\n" for n in range(30))
CODE: dict[str, Dataset] = {}


def import_leads() -> JobDefinition:
    return build_defs(datasets=CODE).resolve_job_def("import_leads")


@pytest.fixture(autouse=True)
def code(monkeypatch: pytest.MonkeyPatch) -> dict[str, Dataset]:
    """The datasets as the code declares them now."""
    monkeypatch.setattr(failures, "FIRST_WAIT_SECONDS", 0.01)
    bring_in(**load_datasets(""))
    return CODE


def bring_in(**datasets: Dataset) -> None:
    """Processes that start from now on find these datasets; Dagster keeps what one process has loaded."""
    CODE.update(datasets)
    ReconstructableJob.get_definition.cache_clear()
    ReconstructableJob.get_repository_definition.cache_clear()


def bring_in_new_code(world: World) -> None:
    """From now on `Nada` is an empty cell of leads."""
    bring_in(leads=replace(CODE["leads"], null_tokens=(*CODE["leads"].null_tokens, "Nada")))
    world.defs = build_defs(datasets=CODE)


def run(world: World, again: ReexecutionOptions | None = None) -> JobExecutionResult:
    with execute_job(
        reconstructable(import_leads),
        instance=world.instance,
        run_config={
            "execution": {"config": {"processes": "one"}},
            "ops": {"leads": {"config": {"rows_per_batch": 10}}},
        },
        tags={"dagster/partition": world.upload(KEY)["upload_id"]},
        reexecution_options=again,
        raise_on_error=False,
    ) as result:
        return result


def fail_in(world: World, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, work: Any) -> str:
    """Import the file up to a step that fails; the failed run's id."""

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise DatabaseUnavailable("PostgreSQL is not available.")

    world.put(KEY, ROWS)
    world.tick(run=False)
    with monkeypatch.context() as patched:
        patched.setattr(module, step, broken)
        failed = run(world)
    assert not failed.success
    assert getattr(module, step) is work
    world.tick(run=False)
    return failed.run_id


def messages(world: World) -> str:
    found = world.sql("SELECT message FROM imports.events ORDER BY id")
    return "\n".join(row["message"] for row in found)


def test_a_dataset_changed_between_a_failure_and_its_re_execution_starts_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batches that the old declaration had checked were loaded as if the new one had."""
    failed = fail_in(world, monkeypatch, steps, "publish_upload", publish_upload)
    before = world.upload(KEY)
    assert before["state"] == "failed"
    bring_in_new_code(world)

    again = run(world, ReexecutionOptions.from_failure(failed, world.instance))

    assert not again.success
    row = world.upload(KEY)
    assert (row["state"], row["launch_number"]) == ("detected", before["launch_number"] + 1)
    assert "Dataset 'leads' was changed" in messages(world)
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 0}]
    assert world.keys("staging/") == []
    assert world.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'staging'") == []

    assert world.tick(), "the sensor launches it from the beginning"
    row = world.upload(KEY)
    assert (row["state"], row["attempts"], row["inserted"]) == ("completed", before["attempts"] + 1, 30)
    assert row["fingerprint"] == CODE["leads"].fingerprint
    assert world.sql("SELECT count(*) AS n, count(name) AS named FROM leads") == [{"n": 30, "named": 15}]


def test_an_unchanged_dataset_goes_on_from_the_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = fail_in(world, monkeypatch, steps, "publish_upload", publish_upload)
    bring_in(leads=replace(CODE["leads"], description="said otherwise"))

    again = run(world, ReexecutionOptions.from_failure(failed, world.instance))

    assert again.success
    assert (world.upload(KEY)["state"], world.upload(KEY)["attempts"]) == ("completed", 1)


def test_a_dataset_that_is_another_one_at_every_look_ends_failed_and_says_why(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = fail_in(world, monkeypatch, steps, "publish_upload", publish_upload)
    world.sql("UPDATE imports.uploads SET attempts = %s RETURNING 1", MOST_ATTEMPTS)
    bring_in_new_code(world)

    run(world, ReexecutionOptions.from_failure(failed, world.instance))

    row = world.upload(KEY)
    assert (row["state"], row["error_code"]) == ("failed", "dataset_changed")
    assert world.keys("uploads/") == [KEY]


def test_what_was_published_before_the_change_is_reported_as_it_was_published(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = fail_in(world, monkeypatch, ending, "write_reports", write_reports)
    assert world.upload(KEY)["state"] == "completed"
    bring_in_new_code(world)

    again = run(world, ReexecutionOptions.from_failure(failed, world.instance))

    assert again.success
    row = world.upload(KEY)
    assert (row["state"], row["inserted"], row["reported_at"] is not None) == ("completed", 30, True)
    assert world.sql("SELECT count(*) AS n, count(name) AS named FROM leads") == [{"n": 30, "named": 30}]
