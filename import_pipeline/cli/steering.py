"""`cancel` and `retry`: stop what waits or runs, and launch again what did not make it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import psycopg
import typer
from rich.markup import escape

from import_pipeline.cli.console import print_json, say, warn
from import_pipeline.cli.exit_codes import TROUBLE
from import_pipeline.cli.options import JsonOption
from import_pipeline.errors import ConfigurationError, ImportPipelineError
from import_pipeline.ledger.rows import UploadRow
from import_pipeline.records import UploadState
from import_pipeline.settings import Settings

if TYPE_CHECKING:
    from import_pipeline.storage.bucket import Bucket

CANCELLABLE: tuple[UploadState, ...] = ("detected", "queued", "running")
STOP_SECONDS = 30.0
MOST_FAILED = 10_000

Uploads = Annotated[
    list[str] | None,
    typer.Argument(help="Upload ids, short ids, given names or file names.", show_default=False),
]


def cancel(uploads: Uploads = None, as_json: JsonOption = False) -> None:
    """Cancel uploads that wait or run; one that is published already stays as it is.

    An archive stands for the files in it.
    """
    from import_pipeline.cli.connecting import open_ledger
    from import_pipeline.cli.naming import choose_upload
    from import_pipeline.ledger.members import instead_of_archives
    from import_pipeline.settings import load_settings

    if not uploads:
        raise typer.BadParameter("Name at least one upload.", param_hint="UPLOADS")
    settings = load_settings()
    states: dict[str, str] = {}
    with open_ledger(settings) as conn:
        named = [choose_upload(conn, text, only=True) for text in uploads]
        chosen = instead_of_archives(conn, named, CANCELLABLE)
        conn.commit()
        for row in chosen:
            states[row.upload_id] = _cancel_one(conn, row, settings)
    _tell(states, "cancelled", as_json=as_json)


def retry(
    uploads: Uploads = None,
    failed: Annotated[bool, typer.Option("--failed", help="Every upload that is failed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Launch again what is failed, cancelled, refused, checked, undone or a duplicate file.

    The sensor launches it at its next look. A published upload is never imported twice: if its report is
    missing, that is written. An archive stands for the files in it.
    """
    from import_pipeline.cli.connecting import open_bucket, open_ledger
    from import_pipeline.cli.naming import choose_upload
    from import_pipeline.ledger.housekeeping import set_launch_numbers
    from import_pipeline.ledger.members import instead_of_archives
    from import_pipeline.ledger.outcomes import ask_for_reports, requeue
    from import_pipeline.ledger.queries import history
    from import_pipeline.ledger.states import RERUN_STATES
    from import_pipeline.ledger.uploads import get_upload
    from import_pipeline.settings import load_settings

    if bool(uploads) == failed:
        raise typer.BadParameter("Name uploads, or say --failed.", param_hint="UPLOADS")
    settings = load_settings()
    bucket = open_bucket(settings)
    states: dict[str, str] = {}
    with open_ledger(settings) as conn:
        if failed:
            names = [row.upload_id for row in history(conn, state="failed", limit=MOST_FAILED)]
            found = [get_upload(conn, name) for name in names]
            chosen = [row for row in found if row is not None]
        else:
            named = [choose_upload(conn, text, only=True) for text in uploads or ()]
            chosen = instead_of_archives(conn, named, RERUN_STATES)
        conn.commit()
        there = _still_there(conn, bucket, chosen)
        found_again = [row.upload_id for row in there]
        free = _free_launches(settings, found_again)
        sent_back = requeue(conn, found_again)
        set_launch_numbers(conn, free)
        again = dict.fromkeys(sent_back, "detected")
        again |= dict.fromkeys(ask_for_reports(conn, found_again), "report")
        for row in chosen:
            states[row.upload_id] = _retried(row, again, there)
    if not states and not as_json:
        say("No upload is failed.")
    _tell(states, "detected", "report", as_json=as_json)


def _free_launches(settings: Settings, names: list[str]) -> dict[str, int]:
    """Launch numbers of which Dagster remembers no run, as it may after the ledger was restored.

    Without Dagster's storage at hand the ledger's own number is taken.
    """
    from import_pipeline.orchestration.control import open_instance
    from import_pipeline.orchestration.recovering import next_launches

    try:
        with open_instance(settings) as instance:
            return next_launches(instance, names) if names else {}
    except ConfigurationError:
        return {}


def _cancel_one(conn: psycopg.Connection, row: UploadRow, settings: Settings) -> str:
    """Stop an upload's runs, then end it in the ledger; its state afterwards, or why not."""
    from import_pipeline.ledger.outcomes import record_cancelled
    from import_pipeline.ledger.uploads import get_upload

    if row.state not in CANCELLABLE:
        return f"is {row.state.replace('_', ' ')} already"
    _stop_runs(row, settings)
    record_cancelled(conn, row.upload_id, _by_a_person())
    conn.commit()
    # The sensor may have asked for a run between our look and our note.
    _stop_runs(row, settings)
    after = get_upload(conn, row.upload_id)
    conn.commit()
    return "gone" if after is None else after.state


def _stop_runs(row: UploadRow, settings: Settings) -> None:
    from import_pipeline.orchestration.control import cancel_runs, open_instance

    try:
        with open_instance(settings) as instance:
            cancel_runs(instance, row.upload_id, STOP_SECONDS)
    except ConfigurationError as error:
        if row.state == "running":
            raise
        warn(f"Dagster was not asked: {error.message} The upload is cancelled in the ledger.")


def _by_a_person() -> ImportPipelineError:
    return ImportPipelineError(
        "Cancelled on the command line.", remedy="Retry it to import it.", code="cancelled"
    )


def _still_there(conn: psycopg.Connection, bucket: "Bucket", rows: Sequence[UploadRow]) -> list[UploadRow]:
    """Those whose original can still be read; that of a file in an archive is the archive."""
    from import_pipeline.flow.arrivals.originals import locate_original
    from import_pipeline.ledger.members import archive_of

    holders = {row.upload_id: archive_of(conn, row) for row in rows}
    conn.commit()
    found = {
        holder.upload_id: locate_original(bucket, holder) is not None
        for holder in {held.upload_id: held for held in holders.values()}.values()
    }
    return [row for row in rows if found[holders[row.upload_id].upload_id]]


def _retried(row: UploadRow, again: Mapping[str, str], there: Sequence[UploadRow]) -> str:
    if row.upload_id in again:
        return again[row.upload_id]
    if row not in there:
        return "cannot be launched again: its original is gone; upload the file again"
    return f"is {row.state.replace('_', ' ')}: nothing to launch again"


def _tell(states: dict[str, str], *wanted: str, as_json: bool) -> None:
    """Say what became of each; exit code 1 if one is not as wanted."""
    words = {
        "detected": "will be launched again at the sensor's next look",
        "report": "is published; its report will be written after the sensor's next look",
    }
    if as_json:
        print_json([{"upload_id": name, "state": state} for name, state in states.items()])
    else:
        for name, state in states.items():
            colour = "green" if state in wanted else "yellow"
            say(f"[{colour}]{escape(name)}: {escape(words.get(state, state))}[/]")
    if any(state not in wanted for state in states.values()):
        raise typer.Exit(TROUBLE)
