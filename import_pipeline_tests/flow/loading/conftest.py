"""The world that loading's tests play in: one database for all of them, emptied before each."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from import_pipeline.services.postgres import OWNER_ROLE
from import_pipeline.storage.store import LocalStore
from import_pipeline_tests.flow.loading.world import World

EMPTIED = (
    "DROP TABLE IF EXISTS sales, things, seats; DROP FUNCTION IF EXISTS swallow, steal;"
    "TRUNCATE imports.uploads, imports.rejects, imports.row_history, imports.publish_numbers CASCADE"
)


@pytest.fixture(scope="session")
def loading_url(services: Any, migrated_template: str) -> Iterator[str]:
    """A migrated database, as the loader."""
    name = f"loading_{secrets.token_hex(6)}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
    with services.superuser() as conn:
        conn.execute(create.format(*map(sql.Identifier, (name, migrated_template, OWNER_ROLE))))
    yield services.postgres.url(name)
    with services.superuser() as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def world(loading_url: str, as_owner: Callable[[str], str], tmp_path: Path) -> World:
    """An empty ledger and an empty store."""
    world = World(loading_url, as_owner(loading_url), LocalStore(tmp_path / "store"))
    with psycopg.connect(world.owner_url) as conn:
        conn.execute(EMPTIED)
    return world
