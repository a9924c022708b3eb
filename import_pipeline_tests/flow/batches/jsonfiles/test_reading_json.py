"""JSON and JSON Lines: every value comes out as written, every bad row is a reject of its own."""

import json
from decimal import Decimal
from typing import Any

import pandera.pandas as pandera
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from import_pipeline.catalog.dataset import Dataset, column
from import_pipeline.catalog.types import Text
from import_pipeline.errors import CorruptFile, EmptyFile, TruncatedFile, UnsupportedFormat
from import_pipeline.flow.batches.jsonfiles import cutting
from import_pipeline.flow.batches.jsonfiles.structure import find_structure
from import_pipeline.flow.batches.kinds import BOOLEAN, JSON, NUMBER, TEXT
from import_pipeline.records import LineCount
from import_pipeline_tests.flow.batches.reading_back import ReadBack, read_back


class Any_(pandera.DataFrameModel):  # noqa: N801
    note: Text = column()


ANYTHING = Dataset(name="anything", model=Any_)
FORMS = ["json", "jsonl"]


def written(rows: list[str], form: str) -> bytes:
    text = "\n".join(rows) + "\n" if form == "jsonl" else "[" + ",\n".join(rows) + "]"
    return text.encode()


def read(data: bytes | str, **arguments: Any) -> ReadBack:
    return read_back(data.encode() if isinstance(data, str) else data, ANYTHING, name="rows", **arguments)


def value_and_kind(text: str, form: str) -> tuple[str | None, int]:
    (row,) = read(written([f'{{"a": {text}}}'], form)).rows
    return row["c0"], row["k0"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("written_as", "value", "kind"),
    [
        ('"00123"', "00123", TEXT),
        ('""', "", TEXT),
        ('" \\u00e7\\ud83d\\ude00\\n\\"\\\\"', ' ç😀\n"\\', TEXT),
        ('"a\\u0000b"', "a\0b", TEXT),
        ("null", None, TEXT),
        ("true", "true", BOOLEAN),
        ("false", "false", BOOLEAN),
        ("0", "0", NUMBER),
        ("-12", "-12", NUMBER),
        ("1.50", "1.50", NUMBER),
        ("12345678901234567890123.10", "12345678901234567890123.10", NUMBER),
        ("9007199254740993", "9007199254740993", NUMBER),
        ("123.0", "123", NUMBER),
        ("-5.00", "-5", NUMBER),
        ("1e3", "1000", NUMBER),
        ("1.5E+2", "150", NUMBER),
        ("25e-4", "0.0025", NUMBER),
        ("0.0000000001", "0.0000000001", NUMBER),
        ("1e999999999", "1E+999999999", TEXT),
        ('{"b": [1.50, null, "ç", {"c": true}], "d": {}}', '{"b":[1.50,null,"ç",{"c":true}],"d":{}}', JSON),
        ("[]", "[]", JSON),
    ],
)
def test_a_value_comes_out_as_written_with_its_kind(
    written_as: str, value: str | None, kind: int, form: str
) -> None:
    assert value_and_kind(written_as, form) == (value, kind)


@pytest.mark.parametrize("form", FORMS)
def test_the_header_is_all_keys_in_the_order_they_appear(form: str) -> None:
    got = read(written(['{"b": 1, "a": 2}', '{"c": 3, "a": null}', "{}", '{"b": "x", "d": 4}'], form))
    assert got.inspected.header == ("b", "a", "c", "d")
    assert got.cells == [["1", "2", None, None], [None, None, "3", None], [None] * 4, ["x", None, None, "4"]]
    assert got.problems == []


def test_a_row_of_json_lines_is_numbered_as_its_line_and_blank_lines_are_counted() -> None:
    got = read('\n{"a": 1}\r\n \t\r\n{"a": 2}\r{"a": 3}')
    assert got.numbers == [2, 4, 5]
    assert got.split.lines == LineCount(blank=2, rows=3)
    assert got.inspected.text is not None
    assert got.inspected.text.physical_lines == 5


