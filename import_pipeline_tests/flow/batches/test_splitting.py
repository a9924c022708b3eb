"""Files with one stated fault each, and what a split promises of every file."""

import gzip
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.errors import CountsDoNotBalance, OverwrittenBeforeRead, UnsupportedFormat
from import_pipeline.flow.batches.delimited import reading
from import_pipeline.flow.batches.opening import inspect_file
from import_pipeline.flow.batches.sources.source import ObjectSource
from import_pipeline.flow.batches.splitting import split_file
from import_pipeline.records import LineCount
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.store import LocalStore
from import_pipeline_tests.flow.batches.reading_back import PEOPLE, BytesSource, inspect, read_back

FAULTS = {
    "too_few_cells": (b"nome;cidade\nAna;Rio\nBia\nCia;Rio\n", [(3, "too_few_cells")]),
    "too_many_cells": (b"nome;cidade\nAna;Rio;x;y\nBia;Rio\n", [(2, "too_many_cells")]),
    "one delimiter too many": (b"nome;cidade\nAna;Rio;\n", [(2, "too_many_cells")]),
    "stray_quote": (b'nome;cidade\nAna;"Rio" de Janeiro\nBia;Rio\n', [(2, "stray_quote")]),
    "undecodable_text": ("nome;cidade\nJosé;ã\n".encode() + b"Ana;S\xe3o\n", [(3, "undecodable_text")]),
    "NUL": (b"nome;cidade\nAna;R\0o\nBia;Rio\n", []),
    "a quote inside text": (b'nome;cidade\nAna;5" pipe\nBia;"a""b"\n', []),
    "several": (b'nome;cidade\n"A"a\n"B"b;x;\xff\nok;ok\n', [(2, "stray_quote"), (3, "stray_quote")]),
}


@pytest.mark.parametrize("chunk_bytes", [1, 5, 1 << 20])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_row_is_named_and_no_other(fault: str, chunk_bytes: int) -> None:
    data, expected = FAULTS[fault]
    assert read_back(data, chunk_bytes=chunk_bytes).problems == expected


def test_cells_that_are_not_there_are_null_and_cells_too_many_are_kept_as_written() -> None:
    done = read_back(b'nome;cidade\nAna\nBia;;"x;y";z\n;Rio\n')
    assert done.cells == [["Ana", None], ["Bia", ""], ["", "Rio"]]
    assert [row["_overflow"] for row in done.rows] == [None, '"x;y";z', None]


def test_a_quote_inside_text_is_text() -> None:
    done = read_back(b'nome,cidade\n5" pipe,"say ""hi"""\na""b,"x"\n')
    assert done.cells == [['5" pipe', 'say "hi"'], ['a""b', "x"]]


def test_text_behind_a_closing_quote_is_kept_as_written() -> None:
    done = read_back(b'nome,cidade\n"Ana" Maria,"Rio"\n')
    assert done.cells == [['"Ana" Maria', "Rio"]]


def test_bytes_that_do_not_decode_show_as_replacement_characters() -> None:
    done = read_back("nome;cidade\nJosé;ã\n".encode() + b"Ana;S\xe3o\n")
    assert done.cells == [["José", "ã"], ["Ana", "S\ufffdo"]]


def test_text_that_does_not_decode_in_the_stated_encoding_is_rejected_row_by_row() -> None:
    data = "nome;cidade\nJosé;Rio\nAna;Rio\n".encode("cp1252")
    done = read_back(data, options=SenderOptions(encoding="utf-8"), chunk_bytes=3)
    assert done.problems == [(2, "undecodable_text")]
    assert read_back(data, options=SenderOptions(encoding="cp1252")).cells[0] == ["José", "Rio"]


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 1 << 20])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "cp1252", "shift_jis"])
def test_text_of_other_encodings_is_read_exactly(encoding: str, chunk_bytes: int) -> None:
    name = "表\nソ" if encoding == "shift_jis" else "José\r\nSão"
    data = f'nome;cidade\r\n"{name}";x\r\n'.encode(encoding)
    done = read_back(data, options=SenderOptions(encoding=encoding), chunk_bytes=chunk_bytes)
    assert done.cells == [[name, "x"]]


def test_row_numbers_are_those_of_a_spreadsheet() -> None:
    data = b'\nnome;cidade\n"Ana\nMaria";Rio\n\n;;\n ;\t\nBia;"x\r\ny"\r\nCia;Rio'
    done = read_back(data, chunk_bytes=4)
    assert done.numbers == [3, 7, 8]
    assert [row["_line"] for row in done.rows] == [3, 8, 10]
    assert done.split.lines == LineCount(before_header=1, header=1, blank=3, rows=5)


def test_a_row_that_holds_only_quotes_or_delimiters_as_text_is_a_row() -> None:
    done = read_back(b'nome,cidade\n"","""",\n"",""\n""",","," \n')
    assert done.numbers == [2, 4]
    assert done.rows[1]["c0"] == '",'


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_same_row_of_white_space_is_blank_in_every_dialect(delimiter: str) -> None:
    """A quoted tab was a row where the tab is the delimiter, and blank elsewhere."""
    data = 'nome;cidade\n;"\t"\nAna;x\n'.replace(";", delimiter).encode()
    assert read_back(data).numbers == [3]


def test_excels_separator_line_is_no_row_of_the_sheet() -> None:
    done = read_back(b"sep=;\nnome;cidade\n\nAna;Rio\n", chunk_bytes=2)
    assert done.numbers == [3]
    assert done.split.lines == LineCount(before_header=1, header=1, blank=1, rows=1)


