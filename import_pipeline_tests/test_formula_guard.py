"""The apostrophe before formulas: always there when needed, always exactly one off again."""

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from import_pipeline.formula_guard import ColumnKind, guard, guard_equals, unguard, unguard_equals

kinds = st.sampled_from(["text", "number", "phone"])
cells = st.lists(
    st.none() | st.text(max_size=8) | st.text("'=+-@\t\r\n0a", max_size=6) | st.from_regex(r"'*[=+@-].*")
)


@given(cells, kinds)
@example(["=1", "'=1", "''=1", "'tis", "'", "", None, "\r\n=1", "a\n=1"], "text")
def test_taking_the_guard_off_gives_every_cell_back_exactly(values: list, kind: ColumnKind) -> None:
    array = pa.array(values, pa.string())
    assert unguard(guard(array, kind)).equals(array)
    chunked = pa.chunked_array([array, array])
    assert unguard(guard(chunked, kind)).equals(chunked)


@given(cells)
def test_no_guarded_text_begins_like_a_formula(values: list) -> None:
    for cell in guard(pa.array(values, pa.string())).to_pylist():
        assert not (cell or "").startswith(("=", "+", "-", "@", "\t", "\r"))


@given(cells)
@example(["=1", "'=1", "''=1", "'tis", "+1", "", None, "a\n=1"])
def test_text_of_a_workbook_is_the_same_again_and_never_like_a_formula(values: list) -> None:
    guarded = guard_equals(pa.array(values, pa.string()))
    assert unguard_equals(guarded).to_pylist() == values
    for cell, before in zip(guarded.to_pylist(), values, strict=True):
        assert not (cell or "").startswith("=")
        assert cell == before or (before or "").lstrip("'").startswith("=")


@pytest.mark.parametrize(
    ("kind", "bare", "guarded"),
    [
        ("number", ["-5", "+1.234,56", "-R$ 5", "- 5", "12%", "-1\u00a0000"],
         ["-5+cmd", "=5", "-", "@5", "-5|calc", "--5", "-5\n=1"]),
        ("phone", ["+55 (11) 98765-4321", "+1.202.555"], ["-5", "+cmd", "=+55", "+55;x", "+55\n"]),
        ("text", ["5-5", "a@b"], ["-5", "+55"]),
    ],
)  # fmt: skip
def test_only_plain_numbers_and_phones_stay_bare_in_their_columns(
    kind: ColumnKind, bare: list[str], guarded: list[str]
) -> None:
    assert guard(pa.array(bare), kind).to_pylist() == bare
    assert guard(pa.array(guarded), kind).to_pylist() == [f"'{cell}" for cell in guarded]
