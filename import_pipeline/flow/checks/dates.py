"""Written dates and times to dates and instants, under the column's one order of day and month.

A year has four digits: the century of a shorter one is never guessed.
"""

import re
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.arrays import as_mask
from import_pipeline.flow.batches.columns.alike import AlikeDates
from import_pipeline.flow.batches.columns.evidence import Readings
from import_pipeline.flow.checks.parsing import (
    FaultCollector,
    How,
    Parsed,
    each_group,
    is_written,
    readings_of,
)
from import_pipeline.language import told

DATE = r"^(?P<a>\d{1,4})[-/.](?P<b>\d{1,2})[-/.](?P<c>\d{1,4})(?P<time>.*)$"
TIME = (
    r"^[T ]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"(?: ?(?P<half>[AaPp])[Mm])?(?: ?(?P<zone>Z|z|UTC|[+-]\d{2}(?::?\d{2})?))?$"
)
_OTHER_ORDER = {
    "dmy": told(" with the day first"),
    "mdy": told(" with the month first"),
    "ymd": told(" with the year first"),
}
# Days since 1899-12-30 or 1904-01-01, as spreadsheets count: which of both is never guessed.
SERIAL = r"^[1-9]\d{4}(?:[.,]\d+)?$"
MICROSECONDS = 1_000_000
DAY = 86_400 * MICROSECONDS
_LAYOUT = re.compile(
    r"\d{1,4}(?P<mark>[-/.])\d{1,2}[-/.]\d{1,4}(?P<minutes> \d{1,2}:\d{2}(?P<seconds>:\d{2})?)?$"
)
_YEAR_100 = np.datetime64("0100-01-01", "us").astype(np.int64)
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


def parse_date(cells: pa.Array, how: How) -> Parsed:
    """Dates; a time of day is allowed if it is midnight.

    Faults: `ambiguous_date`, `two_digit_year`, `serial_date`, `not_a_date`.
    """
    found = FaultCollector(len(cells))
    written = _read(readings_of(cells, how), how.reading, "not_a_date", found)
    found.add("not_a_date", written.there & (written.time != 0), told(" without a time of day"))
    days = pa.array(written.days.astype(np.int32), mask=~written.there).cast(pa.date32())
    return found.parsed(days)


def parse_timestamp(cells: pa.Array, how: How) -> Parsed:
    """Instants in UTC. A cell without a zone is read in the dataset's; a date alone is its midnight.

    Where clocks go back, a local time exists twice and the earlier is taken; where they go forward,
    a time that does not exist is the moment of the change.

    Faults: `ambiguous_date`, `two_digit_year`, `serial_date`, `not_a_timestamp`.
    """
    found = FaultCollector(len(cells))
    written = _read(readings_of(cells, how), how.reading, "not_a_timestamp", found)
    naive = written.days * DAY + written.time
    local = written.there & ~written.zoned
    instants = naive - written.offset
    if local.any():
        clock = pa.array(naive, pa.timestamp("us"), mask=~local)
        in_zone = pc.assume_timezone(clock, how.timezone, ambiguous="earliest", nonexistent="latest")
        in_utc = pc.fill_null(in_zone.cast(pa.timestamp("us", "UTC")).cast(pa.int64()), 0)
        instants = np.where(local, in_utc.to_numpy(zero_copy_only=False), instants)
    found.add("not_a_timestamp", written.there & ((instants < _EARLIEST) | (instants > _LATEST)))
    return found.parsed(pa.array(instants, pa.timestamp("us", "UTC"), mask=~written.there))


def _read(readings: Readings, reading: str | None, code: str, found: FaultCollector) -> _Written:
    has = {order: as_mask(mask) for order, mask in readings.by_reading.items()}
    is_text = is_written(readings.text)
    if readings.short_years is not None:
        found.add("two_digit_year", readings.short_years)
    if reading in _OTHER_ORDER:
        orders = {o: has[o] if o in (reading, "ymd") else np.zeros_like(is_text) for o in has}
        other = (has["dmy"] | has["mdy"]) & ~orders[reading]
        found.add(code, other, _OTHER_ORDER[reading])
    else:
        ambiguous = as_mask(readings.ambiguous)
        found.add("ambiguous_date", ambiguous)
        orders = {o: mask & ~ambiguous for o, mask in has.items()}
    there = orders["dmy"] | orders["mdy"] | orders["ymd"]
    unread = is_text & ~there & ~found.bad
    if unread.any():
        places = np.flatnonzero(unread)
        serial = np.zeros(len(readings.text), dtype=bool)
        serial[places] = as_mask(pc.match_substring_regex(readings.text.take(pa.array(places)), SERIAL))
        found.add("serial_date", serial)
        found.add(code, unread)
    there &= ~found.bad
    written = _nothing(there)
    done = _read_alike(readings.alike, orders, written) if readings.alike else ~there
    left = np.flatnonzero(there & ~done)
    for read in (_read_like_the_first, _read_each):
        if left.size:
            some = readings.text.take(pa.array(left))
            own = FaultCollector(left.size)
            part = read(some, {o: mask[left] for o, mask in orders.items()}, code, own)
            found.add_at(left, own)
            for all_of_it, some_of_it in zip(_numbers(written), _numbers(part), strict=True):
                all_of_it[left] = some_of_it
            left = left[~part.there & ~own.bad]
    return replace(written, there=there & ~found.bad)


