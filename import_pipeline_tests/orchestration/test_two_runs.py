"""Two runs of one upload at once: the newer owns it, the older stops, the tables are those of one."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from import_pipeline.flow.loading.publishing import publish_upload
from import_pipeline.flow.loading.staging import stage_batch
from import_pipeline.flow.reports.writing import write_reports
from import_pipeline.orchestration import ending, failures, steps
from import_pipeline.orchestration.batches import check_one
from import_pipeline.storage.bucket import Bucket
from import_pipeline_tests.orchestration.conftest import World

KEY = "uploads/acme/leads/leads.csv"
ROWS = "E-mail;Nome\n" + "".join(f"a{n}@exemplo.com;A\n" for n in range(30)) + "sem arroba;B\n"
WORK: dict[str, Any] = {
    "check_one": check_one,
    "stage_batch": stage_batch,
    "publish_upload": publish_upload,
}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_WAIT_SECONDS", 0.01)


@dataclass
class Held:
    """A step whose first call stops until it is let go; every other call goes on."""

    work: Callable[..., Any]
    after: bool
    calls: Iterator[int] = field(default_factory=lambda: iter(range(1000)))
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        first = next(self.calls) == 0
        done = self.work(*args, **kwargs) if self.after or not first else None
        if first:
            self.reached.set()
            assert self.released.wait(60)
        return done if done is not None else self.work(*args, **kwargs)


def in_the_table(world: World) -> list[dict[str, Any]]:
    return world.sql("SELECT count(*) AS n, count(DISTINCT email) AS keys FROM leads")


def reasons(world: World, upload_id: str) -> list[str]:
    """Codes that steps of all runs failed with, as Dagster shows them."""
    failed = [event for event in world.events(upload_id) if event.is_step_failure]
    data = [event.step_failure_data.user_failure_data for event in failed]
    return [str(one.metadata["code"].value) for one in data if one is not None]


@pytest.mark.parametrize(
    ("step", "after"),
    [("check_one", False), ("stage_batch", True), ("publish_upload", False), ("publish_upload", True)],
)
def test_an_upload_launched_twice_at_once_belongs_to_the_newer_run_and_the_older_stops(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    """The older run stops before or after one of its steps until the newer one has ended."""
    world.put(KEY, ROWS)
    world.tick(run=False)
    upload_id = world.upload(KEY)["upload_id"]
    held = Held(WORK[step], after)
    monkeypatch.setattr(steps, step, held)
    older: list[bool] = []
    thread = threading.Thread(target=lambda: older.append(world.launch(upload_id)))
    thread.start()
    assert held.reached.wait(60)

    newer = world.launch(upload_id)
    row = world.upload(KEY)
    held.released.set()
    thread.join(60)

    published_by_the_older = step == "publish_upload" and after
    assert newer
    assert (row["state"], row["read"], row["inserted"]) == ("completed_with_rejects", 31, 30)
    assert row["attempts"] == (1 if published_by_the_older else 2)
    assert older == [False]
    assert set(reasons(world, upload_id)) == {"superseded"}
    assert world.upload(KEY) == row, "the older run changed nothing"
    assert in_the_table(world) == [{"n": 30, "keys": 30}]


def test_the_end_of_an_older_run_leaves_what_a_newer_one_staged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its dry run is reported an upload may begin anew, while the older run still clears up."""
    world.put(KEY, ROWS)
    world.tick(run=False)
    upload_id = world.upload(KEY)["upload_id"]
    held = Held(publish_upload, False)
    newer: list[bool] = []
    thread = threading.Thread(target=lambda: newer.append(world.launch(upload_id)))
    deleted = Bucket.delete_prefix

    def delete(bucket: Bucket, prefix: str) -> int:
        if prefix.startswith("staging/") and not thread.ident:
            monkeypatch.setattr(steps, "publish_upload", held)
            thread.start()
            assert held.reached.wait(60)
        return deleted(bucket, prefix)

    monkeypatch.setattr(Bucket, "delete_prefix", delete)
    assert world.launch(upload_id, dry_run=True)
    held.released.set()
    thread.join(60)

    row = world.upload(KEY)
    assert newer == [True]
    assert (row["state"], row["reported_at"] is None) == ("completed_with_rejects", False)
    assert world.keys("staging/") == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_an_older_run_that_still_gathers_its_report_leaves_that_of_the_newer_one(
    world: World, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    """It said `checked` of an upload that was completed, or deleted the summary and stopped there."""
    world.put(KEY, ROWS)
    world.tick(run=False)
    upload_id = world.upload(KEY)["upload_id"]
    held = Held(write_reports, False)
    monkeypatch.setattr(ending, "write_reports", held)
    older: list[bool] = []
    thread = threading.Thread(target=lambda: older.append(world.launch(upload_id, dry_run=dry_run)))
    thread.start()
    assert held.reached.wait(60)

    assert world.launch(upload_id)
    row = world.upload(KEY)
    written = {key: world.get(key) for key in world.keys("reports/")}
    held.released.set()
    thread.join(60)

    assert row["state"] == "completed_with_rejects"
    assert older == [False]
    assert {key: world.get(key) for key in world.keys("reports/")} == written
    assert world.upload(KEY) == row
