"""Processes of runs give way to the daemon's, and those of large files to those of small ones."""

import multiprocessing
import os
from multiprocessing.connection import Connection

import pytest

from import_pipeline.orchestration.executor import LARGE_NICENESS, NICENESS, give_way
from import_pipeline.orchestration.tags import LANE, lane_of

MANY_BYTES = 500_000_000


def _niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def _work(tags: dict[str, str], begun_with: int, told: Connection) -> None:
    os.nice(begun_with)
    before = _niceness()
    give_way(tags)
    give_way(tags)
    told.send((before, _niceness()))


def _niceness_in_a_process(tags: dict[str, str], begun_with: int = 0) -> tuple[int, int]:
    context = multiprocessing.get_context("forkserver")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(tags, begun_with, there))
    process.start()
    before, after = here.recv()
    process.join()
    return int(before), int(after)


def test_a_process_of_a_large_file_gives_way_to_those_of_small_files() -> None:
    large, small = (_niceness_in_a_process({LANE: lane_of(size, 20)})[1] for size in (MANY_BYTES, 10))
    assert large == LARGE_NICENESS > small


@pytest.mark.parametrize("tags", [{LANE: lane_of(10, 20)}, {}])
def test_a_process_of_any_other_run_gives_way_to_the_daemon(tags: dict[str, str]) -> None:
    before, after = _niceness_in_a_process(tags)
    assert after == max(before, NICENESS) > 0


@pytest.mark.parametrize("size", [10, MANY_BYTES])
def test_a_process_that_gives_way_already_keeps_its_niceness(size: int) -> None:
    assert _niceness_in_a_process({LANE: lane_of(size, 20)}, begun_with=19) == (19, 19)


def test_a_process_that_was_not_started_for_a_run_is_left_as_it_is() -> None:
    before = _niceness()
    give_way({LANE: lane_of(MANY_BYTES, 20)})
    assert _niceness() == before
