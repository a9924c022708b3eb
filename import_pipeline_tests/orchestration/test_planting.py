"""Secrets stand nowhere, personal values only in what goes back to the sender: planted, then searched."""

import io
import logging
import os
import traceback
from typing import Any
from urllib.parse import urlsplit

import openpyxl
import pandera.pandas as pandera
import psycopg
import pyarrow as pa
import pytest
from dagster import DagsterInstance
from typer.testing import CliRunner

from import_pipeline.catalog.dataset import Dataset, column
from import_pipeline.catalog.types import Boolean, Choice, Date, Email, Integer, Number, Text, Timestamp
from import_pipeline.cli.main import app
from import_pipeline.errors import ImportPipelineError
from import_pipeline.ledger.migrate import migrate
from import_pipeline.orchestration import failures, steps
from import_pipeline.orchestration.build import build_defs
from import_pipeline.services.postgres import LOADER_ROLE
from import_pipeline.settings import Settings, load_settings
from import_pipeline_tests.orchestration.conftest import World
from import_pipeline_tests.orchestration.planting import Words, leaks, traces

HEADER = "code;name;mail;born;seen;weight;visits;smokes;blood;room"


class Patient(pandera.DataFrameModel):
    """Everything but the room is personal, in a column of every type."""

    code: Text = column(required=True, personal=True)
    name: Text = column(personal=True, str_length={"max_value": 40})
    mail: Email = column(personal=True)
    born: Date = column(personal=True)
    seen: Timestamp = column(personal=True)
    weight: Number(8, 2) = column(personal=True, le=500)
    visits: Integer = column(personal=True, ge=0)
    smokes: Boolean = column(personal=True)
    blood: Choice("A", "B", "0") = column(personal=True)
    room: Text = column()


PATIENTS = Dataset(name="patients", model=Patient, key=("code",), existing="update", unknown_columns="keep",
                   footer=("(?i)^total",))  # fmt: skip


@pytest.fixture
def planted() -> Words:
    return Words()


@pytest.fixture
def clinic(
    settings: Settings, instance: DagsterInstance, s3: Any, bucket_name: str, monkeypatch: Any
) -> World:
    """A world of patients."""
    monkeypatch.setattr(failures, "FIRST_WAIT_SECONDS", 0.01)
    datasets = {"patients": PATIENTS}
    migrate(settings.require_owner_database_url(), datasets, loader=LOADER_ROLE)
    return World(settings, instance, s3, bucket_name, datasets, build_defs(datasets=datasets))


def good(word: Words, code: str | None = None) -> str:
    return ";".join((code or word("c-"), word(), f"{word()}@x.example", "1971-02-03", "2020-01-02 03:04:05",
                     "70.5", "3", "yes", "A", "12"))  # fmt: skip


def bad_rows(word: Words) -> list[str]:
    """A row for each way in which a personal cell can be wrong; every cell says a planted word."""
    base = dict.fromkeys(HEADER.split(";"), "")
    wrong = [
        {"mail": word()}, {"born": word()}, {"born": f"31/31/{word()}"}, {"seen": word()}, {"weight": word()},
        {"weight": word.number()}, {"visits": f"-{word.number()}"}, {"visits": f"{word.number()},5"},
        {"smokes": word()}, {"blood": word()}, {"name": word() * 5}, {"code": ""},
    ]  # fmt: skip
    rows = [";".join((base | {"code": word("c-"), "name": word()} | cells).values()) for cells in wrong]
    return [
        *rows,
        f"{word('c-')};{word()};;;;;;;;12;{word()};{word()}",
        f"{word('c-')};{word()}\x00;;;;;;;;1",
    ]


