"""summary.html: what it says in each state, that text stays text, that it needs nothing else."""

import ast
import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import import_pipeline
from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.datasets.leads import DATASET as LEADS
from import_pipeline.errors import MissingColumns
from import_pipeline.flow.reports import page_words
from import_pipeline.flow.reports.expansion import write_expansion
from import_pipeline.flow.reports.page import chart_parts, summary_page
from import_pipeline.flow.reports.samples import LONGEST_VALUE, Samples
from import_pipeline.flow.reports.writing import write_refusal
from import_pipeline.language import say, told
from import_pipeline.local_check import check_file as check_locally
from import_pipeline_tests.flow.reports.importing import PEOPLE, UPLOAD, Checked, check_file

BAD = b"C\xf3digo;Nome;Cidade\n1;Ana;S\xe3o Paulo\nx;Bia;Rio\n-5;Caio;Rio\n1;Duda;Rio\n"
HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"


class Reader(HTMLParser):
    """The texts of a page, its tags, and every attribute's value."""

    def __init__(self, page: str):
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data):
        if self.tags[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(checked: Checked, **arguments) -> Reader:
    report = checked.report(**arguments)
    return Reader(checked.store.get_bytes(report.page_key).decode())


def in_portuguese(checked: Checked) -> Checked:
    return replace(checked, opened=replace(checked.opened, language="pt"))


@pytest.fixture(scope="module")
def bad(tmp_path_factory) -> Checked:
    return check_file(BAD, tmp_path_factory.mktemp("bad"))


def test_the_page_says_what_happened_and_what_to_do(bad: Checked) -> None:
    page = page_of(bad, facts={"run": "run-1"})
    assert "1 of 4 rows of people.csv were imported; 2 came back with errors." in page.text
    assert "Open rejected.csv: it has only the rejected rows" in page.text
    assert "uploads/acme/people/" in page.text
    assert {("href", "rejected.csv"), ("href", "errors.csv")} <= set(page.attributes)
    assert f"Upload {UPLOAD}" in page.text and "run-1" in page.text


def test_the_page_shows_errors_with_values_as_sent_and_without_saying_the_place_twice(bad: Checked) -> None:
    text = page_of(bad).text
    assert '3 Código x "x" is not a number.' in text
    assert "The value is below or above what is allowed. out_of_range 1" in text
    assert "row 4: -5" in text
    assert 'Row 3, column "Código"' not in text


def test_duplicates_are_counted_with_an_example(bad: Checked) -> None:
    assert "Row 2 of this file has the same key and is the one that counts." in page_of(bad).text


def test_the_page_says_how_the_file_was_read_and_which_option_changes_it(bad: Checked) -> None:
    text = page_of(bad).text
    assert "Encoding cp1252" in text
    assert "Delimiter semicolon" in text
    assert "delimiter for example ," in text
    assert "x-amz-meta-" in text and "import-pipeline upload … --" in text


def test_what_is_assumed_is_marked_with_the_option_that_settles_it(tmp_path: Path) -> None:
    checked = check_file(b"email,created_at\na@x.com,03/04/2026\nb@x.com,05/06/2026\n", tmp_path, LEADS)
    text = page_of(checked).text
    assert "Order of dates created_at day, month, year assumed" in text
    assert "--date-order mdy" in text


def test_stated_options_are_named(tmp_path: Path) -> None:
    checked = check_file(BAD, tmp_path, options=SenderOptions(encoding="cp1252", on_existing="update"))
    assert "Stated by the sender: encoding: cp1252 , on-existing: update" in page_of(checked).text


def test_everything_is_said_in_portuguese(bad: Checked) -> None:
    page = page_of(in_portuguese(bad))
    assert ("lang", "pt-BR") in page.attributes
    assert "1 de 4 linhas de people.csv foram importadas; 2 voltaram com erros." in page.text
    assert "O valor está abaixo ou acima do permitido." in page.text
    assert "Delimitador ponto e vírgula" in page.text
    assert "1 de mar. de 2026" in page.text


def test_the_numbers_of_the_chart_are_those_of_the_counts() -> None:
    counts = {"inserted": 999_990, "updated": 0, "unchanged": 0, "duplicate": 1, "rejected": 9}
    parts = chart_parts({"read": 1_000_000, **counts})
    assert {part["name"]: part["count"] for part in parts} == counts
    seen = [part for part in parts if part["count"]]
    assert all(part["width"] >= 6 for part in seen)
    assert seen[-1]["x"] + seen[-1]["width"] == pytest.approx(1000)
    assert [part["width"] for part in parts if not part["count"]] == [0, 0]
    assert chart_parts({"read": 0}) == [] == chart_parts({})


def test_text_of_strangers_stays_text(tmp_path: Path) -> None:
    """File name, header, cell and workspace may hold anything."""
    header = HOSTILE.replace('"', "").replace(";", "")
    content = f"Código;{header}\n{header};b\n".encode()
    checked = check_file(content, tmp_path)
    opened = replace(checked.opened, file_name=HOSTILE, workspace=HOSTILE, upload_id=HOSTILE)
    report = replace(checked, opened=opened).report(prefix="")
    raw = checked.store.get_bytes(report.page_key).decode()
    page = Reader(raw)
    assert not {"script", "img", "iframe", "object", "base", "form"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert HOSTILE in page.text
    assert header in page.text


def test_characters_that_hide_or_turn_text_are_shown_by_number(bad: Checked) -> None:
    opened = replace(bad.opened, file_name="evil\u202ecsv.exe\x07\ud800")
    page = summary_page({**bad.report().summary, "file_name": opened.file_name}, Samples(), "en")
    assert "evil⟨U+202E⟩csv.exe⟨U+0007⟩?" in html.unescape(page)
    assert "\u202e" not in page
    assert page.encode()


def test_the_page_needs_nothing_from_elsewhere(bad: Checked) -> None:
    page = page_of(bad)
    loaded = [
        (name, value)
        for name, value in page.attributes
        if name in ("src", "srcset", "data", "action", "background", "xlink:href", "poster")
    ]
    links = [value for name, value in page.attributes if name == "href"]
    assert loaded == []
    assert links == ["rejected.csv", "errors.csv"]
    assert "link" not in page.tags
    raw = bad.store.get_bytes(bad.report().page_key).decode()
    assert not re.search(r"url\(|@import|https?://", raw)
    assert "default-src 'none'" in dict(page.attributes).get("content", "") or "default-src" in raw


def test_tables_and_chart_can_be_read_aloud(bad: Checked) -> None:
    page = page_of(bad)
    values = set(page.attributes)
    assert ("role", "img") in values
    assert any(name == "aria-label" and "Rejected: 2" in value for name, value in page.attributes)
    assert page.tags.count("h1") == 1
    assert page.tags.count("th") == sum(1 for name, _ in page.attributes if name == "scope")


def test_a_long_cell_is_cut(tmp_path: Path) -> None:
    checked = check_file(b"codigo,Nome\n" + b"x" * 1_000_000 + b",n\n", tmp_path)
    report = checked.report()
    assert len(checked.store.get_bytes(report.page_key)) < 60_000
    assert "x" * LONGEST_VALUE + "…" in checked.store.get_bytes(report.page_key).decode()


def test_where_the_ledger_keeps_fewer_errors_the_page_gives_the_true_number(tmp_path: Path) -> None:
    checked = check_file(b"codigo,Nome\n" + b"x,n\n" * 60, tmp_path)
    text = page_of(checked, cap=10).text
    assert "There are 60 errors and warnings. The history of imports keeps the first 10" in text
    assert "The first 25 of 60 errors" in text
    assert "The history of imports" not in page_of(checked, cap=60).text


def test_a_refusal_says_why_and_what_settles_it(bad: Checked) -> None:
    error = MissingColumns(
        told("{file} has no column for {missing}. Columns found: {found}.",
             file="a.csv", missing="'code'", found="'x'"),
        remedy=told("Remove or rename them and send the file again."), missing=["code"], option="delimiter",
    )  # fmt: skip
    report = write_refusal(bad.store, bad.opened, error, language="pt")
    text = Reader(bad.store.get_bytes(report.page_key).decode()).text
    assert "people.csv foi recusado: nada dele foi importado." in text
    assert "a.csv não tem coluna para 'code'. Colunas encontradas: 'x'." in text
    assert "Remova-as ou renomeie-as e envie o arquivo de novo." in text
    assert "x-amz-meta-delimiter" in text
    assert report.summary["error"]["code"] == "missing_columns"


def test_a_check_says_that_nothing_was_changed(bad: Checked) -> None:
    text = page_of(bad, published=bad.published(state="checked")).text
    assert "people.csv was checked: of 4 rows, 1 would be imported and 2 rejected." in text
    assert "Send the file again without dry-run to import it." in text


def test_a_check_on_this_machine_tells_of_no_bucket(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(BAD)
    check_locally(tmp_path / "p.csv", PEOPLE, SenderOptions(), tmp_path / "out", language="pt")
    text = Reader((tmp_path / "out" / "summary.html").read_text()).text
    assert "Verifique o arquivo de novo." in text
    assert "uploads/" not in text
    assert '"x" não é um número.' in text


def test_an_archive_lists_its_files(bad: Checked) -> None:
    prefix = write_expansion(bad.store, bad.opened, [], ["__MACOSX/x"])
    page = Reader(bad.store.get_bytes(f"{prefix}summary.html").decode())
    assert "people.csv is an archive: each file in it is an import of its own." in page.text


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((3, 3, 0, 0, 0, 0), "All 3 rows of people.csv were imported."),
        ((1, 1, 0, 0, 0, 0), "The one row of people.csv was imported."),
        ((0, 0, 0, 0, 0, 0), "people.csv has no rows: nothing was imported."),
        ((5, 1, 1, 2, 1, 0), "2 of 5 rows of people.csv were imported; the others were repeated or known"),
        ((5, 4, 0, 0, 0, 1), "4 of 5 rows of people.csv were imported; one came back with an error."),
    ],
)
def test_the_headline_counts_what_was_loaded(counts, said: str) -> None:
    names = ("read", "inserted", "updated", "unchanged", "duplicate", "rejected")
    summary = {
        "state": "completed",
        "file_name": "people.csv",
        "counts": dict(zip(names, counts, strict=True)),
    }
    assert page_words.headline(summary).startswith(said)


def test_each_thing_found_out_about_a_file_has_a_name_in_every_language() -> None:
    """What stands in a call of `Detected` anywhere in the package is known to the page."""
    package = Path(import_pipeline.__file__).parent
    calls = [
        node
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Detected"
    ]
    names = {call.args[0].value for call in calls}
    assert {"encoding", "delimiter", "sheets"} <= names
    assert names <= set(page_words.THINGS)
    assert [name for name in page_words.THINGS.values() if say(name, "pt") == name] == []
