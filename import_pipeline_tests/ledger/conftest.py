"""A connection to a migrated ledger, and uploads brought into any state the way runs do it."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import psycopg
import pytest
from psycopg import sql

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.flow.arrivals.decision import Arrival
from import_pipeline.ledger.arrivals import record_arrivals
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.members import record_expanded
from import_pipeline.ledger.states import TRANSITIONS
from import_pipeline.records import ListedObject, Token

FIRST_SECOND = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOURCE = ListedObject("b", "archive/acme/leads/x/leads.zip", "e", 7, FIRST_SECOND)
COUNTS = {"read": 10, "inserted": 4, "updated": 1, "unchanged": 1, "duplicate": 2, "rejected": 2}


@pytest.fixture(scope="module")
def shared_url(services: Any, migrated_template: str) -> Iterator[str]:
    """A migrated database for all tests of a file, none of which commits."""
    name = f"ledger_{secrets.token_hex(6)}"
    names = (sql.Identifier(name), sql.Identifier(migrated_template))
    with services.superuser() as superuser:
        superuser.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
        yield services.postgres.url(name)
        superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(names[0]))


@pytest.fixture
def conn(shared_url: str) -> Iterator[psycopg.Connection]:
    """The loader's connection; what a test writes is rolled back."""
    with connect(shared_url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def own_conn(migrated_url: str) -> Iterator[psycopg.Connection]:
    """The loader's connection to a database of the test's own (`migrated_url`): it may commit."""
    with connect(migrated_url) as connection:
        yield connection


def arrival(
    name: str,
    *,
    workspace: str | None = "acme",
    dataset: str | None = "leads",
    seconds: int = 0,
    ignored: str | None = None,
) -> Arrival:
    """A new object; `seconds` after the first one."""
    identity = sha256(f"{workspace}/{dataset}/{name}".encode()).hexdigest()
    return Arrival(
        listed=ListedObject(
            "b", f"uploads/{workspace}/{dataset}/{name}", "e", 7, FIRST_SECOND + timedelta(seconds=seconds)
        ),
        workspace=workspace,
        dataset=dataset,
        identity=identity,
        short_id=identity[:12],
        upload_id=f"{workspace}/{name}@{identity[:12]}",
        file_name=name,
        ignored_reason=ignored,
    )


def add(conn: psycopg.Connection, name: str = "a.csv", **options: object) -> str:
    """Record one arrival and return its upload id."""
    new = arrival(name, **options)  # type: ignore[arg-type]
    assert record_arrivals(conn, [new]) == 1
    return new.upload_id


def inside(parent: str, member: str) -> Arrival:
    """A file in an archive, as its arrival."""
    new = arrival(f"leads.zip/{member}")
    return replace(new, parent=parent, member=member, file_name=f"leads.zip › {member}")


def expanded(conn: psycopg.Connection, *names: str, options: SenderOptions | None = None) -> str:
    """An archive whose files are uploads; its upload id."""
    archive = add(conn, "leads.zip")
    move(conn, archive, "running")
    arrivals = [inside(archive, name) for name in names]
    record_expanded(
        conn, archive, arrivals, source=SOURCE, skipped=1, sha256="0" * 64, options=options or SenderOptions()
    )
    return archive


def path_to(state: str) -> list[str]:
    """The shortest way to `state` from a first one."""
    paths = [["detected"], ["ignored"]]
    for path in paths:
        if path[-1] == state:
            return path
        paths += [[*path, to] for origin, to, _ in TRANSITIONS if origin == path[-1] and to not in path]
    raise AssertionError(f"no way to {state}")


@pytest.fixture
def in_state(conn: psycopg.Connection) -> Callable[[str, str], str]:
    """Adds an upload and walks it to a state, with everything that state's CHECKs ask for."""

    def walk(state: str, name: str = "a.csv") -> str:
        path = path_to(state)
        upload_id = add(conn, name, ignored="no reason" if path[0] == "ignored" else None)
        for step in path[1:]:
            move(conn, upload_id, step)
        return upload_id

    return walk


def move(conn: psycopg.Connection, upload_id: str, state: str) -> None:
    """Set a state with all that its CHECKs ask for, by plain SQL: only the trigger judges."""
    conn.execute(
        """
        UPDATE imports.uploads SET state = %(state)s, error_code = 'x', duplicate_of = upload_id,
            ignored_reason = 'x', read = 10, inserted = 4, updated = 1, unchanged = 1, duplicate = 2,
            rejected = 2
        WHERE upload_id = %(upload_id)s
        """,
        {"state": state, "upload_id": upload_id},
    )


def token(number: int) -> Token:
    """The token of the run created `number` seconds after some moment; run ids sort the other way."""
    return Token(1_700_000_000.125 + number, f"run{99 - number:02}")
