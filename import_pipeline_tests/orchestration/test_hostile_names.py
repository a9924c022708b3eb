"""Names, headers and cells that mean harm, carried through whole imports: what comes out is looked at."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import openpyxl
import pytest
from dagster import MarkdownMetadataValue
from typer.testing import CliRunner

from import_pipeline.cli.main import app
from import_pipeline_tests.orchestration.conftest import World

FORGED = "2026-01-01 00:00:00 +0000 - dagster - ERROR - FORGED"
TERMINAL = "\x1b[2J\x1b]0;FORGED\x07\x9b2J\u202e"
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>"
MARKDOWN = "[FORGED](javascript:alert(1))![x](http://evil.example/x.png)"
FORMULA = '=HYPERLINK("http://evil.example","x")'
HOSTILE = f"{FORMULA}{MARKUP}{MARKDOWN}[/][red]..\\..\\\n{FORGED}{TERMINAL}'; DROP TABLE leads; --"
# The emulator's wildcards stop at a line feed, so a key has the other characters that end a line.
NAME = HOSTILE.replace("/", "∕").replace("\n", "\r\u2028\x85") + ".csv"
FOLDER = "uploads/acme/leads/../../dagster"
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
FORMULA_START = re.compile(r"\A[=+\-@\t\r]")


def cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


BAD = f"{cell(HOSTILE)};{cell(FORMULA)};@x"
ROWS = f"E-mail;Nome;{cell(HOSTILE)}\nana@x.example;{cell(HOSTILE)};{cell(HOSTILE)}\n{BAD}\n"


def workbook() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "<b>=1+1 & \u202e"
    sheet.append(["E-mail", "Nome", FORMULA[1:]])
    for row in (["bob@x.example", MARKUP, "@x"], [MARKUP, MARKDOWN, "+1"]):
        sheet.append(row)
    sheet["B3"].value, sheet["B3"].data_type = FORMULA, "s"
    raw = io.BytesIO()
    book.save(raw)
    return raw.getvalue()


def archive() -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as file:
        for number, name in enumerate(
            ("../../dagster/a.csv", "/etc/b.csv", "w\\..\\..\\c.csv", f"d\n{FORGED}.csv")
        ):
            file.writestr(name, f"E-mail;Nome\nz{number}@x.example;Z\nnope;{cell(FORMULA)}\n")
    return raw.getvalue()


class Page(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def look_at_page(text: str) -> None:
    page = Page(text)
    assert not page.tags & {"script", "img", "iframe", "object", "embed", "form", "base", "link", "input"}
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "action")]
    links = [value for name, value in page.attributes if name == "href"]
    assert all(re.fullmatch(r"#\w+|(errors|rejected)\.\w+", link) for link in links), links
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    assert "FORGED" in text, "the names are on the page, as text"


def look_at_returned(key: str, data: bytes) -> None:
    if key.endswith(".csv"):
        text = data.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text), delimiter=csv.Sniffer().sniff(text[:20], ";,").delimiter))
        risky = [value for row in rows for value in row if FORMULA_START.match(value)]
        assert rows and not risky, risky
    if key.endswith(".xlsx"):
        for sheet in openpyxl.load_workbook(io.BytesIO(data)):
            cells = [value for row in sheet.iter_rows() for value in row]
            assert cells and not [c for c in cells if c.data_type == "f"]


def look_at_bucket(world: World) -> None:
    for key in world.keys(""):
        if key.startswith("uploads/"):
            continue
        parts = key.split("/")
        assert ".." not in parts and "" not in parts[:-1], key
        if key.startswith(("archive/", "quarantine/", "reports/")):
            assert len(parts) == 5 and re.fullmatch("[0-9a-f]{12}", parts[3]), key
        else:
            assert (
                key.startswith(("dagster/storage/", "staging/")) and "FORGED" not in key and ".csv" not in key
            )
        if key.startswith("reports/"):
            look_at_returned(key, world.get(key))
        if key.endswith("summary.html") and "FORGED" in json.dumps(summary_beside(world, key)):
            look_at_page(world.get(key).decode())


def summary_beside(world: World, key: str) -> dict[str, Any]:
    return dict(json.loads(world.get(key.replace(".html", ".json"))))


def texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)


def look_at_dagster(world: World) -> None:
    for run in world.instance.get_runs():
        assert not [value for value in run.tags.values() if CONTROL.search(value)]
        for entry in world.instance.all_logs(run.run_id):
            broken = [text for text in texts(json.loads(entry.to_json())) if f"\n{FORGED}" in text]
            assert not broken, broken
            event = entry.dagster_event
            data = getattr(event, "event_specific_data", None) if event else None
            metadata = getattr(getattr(data, "materialization", None), "metadata", {})
            for value in metadata.values():
                if isinstance(value, MarkdownMetadataValue):
                    text = str(value.md_str)
                    assert "<" not in text and "](" not in text and "\x1b" not in text
    for dataset in world.datasets:
        for key in world.instance.get_dynamic_partitions(f"{dataset}_uploads"):
            assert not CONTROL.search(key) and ".." not in key


def look_at_ledger(world: World) -> None:
    for table, columns in {
        "uploads": ("upload_id", "file_name", "human_name", "uploaded_by", "error_message", "error_remedy"),
        "events": ("message",),
    }.items():
        for row in world.sql(f"SELECT * FROM imports.{table}"):
            assert not [row[name] for name in columns if row[name] and CONTROL.search(row[name])]


def look_at_terminal(*texts: str) -> None:
    for text in texts:
        assert not [line for line in text.splitlines() if line.strip(" │|").startswith(FORGED)]
        assert "\x1b[2J" not in text and "\x1b]0;" not in text and "\x9b" not in text and "\u202e" not in text


def typed(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.stdout + result.stderr


def test_nothing_of_a_hostile_file_runs_hides_or_leaves_its_place(
    world: World, caplog: Any, capfd: Any
) -> None:
    stated = {"name": "=1+1<b>", "uploaded-by": "<script>"}
    world.put(f"{FOLDER}/{NAME}", ROWS, **stated)
    world.put(f"uploads/acme/leads/refused-{NAME}", ROWS.replace("E-mail", "<i>mail"))
    world.put("uploads/acme/leads/x\\..\\..\\book.xlsx", workbook())
    world.put("uploads/acme/leads/files.zip", archive())
    assert len(world.tick()) == 4
    assert len(world.tick()) == 4, "the files of the archive"
    world.tick(run=False)

    states = {
        row["file_name"]: row["state"] for row in world.sql("SELECT file_name, state FROM imports.uploads")
    }
    assert sorted(states.values()) == ["completed_with_rejects"] * 6 + ["expanded", "refused"], states
    look_at_bucket(world)
    look_at_dagster(world)
    look_at_ledger(world)
    uploads = [row["short_id"] for row in world.sql("SELECT short_id FROM imports.uploads")]
    said = [typed("history"), typed("status"), typed("history", "--json")]
    said += [typed(command, short) for short in uploads for command in ("status", "report")]
    look_at_terminal(caplog.text, *capfd.readouterr(), *said)
    assert any("FORGED" in text for text in said), "the names are shown, as text"
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 6}]


def test_a_hostile_file_is_checked_on_this_machine_without_leaving_its_folder(tmp_path: Any) -> None:
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / "files.zip"
    source.write_bytes(archive())
    out = tmp_path / "out"
    said = typed("check", str(source), "--dataset", "leads", "--output", str(out))
    look_at_terminal(said)
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.parts[0] for path in written} == {"in", "out"}
    folders = sorted({path.parts[1] for path in written if path.parts[0] == "out"})
    assert len(folders) == 4 and not [name for name in folders if CONTROL.search(name) or ".." in name]
    for path in written:
        if path.name in ("errors.csv", "rejected.csv"):
            look_at_returned(path.name, (tmp_path / path).read_bytes())


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J", "\x9b2J", "\u202e", "\r", "\ud800"])
def test_text_of_strangers_moves_no_cursor(text: str, capsys: Any) -> None:
    from import_pipeline.cli.console import print_facts, print_json, print_table, say, warn

    say("x [bold]y[/]")
    warn(text.replace("\n", ""))
    print_table(("name",), [[text]])
    print_facts([("name", text)])
    print_json({"name": text})
    out, err = capsys.readouterr()
    assert not set(out + err) & set("\x1b\x9b\u202e\r\ud800")
    assert json.loads(out[out.index("{") :]) == {"name": text}