def test_an_element_of_a_json_array_is_numbered_from_1() -> None:
    got = read('\n\n[\n{"a":\n 1},\n\n{"a": 2}]\n')
    assert (got.numbers, got.cells) == ([1, 2], [["1"], ["2"]])
    assert got.split.lines == LineCount()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ('{"a": 1,}', "invalid_json"),
        ('{"a": NaN}', "invalid_json"),
        ('{"a": -Infinity}', "invalid_json"),
        ("{'a': 1}", "invalid_json"),
        ('{"a": 01}', "invalid_json"),
        ('{"a": "\t"}', "invalid_json"),
        ('{"a": "\\ud800"}', "invalid_json"),
        ('{"a": "\\x"}', "invalid_json"),
        ('{"a": 1} {"a": 2}', "invalid_json"),
        ("garbage", "invalid_json"),
        ('{"a": ' + "[" * 500 + "]" * 500 + "}", "invalid_json"),
        ("5", "not_an_object"),
        ("null", "not_an_object"),
        ('[{"a": 1}]', "not_an_object"),
        ('"text"', "not_an_object"),
        ('{"a": 1, "b": 2, "a": 3}', "repeated_key"),
        ('{"a": {"b": 1, "b": 1}}', "repeated_key"),
    ],
)
def test_a_row_that_cannot_be_read_is_a_reject_with_its_text_and_no_other_row_is(
    bad: str, code: str, form: str
) -> None:
    got = read(written(['{"a": "x"}', bad, '{"a": "y"}'], form))
    assert got.problems == [(2, code)]
    assert [row["_overflow"] for row in got.rows] == [None, bad, None]
    assert got.cells == [["x"], [None], ["y"]]


def test_a_comma_too_many_is_a_row_that_cannot_be_read() -> None:
    assert read('[{"a": 1}, ]').problems == [(2, "invalid_json")]
    assert read('[{"a": 1},, {"a": 2}]').problems == [(2, "invalid_json")]


def test_two_objects_on_one_line_are_no_two_rows() -> None:
    got = read('{"a": 1}\n{"a": 2},{"a": 3}\n')
    assert got.problems == [(2, "invalid_json")]


@pytest.mark.parametrize(
    "lines",
    [
        ['{"a": [1', "2]}", '{"a": 1},{"b": 2}'],
        ['{"a": [[{"b": 1}', '{"c": 2}]]}', '{"a": 1}],[{"b": 2}'],
    ],
)
def test_lines_that_are_valid_only_together_are_each_a_reject(lines: list[str]) -> None:
    """Joined with commas, or each in brackets, three broken lines are three objects."""
    got = read("\n".join(['{"a": 9}'] * 4 + lines + ['{"a": 0}']))
    assert got.problems == [(5, "invalid_json"), (6, "invalid_json"), (7, "invalid_json")]


def test_text_that_does_not_decode_is_a_reject_never_altered() -> None:
    lines = ['{"a": "é"}'.encode()] * 20
    got = read(b"\n".join([*lines, b'{"a": "\xe9"}', *lines]))
    assert got.problems == [(21, "undecodable_text")]
    assert got.rows[20]["_overflow"] == '{"a": "�"}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("chunk_bytes", [1, 3, 1 << 20])
def test_every_encoding_is_read(encoding: str, form: str, chunk_bytes: int) -> None:
    rows = ['{"ação": "São Paulo", "n": 1}', '{"ação": "Brasília à noite", "n": 2}']
    data = written(rows, form).decode().encode(encoding)
    got = read(data, chunk_bytes=chunk_bytes)
    assert got.inspected.header == ("ação", "n")
    assert got.cells == [["São Paulo", "1"], ["Brasília à noite", "2"]]


def test_the_one_array_of_an_object_is_the_rows_and_the_report_names_it() -> None:
    text = '{"total": {"a": [1, 2], "b": "["}, "dados": [{"a": 1},\n{"a": [2]}], "page": 1}'
    got = read(text)
    assert got.cells == [["1"], ["[2]"]]
    assert ("rows", "dados") in [(d.what, d.value) for d in got.inspected.detected]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ('{\n"a": [{"b": 1}],\n"c": [{"d": 1}]}', UnsupportedFormat, "several arrays: a, c"),
        ('{\n"a": {"b": 1}\n}', UnsupportedFormat, "without an array of rows"),
        ("[1, 2]", UnsupportedFormat, "no row that is a JSON object"),
        ('[{"a": 1}', TruncatedFile, "row 1 or its array"),
        ('[{"a": 1}, {"a": "b', TruncatedFile, "row 2 or its array"),
        ('{\n"a": [{"b": 1}', TruncatedFile, "row 1 or its array"),
        ('[{"a": 1}] [{"a": 2}]', CorruptFile, "ends behind row 1"),
        ('[{"a": 1}}, {"a": 2}]', CorruptFile, "ends behind row"),
        ('{\n"a": [{"b": 1}]\n', CorruptFile, "ends behind row 1"),
        ("\n \n", EmptyFile, "nothing but blank lines"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_a_file_whose_rows_cannot_be_told_apart_is_refused_by_name(
    text: str, error: type[Exception], said: str, chunk_bytes: int
) -> None:
    name = "rows.jsonl" if error is EmptyFile else "rows.json"
    with pytest.raises(error) as refused:
        read_back(text.encode(), ANYTHING, name=name, chunk_bytes=chunk_bytes)
    assert said in refused.value.message  # type: ignore[attr-defined]


def test_an_empty_array_has_no_rows_and_lacks_no_column() -> None:
    got = read(" [ \n ] ")
    assert (got.split.read, got.split.batches, got.inspected.header) == (0, (), ("note",))


def test_a_row_longer_than_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "LONGEST_ROW", 1000)
    for data in (written(['{"a": 1}', '{"a": "' + "x" * 2000 + '"}'], form) for form in FORMS):
        with pytest.raises(UnsupportedFormat, match="row 2 is longer than 1,000 bytes"):
            read(data, chunk_bytes=100)


