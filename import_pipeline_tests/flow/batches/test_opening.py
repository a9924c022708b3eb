"""What is found out about a file before a row is read, and what it is refused for."""

import hashlib

import pytest

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.errors import (
    BadOption,
    DuplicateHeader,
    EmptyFile,
    FileTooLarge,
    MissingColumns,
    UnclosedQuote,
    UnknownColumns,
    UnsupportedEncoding,
    UnsupportedFormat,
)
from import_pipeline.flow.batches.columns.headers import header_name
from import_pipeline.flow.batches.opening import inspect_file
from import_pipeline.flow.batches.sizes import choose_rows_per_batch
from import_pipeline.flow.batches.sources.source import HashingSource
from import_pipeline.flow.batches.text import whole
from import_pipeline.flow.batches.text.whole import read_whole
from import_pipeline_tests.flow.batches.reading_back import BytesSource, inspect, people

MANY_CHUNKS = [1, 2, 3, 7, 1 << 20]


@pytest.fixture
def _chunks_as_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the first 64 KB come as one, and no small file is ever cut."""
    monkeypatch.setattr(whole, "LOOKED_AT", 4)


@pytest.mark.usefixtures("_chunks_as_given")
@pytest.mark.parametrize("chunk_bytes", MANY_CHUNKS)
@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\nb", 2),
        ("a\nb\n", 2),
        ("a\r\nb\r\n", 2),
        ("a\rb\r", 2),
        ("a\r\rb\n\r\n", 4),
        ("name\r\n\r\n", 2),
        ("\n", 1),
        ("a", 1),
    ],
)
def test_lines_end_with_lf_crlf_or_cr_and_the_last_one_with_nothing(
    text: str, lines: int, chunk_bytes: int
) -> None:
    facts = read_whole(BytesSource(text.encode(), chunk_bytes))
    assert facts.physical_lines == lines
    hashing = HashingSource(BytesSource(text.encode(), chunk_bytes))
    assert hashing.sha256() == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.usefixtures("_chunks_as_given")
@pytest.mark.parametrize("chunk_bytes", MANY_CHUNKS)
@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"nome\nAna\n", "utf-8"),
        ("nome\nJosé 漢字 😀\n".encode(), "utf-8"),
        ("nome😀é".encode(), "utf-8"),
        ("nome😀".encode()[:-1], "utf-8"),
        ("nome\nJosé\n".encode("utf-8-sig"), "utf-8-sig"),
        ("nome\nJosé ação\n".encode("cp1252"), "cp1252"),
        ("nome\n“José” €\n".encode("cp1252"), "cp1252"),
        ("nome\nJosé \x81\n".encode("latin-1"), "latin-1"),
        ("nome\nJosé ação\n".encode() + "Conceição".encode()[:-2], "utf-8"),
        ("nome\nJosé\n".encode("utf-16"), "utf-16"),
        ("nome\nJosé\n".encode("utf-32"), "utf-32"),
    ],
)
def test_the_encoding_is_what_the_bytes_of_the_whole_file_say(
    data: bytes, encoding: str, chunk_bytes: int
) -> None:
    assert read_whole(BytesSource(data, chunk_bytes)).encoding == encoding


def test_one_bad_byte_far_behind_does_not_make_a_utf_8_file_cp1252() -> None:
    data = b"nome\n" + "José\n".encode() * 500_000 + b"Jos\xe9\n"
    facts = read_whole(BytesSource(data, 64 * 1024))
    assert facts.encoding == "utf-8"
    assert facts.encoding_evidence.startswith("1 bytes are not valid UTF-8, 500,000 characters are")


def test_a_file_of_both_encodings_is_never_read_as_cp1252() -> None:
    """A header in UTF-8 over rows in cp1252 was loaded as `criaÃ§Ã£o`; now those rows are rejects."""
    data = "Data de criação\n".encode() + "José\nInês\nAndré\n".encode("cp1252")
    facts = read_whole(BytesSource(data, 64))
    assert facts.encoding == "utf-8"
    assert "rows with such bytes are rejected" in facts.encoding_evidence


def test_a_pair_that_is_utf_8_by_chance_does_not_make_a_cp1252_file_utf_8() -> None:
    data = ("José, Conceição, Inês, André, São João\n" * 3 + "É”\n").encode("cp1252")
    facts = read_whole(BytesSource(data, 64))
    assert (facts.encoding, facts.encoding_evidence.split(",")[1]) == (
        "cp1252",
        " 1 characters are; in cp1252 100% of the others fit their neighbours",
    )


def test_the_datasets_default_encoding_is_taken_only_for_text_that_is_not_utf_8() -> None:
    dataset = people(defaults=SenderOptions(encoding="cp850"))
    assert inspect("nome\nJosé\n".encode(), dataset).encoding == "utf-8"
    assert inspect("nome\nJosé\n".encode("cp850"), dataset).encoding == "cp850"


@pytest.mark.parametrize("name", ["klingon", "base64", "utf-7", "unicode_escape", "", "a\0b"])
def test_an_encoding_that_is_none_is_a_bad_option(name: str) -> None:
    with pytest.raises(BadOption) as refused:
        inspect(b"nome\nAna\n", encoding=name)
    assert refused.value.fields["option"] == "encoding"


def test_what_was_stated_of_the_first_file_does_not_hold_for_the_rows_we_sent_back():
    """A sender whose program always states cp1252 could else send no rejected.csv back."""
    ours = "Nome,_import_row,_import_upload,_import_errors\nJosé,2,a@1,x\n"
    assert inspect(ours.encode("utf-8-sig"), encoding="cp1252").encoding == "utf-8-sig"


def test_a_stated_encoding_against_the_byte_order_mark_is_refused() -> None:
    with pytest.raises(UnsupportedEncoding, match="utf-8-sig"):
        inspect("nome\nAna\n".encode("utf-8-sig"), encoding="cp1252")


def test_broken_utf_16_is_refused() -> None:
    with pytest.raises(UnsupportedEncoding):
        inspect("nome\nAna\n".encode("utf-16")[:-1])


@pytest.mark.parametrize(
    ("data", "looks_like"),
    [
        (b"%PDF-1.7\n...", "a PDF"),
        (b"\x89PNG\r\n\x1a\n", "a PNG"),
        (bytes(range(256)) * 4, "binary data"),
    ],
)
def test_what_is_no_text_is_refused_by_what_it_looks_like(data: bytes, looks_like: str) -> None:
    with pytest.raises(UnsupportedFormat, match=looks_like) as refused:
        inspect(data)
    assert refused.value.remedy


@pytest.mark.parametrize("data", [b"", b"\n\r\n\r", b"  \n\t\n", b"\xef\xbb\xbf\n", b";;;\n;;;\n", b'""\n'])
def test_a_file_of_nothing_or_blank_lines_is_empty(data: bytes) -> None:
    with pytest.raises(EmptyFile):
        inspect(data)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_uncovers_declared_columns(delimiter: str) -> None:
    rows = "Nome;Cidade;Valor\nAna, Bia | Cia;Rio,RJ;1,5\nDea;São,Paulo;2,5\n".replace(";", delimiter)
    if delimiter in ",|":
        rows = rows.split("\n", maxsplit=1)[0] + f"\nAna{delimiter}Rio; RJ{delimiter}1\n"
    found = inspect(rows.encode())
    assert (found.delimiter, found.mapping) == (delimiter, {"name": 0, "city": 1, "amount": 2})


def test_a_stated_delimiter_wins_and_a_nonsense_one_is_a_bad_option() -> None:
    data = b"nome;cidade\nAna;Rio\n"
    assert inspect(b"nome#cidade\nAna#Rio\n", delimiter="#").header == ("nome", "cidade")
    assert inspect(b"nome\tcidade\nAna\tRio\n", delimiter="tab").header == ("nome", "cidade")
    with pytest.raises(MissingColumns, match="delimiter"):
        inspect(data, delimiter=",")
    for nonsense in (";;", '"', "\n", "a", "¦", ""):
        with pytest.raises(BadOption):
            inspect(data, delimiter=nonsense)


def test_the_header_is_the_first_line_that_is_not_blank() -> None:
    found = inspect('\ufeff\n;;\r\n Nome ;"Ci\ndade"\nAna;Rio\n'.encode())
    assert (found.text.header_line, found.header) == (3, (" Nome ", "Ci\ndade"))
    assert found.mapping == {"name": 0, "city": 1}


def test_excels_separator_line_names_the_delimiter() -> None:
    found = inspect(b"sep=|\r\nNome|Cidade\r\nAna|Rio\r\n")
    assert (found.delimiter, found.text.header_line, found.header) == ("|", 2, ("Nome", "Cidade"))


def test_columns_not_declared_are_unknown_and_one_without_header_is_named_by_position() -> None:
    found = inspect(b"nome;;obs\nAna;1;2\n")
    assert found.unknown == (1, 2)
    assert [header_name(found.header, position) for position in found.unknown] == ["column 2", "obs"]
    with pytest.raises(UnknownColumns, match="obs") as refused:
        inspect(b"nome;;obs\nAna;1;2\n", people(unknown_columns="refuse"))
    assert refused.value.fields["headers"] == ["obs"]


def test_a_missing_required_column_names_the_nearest_headers() -> None:
    with pytest.raises(MissingColumns) as refused:
        inspect(b"Nomes;Cidade\nAna;Rio\n")
    assert refused.value.fields == {
        "missing": ["name"], "found": ["Nomes", "Cidade"], "nearest": {"name": ["Nomes"]},
    }  # fmt: skip


def test_two_headers_of_one_declared_column_are_refused() -> None:
    with pytest.raises(DuplicateHeader) as refused:
        inspect(b"nome;cidade;NOME COMPLETO\n")
    assert refused.value.fields["positions"] == [1, 3]


def test_a_file_of_ours_is_known_by_its_last_three_columns() -> None:
    data = b"Nome;obs;'=x;_import_row;_import_upload;_import_errors\nAna;1;2;2;u;e\n"
    found = inspect(data, people(unknown_columns="keep"))
    assert found.ours
    assert found.header[2] == "=x"
    assert (found.mapping, found.unknown) == ({"name": 0}, (1, 2))
    assert not inspect(b"Nome;_import_row;_import_errors\nAna;2;e\n").ours


def test_a_file_over_the_limit_is_refused_before_it_is_read() -> None:
    class NeverRead(BytesSource):
        def chunks(self):  # type: ignore[no-untyped-def]
            raise AssertionError("read")

    with pytest.raises(FileTooLarge) as refused:
        inspect_file(NeverRead(b"nome\nAna\n"), people(maximum_size=8), SenderOptions())
    assert refused.value.fields == {"size": 9, "limit": 8}


def test_a_quote_that_never_closes_in_the_header_is_named() -> None:
    with pytest.raises(UnclosedQuote) as refused:
        inspect(b'\n"nome;cidade\nAna;Rio\n')
    assert refused.value.fields == {"row": 2, "line": 2}


@pytest.mark.parametrize("rows", [0, 1, 999, 1000, 8_000, 50_000, 160_000, 500_000, 30_000_000, 10**9])
@pytest.mark.parametrize("bytes_a_row", [2, 200, 5000])
def test_a_file_has_at_most_64_batches_of_at_least_1000_rows(rows: int, bytes_a_row: int) -> None:
    per_batch = choose_rows_per_batch(rows, rows * bytes_a_row)
    batches = -(-rows // per_batch)
    assert per_batch >= 1000
    assert batches <= 64
    if rows < 40_000 and rows * bytes_a_row < 4 * 2**20:
        assert batches <= 1
    if rows >= 160_000 or (rows >= 8000 and rows * bytes_a_row >= 16 * 2**20):
        assert batches >= 8


def test_rows_per_batch_is_raised_where_it_would_give_over_64_batches() -> None:
    assert choose_rows_per_batch(100, 1000, 10) == 10
    assert choose_rows_per_batch(100_000, 1000, 10) == 1563
    with pytest.raises(BadOption):
        choose_rows_per_batch(100, 1000, 0)
