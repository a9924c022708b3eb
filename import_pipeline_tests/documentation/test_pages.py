from dataclasses import fields
from pathlib import Path

import pytest

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.codes import CODES
from import_pipeline.documentation.__main__ import FOLDER, PAGES, write_pages
from import_pipeline.documentation.files_we_read import files_we_read_page
from import_pipeline.flow.batches.recognising.names import FORMAT_NAMES
from import_pipeline.flow.batches.spreadsheets import limits
from import_pipeline.flow.reports.returned.writers import REJECTED_NAMES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_made_from_the_code_is_the_one_in_docs(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), "run: make pages"


def test_writing_the_pages_writes_all_of_them(tmp_path: Path) -> None:
    write_pages(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == set(PAGES)


def test_the_page_of_files_has_every_format_option_and_form_that_goes_back() -> None:
    page = files_we_read_page()
    formats = page.split("## Formats")[1].split("\n## ")[0]
    options = page.split("## What is assumed")[1].split("\n## ")[0]
    returned = page.split("## What comes back")[1]

    assert [title for title in FORMAT_NAMES.values() if f"| {title} |" not in formats] == []
    assert [o.name for o in fields(SenderOptions) if f"| `{o.name.replace('_', '-')}` |" not in options] == []
    assert [name for name in REJECTED_NAMES if f"| `{name}` |" not in returned] == []


def test_the_page_of_files_names_codes_that_are_ours() -> None:
    page = files_we_read_page()
    named = {code for code in CODES if f"`{code}`" in page}
    assert {"name_mismatch", "ambiguous_date", "serial_date", "too_large_for_a_spreadsheet"} <= named


def test_a_changed_limit_changes_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_PARTS", 4321)
    assert "| 4,321 | parts" in files_we_read_page()
