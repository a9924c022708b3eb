"""Delimiter, quoting, escaping and the header's row, found by evidence and told with it."""

import pytest

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.errors import BadOption, EmptyFile, MissingColumns
from import_pipeline.records import InspectedFile, LineCount
from import_pipeline_tests.flow.batches.reading_back import inspect, people, read_back

OPTIONAL = people(header="optional")


def told(found: InspectedFile, what: str) -> tuple[str, str]:
    (one,) = [detected for detected in found.detected if detected.what == what]
    return one.value, one.why


@pytest.mark.parametrize("delimiter", [":", "^", "~", " "])
def test_a_rare_delimiter_is_taken_if_it_uncovers_columns_and_cuts_all_rows_alike(delimiter: str) -> None:
    rows = "nome;cidade;valor\nAna;Rio;1\nBia;Natal;2\n".replace(";", delimiter)
    assert read_back(rows.encode()).cells == [["Ana", "Rio", "1"], ["Bia", "Natal", "2"]]


def test_a_rare_delimiter_is_not_taken_from_the_text_of_cells() -> None:
    assert inspect(b"nome\nAna: x\nBia: y\n").delimiter == ","
    assert inspect(b"nome completo\nAna Lima\nBia Sa\n").header == ("nome completo",)


def test_the_delimiter_is_told_with_its_evidence() -> None:
    assert told(inspect(b"nome;cidade\nAna;Rio\n"), "delimiter") == (
        ";", "with semicolon the header names 2 declared columns and 100% of the first rows have its 2 cells",
    )  # fmt: skip


QUOTED = {
    "twice": ('nome,cidade\n"Ana ""A""","Rio, RJ"\n', '"', ""),
    "escaped": ('nome,cidade\n"Ana \\"A\\"","Rio, RJ"\n', '"', "\\"),
    "single": ("'nome','cidade'\n'Ana \"A\"','Rio, RJ'\n", "'", ""),
    "single where needed": ("nome,cidade\nAna \"A\",'Rio, RJ'\n", "'", ""),
    "single, escaped": ("'nome','cidade'\n'Ana \"A\"','Rio, RJ'\n'd\\'água','x'\n", "'", "\\"),
}


@pytest.mark.parametrize("way", QUOTED)
def test_quote_and_escape_are_found(way: str) -> None:
    text, quote, escape = QUOTED[way]
    done = read_back(text.encode(), chunk_bytes=5)
    assert done.inspected.text is not None
    assert (done.inspected.text.quote, done.inspected.text.escape) == (quote, escape)
    assert done.cells[0] == ['Ana "A"', "Rio, RJ"]
    assert done.problems == []


@pytest.mark.parametrize(
    "text",
    [
        "nome,cidade\n'Ana',x\n'tis,\"Rio, RJ\"\n",
        "nome,cidade\n'=1,x\n'Bia',y\n",
        'nome,cidade\n"C:\\dados\\","Rio"\n',
    ],
)
def test_an_apostrophe_or_a_backslash_in_text_is_text(text: str) -> None:
    found = inspect(text.encode())
    assert found.text is not None
    assert (found.text.quote, found.text.escape) == ('"', "")


def test_a_backslash_before_another_character_stays() -> None:
    done = read_back(b'nome,cidade\n"a \\"b\\" \\n \\\\ c","C:\\dir"\n')
    assert done.cells == [['a "b" \\n \\ c', "C:\\dir"]]


def test_quotes_that_hardly_ever_come_in_pairs_are_text() -> None:
    data = b"nome;cidade\n" + b'"TV 40;Rio\n' * 30
    done = read_back(data)
    assert done.cells == [['"TV 40', "Rio"]] * 30
    assert told(done.inspected, "quoting")[0] == ""


def test_an_escaped_line_end_is_text_and_a_line_of_the_file() -> None:
    done = read_back(b'nome,cidade\n"a \\"b\\"",x\na\\\nb,x\n')
    assert done.cells == [['a "b"', "x"], ["a\nb", "x"]]
    assert done.split.lines == LineCount(header=1, rows=3)


def test_titles_before_the_header_are_no_rows_and_are_told() -> None:
    data = "Clientes de março;;\n\nGerado em 01/03/2026;;\nNome;Cidade;Valor\nAna;Rio;1\n".encode()
    done = read_back(data, chunk_bytes=9)
    assert (done.numbers, done.cells) == ([5], [["Ana", "Rio", "1"]])
    assert done.split.lines == LineCount(before_header=3, header=1, rows=1)
    value, why = told(done.inspected, "header row")
    assert (value, "rows before it are no data" in why) == ("4", True)


def test_a_stated_header_row_wins() -> None:
    data = b"nome;cidade\nx;y\nnome;cidade\nAna;Rio\n"
    done = read_back(data, options=SenderOptions(header_row=3))
    assert (done.numbers, done.cells) == ([4], [["Ana", "Rio"]])
    assert told(done.inspected, "header row") == ("3", "stated")
    declared = people(defaults=SenderOptions(header_row=3))
    assert read_back(data, declared).numbers == [4]
    hinted = read_back(b"sep=;\n" + data, options=SenderOptions(header_row=3))
    assert (hinted.numbers, hinted.split.lines.before_header) == ([4], 3)


def test_a_stated_header_row_that_is_not_there_is_a_bad_option() -> None:
    with pytest.raises(BadOption, match="2 rows"):
        inspect(b"nome;cidade\nAna;Rio\n", header_row=3)
    with pytest.raises(MissingColumns):
        inspect(b"nome;cidade\nAna;Rio\n", header_row=2)


@pytest.mark.parametrize("options", [SenderOptions(), SenderOptions(header_row=0)])
@pytest.mark.parametrize("hint", [b"", b"sep=;\r\n"])
def test_a_file_without_header_is_read_in_declared_order_where_the_dataset_allows_it(
    options: SenderOptions, hint: bytes
) -> None:
    done = read_back(hint + b"Ana;Rio;1,5\nBia;Natal;2,5\n\nCia\n", OPTIONAL, options, chunk_bytes=4)
    assert done.inspected.mapping == {"name": 0, "city": 1, "amount": 2}
    assert (done.numbers, done.cells[0]) == ([1, 2, 4], ["Ana", "Rio", "1,5"])
    assert done.problems == [(4, "too_few_cells")]
    assert done.split.lines == LineCount(before_header=bool(hint), blank=1, rows=3)
    notices = [notice.code for notice in done.inspected.notices]
    assert notices == ([] if options.header_row == 0 else ["header_assumed_missing"])


def test_a_file_with_header_is_read_by_it_though_the_dataset_does_without() -> None:
    done = read_back(b"Cidade;Nome\nRio;Ana\n", OPTIONAL)
    assert (done.inspected.mapping, done.inspected.notices) == ({"name": 1, "city": 0}, ())


def test_a_file_without_header_is_refused_where_one_is_required() -> None:
    with pytest.raises(MissingColumns):
        inspect(b"Ana;Rio\nBia;Natal\n")
    with pytest.raises(BadOption):
        inspect(b"Ana;Rio\nBia;Natal\n", header_row=0)
    with pytest.raises(EmptyFile):
        inspect(b"\n;;\n", OPTIONAL)


def test_a_nul_in_text_is_read_as_it_is() -> None:
    """The check of its cell rejects the row; the file is not refused."""
    assert read_back(b"nome;cidade\nAna;R\0o\nBia;Rio\n").cells == [["Ana", "R\0o"], ["Bia", "Rio"]]
