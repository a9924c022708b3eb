"""Writes the pages of docs/ that are made from the code: `make pages`."""

from collections.abc import Callable, Mapping
from pathlib import Path

from import_pipeline.codes import error_codes_page
from import_pipeline.documentation.files_we_read import files_we_read_page

FOLDER = Path(__file__).parents[2] / "docs"
PAGES: Mapping[str, Callable[[], str]] = {
    "error-codes.md": error_codes_page,
    "files-we-read.md": files_we_read_page,
}


def write_pages(folder: Path) -> None:
    """Write each page into a folder."""
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write_pages(FOLDER)
