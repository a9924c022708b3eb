"""Written dates and times to dates and instants, under the column's one order of day and month.

A year has four digits: the century of a shorter one is never guessed.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.flow.batches.evidence import date_readings
from import_pipeline.flow.checks.parsing import FaultCollector, Parsed, as_mask, each_group, is_written

DATE = r"^(?P<a>\d{1,4})[-/.](?P<b>\d{1,2})[-/.](?P<c>\d{1,4})(?P<time>.*)$"
TIME = (
    r"^[T ]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"(?: ?(?P<half>[AaPp])[Mm])?(?: ?(?P<zone>Z|z|UTC|[+-]\d{2}(?::?\d{2})?))?$"
)
ORDER_NAMES = {"dmy": "the day first", "mdy": "the month first", "ymd": "the year first"}
MICROSECONDS = 1_000_000
DAY = 86_400 * MICROSECONDS
_EARLIEST = np.datetime64("0001-01-01T00:00:00", "us").astype(np.int64)
_LATEST = np.datetime64("9999-12-31T23:59:59.999999", "us").astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Written:
    """What the cells say, by row; only where `there`.

    Attributes:
        there: cells that are dates of the calendar.
        days: since 1970-01-01.
        time: microseconds since midnight.
        offset: microseconds east of UTC that the cell states; `zoned` says where.
    """

    there: np.ndarray
    days: np.ndarray
    time: np.ndarray
    offset: np.ndarray
    zoned: np.ndarray


def parse_date(cells: pa.Array, reading: str | None) -> Parsed:
    """Dates; a time of day is allowed if it is midnight.

    Faults: `ambiguous_date`, `two_digit_year`, `not_a_date`.
    """
    found = FaultCollector(len(cells))
    written = _read(cells, reading, "not_a_date", found)
    found.add("not_a_date", written.there & (written.time != 0), " without a time of day")
    days = pa.array(written.days.astype(np.int32), mask=~written.there).cast(pa.date32())
    return found.parsed(days)


def parse_timestamp(cells: pa.Array, reading: str | None, timezone: str) -> Parsed:
    """Instants in UTC. A cell without a zone is read in `timezone`; a date alone is its midnight.

    Where clocks go back, a local time exists twice and the earlier is taken; where they go forward,
    a time that does not exist is the moment of the change.

    Faults: `ambiguous_date`, `two_digit_year`, `not_a_timestamp`.
    """
    found = FaultCollector(len(cells))
    written = _read(cells, reading, "not_a_timestamp", found)
    naive = written.days * DAY + written.time
    local = written.there & ~written.zoned
    instants = naive - written.offset
    if local.any():
        clock = pa.array(naive, pa.timestamp("us"), mask=~local)
        in_zone = pc.assume_timezone(clock, timezone, ambiguous="earliest", nonexistent="latest")
        in_utc = pc.fill_null(in_zone.cast(pa.timestamp("us", "UTC")).cast(pa.int64()), 0)
        instants = np.where(local, in_utc.to_numpy(zero_copy_only=False), instants)
    found.add("not_a_timestamp", written.there & ((instants < _EARLIEST) | (instants > _LATEST)))
    return found.parsed(pa.array(instants, pa.timestamp("us", "UTC"), mask=~written.there))


def _read(cells: pa.Array, reading: str | None, code: str, found: FaultCollector) -> _Written:
    readings = date_readings(cells)
    has = {order: as_mask(mask) for order, mask in readings.by_reading.items()}
    is_text = is_written(readings.text)
    if reading in ORDER_NAMES:
        orders = {o: has[o] if o in (reading, "ymd") else np.zeros_like(is_text) for o in has}
        other = (has["dmy"] | has["mdy"]) & ~orders[reading]
        found.add(code, other, f" with {ORDER_NAMES[reading]}")
    else:
        ambiguous = as_mask(readings.ambiguous)
        found.add("ambiguous_date", ambiguous)
        orders = {o: mask & ~ambiguous for o, mask in has.items()}
    there = orders["dmy"] | orders["mdy"] | orders["ymd"]
    found.add(code, is_text & ~there)
    day, month, year, time, short = _parts(readings.text, orders)
    found.add("two_digit_year", there & short)
    found.add(code, there & (year == 0))
    there &= ~found.bad
    clock, offset, zoned = _times(time, there, code, found)
    there &= ~found.bad
    return _Written(there, _days(year, month, day, there), clock, offset, zoned)


def _parts(text: pa.Array, orders: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Day, month, year, time text, and whether the year has two digits."""
    a, b, c, time = each_group(text, DATE)
    short = as_mask(pc.less(pc.binary_length(c), 4)) & ~orders["ymd"]
    first, second, third = (_whole(part) for part in (a, b, c))
    year_first, month_first = orders["ymd"], orders["mdy"] & ~orders["dmy"]
    day = np.where(year_first, third, np.where(month_first, second, first))
    month = np.where(year_first | ~month_first, second, first)
    return day, month, np.where(year_first, first, third), time, short


def _days(year: np.ndarray, month: np.ndarray, day: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Days since 1970-01-01; 0 where there is no date."""
    months = np.where(there, (year - 1970) * 12 + month - 1, 0)
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return np.where(there, first + day - 1, 0)


def _times(
    text: pa.Array, there: np.ndarray, code: str, found: FaultCollector
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Microseconds since midnight, offset from UTC in microseconds, and whether one is stated."""
    zeros = np.zeros(len(text), dtype=np.int64)
    if not (is_written(text) & there).any():
        return zeros, zeros, np.zeros(len(text), dtype=bool)
    hour, minute, second, fraction, half, zone = each_group(text, TIME)
    hours, seconds = _whole(hour), _whole(minute) * 60 + _whole(second)
    if is_written(half).any():
        found.add(code, there & is_written(half) & ((hours == 0) | (hours > 12)))
        after_noon = as_mask(pc.equal(pc.utf8_lower(half), "p"))
        hours = np.where(is_written(half), hours % 12 + 12 * after_noon, hours)
    micros = zeros
    if is_written(fraction).any():
        nanos = _whole(pc.utf8_rpad(fraction, 9, "0"))
        found.add(code, there & (nanos % 1000 != 0), " to the microsecond")
        micros = nanos // 1000
    offset, zoned = _offsets(zone, there, code, found)
    return (hours * 3600 + seconds) * MICROSECONDS + micros, offset, zoned


def _offsets(
    zone: pa.Array, there: np.ndarray, code: str, found: FaultCollector
) -> tuple[np.ndarray, np.ndarray]:
    zoned = is_written(zone)
    if not zoned.any():
        return np.zeros(len(zone), dtype=np.int64), zoned
    sign, hour, minute = each_group(zone, r"^(?P<s>[+-])(?P<h>\d{2}):?(?P<m>\d{2})?$")
    hours, minutes = _whole(hour), _whole(minute)
    # The widest offsets that PostgreSQL and ISO 8601 know.
    found.add(code, there & ((hours > 15) | (minutes > 59)))
    size = (hours * 60 + minutes) * 60 * MICROSECONDS
    return np.where(as_mask(pc.equal(sign, "-")), -size, size), zoned


def _whole(digits: pa.Array) -> np.ndarray:
    """Digits as numbers; 0 where there are none."""
    plain = pc.if_else(pc.fill_null(pc.equal(digits, ""), True), pa.scalar("0", digits.type), digits)
    return pc.cast(plain, pa.int64()).to_numpy(zero_copy_only=False)
