"""Batches are checked early, and again where the whole file says otherwise."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest

from import_pipeline.flow.batches.columns.evidence import Readings, date_readings
from import_pipeline.flow.checks.early import Check, EarlyChecks
from import_pipeline.records import Batch, CheckedBatch, ColumnVerdict

BATCHES = [Batch(number, f"batches/{number}", 10, number * 10, number * 10 + 9) for number in range(1, 6)]


def verdicts(reading: str | None) -> tuple[ColumnVerdict, ...]:
    return (ColumnVerdict("day", "date", reading, "evidence", {}, 0),)


def noting(seen: list[tuple[int, str | None]]) -> Check:
    """A check that notes batch and reading, and gives them back for its result."""

    def check(batch: Batch, found: Sequence[ColumnVerdict], readings: Mapping[str, Readings]) -> Any:
        seen.append((batch.number, found[0].reading))
        return batch.number, found[0].reading

    return check


def test_batches_whose_verdict_holds_are_checked_once_and_come_in_order() -> None:
    seen: list[tuple[int, str | None]] = []
    with EarlyChecks(noting(seen), threads=2) as checks:
        for batch in BATCHES:
            checks.begin(batch, verdicts("dmy"), {})
        done = list[Any](checks.finish(BATCHES, verdicts("dmy")))
    assert done == [(number, "dmy") for number in range(1, 6)]
    assert sorted(seen) == done


def test_batches_that_were_read_otherwise_are_checked_again_after_their_first_check_ended() -> None:
    first, may_end = threading.Event(), threading.Event()
    seen: list[tuple[int, str | None]] = []
    note = noting(seen)

    def check(batch: Batch, found: Sequence[ColumnVerdict], readings: Mapping[str, Readings]) -> Any:
        if found[0].reading is None:
            first.set()
            assert may_end.wait(10)
        return note(batch, found, readings)

    with EarlyChecks(check, threads=2) as checks:
        checks.begin(BATCHES[0], verdicts(None), {})
        assert first.wait(10)
        checks.begin(BATCHES[1], verdicts("mdy"), {})
        threading.Timer(0.05, may_end.set).start()
        done = list[Any](checks.finish(BATCHES[:2], verdicts("mdy")))
    assert done == [(1, "mdy"), (2, "mdy")]
    assert seen.index((1, None)) < seen.index((1, "mdy"))
    assert seen.count((2, "mdy")) == 1


def test_batches_that_were_never_begun_are_checked_at_the_end() -> None:
    seen: list[tuple[int, str | None]] = []
    with EarlyChecks(noting(seen), threads=2) as checks:
        assert len(list(checks.finish(BATCHES, verdicts("dmy")))) == 5
    assert len(seen) == 5


def test_an_error_of_a_check_is_raised_where_its_batch_is_due() -> None:
    def check(batch: Batch, found: Sequence[ColumnVerdict], readings: Mapping[str, Readings]) -> CheckedBatch:
        raise ValueError(f"batch {batch.number}")

    with EarlyChecks(check, threads=2) as checks:
        checks.begin(BATCHES[0], verdicts("dmy"), {})
        with pytest.raises(ValueError, match="batch 1"):
            list(checks.finish(BATCHES[:1], verdicts("dmy")))


def test_leaving_with_an_error_drops_the_checks_that_have_not_begun() -> None:
    begun, may_end = threading.Event(), threading.Event()
    seen: list[int] = []

    def check(batch: Batch, found: Sequence[ColumnVerdict], readings: Mapping[str, Readings]) -> Any:
        seen.append(batch.number)
        begun.set()
        assert may_end.wait(10)

    def stop(checks: EarlyChecks) -> None:
        for batch in BATCHES:
            checks.begin(batch, verdicts("dmy"), {})
        assert begun.wait(10)
        threading.Timer(0.05, may_end.set).start()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), EarlyChecks(check, threads=1) as checks:
        stop(checks)
    assert seen == [1]


def test_what_the_split_found_of_a_batch_is_used_for_its_early_check_only() -> None:
    found = {"day": date_readings(pa.array(["01/02/2026"]))}
    given: list[tuple[int, bool]] = []

    def check(batch: Batch, verdicts: Sequence[ColumnVerdict], readings: Mapping[str, Readings]) -> Any:
        given.append((batch.number, readings is found))

    with EarlyChecks(check, threads=1) as checks:
        checks.begin(BATCHES[0], verdicts("dmy"), found)
        list(checks.finish(BATCHES[:2], verdicts("dmy")))
    assert given == [(1, True), (2, False)]
