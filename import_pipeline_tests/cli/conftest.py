"""Runs commands in this process, as a person types them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from import_pipeline.cli.main import app
from import_pipeline.ledger.connection import connect
from import_pipeline.settings import Settings


@dataclass(frozen=True)
class Typed:
    """What a command gave."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """Standard error without line breaks and frames: rich wraps and boxes usage errors."""
        return " ".join(self.err.replace("│", " ").split())


@pytest.fixture
def typed() -> Callable[..., Typed]:
    """Type a command: `typed("status", "--json")`."""

    def run(*arguments: object) -> Typed:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Typed(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def ledger(settings: Settings) -> Iterator[psycopg.Connection]:
    """The ledger that the commands see, as the loader; commits at once."""
    with connect(settings.require_database_url()) as conn:
        conn.autocommit = True
        yield conn


@pytest.fixture
def leads_file(tmp_path: Path) -> Path:
    """Three leads: a good one, one with a broken address, one that repeats the first."""
    path = tmp_path / "leads.csv"
    path.write_text(
        "E-mail,Nome\nana@x.example,Ana\nana em x.example,Ana\nANA@x.example,Outra\n", encoding="utf-8"
    )
    return path
