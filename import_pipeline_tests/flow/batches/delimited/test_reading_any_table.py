"""Any table, in any dialect and encoding that is read, comes back cell by cell; any bytes end well."""

import csv
import io
import random
import re
from dataclasses import dataclass
from typing import Literal

import pandas
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.errors import PermanentImportError, UnsupportedFormat
from import_pipeline_tests.flow.batches.reading_back import inspect, people, read_back

LINE_ENDS = ("\n", "\r\n", "\r")
BLANK = " \t\r\n\v\f"
KNOWN = ("Nome", "Cidade", "Valor")
ROUGH_TEXT = st.sampled_from("aeioz 0159.,;|:^~\t-_\"'=\\\n\rçãéíóúâêôõà" + '\v\f"""')
WORDS = st.sampled_from(
    [
        "São Paulo",
        "d'água",
        "José",
        "“Zé”",
        "nº 5ª",
        "€ 10",
        "pão, sim",
        "a;b",
        'diz "oi"',
        "x\ny",
        "\t",
        "",
        "-",
    ]
)
# Stated, since letters at random are no text that an encoding could be known by.
STATED = (
    "cp1252",
    "latin-1",
    "cp850",
    "mac_roman",
    "cp1251",
    "gb18030",
    "shift_jis",
    "utf-16-be",
    "utf-32-le",
)
MODEST = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
CHUNKS = st.sampled_from([1, 2, 3, 5, 8, 13, 64, 1000, 8 * 1024 * 1024])


@dataclass(frozen=True)
class Written:
    """A file and what must be read from it."""

    data: bytes
    text: str
    rows: list[tuple[int, list[str]]]
    options: SenderOptions


@dataclass(frozen=True)
class Way:
    """How a table is written: what Python's csv calls a dialect."""

    delimiter: str
    quoting: Literal[0, 1] = csv.QUOTE_MINIMAL
    quote: str = '"'
    escape: str | None = None

    def line(self, cells: list[str]) -> str:
        """One record without its line end."""
        target = io.StringIO()
        writer = csv.writer(
            target, delimiter=self.delimiter, quoting=self.quoting, quotechar=self.quote,
            escapechar=self.escape, doublequote=self.escape is None, lineterminator="\r\n",
        )  # fmt: skip
        writer.writerow(cells)
        return target.getvalue()[:-2]


