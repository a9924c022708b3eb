"""Text of strangers stays on its line and moves no cursor, and nothing else of it changes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.errors import MissingColumns
from import_pipeline.plain_text import harmless_json, one_line, without_controls


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\nb", "a\x1b[2Jb", "a\x9b2Jb", "a\u2028b", "a\u202eb", "a\ud800b"]
)
def test_one_line_is_one_and_says_where_something_was(text: str) -> None:
    line = one_line(text, "_")
    assert len(line.splitlines()) == 1 and line.startswith("a_") and line.endswith("b")
    line.encode()


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"])))
def test_letters_signs_and_spaces_of_any_script_are_left_alone(text: str) -> None:
    assert one_line(text) == without_controls(text) == text


@given(st.text())
def test_json_says_the_same_and_holds_no_control_character(text: str) -> None:
    written = harmless_json(json.dumps({"name": text}, ensure_ascii=False))
    assert json.loads(written) == {"name": text}
    assert not set(written) & {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x202E)}


def test_what_is_logged_of_an_error_is_one_line_and_masked_its_message_is_whole() -> None:
    error = MissingColumns("no 'a\nb'", remedy="Send\x1b it.", masked="no column", found=["a\nb"])
    assert str(error) == "no column Send  it."
    assert error.message == "no 'a\nb'"
