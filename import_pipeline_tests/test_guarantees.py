"""docs/guarantees.md: every promise names tests, and every test that it names exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "guarantees.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
PROMISES = [
    "Nothing is lost", "Nothing twice", "All or nothing for each file", "Nothing is guessed",
    "Nothing blocks", "Bounded memory", "Everything can be undone", "Everything can be traced",
]  # fmt: skip


@cache
def names_in(path: str) -> frozenset[str]:
    """Names of the test functions of a file; empty if there is no such file."""
    if not (TESTS / path).exists():
        return frozenset()
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def sections() -> dict[str, str]:
    """Text of each section by its heading, without its number."""
    parts = re.split(r"^## (?:\d\. )?(.+)$", PAGE, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED.findall(PAGE))))
def test_a_test_that_the_guarantees_name_exists(path: str, name: str) -> None:
    assert name in names_in(path)


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_names_its_tests_and_what_is_not_promised(promise: str) -> None:
    section = sections()[promise]
    assert NAMED.search(section)
    assert "*Not promised:*" in section


def test_every_section_names_tests() -> None:
    assert [heading for heading, text in sections().items() if not NAMED.search(text)] == []
    assert set(re.findall(r"(test_\w+)`", PAGE)) == {name for _, name in NAMED.findall(PAGE)}
