"""Gathers every sentence for senders and compiles its translations: what `make messages` runs.

Sentences stand in calls of `told`, in `codes.py` and in the page's template; their translations in
`locale/<language>/LC_MESSAGES/import_pipeline.po`. Saying them is `language.py`'s.
"""

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from import_pipeline.codes import CODES
from import_pipeline.language import DOMAIN, LOCALE_FOLDER

PACKAGE = Path(__file__).parent
METHODS = [("**.py", "python"), ("**.html.j2", "jinja2.ext:babel_extract")]
# Function names whose first argument is a sentence: `told` in code, `t` in the page's template.
KEYWORDS = {"told": None, "t": None}
TRANSLATED = ("pt",)
# The same bytes whenever it is compiled.
NO_DATE = datetime(2000, 1, 1, tzinfo=UTC)
# Lines of a catalogue's header that would change with every run, or say nothing.
UNWANTED = tuple(
    f'"{name}:'
    for name in (
        "Project-Id-Version", "Report-Msgid-Bugs-To", "POT-Creation-Date", "PO-Revision-Date",
        "Last-Translator", "Language-Team", "Generated-By",
    )
)  # fmt: skip
HEADER = "# Translations of the sentences that senders read. `make messages` brings it up to date."


@dataclass(frozen=True)
class Sentence:
    """One sentence to translate, and the file of the package that it stands in."""

    template: str
    file: str


def sentences() -> Iterator[Sentence]:
    """Every sentence of the package that a sender may read; one that stands in two files comes twice."""
    for file, _, message, _, _ in extract_from_dir(str(PACKAGE), METHODS, keywords=KEYWORDS):
        yield Sentence(message if isinstance(message, str) else message[0], file)
    for code in CODES.values():
        for text in (code.meaning, code.message, code.remedy):
            if text:
                yield Sentence(text, "codes.py")


def catalogue_path(language: str) -> Path:
    """The translations of a language, to be edited by hand."""
    return LOCALE_FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def updated(language: str) -> Catalog:
    """The translations of a language brought up to date: new sentences without one, unused ones gone."""
    path = catalogue_path(language)
    old = Catalog(locale=language)
    if path.exists():
        with path.open("rb") as file:
            old = read_po(file, locale=language)
    new = Catalog(
        locale=language,
        header_comment=HEADER,
        fuzzy=False,
        charset="utf-8",
        creation_date=NO_DATE,
        revision_date=NO_DATE,
    )
    for sentence in sorted(set(sentences()), key=lambda s: (s.file, s.template)):
        known = old.get(sentence.template)
        string = (known.string if known else "") or _wordless(sentence.template)
        new.add(sentence.template, string=string, locations=[(sentence.file, 0)])
    return new


def _wordless(template: str) -> str:
    """A sentence of facts alone, which is the same in every language; else an empty string."""
    try:
        words = "".join(text for text, *_ in Formatter().parse(template))
    except ValueError:
        return ""
    return "" if any(letter.isalpha() for letter in words) else template


def compiled(catalogue: Catalog) -> bytes:
    """What gettext reads at run time."""
    buffer = io.BytesIO()
    write_mo(buffer, catalogue)
    return buffer.getvalue()


def written(catalogue: Catalog) -> bytes:
    """The text that is edited by hand; without dates, so that it changes only when a sentence does."""
    buffer = io.BytesIO()
    write_po(buffer, catalogue, width=110, sort_by_file=True, include_lineno=False)
    lines = buffer.getvalue().decode().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(UNWANTED)]
    return "".join(kept).encode()


def main() -> None:
    """Bring every catalogue up to date, compile it and name what lacks a translation."""
    for language in TRANSLATED:
        catalogue = updated(language)
        path = catalogue_path(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written(catalogue))
        path.with_suffix(".mo").write_bytes(compiled(catalogue))
        lacking = [str(message.id) for message in catalogue if message.id and not message.string]
        for sentence in lacking:
            sys.stdout.write(f"{language}: no translation of: {sentence}\n")
        sys.stdout.write(f"{path}: {len(catalogue)} sentences, {len(lacking)} without translation\n")


if __name__ == "__main__":
    main()
