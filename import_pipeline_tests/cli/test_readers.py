"""`readers` lets database roles read workspaces, and takes it back."""

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from import_pipeline.settings import Settings


@pytest.fixture
def role(settings: Settings, as_superuser) -> Iterator[str]:
    """A role that may log in."""
    name = f"reader_{secrets.token_hex(6)}"
    with psycopg.connect(as_superuser(settings.require_database_url()), autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        yield name
        conn.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


def test_a_role_becomes_a_reader_is_listed_and_stops_being_one(typed, role):
    added = typed("readers", "add", role, "acme", "globex")
    assert added.exit_code == 0
    assert f"{role} reads workspace acme" in added.err and "public.leads" in added.err
    assert typed("readers", "list", "--json").json == [
        {"role": role, "workspaces": ["acme", "globex"], "exists": True}
    ]
    assert role in typed("readers", "list").out
    assert "no longer reads workspace acme" in typed("readers", "remove", role, "acme").err
    assert "SELECT on public.leads" in typed("readers", "remove", role).err
    assert typed("readers", "list", "--json").json == []


def test_a_role_that_is_not_there_gets_the_sql_that_makes_it(typed, settings):
    refused = typed("readers", "add", "nobody_here", "acme")
    assert refused.exit_code == 1
    assert 'CREATE ROLE "nobody_here" LOGIN' in refused.err


def test_a_name_that_no_workspace_can_have_is_a_mistake_in_typing(typed, role):
    refused = typed("readers", "add", role, "Acme Ltda")
    assert refused.exit_code == 2
    assert "Acme Ltda" in refused.words


def test_only_the_owner_manages_readers(typed, role, settings, monkeypatch):
    monkeypatch.setenv("IMPORT_PIPELINE_OWNER_DATABASE_URL", settings.require_database_url())
    refused = typed("readers", "add", role, "acme")
    assert refused.exit_code == 1
    assert "IMPORT_PIPELINE_OWNER_DATABASE_URL" in refused.err
