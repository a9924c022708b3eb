"""What Arrow cuts, against the scanner: on every short text there is, and on longer ones."""

import csv
import io
import itertools
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.flow.batches.delimited.cells import make_rows
from import_pipeline.flow.batches.delimited.regular import LONGEST_TEXT, RegularReader
from import_pipeline.flow.batches.delimited.scanning import Dialect, scan
from import_pipeline.flow.batches.delimited.unclosed import MANY_DELIMITERS, find_unclosed

COMMA = Dialect(",")


def is_cut_alike(text: bytes, dialect: Dialect, columns: int) -> bool:
    """Whether its first records are regular; then their cells, lines and bytes must be the scanner's."""
    regular = RegularReader(dialect, columns).read(text)
    if regular is None:
        return False
    whole = scan(text, dialect, final=False)
    assert regular.consumed in (*whole.record_start, whole.consumed), text
    text = text[: regular.consumed]
    found = scan(text, dialect, final=False)
    assert regular.consumed == found.consumed, text
    assert regular.lines.tolist() == found.lines.tolist(), text
    assert not found.blank.any(), text
    assert not found.stray.any(), text
    assert find_unclosed(text, found, dialect, columns, first=0) == -1, text
    none = np.zeros(found.records, np.int64)
    records = np.arange(found.records, dtype=np.int32)
    rows = make_rows(text, found, records, dialect=dialect, columns=columns, row_numbers=none, lines=none)
    assert not set(rows["_problem"].to_pylist()) - {None}, text
    assert [cells.to_pylist() for cells in regular.cells] == [
        rows[f"c{position}"].to_pylist() for position in range(columns)
    ], text
    return True


@pytest.mark.parametrize("alphabet", ['a",\n', '",\r\n', ' ",\n', "\ufeffa,\n"])
@pytest.mark.parametrize("columns", [1, 2])
def test_every_short_text_is_cut_as_the_scanner_cuts_it(alphabet: str, columns: int) -> None:
    regular = 0
    for length in range(5 + columns):
        for letters in itertools.product(alphabet, repeat=length):
            regular += is_cut_alike("".join(letters).encode(), COMMA, columns)
    assert regular > 7 * columns


@pytest.mark.parametrize(("delimiter", "quote"), [(";", '"'), ("\t", '"'), ("|", "'"), (";", "")])
@given(data=st.data())
def test_any_text_is_cut_as_the_scanner_cuts_it(delimiter: str, quote: str, data: st.DataObject) -> None:
    dialect = Dialect(delimiter, quote)
    cell = st.text(f"aé\0 \r\n\u2028{delimiter}'\"", max_size=5)
    special = {quote, delimiter, "\n", "\r"}
    row = st.tuples(cell, cell, cell).map(
        lambda cells: delimiter.join(
            quote + one.replace(quote, 2 * quote) + quote if quote and set(one) & special else one
            for one in cells
        )
    )
    rows = data.draw(st.lists(row, min_size=1, max_size=8))
    end = data.draw(st.sampled_from(["\n", "\r\n", "\n\n", "\r"]))
    is_cut_alike((end.join(rows) + end + data.draw(cell)).encode(), dialect, 3)


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@given(
    rows=st.lists(
        # Of more lines a record may be one whose quote was never closed.
        st.tuples(st.text("aé;\"'", min_size=1, max_size=6), *[st.text('b ;\n"', max_size=7)] * 2),
        min_size=1,
        max_size=9,
    )
)
def test_whatever_table_is_written_as_it_should_be_is_regular(
    end: str, quoting: Literal[0, 1], rows: list[tuple[str, str, str]]
) -> None:
    written = io.StringIO()
    csv.writer(written, delimiter=";", quoting=quoting, lineterminator=end).writerows(rows)
    assert is_cut_alike(written.getvalue().encode(), Dialect(";"), 3)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_quoted_delimiters_quotes_and_line_ends_are_regular(end: bytes) -> None:
    rows = [b'1,"a, b",x', b'2,"say ""yes""",', b'"3","two' + end + b'lines",z', b',"""",""']
    assert is_cut_alike(end.join(rows) + end, COMMA, 3)


@pytest.mark.parametrize(
    "text",
    [
        b'1,5" pipe,x\n',
        b'1,"a"b,x\n',
        b"1,2\n",
        b"1,2,3,4\n",
        b"1,2,3\n\n",
        b" ,,\n",
        b"1,2,3\r4,5,6\n",
        b"\xef\xbb\xbf1,2,3\n",
        b"1,\xed\xb2\x80,3\n",
        b'1,"' + b"a,b,c\n" * MANY_DELIMITERS + b'",x\n',
        b"1,2,3",
        b"",
    ],
)
def test_what_is_not_regular_is_left_to_the_scanner(text: bytes) -> None:
    assert not is_cut_alike(text, COMMA, 3)


def test_escapes_and_texts_that_may_have_no_end_are_left_to_the_scanner() -> None:
    assert not is_cut_alike(b"1,2,3\n", Dialect(",", escape="\\"), 3)
    assert is_cut_alike(b"1,2,3\n", COMMA, 3)
    assert not is_cut_alike(b"1,2,3\n" * (LONGEST_TEXT // 6 + 1), COMMA, 3)