WAYS = st.one_of(
    st.builds(Way, st.sampled_from(",;\t|:^~"), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
    st.builds(Way, st.sampled_from(",;\t|"), st.just(csv.QUOTE_ALL), st.just("'")),
    st.builds(Way, st.sampled_from(",;\t|"), st.just(csv.QUOTE_ALL), st.just('"'), st.just("\\")),
)


@st.composite
def encodings_and_cells(draw: st.DrawFn) -> tuple[str, str | None, st.SearchStrategy[str]]:
    """An encoding, what the sender states of it, and cells that can be written in it."""
    unicode = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
    # No control characters in bulk: a file of those is refused as binary.
    anything = st.characters(exclude_categories=("Cs", "Cc"))
    stated = draw(st.sampled_from(STATED))
    return draw(
        st.sampled_from(
            [
                (unicode, None, st.text(st.one_of(anything, ROUGH_TEXT), max_size=6)),
                (stated, stated, st.text(ROUGH_TEXT.filter(lambda c: _writable(c, stated)), max_size=6)),
                (draw(st.sampled_from(["cp1252", "utf-16-le", "utf-16-be"])), None, WORDS),
            ]
        )
    )


def _writable(character: str, encoding: str) -> bool:
    try:
        return character.encode(encoding).decode(encoding) == character
    except UnicodeError:
        return False


@st.composite
def written_tables(draw: st.DrawFn) -> Written:
    encoding, stated, cell = draw(encodings_and_cells())
    columns = draw(st.integers(2, 5))
    header = [*KNOWN[:2], "x", "y", "z"][:columns]
    table = draw(st.lists(st.lists(cell, min_size=columns, max_size=columns), max_size=8))
    way = draw(WAYS)
    if way.escape:
        # Without such a cell nothing tells that a backslash is not just one.
        table.insert(0, ['5" pipe', *["a"] * (columns - 1)])
    before = draw(st.lists(st.sampled_from([" ", "Lista de clientes"]), max_size=3))
    lines = [*before, *(way.line(cells) for cells in (header, *table))]
    one = draw(st.sampled_from([*LINE_ENDS, None]))
    ends = [one or draw(st.sampled_from(LINE_ENDS)) for _ in lines]
    text = "".join(line + end for line, end in zip(lines, ends, strict=True))
    if draw(st.booleans()):
        text = text[: -len(ends[-1])]
    rows = [
        (number, cells)
        for number, cells in enumerate(table, start=len(before) + 2)
        if any(value.strip(BLANK) for value in cells)
    ]
    return Written(text.encode(encoding), text, rows, SenderOptions(encoding=stated))


@MODEST
@given(written=written_tables(), chunk_bytes=CHUNKS, rows_per_batch=st.integers(1, 4))
def test_any_table_is_read_back_exactly(written: Written, chunk_bytes: int, rows_per_batch: int) -> None:
    done = read_back(
        written.data,
        people(unknown_columns="keep"),
        written.options,
        chunk_bytes=chunk_bytes,
        rows_per_batch=rows_per_batch,
    )
    assert list(zip(done.numbers, done.cells, strict=True)) == written.rows
    assert done.problems == []
    ends = len(re.findall("\r\n|\r|\n", written.text))
    physical = ends + (not written.text.endswith(("\r", "\n")))
    lines = done.split.lines
    assert physical == done.inspected.text.physical_lines
    assert physical == lines.before_header + lines.header + lines.blank + lines.rows
    assert [batch.rows for batch in done.split.batches] == [
        sum(batch.first_row <= number <= batch.last_row for number in done.numbers)
        for batch in done.split.batches
    ]


ROUGH = st.lists(
    st.one_of(
        st.sampled_from([b'"', b";", b"\n", b"\r", b'""', b"a", "é".encode(), b"\xe9", b"\0", b" ", b";;\n"]),
        st.binary(max_size=4),
    ),
    max_size=40,
).map(b"".join)


@MODEST
@given(data=ROUGH, header=st.sampled_from([b"", b"Nome;Cidade\n", b"\xef\xbb\xbfNome;Cidade\r"]),
       chunk_bytes=CHUNKS)  # fmt: skip
def test_any_bytes_end_in_rows_or_a_named_refusal(data: bytes, header: bytes, chunk_bytes: int) -> None:
    """That the lines balance is checked by the split itself, which would fail."""
    try:
        done = read_back(header + data, chunk_bytes=chunk_bytes)
    except PermanentImportError as refused:
        event(refused.code)
        assert refused.message
        return
    event("read")
    assert done.numbers == sorted(set(done.numbers))
    assert done.split.read == len(done.rows)
    whole = read_back(header + data)
    assert whole.rows == done.rows


@pytest.mark.parametrize("size", [300, 5_000, 200_000])
def test_random_bytes_are_refused_by_what_they_are(size: int) -> None:
    """Not as a table that lacks a column."""
    with pytest.raises(UnsupportedFormat, match="binary data"):
        inspect(random.Random(size).randbytes(size))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
def test_what_pandas_writes_is_read_back_exactly(encoding: str, sep: str) -> None:
    frame = pandas.DataFrame(
        {"nome": ["José", 'a "b"', "", "x,y;z\tw|v"], "cidade": ["São\nPaulo", "'q'", "d'água", "00123"]}
    )
    done = read_back(frame.to_csv(index=False, sep=sep, lineterminator="\n").encode(encoding))
    assert done.cells == frame.to_numpy().tolist()
    assert done.problems == []
