"""`readers`: which database roles read the rows of which workspaces."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import psycopg
import typer
from rich.markup import escape

from import_pipeline.cli.console import print_json, print_table, say
from import_pipeline.cli.options import JsonOption

app = typer.Typer(no_args_is_help=True, help="Roles that read only some workspaces, in tables and ledger.")

RoleArgument = Annotated[str, typer.Argument(help="A role of the database.", show_default=False)]


@app.command("add")
def add(
    role: RoleArgument,
    workspaces: Annotated[list[str], typer.Argument(help="Workspaces it may read.", show_default=False)],
) -> None:
    """Let a role read the rows of workspaces: SELECT on dataset tables and ledger, nothing else.

    Uses IMPORT_PIPELINE_OWNER_DATABASE_URL. The role has to be there.
    """
    from import_pipeline.cli.connecting import datasets_of
    from import_pipeline.flow.arrivals.identity import WORKSPACE_NAME
    from import_pipeline.ledger.readers import add_reader
    from import_pipeline.settings import load_settings

    wrong = [name for name in workspaces if WORKSPACE_NAME.fullmatch(name) is None]
    if wrong:
        raise typer.BadParameter(f"No workspace can be called {wrong[0]!r}.", param_hint="WORKSPACES")
    tables = [dataset.table for dataset in datasets_of(load_settings()).values()]
    with _owners_ledger() as conn:
        _tell(add_reader(conn, role, workspaces, tables), "It reads them already.")


@app.command("remove")
def remove(
    role: RoleArgument,
    workspaces: Annotated[
        list[str] | None, typer.Argument(help="Workspaces; default: all of them.", show_default=False)
    ] = None,
) -> None:
    """Stop a role reading workspaces; with the last of them go its rights."""
    from import_pipeline.ledger.readers import remove_reader

    with _owners_ledger() as conn:
        _tell(remove_reader(conn, role, workspaces or ()), "It read none of them.")


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List roles and the workspaces they read."""
    from import_pipeline.ledger.readers import list_readers

    with _owners_ledger() as conn:
        readers = list_readers(conn)
    if as_json:
        print_json(readers)
        return
    shown = [(r.role, ", ".join(r.workspaces), "" if r.exists else "there is no such role") for r in readers]
    print_table(("role", "workspaces", ""), shown)


@contextmanager
def _owners_ledger() -> Iterator[psycopg.Connection]:
    """A connection as the owner of the tables: commits at its end, rolls back on an error.

    Raises:
        ConfigurationError: the role is not the owner.
    """
    from import_pipeline.errors import ConfigurationError
    from import_pipeline.ledger.connection import connect, translated_errors
    from import_pipeline.ledger.migrate import require_current
    from import_pipeline.settings import load_settings

    url = load_settings().require_owner_database_url()
    with translated_errors(), connect(url, application_name="import-pipeline command") as conn:
        require_current(conn, {})
        try:
            yield conn
        except psycopg.errors.InsufficientPrivilege as error:
            raise ConfigurationError(
                f"Only the owner of the tables manages readers: {error.diag.message_primary}.",
                remedy="Set IMPORT_PIPELINE_OWNER_DATABASE_URL to the role that owns the tables.",
            ) from error


def _tell(done: list[str], otherwise: str) -> None:
    for sentence in done or [otherwise]:
        say(escape(sentence))