def test_a_header_only_file_has_no_batches() -> None:
    for data in (b"nome;cidade", b"nome;cidade\r\n", b"nome;cidade\n\n\n"):
        done = read_back(data)
        assert (done.split.batches, done.split.read) == ((), 0)


def test_a_row_longer_than_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST_RECORD", 1000)
    with pytest.raises(UnsupportedFormat, match="row 3, line 3"):
        read_back(b"nome\nAna\n" + b"x" * 2000, chunk_bytes=100)


def test_formula_guards_are_taken_off_in_files_of_ours_only() -> None:
    rows = b"'=1+1;'x;''=y\n'-5;'+3;'@z\n"
    plain = read_back(b"nome;cidade;obs\n" + rows)
    assert plain.cells == [["'=1+1", "'x", "''=y"], ["'-5", "'+3", "'@z"]]
    ours = b"nome;cidade;obs;_import_row;_import_upload;_import_errors\n" + rows.replace(b"\n", b";2;u;e\n")
    assert [row[:3] for row in read_back(ours).cells] == [["=1+1", "'x", "'=y"], ["-5", "+3", "@z"]]


def test_a_reader_that_loses_a_line_is_found_out(tmp_path: Path) -> None:
    data = b"nome;cidade\nAna;Rio\nBia;Rio\n"
    inspected = inspect(data)
    inspected = replace(inspected, text=replace(inspected.text, physical_lines=4))
    with pytest.raises(CountsDoNotBalance) as failed:
        split_file(BytesSource(data), inspected, PEOPLE, options=SenderOptions(),
                   store=LocalStore(tmp_path), staging="s/")  # fmt: skip
    assert failed.value.fields == {"physical_lines": 4, "accounted": 3}


def test_batches_are_numbered_bounded_and_no_slivers() -> None:
    data = b"nome\n" + b"Ana\n" * 201
    batches = read_back(data, rows_per_batch=20, chunk_bytes=33).split.batches
    assert [b.rows for b in batches] == [20] * 9 + [21]
    assert [b.number for b in batches] == list(range(1, 11))
    assert [(b.first_row, b.last_row) for b in batches][-2:] == [(162, 181), (182, 202)]
    assert all(re.fullmatch(r"staging/batches/\d{4}\.parquet", b.key) for b in batches)


def test_progress_of_a_compressed_file_is_told_in_bytes_as_sent(tmp_path: Path) -> None:
    data = b"nome;cidade\n" + b"Ana;Rio\n" * 100_000
    packed = gzip.compress(data)
    inspected = inspect_file(BytesSource(packed), PEOPLE, SenderOptions())
    said: list[tuple[int, int]] = []
    split_file(
        BytesSource(packed, 500), inspected, PEOPLE, options=SenderOptions(), store=LocalStore(tmp_path),
        staging="s/", progress=lambda done, rows: said.append((done, rows)),
    )  # fmt: skip
    assert said[-1] == (len(packed), 100_000)
    assert [done for done, _ in said] == sorted(done for done, _ in said)
    assert said[0][0] <= 1000


def test_a_repeated_try_writes_the_same_keys_and_bytes(s3, bucket_name: str) -> None:
    data = b"nome;cidade\n" + b"Ana;Rio\n" * 100
    inspected = inspect_file(BytesSource(data), PEOPLE, SenderOptions(), rows_per_batch=30)
    written = []
    for chunk_bytes in (17, 1000):
        source, store = BytesSource(data, chunk_bytes), Bucket(s3, bucket_name)
        split_file(source, inspected, PEOPLE, options=SenderOptions(), store=store, staging="staging/")
        written.append([(key, store.get_bytes(key)) for key in store.list_keys("staging/")])
    assert written[0] == written[1]
    assert len(written[0]) == 4


def test_progress_is_told_once_a_chunk_and_ends_with_everything(tmp_path: Path) -> None:
    data = b"nome;cidade\n" + b"Ana;Rio\n" * 100
    told: list[tuple[int, int]] = []
    split_file(BytesSource(data, 100), inspect(data), PEOPLE, options=SenderOptions(),
               store=LocalStore(tmp_path), staging="s/",
               progress=lambda done, rows: told.append((done, rows)))  # fmt: skip
    assert told == sorted(told)
    assert told[-1] == (len(data), 100)
    assert len(told) <= len(data) / 100 + 2


def test_an_object_is_split_from_the_bucket_into_the_bucket(s3: Any, bucket_name: str) -> None:
    bucket = Bucket(s3, bucket_name)
    bucket.put_bytes("uploads/acme/people/a b.csv", b"nome;cidade\nAna;Rio\n")
    (listed,) = bucket.list_objects()
    source = ObjectSource(bucket, listed)
    assert (source.name, source.size) == ("a b.csv", 20)
    inspected = inspect_file(source, PEOPLE, SenderOptions())
    split = split_file(source, inspected, PEOPLE, options=SenderOptions(), store=bucket, staging="staging/x/")
    rows = bucket.get_table(split.batches[0].key).to_pylist()
    assert [(row["_row_number"], row["c0"], row["c1"]) for row in rows] == [(2, "Ana", "Rio")]
    bucket.put_bytes("uploads/acme/people/a b.csv", b"nome;cidade\nBia;Rio\n")
    with pytest.raises(OverwrittenBeforeRead):
        split_file(source, inspected, PEOPLE, options=SenderOptions(), store=bucket, staging="staging/x/")