def scenarios(word: Words) -> dict[str, bytes]:
    """Files by name: each brings personal values to a place where a message might quote them."""
    twice = good(word)
    book = openpyxl.Workbook()
    headless = openpyxl.Workbook()
    for _ in range(3):
        headless.active.append([word(), f"{word()}@x.example", "11 9999", "room"])
    book.active.append(HEADER.split(";"))
    book.active.append([word("c-"), word(), word(), word(), word(), word(), word(), word(), word(), 1])
    book.active.append([word("c-"), f"=1/0&{word()!r}", "#N/A", 44000, 1.5, "1e400", True, 1, 2, "x"])
    sheet = io.BytesIO()
    book.save(sheet)
    other_sheet = io.BytesIO()
    headless.save(other_sheet)
    lines = [
        f'{{"code": "{word()}", "name": {{"first": "{word()}"}}, "mail": ["{word()}"], "born": "{word()}"}}',
        f'{{"code": "{word()}", "weight": "{word()}", "unknown": "{word()}"}}',
        f'{{"code": "{word()}", "name": "{word()}"',
    ]
    files = {
        "twice.csv": f"{HEADER}\n{twice}\n{good(word)}\n{twice.replace('2020', '2021')}\n",
        "again.csv": f"{word()}\n\n{HEADER}\n{twice.replace('70.5', '71')}\n",
        "bad.csv": "\n".join([HEADER, *bad_rows(word), f'c;"{word()}', good(word)]) + "\n",
        "orders.csv": f"{HEADER}\n{word('c-')};;;03/04/1971;;1.234;;;;\n{word('c-')};;;05/06/1972;;5,6;;;;\n",
        "no-header.csv": f"{good(word)}\n{good(word)}\n",
        "no-header-one-known.csv": f"{good(word)};blood\n{good(word)};x\n",
        "unknown-headers.csv": f"{HEADER};{word()}\n{good(word)};{word()}\n{good(word)};\x00\n",
        "unknown-keys.json": f'{{"{word()}": [{{"code": "{word()}", "{word()}": "{word()}"}}]}}',
        "footer.csv": f"{HEADER}\n{good(word)}\nTotal;{word()};{word()}@x.example;;;;;;;\n",
        "two-arrays.json": f'{{"{word()}": [], "{word()}": []}}',
        "broken.json": "\n".join(lines),
        "lines.jsonl": "\n".join(lines[:2]) + "\n",
        "not-text.csv": f"{HEADER}\n{word()}\x81\x8d\x00\x01{word()}\n",
    }
    books = {"book.xlsx": sheet.getvalue(), "no-header-one-known.xlsx": other_sheet.getvalue()}
    return {name: text.encode("utf-8") for name, text in files.items()} | books


def test_personal_values_go_back_to_the_sender_and_nowhere_else(
    clinic: World, planted: Words, caplog: Any, capfd: Any
) -> None:
    """Found on its first run: a file without a header was refused with its first row in the message.

    Found later: where one cell of that row is the header of a column, the row was quoted all the same.
    """
    caplog.set_level(logging.INFO)
    rows = {
        name: clinic.import_file(f"uploads/acme/patients/{name}", data)
        for name, data in scenarios(planted).items()
    }

    assert {row["state"] for row in rows.values()} >= {"completed", "completed_with_rejects", "refused"}
    found = traces(clinic, caplog.text, *capfd.readouterr())
    assert len(found["ledger row_errors"]) > 1000 and len(found) > 10
    assert leaks(found, planted.planted) == []
    refused = rows["no-header.csv"]
    assert "none of its 10 headers names a column of patients" in refused["error_message"]
    back = clinic.get(f"{refused['report_prefix']}summary.json").decode()
    assert "Columns found: 'c-planted" in back, "the sender sees what was found"
    known = rows["no-header-one-known.csv"]
    assert "has no column for 'code'. Columns found: 'blood' and 10 others." in known["error_message"]
    assert "Columns found: 'c-planted" in clinic.get(f"{known['report_prefix']}summary.json").decode()
    assert rows["unknown-headers.csv"]["details"]["opened"]["file"]["header"] == [*HEADER.split(";"), "***"]
    footer = rows["footer.csv"]
    assert footer["details"]["split"]["ignored"] == [{"row_number": 3, "why": "footer", "text": "***"}]
    assert "Total | planted" in clinic.get(f"{footer['report_prefix']}summary.json").decode()
    assert rows["unknown-headers.csv"]["rejected"] == 1 and rows["unknown-keys.json"]["inserted"] == 1


BREAKING = {
    "a constraint of the table": ("ALTER TABLE patients ADD CHECK (weight < 1)", None),
    "a trigger that quotes the row": (
        "CREATE FUNCTION quote() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'no %', NEW.name USING DETAIL = NEW.mail; END $$;"
        " CREATE TRIGGER quote BEFORE INSERT ON patients FOR EACH ROW EXECUTE FUNCTION quote()",
        None,
    ),
    "a value that a library quotes": (None, ValueError),
    "a value that Arrow quotes": (None, pa.ArrowInvalid),
    "a value that is no key": (None, KeyError),
    "a value that is no file": (None, OSError),
}


