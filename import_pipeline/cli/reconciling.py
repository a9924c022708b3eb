"""`reconcile`: after a database was restored, bring in what came since the backup."""

from typing import Annotated

import typer
from rich.markup import escape

from import_pipeline.cli.console import print_json, say, warn
from import_pipeline.cli.exit_codes import TROUBLE
from import_pipeline.cli.options import JsonOption
from import_pipeline.errors import ConfigurationError
from import_pipeline.plain_text import one_line
from import_pipeline.settings import Settings

MOST_SHOWN = 50


def reconcile(
    since: Annotated[
        str | None,
        typer.Option(help="Only what came since: `30m`, `12h`, `7d`, `4w` or a date.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be recorded.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Record originals in the bucket that the ledger does not know, so that the sensor launches them.

    For after the database was restored from a backup: looks into `uploads/`, `archive/` and `quarantine/`.
    The rows that were imported since the backup are gone with the ledger's memory of them, so each comes in
    once. Doing it again records nothing twice.
    """
    from import_pipeline.cli.connecting import datasets_of, open_bucket, open_ledger
    from import_pipeline.cli.looking import moment_of
    from import_pipeline.flow.housekeeping.recovering import find_unknown, record_found
    from import_pipeline.settings import load_settings

    settings = load_settings()
    earliest = None if since is None else moment_of(since)
    bucket = open_bucket(settings)
    with open_ledger(settings) as conn:
        found = find_unknown(
            conn,
            bucket,
            datasets=list(datasets_of(settings)),
            workspaces=settings.allowed_workspaces(),
            since=earliest,
        )
        names = [one.arrival.upload_id for one in found.originals]
        if not dry_run and names:
            record_found(conn, found.originals, _next_launches(settings, names))
    if as_json:
        print_json({"recorded": [] if dry_run else names, "unknown": names, "nameless": found.nameless})
    else:
        _tell(names, found.nameless, dry_run=dry_run)
    if found.nameless:
        raise typer.Exit(TROUBLE)


def _next_launches(settings: Settings, names: list[str]) -> dict[str, int]:
    from import_pipeline.orchestration.control import open_instance
    from import_pipeline.orchestration.recovering import next_launches

    try:
        with open_instance(settings) as instance:
            return next_launches(instance, names)
    except ConfigurationError as error:
        warn(
            f"Dagster was not asked: {error.message} An upload that it remembers a run of will be failed "
            "first; then type `import-pipeline retry --failed`."
        )
        return {}


def _tell(names: list[str], nameless: tuple[str, ...], *, dry_run: bool) -> None:
    for name in names[:MOST_SHOWN]:
        say(escape(name))
    if len(names) > MOST_SHOWN:
        say(f"… and {len(names) - MOST_SHOWN:,} more.")
    if not names:
        say("The ledger knows every original in the bucket.")
    elif dry_run:
        say(f"{len(names):,} originals would be recorded.")
    else:
        say(f"[green]{len(names):,} originals recorded: the sensor launches them at its next looks.[/]")
    for key in nameless:
        warn(
            f"{one_line(key)} does not say what it was: copy it into `uploads/` if it is to be imported, or, "
            "if it brought an upload in again, type `import-pipeline reimport` with that upload."
        )
