"""When the bucket is listed: every tick while it is quick, less often the longer it takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.flow.arrivals.pace import LONGEST_PAUSE_SECONDS, Pace, read_pace, write_pace

numbers = st.floats(0, 1e9)
paces = st.builds(
    Pace,
    ended=st.none() | numbers,
    seconds=numbers,
    before=st.none() | numbers,
    after=st.none() | st.text(),
    spent=numbers,
)


def wait(pace: Pace, now: float, *, queue: bool = False) -> float:
    return pace.wait(now, interval=10, queue=queue)


def test_the_first_tick_lists_with_and_without_a_queue() -> None:
    assert wait(Pace(), 1_000) == wait(Pace(), 1_000, queue=True) == 0


@pytest.mark.parametrize(
    ("took", "pause"), [(0.02, 0), (3, 0), (4, 12), (8, 24), (60, 180), (301, 900), (5_000, 900)]
)
def test_the_pause_is_three_times_what_the_listing_took(took: float, pause: float) -> None:
    pace = Pace().listed(1_000, took, None)
    assert wait(pace, 1_000) == pause
    assert wait(pace, 1_000 + pause) == 0


@pytest.mark.parametrize(
    ("listings", "pause"), [((0.5, 7), 0), ((7, 0.5), 0), ((7, 8), 21), ((8, 7), 21), ((0.5, 7, 8), 21)]
)
def test_one_slow_listing_alone_puts_the_next_one_off_by_no_more_than_the_one_before(
    listings: tuple[float, ...], pause: float
) -> None:
    pace = Pace()
    for took in listings:
        pace = pace.listed(990, took / 2, "uploads/m").listed(1_000, took / 2, None)
    assert wait(pace, 1_000) == pause


def test_beside_a_queue_the_bucket_is_listed_every_fifteen_minutes() -> None:
    for took in (0.02, 60):
        pace = Pace().listed(1_000, took, None)
        assert wait(pace, 1_000, queue=True) == LONGEST_PAUSE_SECONDS == 900
        assert wait(pace, 1_899, queue=True) == 1
        assert wait(pace, 1_900, queue=True) == 0


def test_an_unfinished_listing_goes_on_at_once_and_its_slices_count_together() -> None:
    first = Pace().listed(1_000, 10, "uploads/m")
    assert (first.after, wait(first, 1_001), wait(first, 1_001, queue=True)) == ("uploads/m", 0, 0)
    whole = first.listed(1_020, 5, None)
    assert whole == Pace(ended=1_020, seconds=15)
    assert wait(whole, 1_020) == 45


def test_a_clock_that_went_back_lists() -> None:
    assert wait(Pace(ended=2_000, seconds=60), 1_000) == 0


@given(paces)
def test_a_cursor_holds_a_pace(pace: Pace) -> None:
    assert read_pace(write_pace(pace)) == pace


@pytest.mark.parametrize("cursor", [None, "", "x", "[]", "17", '{"ended": "soon"}', '{"seconds": null}'])
def test_a_cursor_that_holds_none_lists_at_once(cursor: str | None) -> None:
    assert read_pace(cursor) == Pace()