def test_keys_without_end_are_refused() -> None:
    with pytest.raises(UnsupportedFormat, match="more than 2,000 different keys"):
        read("\n".join(f'{{"key {n}": 1}}' for n in range(2001)))


def test_a_declared_footer_is_ignored_and_its_line_counted() -> None:
    footed = Dataset(name="anything", model=Any_, footer=("^Total",))
    got = read_back(b'{"note": "a"}\n{"note": "Total: 1"}\n', footed, name="a.jsonl")
    assert (got.cells, got.split.ignored_rows) == ([["a"]], 1)
    assert got.split.lines == LineCount(ignored=1, rows=1)


@pytest.mark.parametrize("form", FORMS)
def test_a_row_that_says_what_its_keys_are_called_is_data(form: str) -> None:
    assert read(written(['{"a": "a", "b": "b"}'], form)).cells == [["a", "b"]]


TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=8)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda d: format(d, "f"))
SCALARS = st.one_of(
    TEXTS.map(lambda text: (json.dumps(text, ensure_ascii=len(text) % 2 == 0), text)),
    st.integers().map(lambda n: (str(n), str(n))),
    st.sampled_from([("null", None), ("true", "true"), ("[1.50,{}]", "[1.50,{}]")]),
    NUMBERS.map(lambda text: (text, text.removesuffix(".000"))),
)
ROWS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", 'c"\\', "d{[,"]), SCALARS, min_size=1), min_size=1, max_size=8
)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.sampled_from(FORMS), st.sampled_from([1, 2, 5, 64, 1 << 20]))
def test_any_table_is_read_back_exactly(rows: list[dict[str, Any]], form: str, chunk_bytes: int) -> None:
    texts = [
        "{" + ", ".join(f"{json.dumps(key)}: {text}" for key, (text, _) in row.items()) + "}" for row in rows
    ]
    got = read_back(written(texts, form), ANYTHING, name=f"rows.{form}", chunk_bytes=chunk_bytes)
    expected = [[row[key][1] if key in row else None for key in got.inspected.header] for row in rows]
    assert got.cells == expected
    assert got.problems == []


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet='{}[]",:\\1a\n\r ', max_size=60),
    st.sampled_from(FORMS),
    st.sampled_from([1, 7, 1 << 20]),
)
@example('[{"a":1},', "jsonl", 1)
def test_any_text_ends_in_rows_rejects_or_a_refusal(text: str, form: str, chunk_bytes: int) -> None:
    data = ('{"a": 1}\n' + text if form == "jsonl" else '[{"a": 1},' + text).encode()
    try:
        got = read_back(data, ANYTHING, name=f"rows.{form}", chunk_bytes=chunk_bytes)
    except (UnsupportedFormat, CorruptFile, EmptyFile):
        assert form == "json"
        return
    if form == "jsonl":
        lines = [line.strip(" \t") for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
        assert [row["_row_number"] for row in got.rows] == [
            1,
            *(n for n, line in enumerate(lines, 2) if line),
        ]
        bad = {n for n, line in enumerate(lines, 2) if line and not is_object(line)}
        assert {number for number, _ in got.problems} == bad


def is_object(text: str) -> bool:
    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(found)) != len(found):
            raise ValueError
        return dict(found)

    try:
        return isinstance(json.loads(text, object_pairs_hook=pairs, parse_float=Decimal), dict)
    except ValueError:
        return False


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='{}[],"\\a', max_size=40))
def test_structure_is_what_a_plain_loop_finds(text: str) -> None:
    expected, depth, inside = [], 0, False
    for at, char in enumerate(text):
        before = text[:at]
        if char == '"' and (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            inside = not inside
        elif char in "{}[]," and not inside:
            depth += {"{": 1, "[": 1, "}": -1, "]": -1, ",": 0}[char]
            expected.append((at, char, depth))
    found = find_structure(text.encode())
    got = [(int(a), chr(b), int(d)) for a, b, d in zip(found.at, found.byte, found.depth, strict=True)]
    assert (got, found.in_string) == (expected, inside)
