"""What the ledger says of an upload whose run is over, gone, or never came."""

from dataclasses import dataclass
from typing import Literal

import pytest

from import_pipeline.flow.arrivals.reconciliation import RunFact, reconcile


@dataclass(frozen=True)
class Row:
    state: Literal["queued", "running"]
    run_id: str | None = None
    launch_number: int = 2
    queued_seconds: float | None = 5.0
    running_seconds: float | None = 60.0
    upload_id: str = "acme/a.csv@0"


def decided(row: Row, *runs: RunFact) -> str | None:
    actions = reconcile([row], {row.upload_id: runs} if runs else {})
    return actions[0].do if actions else None


RUNNING = Row("running", run_id="r2")
QUEUED = Row("queued")
WAITED = Row("queued", queued_seconds=120.0)


@pytest.mark.parametrize(
    ("row", "runs", "expected"),
    [
        (RUNNING, [RunFact("r2", "active", 2.0)], None),
        (RUNNING, [RunFact("r2", "failed", 2.0)], "fail"),
        (RUNNING, [RunFact("r2", "cancelled", 2.0)], "cancel"),
        (RUNNING, [RunFact("r2", "succeeded", 2.0)], "fail"),
        (RUNNING, [], "fail"),
        (RUNNING, [RunFact("r2", "failed", 2.0), RunFact("r3", "active", 3.0)], None),
        (RUNNING, [RunFact("r2", "cancelled", 2.0), RunFact("r1", "failed", 9.0)], "cancel"),
        (QUEUED, [], None),
        (WAITED, [], "launch_again"),
        (WAITED, [RunFact("r2", "active", 2.0, 2)], None),
        (WAITED, [RunFact("by-hand", "active", 2.0)], None),
        (QUEUED, [RunFact("r2", "cancelled", 2.0, 2)], "cancel"),
        (QUEUED, [RunFact("r2", "failed", 2.0, 2)], "fail"),
        (QUEUED, [RunFact("r1", "failed", 1.0, 1)], None),
        (WAITED, [RunFact("r1", "failed", 1.0, 1)], "launch_again"),
        (QUEUED, [RunFact("by-hand", "cancelled", 9.0)], None),
        (QUEUED, [RunFact("r2", "abandoned", 2.0, 2)], "ask_again"),
        (QUEUED, [RunFact("r2", "abandoned", 2.0, 2), RunFact("by-hand", "active", 3.0)], None),
        (WAITED, [RunFact("r1", "abandoned", 1.0, 1)], "launch_again"),
        (QUEUED, [RunFact("r2", "failed", 2.0, 2), RunFact("r2b", "cancelled", 3.0, 2)], "cancel"),
    ],
)
def test_a_run_that_is_over_ends_its_upload_and_only_its_own(row: Row, runs: list, expected: str) -> None:
    assert decided(row, *runs) == expected


@pytest.mark.parametrize(
    ("row", "runs", "expected"),
    [
        (RUNNING, [RunFact("r2", "active", 2.0)], ("time_out", ("r2",))),
        (RUNNING, [RunFact("r2", "active", 2.0, timed_out=True)], ("time_out", ())),
        (RUNNING, [RunFact("r2", "cancelled", 2.0, timed_out=True)], ("time_out", ())),
        (RUNNING, [RunFact("r2", "cancelled", 2.0)], ("cancel", ())),
        (RUNNING, [RunFact("r2", "failed", 2.0)], ("fail", ())),
        (RUNNING, [RunFact("r2", "failed", 2.0), RunFact("r3", "active", 3.0)], None),
        (QUEUED, [RunFact("r2", "active", 2.0, 2)], None),
    ],
)
def test_a_run_that_takes_too_long_is_stopped_once_and_ends_its_upload(
    row: Row, runs: list, expected: tuple | None
) -> None:
    in_time, late = (reconcile([row], {row.upload_id: runs}, most) for most in (60.0, 59.0))
    assert [action.do for action in in_time] != ["time_out"]
    assert [(action.do, action.stop) for action in late] == ([] if expected is None else [expected])


def test_every_action_gives_the_ledger_a_sentence_and_the_run() -> None:
    (gone,) = reconcile([RUNNING], {})
    assert (gone.run_id, gone.reason) == ("r2", "Its run r2 is gone from Dagster.")
    (cancelled,) = reconcile([QUEUED], {QUEUED.upload_id: [RunFact("r9", "cancelled", 2.0, 2)]})
    assert cancelled.reason == "Its run was cancelled before it started."