def _nothing(there: np.ndarray) -> _Written:
    days, time, offset = (np.zeros(len(there), dtype=np.int64) for _ in range(3))
    return _Written(there, days, time, offset, np.zeros(len(there), dtype=bool))


def _read_alike(alike: AlikeDates, orders: dict[str, np.ndarray], written: _Written) -> np.ndarray:
    """Read the cells that are laid out alike, most often all of them; which those are."""
    done = np.zeros_like(written.there)
    for order, mask in orders.items():
        mine = written.there & mask & alike.exist(order) & (alike.year > 0) & ~done
        if not mine.any():
            continue
        month, day = (alike.second, alike.first) if order == "dmy" else (alike.first, alike.second)
        written.days[mine] = _days(*(part[mine].astype(np.int64) for part in (alike.year, month, day)))
        written.time[mine] = alike.seconds[mine].astype(np.int64) * MICROSECONDS
        done |= mine
    return done


def _read_like_the_first(
    text: pa.Array, orders: dict[str, np.ndarray], code: str, found: FaultCollector
) -> _Written:
    """Read those of some dates that have the layout of the first one, with days of one digit or two."""
    written = _nothing(np.zeros(len(text), dtype=bool))
    layout = _LAYOUT.match(text[0].as_py())
    if layout is None:
        return written
    order = next(order for order, mask in orders.items() if mask[0])
    form = layout["mark"].join(f"%{'Y' if letter == 'y' else letter}" for letter in order)
    form += "".join((" %H:%M" if layout["minutes"] else "", ":%S" if layout["seconds"] else ""))
    moments = pc.strptime(text, format=form, unit="us", error_is_null=True).cast(pa.int64())
    naive = pc.fill_null(moments, 0).to_numpy(zero_copy_only=False)
    # strptime takes a year of two digits for one of the first century: those are read apart.
    there = orders[order] & as_mask(pc.is_valid(moments)) & (naive >= _YEAR_100)
    return replace(written, there=there, days=naive // DAY, time=naive % DAY)


def _read_each(text: pa.Array, orders: dict[str, np.ndarray], code: str, found: FaultCollector) -> _Written:
    """Read cells that are all dates, each by its own layout."""
    day, month, year, time, short = _parts(text, orders)
    found.add("two_digit_year", short)
    found.add(code, year == 0)
    clock, offset, zoned = _times(time, code, found)
    return _Written(~found.bad, _days(year, month, day), clock, offset, zoned)


def _numbers(written: _Written) -> tuple[np.ndarray, ...]:
    return written.days, written.time, written.offset, written.zoned


def _parts(text: pa.Array, orders: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Day, month, year, time text, and whether the year has two digits."""
    a, b, c, time = each_group(text, DATE)
    short = as_mask(pc.less(pc.binary_length(c), 4)) & ~orders["ymd"]
    first, second, third = (_whole(part) for part in (a, b, c))
    year_first, month_first = orders["ymd"], orders["mdy"] & ~orders["dmy"]
    day = np.where(year_first, third, np.where(month_first, second, first))
    month = np.where(year_first | ~month_first, second, first)
    return day, month, np.where(year_first, first, third), time, short


def _days(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Days since 1970-01-01 of dates that exist."""
    months = (year - 1970) * 12 + month - 1
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + day - 1


def _times(text: pa.Array, code: str, found: FaultCollector) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Microseconds since midnight, offset from UTC in microseconds, and whether one is stated."""
    hour, minute, second, fraction, half, zone = each_group(text, TIME)
    hours, seconds = _whole(hour), _whole(minute) * 60 + _whole(second)
    has_half = is_written(half)
    found.add(code, has_half & ((hours == 0) | (hours > 12)))
    after_noon = as_mask(pc.equal(pc.utf8_lower(half), "p"))
    hours = np.where(has_half, hours % 12 + 12 * after_noon, hours)
    nanos = _whole(pc.utf8_rpad(fraction, 9, "0"))
    found.add(code, nanos % 1000 != 0, told(" to the microsecond"))
    offset, zoned = _offsets(zone, code, found)
    return (hours * 3600 + seconds) * MICROSECONDS + nanos // 1000, offset, zoned


def _offsets(zone: pa.Array, code: str, found: FaultCollector) -> tuple[np.ndarray, np.ndarray]:
    sign, hour, minute = each_group(zone, r"^(?P<s>[+-])(?P<h>\d{2}):?(?P<m>\d{2})?$")
    hours, minutes = _whole(hour), _whole(minute)
    # The widest offsets that PostgreSQL and ISO 8601 know.
    found.add(code, (hours > 15) | (minutes > 59))
    size = (hours * 60 + minutes) * 60 * MICROSECONDS
    return np.where(as_mask(pc.equal(sign, "-")), -size, size), is_written(zone)


def _whole(digits: pa.Array) -> np.ndarray:
    """Digits as numbers; 0 where there are none."""
    plain = pc.if_else(pc.fill_null(pc.equal(digits, ""), True), pa.scalar("0", digits.type), digits)
    return pc.cast(plain, pa.int64()).to_numpy(zero_copy_only=False)
