"""What is read by its bytes is read as the patterns read it."""

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.flow.batches.columns.alike import alike_dates, plain_numbers
from import_pipeline.flow.batches.columns.evidence import (
    COMMA_NUMBER,
    DMY_DATE,
    MDY_DATE,
    PLAIN_NUMBER,
    POINT_NUMBER,
    SAME_EITHER_WAY,
    YMD_DATE,
    date_readings,
    decimal_readings,
)

PATTERNS = {"dmy": DMY_DATE, "mdy": MDY_DATE, "ymd": YMD_DATE}
NUMBERS = st.lists(st.none() | st.text("0123456789.,+x", max_size=7), max_size=20)
DATES = st.tuples(
    st.integers(0, 34), st.integers(0, 34), st.sampled_from([0, 4, 1900, 2000, 2023, 2024, 9999])
)
TIMES = st.tuples(st.integers(0, 26), st.integers(0, 62), st.integers(0, 62))
FORMS = st.sampled_from(
    ["{2:04}-{1:02}-{0:02}", "{0:02}/{1:02}/{2:04}", "{1:02}.{0:02}.{2:04}", "{0}/{1}/{2:04}"]
)
CLOCKS = st.sampled_from(["", " {:02}:{:02}", "T{:02}:{:02}:{:02}", " {:02}:{:02}:{:02}"])


@st.composite
def written_dates(draw: st.DrawFn) -> list[str | None]:
    """A column of one form, or of several, with rubbish in between."""
    form, clock = draw(FORMS), draw(CLOCKS)
    own = st.builds(lambda date, time: form.format(*date) + clock.format(*time), DATES, TIMES)
    other = st.builds(lambda f, c, d, t: f.format(*d) + c.format(*t), FORMS, CLOCKS, DATES, TIMES)
    rubbish = st.none() | st.text("0123456789/-:. Tx", max_size=19)
    return draw(st.lists(st.one_of(own, own, own, other, rubbish), max_size=25))


@given(NUMBERS, st.integers(0, 3))
def test_plain_numbers_are_read_as_by_the_patterns(texts: list[str | None], start: int) -> None:
    array = pa.array(["12.5"] * start + texts, pa.string()).slice(start)
    found, readings = plain_numbers(array), decimal_readings(array)
    for at, text in enumerate(texts):
        read = {mark for mark, p in ((",", COMMA_NUMBER), (".", POINT_NUMBER)) if text and re.match(p, text)}
        both = len(read) == 2 and not re.match(PLAIN_NUMBER, text or "")
        if found.where[at]:
            assert ({"," for _ in "x" if found.comma[at]} | {"." for _ in "x" if found.point[at]}) == read
            assert found.ambiguous[at] == both
        assert {mark for mark, mask in readings.by_reading.items() if mask[at].as_py()} == read
        assert readings.ambiguous[at].as_py() is both


@given(written_dates(), st.integers(0, 3))
def test_dates_laid_out_alike_are_read_as_by_the_patterns(texts: list[str | None], start: int) -> None:
    array = pa.array(["2024-01-31"] * start + texts, pa.string()).slice(start)
    alike, readings = alike_dates(array), date_readings(array)
    for at, text in enumerate(texts):
        read = {order for order, pattern in PATTERNS.items() if text and re.match(pattern, text)}
        both = {"dmy", "mdy"} <= read and not re.match(SAME_EITHER_WAY, text or "")
        if alike.where[at]:
            assert {order for order in PATTERNS if alike.exist(order)[at]} == read
        assert {order for order, mask in readings.by_reading.items() if mask[at].as_py()} == read
        assert readings.ambiguous[at].as_py() is both


@pytest.mark.parametrize(
    ("text", "order", "numbers"),
    [
        ("2024-02-29 23:59:58", "ymd", (2024, 2, 29, 86_398)),
        ("29/02/2024 23:59", "dmy", (2024, 2, 29, 86_340)),
        ("02.29.2024", "mdy", (2024, 2, 29, 0)),
        ("0001-12-03T00:05:07", "ymd", (1, 12, 3, 307)),
    ],
)
def test_the_numbers_of_a_date_are_its_own(text: str, order: str, numbers: tuple[int, ...]) -> None:
    found = alike_dates(pa.array([text, None, "x", text], pa.string()))
    assert found.exist(order).tolist() == [True, False, False, True]
    month, day = (found.second, found.first) if order == "dmy" else (found.first, found.second)
    assert (found.year[3], month[3], day[3], found.seconds[3]) == numbers
