"""The structure of delimited text, against Python's csv on every short text there is."""

import csv
import io
import itertools

import pytest

from import_pipeline.flow.batches.delimited.scanning import Dialect, Scan, scan

COMMA = Dialect(",")


def cells_of(text: bytes, found: Scan) -> list[list[str | None]]:
    """Cells by record; None for a cell with text behind its closing quote."""
    rows: list[list[str | None]] = []
    for record in range(found.records):
        row: list[str | None] = []
        for cell in range(found.first_cell[record], found.first_cell[record + 1]):
            content = text[found.content_start[cell] : found.content_end[cell]]
            content = content.replace(b'""', b'"') if found.doubled[cell] else content
            row.append(None if found.stray[cell] else content.decode())
        rows.append(row)
    return rows


def every_text(alphabet: str, longest: int) -> list[str]:
    return ["".join(t) for n in range(longest + 1) for t in itertools.product(alphabet, repeat=n)]


@pytest.mark.parametrize("alphabet", ['a",\n', '",\r\n', 'a"\r,', ' ",\n'])
def test_every_short_text_is_cut_as_pythons_csv_cuts_it(alphabet: str) -> None:
    compared = 0
    for text in every_text(alphabet, 6):
        data = text.encode()
        found = scan(data, COMMA, final=True)
        if found.open_quote >= 0:
            continue
        expected = [row or [""] for row in csv.reader(io.StringIO(text, newline=""))]
        got = cells_of(data, found)
        assert len(got) == len(expected), text
        for ours, theirs in zip(got, expected, strict=True):
            assert [c if c is None else t for c, t in zip(ours, theirs, strict=True)] == ours, text
        blank = [not any(cell.strip() for cell in row) for row in expected]
        assert found.blank.tolist() == blank, text
        compared += 1
    assert compared > 2500


@pytest.mark.parametrize("text", ['a,5" pipe,"b\nc"\n', 'a""b,"x"y\n"p""q","r\r\ns"\r\n', 'a\r\nb\r\r\n"c"'])
def test_a_text_cut_in_two_anywhere_gives_the_same_records(text: str) -> None:
    data = text.encode()
    whole = cells_of(data, scan(data, COMMA, final=True))
    for cut in range(len(data) + 1):
        first = scan(data[:cut], COMMA, final=False)
        rest = data[first.consumed :]
        assert cells_of(data[:cut], first) + cells_of(rest, scan(rest, COMMA, final=True)) == whole, cut


def test_a_quote_that_never_closes_is_found_where_it_opened() -> None:
    text = b'a,"b""c"\nd,"e\nf,g\n'
    found = scan(text, COMMA, final=True)
    assert found.open_quote == text.index(b'"e')
    assert scan(b'a,"b"\n', COMMA, final=True).open_quote == -1


def test_lines_are_counted_inside_quotes_too() -> None:
    found = scan(b'a,"1\r\n2\n3"\r\n\rb\nlast', COMMA, final=True)
    assert found.lines.tolist() == [3, 4, 5, 6]
    assert found.blank.tolist() == [False, True, False, False]


def test_thousands_of_irregular_quotes_are_read_like_regular_ones() -> None:
    """The automaton runs in blocks: its result must not depend on where they begin."""
    row = b'5" pipe,"a""b","c\nd",x"y"z,"",\n'
    found = scan(row * 2000, COMMA, final=True)
    assert cells_of(row * 2000, found) == [['5" pipe', 'a"b', "c\nd", 'x"y"z', "", ""]] * 2000
