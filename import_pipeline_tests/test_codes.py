import inspect
import re
from pathlib import Path

import import_pipeline
from import_pipeline import errors
from import_pipeline.catalog.rules import RULES
from import_pipeline.codes import CODES, error_codes_page

PAGE = Path(import_pipeline.__file__).parents[1] / "docs" / "error-codes.md"


def _levels(root: type[errors.ImportPipelineError]) -> dict[str, str]:
    found = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, root)]
    return {c.code: CODES[c.code].level if c.code in CODES else "missing" for c in found}


def test_every_error_of_a_file_has_a_file_level_code():
    assert set(_levels(errors.PermanentImportError).values()) == {"file"}


def test_every_other_error_has_a_code_that_is_not_the_senders_fault():
    others = _levels(errors.ImportPipelineError).items() - _levels(errors.PermanentImportError).items()
    assert {level for _, level in others} == {"system"}


# How an upload ends that no error of its own ended: written by those who watch the runs.
SEEN_FROM_OUTSIDE = {"run_failed", "cancelled"}


def test_no_file_or_system_code_is_without_its_error():
    known = {c.code for c in CODES.values() if c.level in ("file", "system")}
    assert known - SEEN_FROM_OUTSIDE == set(_levels(errors.ImportPipelineError))


def test_every_code_written_as_a_literal_is_in_the_set():
    written = {
        code
        for file in Path(import_pipeline.__file__).parent.rglob("*.py")
        for code in re.findall(r"""\bcode=["']([a-z_]+)["']""", file.read_text(encoding="utf-8"))
    }
    assert written - set(CODES) == set()


def test_every_rule_gives_a_row_level_code():
    assert {CODES[rule.code].level for rule in RULES.values()} == {"row"}


def test_every_row_level_code_says_what_is_wrong_and_what_to_do():
    assert [c.code for c in CODES.values() if c.level == "row" and not (c.message and c.remedy)] == []


def test_the_page_of_error_codes_is_the_one_made_from_the_code():
    assert PAGE.read_text(encoding="utf-8") == error_codes_page(), "write error_codes_page() to the page"
