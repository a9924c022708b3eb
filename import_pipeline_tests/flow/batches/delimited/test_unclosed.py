"""One quote that is never closed costs its own row, not the file; long quoted text stays text."""

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from import_pipeline.errors import UnclosedQuote, UnsupportedFormat
from import_pipeline.flow.batches.delimited import reading
from import_pipeline.records import LineCount
from import_pipeline_tests.flow.batches.reading_back import ReadBack, read_back

HEADER = b"nome;cidade;obs\n"
GOOD = b"Bia;Rio;x\n"
CHUNKS = [1, 7, 1 << 20]


def cells_and_problems(done: ReadBack) -> list[tuple[int, list[str | None], str | None]]:
    return [
        (number, cells, row["_problem"])
        for number, cells, row in zip(done.numbers, done.cells, done.rows, strict=True)
    ]


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
def test_a_quote_open_at_the_end_of_the_file_costs_its_row_only(chunk_bytes: int) -> None:
    data = b'nome;cidade\n"Ana\nMaria";Rio\nBia;"Rio\nCia;Rio\nDea;Rio\n'
    done = read_back(data, chunk_bytes=chunk_bytes)
    assert cells_and_problems(done) == [
        (2, ["Ana\nMaria", "Rio"], None),
        (3, ["Bia", '"Rio'], "unclosed_quote"),
        (4, ["Cia", "Rio"], None),
        (5, ["Dea", "Rio"], None),
    ]
    assert [row["_line"] for row in done.rows] == [2, 4, 5, 6]
    assert done.split.lines == LineCount(header=1, rows=5)


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
@pytest.mark.parametrize(
    "closing",
    [b'Cia;"Rio";y\n', b'Cia;"Rio, o ""belo""";y\n', b'Cia;TV 40";y\n', b'Cia;TV 40" LG;y\n'],
    ids=["a quoted cell", "one with quotes inside", "an inch mark at the end", "an inch mark"],
)
def test_a_quote_that_swallows_good_lines_up_to_another_quote_is_found(
    closing: bytes, chunk_bytes: int
) -> None:
    """An inch mark at the end of a cell even makes one row of it that is right as it stands."""
    swallowed = 40
    data = HEADER + GOOD + b'Ana;"Rio;z\n' + GOOD * swallowed + closing + GOOD
    done = read_back(data, chunk_bytes=chunk_bytes)
    assert done.problems == [(3, "unclosed_quote")]
    assert done.cells[1] == ["Ana", '"Rio', "z"]
    assert done.numbers == list(range(2, swallowed + 6))
    assert [row["_line"] for row in done.rows] == done.numbers


def test_the_line_named_is_the_one_where_the_quote_opens() -> None:
    data = HEADER + b'"Ana\r\nMaria";"Rio;z\n' + GOOD * 20
    done = read_back(data)
    assert (done.problems, done.rows[0]["_line"]) == ([(2, "unclosed_quote")], 3)
    assert done.cells[0] == ["Ana\r\nMaria", '"Rio', "z"]


def test_what_such_a_row_has_too_much_is_kept() -> None:
    done = read_back(HEADER + b'Ana;"Rio; RJ;z\n' + GOOD)
    assert (done.cells[0], done.rows[0]["_overflow"]) == (["Ana", '"Rio', " RJ"], "z")
    assert done.problems == [(2, "unclosed_quote")]


TEXTS = {
    "lines of prose": "\n".join(["Prezados; segue a lista, como pedido."] * 200),
    "a table of the same width": "\n".join(["Ana;Rio;x"] * 200),
    "a table of the same width, with line ends around": "\n" + "\n".join(["Ana;Rio;x"] * 200) + "\n",
    "a table of another width": "\n".join(["Ana;Rio"] * 200),
    "nothing but lines": "\n" * 300,
    "quotes": "\n".join(['disse: "sim"; e foi; "embora"'] * 100),
}


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("text", TEXTS)
def test_long_text_between_quotes_is_read_exactly(text: str, position: int) -> None:
    row = ["Ana", "Rio", "x"]
    row[position] = TEXTS[text]
    target = io.StringIO()
    csv.writer(target, delimiter=";", lineterminator="\n").writerows([["nome", "cidade", "obs"], row, row])
    done = read_back(target.getvalue().encode())
    assert (done.cells, done.problems) == ([row, row], [])


def test_a_row_of_several_lines_that_is_wrong_is_not_cut_into_its_lines() -> None:
    done = read_back(HEADER + b'Ana;"um\ndois;tres";x;y\nBia;"um\ndois\ntres"!;x\n' + GOOD)
    assert done.problems == [(2, "too_many_cells"), (3, "stray_quote")]
    assert done.numbers == [2, 3, 4]


def test_many_unclosed_quotes_each_cost_their_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FIRST_WINDOW", 64)
    data = HEADER + (b'Ana;"Rio;z\n' + GOOD * 30 + b'Bia;"Rio";x\n') * 20
    done = read_back(data, chunk_bytes=1000)
    assert len(done.problems) == 20
    assert {code for _, code in done.problems} == {"unclosed_quote"}
    assert done.split.read == 32 * 20


def test_over_a_thousand_unclosed_quotes_refuse_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_UNCLOSED", 3)
    with pytest.raises(UnclosedQuote, match="more than 3 quotes") as refused:
        read_back(HEADER + (b'Ana;"Rio;z\n' + GOOD * 30 + b'Bia;"Rio";x\n') * 4)
    assert refused.value.fields["line"] == 2 + 3 * 32


@pytest.mark.parametrize("chunk_bytes", [100, 1 << 20])
def test_a_quote_that_never_closes_does_not_wait_for_the_end_of_a_large_file(
    monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr(reading, "LONGEST_RECORD", 1000)
    data = HEADER + b'Ana;"Rio\n' + b"um texto qualquer\n" * 200 + b'";x\n' + GOOD
    done = read_back(data, chunk_bytes=chunk_bytes)
    assert done.problems[0] == (2, "unclosed_quote")
    assert done.problems[1] == (3, "too_few_cells")
    assert done.cells[-1] == ["Bia", "Rio", "x"]


@pytest.mark.parametrize("chunk_bytes", [100, 1 << 20])
def test_a_line_without_end_is_refused_whatever_the_chunks(
    monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr(reading, "LONGEST_RECORD", 1000)
    with pytest.raises(UnsupportedFormat, match="row 3, line 3"):
        read_back(HEADER + GOOD + b"x" * 1200 + b"\n" + GOOD, chunk_bytes=chunk_bytes)


LINE = st.sampled_from([b'Ana;"Rio;x', b"Bia;Rio;x", b'Cia;"a";x', b'Dea;TV 40";x', b'"Ea\nEva";"a";x', b";;",
                        b'Fia;""', b"Gal;" + b"x" * 30 + b";x"])  # fmt: skip


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(lines=st.lists(LINE, max_size=40), chunk_bytes=st.sampled_from([1, 3, 50]), final_end=st.booleans())
def test_what_is_found_does_not_depend_on_chunks(
    lines: list[bytes], chunk_bytes: int, final_end: bool
) -> None:
    data = HEADER + b"\n".join(lines) + b"\n" * final_end
    whole, pieces = read_back(data), read_back(data, chunk_bytes=chunk_bytes)
    assert whole.rows == pieces.rows
    assert whole.split.lines == pieces.split.lines
