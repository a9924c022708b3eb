"""Batches are checked and staged beside the split; what went wrong is merely not taken."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from import_pipeline.flow.batches.columns.evidence import Readings
from import_pipeline.flow.loading.early import EarlyBatches
from import_pipeline.records import Batch, CheckedBatch, ColumnVerdict, LineCount, SplitUpload, StagedBatch

BATCHES = tuple(
    Batch(number, f"batches/{number}", 10, number * 10, number * 10 + 9) for number in range(1, 6)
)


def verdicts(reading: str) -> tuple[ColumnVerdict, ...]:
    return (ColumnVerdict("day", "date", reading, "evidence", {}, 0),)


SPLIT = SplitUpload(BATCHES, 50, LineCount(), verdicts("dmy"), 0.0)


def check(batch: Batch, found: Sequence[ColumnVerdict], readings: Mapping[str, Readings]) -> CheckedBatch:
    return CheckedBatch(batch.number, batch.key, 10, 10, 0, str(found[0].reading), "", "", "", {}, 0.0)


def stage(checked: CheckedBatch) -> StagedBatch:
    return StagedBatch(checked.number, f"load {checked.clean_key}", checked.valid, 0.0)


def split(early: EarlyBatches, *readings: str) -> None:
    with early:
        for batch, reading in zip(BATCHES, readings, strict=True):
            early.begin(batch, verdicts(reading), {})
        early.finish(SPLIT)


def test_each_batch_is_checked_and_staged_before_it_is_asked_for_and_taken_once() -> None:
    early = EarlyBatches(check, stage, threads=2)
    split(early, *["dmy"] * 5)
    for batch in BATCHES:
        checked = early.take_checked(batch.number)
        assert checked == check(batch, SPLIT.verdicts, {})
        assert early.take_staged(checked) == stage(checked)
        assert early.take_checked(batch.number) is None
        assert early.take_staged(checked) is None


def test_a_batch_that_was_read_otherwise_is_staged_again_and_its_last_load_counts() -> None:
    loads: list[tuple[int, str]] = []

    def noted(checked: CheckedBatch) -> StagedBatch:
        loads.append((checked.number, checked.clean_key))
        return stage(checked)

    early = EarlyBatches(check, noted, threads=2)
    split(early, "mdy", "mdy", "dmy", "dmy", "dmy")
    for batch in BATCHES:
        checked = early.take_checked(batch.number)
        assert checked is not None
        staged = early.take_staged(checked)
        assert (checked.clean_key, staged and staged.load_id) == ("dmy", "load dmy")
    assert [load for load in loads if load[0] == 1] == [(1, "mdy"), (1, "dmy")]
    assert loads.count((3, "dmy")) == 1


def failing(numbers: set[int], do: Callable[..., Any]) -> Callable[..., Any]:
    def fail(first: Any, *others: Any) -> Any:
        if first.number in numbers:
            raise OSError("no answer")
        return do(first, *others)

    return fail


def test_what_went_wrong_is_not_taken_and_stops_nothing() -> None:
    early = EarlyBatches(failing({2}, check), failing({4}, stage), threads=2)
    split(early, *["dmy"] * 5)
    taken = [early.take_checked(batch.number) for batch in BATCHES]
    assert [one is not None for one in taken] == [True, False, True, True, True]
    staged = [early.take_staged(check(batch, SPLIT.verdicts, {})) for batch in BATCHES]
    assert [one is not None for one in staged] == [True, False, True, False, True]


def test_a_load_of_other_rows_is_not_taken() -> None:
    early = EarlyBatches(check, lambda one: StagedBatch(one.number, "load", 9, 0.0), threads=1)
    split(early, *["dmy"] * 5)
    checked = early.take_checked(1)
    assert checked is not None
    assert early.take_staged(checked) is None


def test_a_load_under_a_refuted_reading_is_not_taken_where_the_second_check_failed() -> None:
    def once(batch: Batch, found: Sequence[ColumnVerdict], readings: Mapping[str, Readings]) -> CheckedBatch:
        if found[0].reading == "dmy":
            raise OSError("no answer")
        return check(batch, found, readings)

    early = EarlyBatches(once, stage, threads=1)
    split(early, *["mdy"] * 5)
    assert early.take_checked(1) is None
    assert early.take_staged(check(BATCHES[0], SPLIT.verdicts, {})) is None


def test_a_split_that_fails_stops_all_of_it() -> None:
    begun, may_end, staged = threading.Event(), threading.Event(), list[int]()

    def slow(checked: CheckedBatch) -> StagedBatch:
        begun.set()
        assert may_end.wait(10)
        staged.append(checked.number)
        return stage(checked)

    early = EarlyBatches(check, slow, threads=2)

    def fail() -> None:
        with early:
            for batch in BATCHES:
                early.begin(batch, SPLIT.verdicts, {})
            assert begun.wait(10)
            threading.Timer(0.05, may_end.set).start()
            raise OSError("the file broke off")

    with pytest.raises(OSError, match="the file broke off"):
        fail()
    assert len(staged) == 1, "the one at work ended; the others were not begun"
    assert early.take_checked(1) is None
    assert early.take_staged(check(BATCHES[0], SPLIT.verdicts, {})) is None