@pytest.mark.parametrize("what", BREAKING)
def test_an_import_that_breaks_on_a_personal_value_does_not_quote_it(
    what: str, clinic: World, planted: Words, caplog: Any, capfd: Any, monkeypatch: Any
) -> None:
    statement, kind = BREAKING[what]
    if statement is not None:
        with psycopg.connect(clinic.settings.require_owner_database_url()) as conn:
            conn.execute(statement)
    else:

        def broken(*_: Any, **__: Any) -> None:
            raise kind(f"could not convert {planted()}")

        monkeypatch.setattr(steps, "find_duplicates", broken)
    row = clinic.import_file("uploads/acme/patients/a.csv", f"{HEADER}\n{good(planted)}\n")

    assert row["state"] == "failed" and row["error_message"]
    found = traces(clinic, caplog.text, *capfd.readouterr())
    assert leaks(found, planted.planted) == []
    if statement is None:
        assert "in broken" in "".join(found.values()), "the traceback still leads to the place"


class Fussy(pandera.DataFrameModel):
    """A check that raises with the value in its message, as a plain `float(value)` does."""

    name: Text = column(required=True, personal=True)

    @pandera.check("name")
    def is_a_number(cls, names: Any) -> Any:
        """Numbers only."""
        return names.map(float) > 0


def test_a_check_of_ones_own_that_raises_is_named_without_the_value(
    settings: Settings, instance: DagsterInstance, s3: Any, bucket_name: str, planted: Words, capfd: Any
) -> None:
    datasets = {"fussy": Dataset(name="fussy", model=Fussy, key=("name",))}
    migrate(settings.require_owner_database_url(), datasets, loader=LOADER_ROLE)
    world = World(settings, instance, s3, bucket_name, datasets, build_defs(datasets=datasets))
    row = world.import_file("uploads/acme/fussy/a.csv", f"name\n{planted()}\n")
    assert row["state"] == "failed"
    assert "'is_a_number' raised ValueError" in row["error_message"]
    assert leaks(traces(world, *capfd.readouterr()), planted.planted) == []


# -- secrets ---------------------------------------------------------------------------------------


def secrets_of(settings: Settings) -> list[str]:
    """The secret part of every credential setting; one that is not set fails the test."""
    found = []
    for name, field in Settings.model_fields.items():
        if "SecretStr" in str(field.annotation):
            value = getattr(settings, name)
            assert value is not None, f"{name} is a credential: plant one"
            text = value.get_secret_value()
            found.append(urlsplit(text).password or text if "://" in text else text)
    assert len(found) >= 5
    return found


def test_secrets_stand_nowhere_whatever_becomes_of_an_import(
    world: World, monkeypatch: Any, caplog: Any, capfd: Any
) -> None:
    """Success, rejects, refusal; then no database, a wrong secret, a URL that cannot be read."""
    monkeypatch.setattr(failures, "FIRST_WAIT_SECONDS", 0.01)
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "planted-session-token")
    secrets = secrets_of(load_settings())
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    for name, text in {
        "good.csv": "E-mail;Nome\nana@x.example;Ana\nnope;B\n", "empty.csv": "",
    }.items():  # fmt: skip
        world.import_file(f"uploads/acme/leads/{name}", text)
    world.put("uploads/acme/leads/later.csv", "E-mail;Nome\nbo@x.example;Bo\n")
    world.tick(run=False)
    upload = world.upload("uploads/acme/leads/later.csv")["upload_id"]
    wrong = {
        "IMPORT_PIPELINE_DATABASE_URL": [
            "postgresql://loader:planted-down@127.0.0.1:1/imports",
            "postgresql://loader:planted@at-sign@127.0.0.1:1/imports",
            "postgresql//loader:planted-scheme@127.0.0.1:1/imports",
            "postgresql://loader:planted-%zz@127.0.0.1:1/imports",
            "host=127.0.0.1 password='planted-dsn",
        ],
        "AWS_SECRET_ACCESS_KEY": ["planted-wrong-secret"],
    }
    said = []
    for variable, values in wrong.items():
        right = os.environ[variable]
        for value in values:
            monkeypatch.setenv(variable, value)
            assert not world.launch(upload), value
            with pytest.raises(ImportPipelineError) as refused:
                world.evaluate()
            said += [str(refused.value), *traceback.format_exception(refused.value)]
            for command in (["status"], ["doctor"], ["migrate"]):
                result = CliRunner().invoke(app, command)
                assert result.exception is None or isinstance(result.exception, SystemExit), value
                said += [result.output, result.stderr]
        monkeypatch.setenv(variable, right)

    found = traces(world, caplog.text, *capfd.readouterr(), *said)
    found |= {f"object {key}": repr(world.get(key)) for key in world.keys("")}
    planted = ["planted-down", "at-sign", "planted-scheme", "planted-%zz", "planted-dsn", "planted-wrong"]
    assert leaks(found, [*secrets, *planted]) == []
    assert "PostgreSQL is not available" in "".join(said)
