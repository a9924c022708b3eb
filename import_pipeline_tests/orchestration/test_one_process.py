"""A run in one process: what it need not get again, and what it does ahead of its steps."""

from typing import Any

import pytest
from botocore.client import BaseClient
from dagster import OpExecutionContext

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.orchestration import batches, session, steps
from import_pipeline.orchestration.executor import one_process, runs_in_one_process
from import_pipeline.orchestration.session import RunFacts
from import_pipeline_tests.orchestration.conftest import World

BAD = "E-mail;Nome;UF\nana@exemplo.com;Ana;SP\njoao@;João;SP\n;Sem e-mail;RJ\nbia@exemplo.com;Bia;ZZ\n"
KEY = "uploads/acme/leads/leads.csv"


@pytest.mark.parametrize("run_config", [one_process(), {}])
def test_a_run_in_one_process_reads_no_record_and_no_batch_that_it_wrote(
    world: World, monkeypatch: pytest.MonkeyPatch, run_config: dict[str, Any]
) -> None:
    read, given_back, facts = list[str](), list[bool](), list[RunFacts]()
    original, one = BaseClient._make_api_call, runs_in_one_process(run_config)
    look_up = session._facts

    def noted(client: BaseClient, name: str, params: dict[str, Any]) -> Any:
        if name == "GetObject":
            read.append(params["Key"])
        return original(client, name, params)

    def found(context: OpExecutionContext, dataset: Dataset) -> RunFacts:
        facts.append(look_up(context, dataset))
        return facts[-1]

    monkeypatch.setattr(session, "runs_in_one_process", lambda _: one)
    monkeypatch.setattr(session, "_facts", found)
    monkeypatch.setattr(BaseClient, "_make_api_call", noted)
    monkeypatch.setattr(steps, "give_memory_back_at_once", lambda: given_back.append(True))

    assert world.import_file(KEY, BAD)["state"] == "completed_with_rejects"

    assert KEY in read
    assert read.count(KEY) == (2 if one else 3), "its beginning, all of it, and again to split it"
    assert bool(given_back) is not one
    assert (len(facts) == 1) is one, "once in a process"
    assert facts[0].database_url not in repr(facts[0]), "it holds a password"
    assert not [key for key in read if key.startswith("dagster/")]
    assert bool([key for key in read if "/batches/" in key or "/keys/" in key]) is not one


def in_batches(world: World, data: str) -> dict[str, Any]:
    """Import a file in batches of a row each; the upload's ledger row."""
    world.put(KEY, data)
    (request,) = world.tick(run=False)
    world.launch(str(request.partition_key), rows_per_batch=1)
    return world.upload(KEY)


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("done a second time")


def away(*_: Any, **__: Any) -> Any:
    raise DatabaseUnavailable("nobody answers", remedy="wait")


def test_a_run_in_one_process_checks_and_stages_its_batches_while_it_splits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "runs_in_one_process", lambda _: True)
    monkeypatch.setattr(steps, "check_one", never)
    monkeypatch.setattr(steps, "stage_batch", never)

    upload = in_batches(world, BAD)

    begun = [e.step_key for e in world.events(upload["upload_id"]) if e.is_step_start]
    kinds = [str(key).removeprefix("leads.").split("[")[0] for key in begun]
    assert kinds.index("find_duplicates") < kinds.index("stage_batch"), "while the last ones are staged"
    assert (upload["state"], upload["batches"]) == ("completed_with_rejects", 4)
    assert (upload["read"], upload["inserted"], upload["rejected"]) == (4, 1, 3)


def test_what_went_wrong_early_is_done_again_by_its_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "runs_in_one_process", lambda _: True)
    monkeypatch.setattr(batches, "stage_batch", away)

    upload = in_batches(world, BAD)

    assert (upload["state"], upload["inserted"], upload["rejected"]) == ("completed_with_rejects", 1, 3)


def test_batches_of_a_correction_wait_until_they_are_matched_with_what_they_correct(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "runs_in_one_process", lambda _: True)
    first = world.import_file(KEY, BAD)
    mended = world.get(f"{first['report_prefix']}rejected.csv").replace(b"joao@;", b"joao@exemplo.com;")
    monkeypatch.setattr(steps, "early_batches", never)

    upload = world.import_file("uploads/acme/leads/mended.csv", mended)

    assert (upload["state"], upload["inserted"], upload["rejected"]) == ("completed_with_rejects", 1, 2)
