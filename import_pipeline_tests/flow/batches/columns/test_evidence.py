"""Which readings a written value has, and which verdict a column gets."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.flow.batches.columns.evidence import (
    WHITE_SPACE,
    ColumnEvidence,
    clean,
    date_readings,
    decimal_readings,
)
from import_pipeline.flow.batches.kinds import DATE, NUMBER, TEXT
from import_pipeline.records import ColumnVerdict
from import_pipeline_tests.flow.batches.reading_back import NOTHING_STATED, people, read_back


@pytest.mark.parametrize(
    ("written", "readings", "ambiguous"),
    [
        ("1.234,56", {","}, False),
        ("12,5", {","}, False),
        ("1.234.567", {","}, False),
        ("1234,567", {","}, False),
        (",5", {","}, False),
        ("R$ 1.234,56", {","}, False),
        ("-R$\u00a05,00", {","}, False),
        ("1,234.56", {"."}, False),
        ("12.5", {"."}, False),
        ("-12.50 ", {"."}, False),
        ("0.125", {"."}, False),
        ("1.234", {",", "."}, True),
        ("12,345", {",", "."}, True),
        ("1234", {",", "."}, False),
        ("+7", {",", "."}, False),
        ("1.2.3", set(), False),
        ("1.23,45.6", set(), False),
        ("(12,5)", {","}, False),
        ("1,9E+18", set(), False),
        ("", set(), False),
        ("-", set(), False),
        (None, set(), False),
    ],
)
def test_a_number_has_the_readings_that_give_a_number(
    written: str | None, readings: set[str], ambiguous: bool
) -> None:
    found = decimal_readings(clean(pa.array([written], pa.string())))
    assert {name for name, mask in found.by_reading.items() if mask[0].as_py()} == readings
    assert found.ambiguous[0].as_py() is ambiguous


@pytest.mark.parametrize(
    ("written", "readings", "ambiguous"),
    [
        ("13/02/2026", {"dmy"}, False),
        ("02/13/2026", {"mdy"}, False),
        ("2026-02-13", {"ymd"}, False),
        ("2026-02-13T10:30:00.123Z", {"ymd"}, False),
        ("2026-02-13 10:30:00+03:00", {"ymd"}, False),
        ("01/02/2026", {"dmy", "mdy"}, True),
        ("1.2.26", {"dmy", "mdy"}, True),
        ("05/05/2026", {"dmy", "mdy"}, False),
        ("13.02.2026 10:30", {"dmy"}, False),
        ("02/13/2026 1:05 PM", {"mdy"}, False),
        ("29/02/2024", {"dmy"}, False),
        ("29/02/2025", set(), False),
        ("31/02/2026", set(), False),
        ("31/04/2026", set(), False),
        ("00000000", set(), False),
        ("01/02-2026", set(), False),
        ("13/13/2026", set(), False),
        ("13/02/2026 25:00", set(), False),
        (None, set(), False),
    ],
)
def test_a_date_has_the_readings_that_give_a_date(
    written: str | None, readings: set[str], ambiguous: bool
) -> None:
    found = date_readings(pa.array([written], pa.string()))
    assert {name for name, mask in found.by_reading.items() if mask[0].as_py()} == readings
    assert found.ambiguous[0].as_py() is ambiguous


def verdict(column: str, values: list[str], options: SenderOptions = NOTHING_STATED,
            defaults: SenderOptions = NOTHING_STATED) -> ColumnVerdict:  # fmt: skip
    rows = "".join(f'x;"{value}"\n' for value in values)
    done = read_back(f"name;{column}\n{rows}".encode(), people(defaults=defaults), options)
    return next(v for v in done.split.verdicts if v.column == column)


def test_one_proof_in_the_last_of_thirty_batches_settles_the_column() -> None:
    rows = "".join("x;01/02/2026\n" for _ in range(299)) + "x;13/02/2026\n"
    done = read_back(f"name;born\n{rows}".encode(), rows_per_batch=10, chunk_bytes=100)
    assert len(done.split.batches) == 30
    expected = ColumnVerdict("born", "date", "dmy", "evidence", {"dmy": 1, "mdy": 0}, 299)
    assert done.split.verdicts == (expected,)


def test_the_sender_overrides_the_evidence_and_evidence_the_default() -> None:
    stated, default = SenderOptions(decimal="."), SenderOptions(decimal=",")
    assert verdict("amount", ["1,5"], stated).reading == "."
    assert verdict("amount", ["1,5"], stated).source == "stated"
    assert verdict("amount", ["1.5"], defaults=default).reading == "."
    assert verdict("amount", ["1.5"], defaults=default).source == "evidence"


def test_nothing_is_guessed_without_proof_the_default_decides_and_without_one_nothing_does() -> None:
    default = SenderOptions(date_order="dmy")
    with_default = verdict("born", ["01/02/2026"], defaults=default)
    assert (with_default.reading, with_default.source, with_default.ambiguous) == ("dmy", "default", 1)
    without = verdict("born", ["01/02/2026"])
    assert (without.reading, without.source) == (None, "none")


def test_a_column_where_nothing_is_ambiguous_needs_no_verdict() -> None:
    assert verdict("born", ["2026-02-13", "05/05/2026", "", "soon"]).source == "not_needed"
    assert verdict("amount", ["12", "-", "abc"]).source == "not_needed"


def test_proof_of_both_readings_is_mixed() -> None:
    found = verdict("born", ["13/02/2026", "02/13/2026", "02/14/2026", "01/02/2026"])
    assert (found.reading, found.proofs, found.ambiguous) == ("mixed", {"dmy": 1, "mdy": 2}, 1)


def test_whole_numbers_with_thousands_separators_give_evidence_too() -> None:
    assert verdict("children", ["1.234.567", "1.234"]).reading == ","


@pytest.mark.parametrize(
    ("written", "readings", "ambiguous"),
    [
        ("1 234,5", {","}, False),
        ("1 234,567", {","}, False),
        ("1'234.5", {"."}, False),
        ("1 234", {",", "."}, False),
        ("1.234-", {",", "."}, True),
        ("(1,234.5)", {"."}, False),
        ("R$ 1.234", {",", "."}, True),
        ("5,00 R$", {","}, False),
        ("R$", set(), False),
        ("5%", set(), False),
    ],
)
def test_a_rarer_notation_has_the_readings_of_its_plain_form(
    written: str, readings: set[str], ambiguous: bool
) -> None:
    found = decimal_readings(pa.array(["7", written, ""], pa.string()))
    assert {name for name, mask in found.by_reading.items() if mask[1].as_py()} == readings
    assert found.ambiguous.to_pylist() == [False, ambiguous, False]


def test_dates_by_month_name_prove_no_order_and_eight_digits_do() -> None:
    found = date_readings(pa.array(["28 fev 2026", "20260228", "28022026", "01022026", None]))
    assert found.by_reading["ymd"].to_pylist() == [True, True, False, False, False]
    assert found.only("dmy").to_pylist() == [False, False, True, False, False]
    assert found.ambiguous.to_pylist() == [False, False, False, True, False]


def test_cells_that_the_format_stores_as_numbers_prove_nothing() -> None:
    evidence = ColumnEvidence(people(), {"amount": 0, "born": 1})
    evidence.add(
        pa.table(
            {
                "_problem": pa.nulls(3, pa.string()),
                "c0": ["1.5", "1.234", "2,5"],
                "k0": pa.array([NUMBER, TEXT, TEXT], pa.int8()),
                "c1": ["2026-02-13", "13/02/2026", "01/02/2026"],
                "k1": pa.array([DATE, NUMBER, None], pa.int8()),
            }
        )
    )
    amount, born = evidence.verdicts(NOTHING_STATED, NOTHING_STATED)
    assert (amount.proofs, amount.ambiguous) == ({",": 1, ".": 0}, 1)
    assert (born.proofs, born.ambiguous) == ({"dmy": 0, "mdy": 0}, 1)


def test_what_stands_for_an_empty_cell_proves_nothing() -> None:
    tokens = people(null_tokens=("", "9.99", "31/12/1899"))
    done = read_back(b"name;amount;born\nx; 9.99;31/12/1899\nx;1,5;01/02/2026\n", tokens)
    assert [v.proofs for v in done.split.verdicts] == [{",": 1, ".": 0}, {"dmy": 0, "mdy": 0}]


def test_rows_with_shifted_cells_prove_nothing() -> None:
    done = read_back(b"name;born;city\nAna;13/02/2026\nBia;02/01/2026;Rio\n")
    assert done.split.verdicts[0].source == "none"


SPACED = st.text(st.sampled_from([*WHITE_SPACE, *"ab\u0081\u00e0\u2000x\u20ac\u0420"]), max_size=5)


@given(
    st.lists(st.none() | SPACED | st.just("plain"), max_size=5), st.integers(0, 5), st.sampled_from([0, 99])
)
def test_white_space_comes_off_wherever_it_stands(texts: list[str | None], start: int, others: int) -> None:
    texts += ["other"] * others  # among many cells without any, the few are looked at by themselves
    cells = pa.array(["  before  "] * start + texts, pa.string()).slice(start)
    expected = [None if text is None else text.strip(WHITE_SPACE) for text in texts]
    assert clean(cells).to_pylist() == expected
    assert clean(pc.if_else(pc.equal(cells, "plain"), None, cells)).to_pylist() == [
        None if text == "plain" else text for text in expected
    ]
