"""What must hold for any text in any cell, and for any date and number in any notation."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.flow.batches.columns.evidence import ColumnEvidence
from import_pipeline.flow.checks.checking import check_table
from import_pipeline_tests.flow.checks.tables import EVERYTHING, batch_of, check_column, file_of, told

few = settings(max_examples=25, deadline=None)
NAMES = [c.name for c in EVERYTHING.columns]
LIKELY = st.sampled_from(
    ["", " ", "1", "1.234", "1,234", "1.234,56", "-", "+", ".", ",", "01/02/2026", "13/02/26", "2026-02-30",
     "2026-02-01T10:00Z", "1/1/2026 1:00 PM", "sim", "\0", "\u00a0", "R$", "R$ -1,00", "0" * 50, "9" * 50]
)  # fmt: skip
# Surrogates are not text; everything else may be in a file.
CELL = LIKELY | st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.none()
PROBLEM = st.none() | st.sampled_from(["too_few_cells", "too_many_cells", "stray_quote", "undecodable_text"])
ROW = st.tuples(PROBLEM, st.tuples(*[CELL] * (len(NAMES) + 2)))
DECIMAL_READING = st.sampled_from([",", ".", "mixed", None])
DATE_READING = st.sampled_from(["dmy", "mdy", "ymd", "mixed", None])


@few
@given(st.lists(ROW, max_size=8), DECIMAL_READING, DATE_READING)
def test_any_text_in_any_cell_ends_as_a_clean_row_or_a_reject_with_its_error(rows, decimal, order):
    problems = {n: problem for n, (problem, _) in enumerate(rows, start=2) if problem}
    table = batch_of([cells for _, cells in rows], len(NAMES) + 2, problems)
    file = file_of(EVERYTHING, [*NAMES, "other", ""])
    options = SenderOptions(decimal=decimal if decimal != "mixed" else None,
                            date_order=order if order != "mixed" else None)  # fmt: skip

    checked = check_table(table, file, (), EVERYTHING, options=options)

    clean, rejects = checked.clean["_row_number"].to_pylist(), checked.rejects["_row_number"].to_pylist()
    assert sorted(clean + rejects) == list(range(2, 2 + len(rows)))
    assert set(rejects) == set(checked.errors["row_number"].to_pylist())
    cells = [(row, column) for row, column, _ in told(checked) if column in NAMES]
    assert len(cells) == len(set(cells)), "one error a cell, where the model has no further rules"
    readings = ColumnEvidence(EVERYTHING, file.mapping).add(table)
    again = check_table(table, file, (), EVERYTHING, options=options, readings=readings)
    assert readings, "what the split found need not be looked for again"
    assert (again.clean, again.rejects, again.errors) == (checked.clean, checked.rejects, checked.errors)


MARKS = {"dmy": "{d}{s}{m}{s}{y}", "mdy": "{m}{s}{d}{s}{y}", "ymd": "{y}{s}{m}{s}{d}"}


def _written(day: date, order: str, mark: str, padded: bool) -> str:
    width = 2 if padded else 1
    return MARKS[order].format(s=mark, d=f"{day.day:0{width}}", m=f"{day.month:0{width}}", y=f"{day.year:04}")


@few
@given(
    st.lists(st.tuples(st.dates(), st.booleans(), st.sampled_from("/-.")), min_size=1, max_size=30),
    st.sampled_from(["dmy", "mdy", "ymd"]),
)
def test_any_date_is_read_back_under_the_order_it_was_written_in(days, order):
    cells = [_written(day, order, mark, padded) for day, padded, mark in days]
    assert check_column("day", cells, order).clean["day"].to_pylist() == [day for day, _, _ in days]


@few
@given(
    st.lists(
        st.tuples(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), st.sampled_from(" T")),
        min_size=1, max_size=20,
    )
)  # fmt: skip
def test_any_local_time_is_read_in_the_datasets_zone(moments):
    cells = [m.isoformat(sep=mark) for m, mark in moments]
    zone = ZoneInfo(EVERYTHING.timezone)
    for got, (moment, _) in zip(check_column("moment", cells).clean["moment"], moments, strict=True):
        expected = moment.replace(tzinfo=zone).astimezone(UTC)
        exists = expected.astimezone(zone).replace(tzinfo=None) == moment
        assert not exists or got.as_py() == expected


@few
@given(st.lists(st.datetimes(timezones=st.sampled_from([UTC, ZoneInfo("Asia/Kathmandu")]),
                             min_value=datetime(1990, 1, 1)), min_size=1))  # fmt: skip
def test_any_time_with_an_offset_is_that_instant(moments):
    expected = [m.astimezone(UTC) for m in moments]
    assert check_column("moment", [m.isoformat() for m in moments]).clean["moment"].to_pylist() == expected


def _number(value: Decimal, mark: str, grouped: bool) -> str:
    text = f"{value:{',' if grouped else ''}f}"
    return text.translate(str.maketrans(",.", ".,")) if mark == "," else text


AMOUNT = st.decimals(Decimal("-99999999.99"), Decimal("99999999.99"), places=2)


@few
@given(st.lists(st.tuples(AMOUNT, st.booleans()), min_size=1, max_size=30), st.sampled_from([",", "."]))
def test_any_amount_is_read_back_in_both_notations(amounts, mark):
    cells = [_number(value, mark, grouped) for value, grouped in amounts]
    assert check_column("amount", cells, mark).clean["amount"].to_pylist() == [v for v, _ in amounts]


@few
@given(st.lists(st.integers(-(10**18) + 1, 10**18 - 1), min_size=1, max_size=30), st.sampled_from([",", "."]))
def test_any_whole_number_is_read_back_grouped_or_not(numbers, mark):
    cells = [_number(Decimal(n), mark, grouped=n % 2 == 0) for n in numbers]
    assert check_column("whole", cells, mark).clean["whole"].to_pylist() == numbers


@few
@given(
    st.lists(st.dates(date(1900, 1, 1), date(2100, 1, 1)), min_size=1, max_size=10),
    st.lists(AMOUNT, min_size=1, max_size=10),
    st.sampled_from(["dmy", "mdy"]),
    st.sampled_from([",", "."]),
)
def test_what_the_whole_column_proves_is_what_each_cell_is_read_as(days, amounts, order, mark):
    """Evidence and parser may leave a value unread; they never read it as something else."""
    rows = list(zip(days, amounts, strict=False))
    cells = [("k", _written(d, order, "/", True), _number(a, mark, True)) for d, a in rows]
    table, file = batch_of(cells, 3), file_of(EVERYTHING, ("code", "day", "amount"))
    evidence = ColumnEvidence(EVERYTHING, file.mapping)
    evidence.add(table)
    verdicts = evidence.verdicts(SenderOptions(), SenderOptions())

    checked = check_table(table, file, verdicts, EVERYTHING)

    for row in checked.clean.to_pylist():
        assert (row["day"], row["amount"]) == rows[row["_row_number"] - 2]
    assert {code for *_, code in told(checked)} <= {"ambiguous_date", "ambiguous_number"}
    proven = {v.column: v.source == "evidence" for v in verdicts}
    if proven["day"] and proven["amount"]:
        assert checked.rejects.num_rows == 0


def test_the_time_of_day_of_thousands_of_layouts_mixed_is_read_as_alone():
    """Cells laid out like the first one are read together, the others one by one: both must agree."""
    day = datetime.combine(date(2026, 2, 13), time(9, 5, 7))
    cells = [f"{day:%d/%m/%Y %H:%M:%S}", f"{day:%d/%m/%Y}", f"{day:%Y-%m-%d %H:%M}", "13/2/2026 9:05",
             f"{day:%d.%m.%Y %H:%M}", f"{day:%d/%m/%Y  %H:%M}", "13/02/2026 9:05 AM"]  # fmt: skip
    alone = [check_column("moment", [cell], "dmy").clean["moment"][0].as_py() for cell in cells]
    for start in range(len(cells)):
        turned = cells[start:] + cells[:start]
        together = check_column("moment", turned * 50, "dmy").clean["moment"].to_pylist()
        assert together == (alone[start:] + alone[:start]) * 50
    assert isinstance(alone[0], datetime) and pa.scalar(alone[0]).is_valid
