"""Which encoding text is in that states none: known by what its characters make, or not taken at all."""

import pytest

from import_pipeline.flow.batches.text.guessing import guess, utf_16_without_mark
from import_pipeline_tests.flow.batches.reading_back import inspect, people, read_back

PORTUGUESE = "José da Conceição;São Paulo\nInês;Brasília\nAndré;Goiânia, não há\nJoão;pães, limões\n"
FRENCH = "François Lefèvre;Orléans\nHélène;Besançon\n"
DANISH = "Søren Kjær;Århus\nPåske;Ærø\n"
RUSSIAN = "Иван Петров;Москва\nАнна Сидорова;Санкт-Петербург\n"
GREEK = "Γιώργος;Αθήνα\nΜαρία;Θεσσαλονίκη\n"
JAPANESE = "田中太郎;東京都\n鈴木花子;大阪市、カタカナ\n"
CHINESE = "王小明;北京市\n李华;上海市浦东新区\n"
KOREAN = "김철수;서울\n이영희;부산광역시\n"
TURKISH = "Çağrı Yıldız;İstanbul\nGülşen;Eskişehir\n"
ICELANDIC = "Þórður Guðmundsson;Ísafjörður\nÝr;Höfn\n"
POLISH = "Łukasz Żółć;Kraków\nŚwięta;Gdańsk ąęć\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (PORTUGUESE, "cp1252"), (PORTUGUESE.upper(), "cp1252"), ("nome\nJosé\n", "cp1252"),
        ("“José” € 10 d’água n.º 5ª 20°C – R$ 5…\n", "cp1252"), (FRENCH, "cp1252"), (DANISH, "cp1252"),
        (PORTUGUESE, "cp850"), (PORTUGUESE.upper(), "cp850"), (FRENCH, "cp850"), (DANISH, "cp850"),
        (PORTUGUESE, "mac_roman"), (RUSSIAN, "cp1251"), (RUSSIAN, "koi8_r"), (GREEK, "cp1253"),
        (JAPANESE, "cp932"), (JAPANESE, "euc_jp"), (CHINESE, "gb18030"), (KOREAN, "cp949"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("times", [1, 30])
def test_the_encoding_is_the_one_that_gives_sensible_text(text: str, encoding: str, times: int) -> None:
    found = guess((text * times).encode(encoding))
    assert found is not None
    assert found.encoding == encoding
    assert found.confidence >= 0.9


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(TURKISH, "cp1254"), (ICELANDIC, "cp1252"), (POLISH, "cp1250")],
)
def test_text_that_could_be_of_two_encodings_is_not_guessed(text: str, encoding: str) -> None:
    """Read in the wrong one, its letters would be loaded as others."""
    assert guess((text * 5).encode(encoding)) is None


def test_rows_in_an_encoding_that_is_not_known_are_rejects_and_the_others_are_read() -> None:
    data = "nome;cidade\nAna;Rio\nŁukasz Żółć;Gdańsk\nŚwięta ąęć;Łódź\n".encode("cp1250")
    done = read_back(data)
    assert done.inspected.encoding == "utf-8"
    assert done.problems == [(3, "undecodable_text"), (4, "undecodable_text")]
    assert done.cells[0] == ["Ana", "Rio"]


@pytest.mark.parametrize(
    ("encoding", "name"), [("cp850", "cp850"), ("mac_roman", "mac-roman"), ("cp1251", "cp1251")]
)
def test_what_was_found_is_read_exactly_and_told(encoding: str, name: str) -> None:
    text = RUSSIAN if encoding == "cp1251" else PORTUGUESE
    done = read_back(("nome;cidade\n" + text).encode(encoding), chunk_bytes=7)
    assert [";".join(map(str, row)) for row in done.cells] == text.splitlines()
    (told,) = [d for d in done.inspected.detected if d.what == "encoding"]
    assert (told.value, told.option) == (name, "encoding")
    assert "100% of the others fit their neighbours, confidence" in told.why


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_utf_16_without_a_mark_is_known_by_its_nuls(encoding: str, chunk_bytes: int) -> None:
    done = read_back("nome;cidade\r\nJosé 😀;São Paulo\r\n".encode(encoding), chunk_bytes=chunk_bytes)
    assert (done.inspected.encoding, done.cells) == (encoding, [["José 😀", "São Paulo"]])
    assert done.inspected.detected[1].why == "every second byte is often NUL"


@pytest.mark.parametrize(
    "start", [b"", b"a", b"nome;cidade\n", b"R\0o;x\n" * 9, bytes(range(256)) * 2, b"\0" * 64, b"\0\1" * 99]
)
def test_other_bytes_are_not_taken_for_utf_16(start: bytes) -> None:
    assert utf_16_without_mark(start) is None


def test_the_datasets_default_is_taken_before_anything_is_guessed() -> None:
    dataset = people(defaults=people().defaults.__class__(encoding="cp1250"))
    assert inspect(("nome;cidade\n" + POLISH).encode("cp1250"), dataset).encoding == "cp1250"


@pytest.mark.parametrize(
    ("ends", "kinds"),
    [("\n", "LF"), ("\r\n", "CRLF"), ("\r", "CR"), ("\n\r\n", "LF and CRLF"), ("", "")],
)
def test_line_ends_are_told(ends: str, kinds: str) -> None:
    (told,) = [d for d in inspect(f"nome{ends}".encode()).detected if d.what == "line ends"]
    assert told.value == kinds
