"""Rows that are no data: counted, listed, and never more than those."""

import pytest

from import_pipeline.records import IgnoredRow, LineCount
from import_pipeline_tests.flow.batches.reading_back import people, read_back

FOOTED = people(footer=(r"^(?i:total)\b", r"^Gerado em "))


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_a_header_repeated_inside_is_no_row(chunk_bytes: int) -> None:
    data = b'Nome;"Ci\ndade"\nAna;Rio\nNome ;"Ci\ndade"\nNome;Rio\nNome\nBia;Rio\n'
    done = read_back(data, chunk_bytes=chunk_bytes)
    assert done.numbers == [2, 4, 5, 6]
    assert done.split.ignored == (IgnoredRow(3, "repeated_header", "Nome  | Ci\ndade"),)
    assert (done.split.ignored_rows, done.split.lines.ignored) == (1, 2)


def test_a_row_that_only_begins_like_the_header_is_a_row() -> None:
    done = read_back(b"nome;cidade\nnome;Rio\nnome\nNome;Cidade\nnome;cidade;x\n")
    assert done.numbers == [2, 3, 4, 5]
    assert done.split.ignored_rows == 0


def test_a_footer_is_no_row_only_where_the_dataset_declares_it() -> None:
    data = b"nome;cidade\nAna;Rio\n;TOTAL;\nTotal geral\nTotalmente;Rio\nGerado em 1/2\n"
    done = read_back(data, FOOTED)
    assert done.numbers == [2, 5]
    assert [(row.row_number, row.why) for row in done.split.ignored] == [
        (3, "footer"), (4, "footer"), (6, "footer"),
    ]  # fmt: skip
    assert done.split.lines == LineCount(header=1, ignored=3, rows=2)
    assert read_back(data).split.ignored_rows == 0


def test_at_most_a_hundred_ignored_rows_are_listed_and_all_are_counted() -> None:
    done = read_back(b"nome;cidade\nAna;Rio\n" + b"nome;cidade\n" * 150)
    assert (len(done.split.ignored), done.split.ignored_rows) == (100, 150)
    assert done.split.lines == LineCount(header=1, ignored=150, rows=1)
