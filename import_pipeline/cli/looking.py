"""`status`, `history`, `report`: what is on its way, what came before, what became of one upload."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, get_args

import psycopg
import typer
from rich.markup import escape

from import_pipeline.cli.console import (
    output,
    print_facts,
    print_json,
    print_table,
    say,
    seconds_text,
    size_text,
    time_text,
)
from import_pipeline.cli.options import JsonOption
from import_pipeline.ledger.rows import UploadRow, UploadSummary
from import_pipeline.records import UploadState

COUNTS = ("read", "inserted", "updated", "unchanged", "duplicate", "rejected")
UNDONE = ("removed", "restored", "left")
OPEN_STATES: tuple[UploadState, ...] = ("running", "queued", "detected")
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LINK_SECONDS = 3600
MOST_WAITING = 1000

UploadArgument = Annotated[
    str | None,
    typer.Argument(help="Upload id, short id, given name or file name.", show_default=False),
]


def status(upload: UploadArgument = None, as_json: JsonOption = False) -> None:
    """Show what is on its way, with the place in the queue, or one upload with its timeline."""
    from import_pipeline.cli.connecting import open_ledger
    from import_pipeline.cli.naming import choose_upload
    from import_pipeline.ledger.queries import history as search
    from import_pipeline.settings import load_settings

    with open_ledger(load_settings()) as conn:
        if upload is not None:
            _show_upload(conn, choose_upload(conn, upload), as_json=as_json)
            return
        found = [row for state in OPEN_STATES for row in search(conn, state=state, limit=MOST_WAITING)]
        found.sort(key=lambda row: (row.state != "running", row.queue_place or 0, row.detected_at))
        if as_json:
            print_json([asdict(row) for row in found])
        elif found:
            _print_open(found)
        else:
            say("Nothing is on its way. `import-pipeline history` lists what came before.")


def history(
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Only this kind of file.")] = None,
    workspace: Annotated[str | None, typer.Option("--workspace", "-w", help="Only this tenant.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Only this state, such as `failed` or `completed_with_rejects`.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only newer ones: `30m`, `12h`, `7d`, `4w`, or a date as 2026-02-28.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most uploads shown.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List uploads, the newest first; the files of an archive stand below it."""
    from import_pipeline.cli.connecting import open_ledger
    from import_pipeline.ledger.queries import history as search
    from import_pipeline.settings import load_settings

    if state is not None and state not in get_args(UploadState):
        raise typer.BadParameter(
            f"{state!r} is no state; there are: {', '.join(get_args(UploadState))}.", param_hint="--state"
        )
    earliest = None if since is None else moment_of(since)
    with open_ledger(load_settings()) as conn:
        found = search(conn, dataset=dataset, workspace=workspace, state=state, since=earliest, limit=limit)  # type: ignore[arg-type]
    if as_json:
        print_json([asdict(row) for row in found])
    elif found:
        shown = {row.upload_id for row in found}
        print_table(
            ("upload", "dataset", "state", "read", "loaded", "duplicate", "rejected", "took", "arrived"),
            [
                ("  " * (r.parent in shown) + r.upload_id, r.dataset, r.state, r.read, _loaded(r),
                 r.duplicate, r.rejected, seconds_text(r.seconds), r.detected_at)
                for r in archives_first(found)
            ],
            right=("read", "loaded", "duplicate", "rejected", "took"),
        )  # fmt: skip
        if len(found) == limit:
            say(f"These are the newest {limit}; --limit shows more.")
    else:
        say("No upload fits.")


def report(
    upload: Annotated[str, typer.Argument(help="Upload id, short id, given name or file name.")],
    download: Annotated[
        Path | None, typer.Option(help="Folder to put the report's files into.", file_okay=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what became of an upload, with links to its report; --download fetches the files."""
    from import_pipeline.cli.connecting import open_bucket, open_ledger
    from import_pipeline.cli.naming import choose_upload
    from import_pipeline.ledger.queries import summary
    from import_pipeline.settings import load_settings

    settings = load_settings()
    with open_ledger(settings) as conn:
        row = choose_upload(conn, upload)
        seen = summary(conn, row.upload_id)
    if seen is None or row.report_prefix is None:
        lacks = "has no report yet" if row.reported_at is None else "its report is deleted: its days are over"
        say(f"{escape(row.upload_id)} is {row.state.replace('_', ' ')} and {lacks}.")
        raise typer.Exit(1)
    bucket = open_bucket(settings)
    keys = bucket.list_keys(row.report_prefix)
    if download is not None:
        fetched = download_report(bucket, row.report_prefix, download)
        if as_json:
            print_json({**asdict(seen), "files": [str(path) for path in fetched]})
        else:
            say(describe_outcome(seen))
            for path in fetched:
                output().print(str(path), soft_wrap=True, markup=False)
        return
    links = {key.rsplit("/", 1)[-1]: bucket.url(key, LINK_SECONDS) for key in keys}
    if as_json:
        print_json({**asdict(seen), "links": links})
        return
    _print_outcome(seen)
    for name, link in links.items():
        output().print(f"\n{name} (for an hour): {link}", soft_wrap=True, markup=False)


def download_report(bucket: Any, prefix: str, folder: Path) -> list[Path]:
    """Fetch the files of a report into a folder, made if missing; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    fetched = []
    for key in bucket.list_keys(prefix):
        path = folder / key.rsplit("/", 1)[-1]
        bucket.get_file(key, path)
        fetched.append(path)
    return fetched


def archives_first(found: Sequence[UploadSummary]) -> list[UploadSummary]:
    """Uploads with the files of each archive right below it, wherever both are shown."""
    shown = {row.upload_id for row in found}
    below: dict[str, list[UploadSummary]] = {}
    for row in found:
        if row.parent in shown:
            below.setdefault(str(row.parent), []).append(row)
    tops = [row for row in found if row.parent not in shown]
    return [row for top in tops for row in (top, *below.get(top.upload_id, ()))]


def moment_of(since: str) -> datetime:
    """The moment that `7d`, `12h` or a date means, from now on backwards.

    Raises:
        typer.BadParameter: it is neither.
    """
    counted = re.fullmatch(r"(\d{1,5})\s*([mhdw])", since.strip())
    if counted:
        return datetime.now(UTC) - timedelta(**{UNITS[counted[2]]: int(counted[1])})
    try:
        moment = datetime.fromisoformat(since.strip())
    except ValueError as error:
        raise typer.BadParameter(
            f"{since!r} is neither a time span nor a date; write 30m, 12h, 7d, 4w or 2026-02-28.",
            param_hint="--since",
        ) from error
    return moment.astimezone()


def describe_outcome(seen: UploadSummary) -> str:
    """One line about a finished upload, as rich markup."""
    name, state = escape(seen.upload_id), seen.state.replace("_", " ")
    if seen.error_message:
        return f"[red]{name}: {state}. {escape(seen.error_message)}[/] {escape(seen.error_remedy or '')}"
    if seen.ignored_reason:
        return f"[yellow]{name}: {state}. {escape(seen.ignored_reason)}[/]"
    if seen.duplicate_of:
        return f"[yellow]{name}: {state} of {escape(seen.duplicate_of)}; nothing was loaded.[/]"
    if seen.read is None:
        return f"{name}: {state}"
    counts = ", ".join(f"{getattr(seen, c):,} {c}" for c in COUNTS if c == "read" or getattr(seen, c))
    colour = "yellow" if seen.rejected else "green"
    return f"[{colour}]{name}: {state}[/]: {counts}"


def row_facts(row: UploadRow) -> dict[str, Any]:
    """A ledger row as JSON-friendly facts, without the stages' internals."""
    return {name: value for name, value in asdict(row).items() if name != "details"}


def _show_upload(conn: psycopg.Connection, row: UploadRow, *, as_json: bool) -> None:
    from import_pipeline.ledger.events import timeline
    from import_pipeline.ledger.queries import members, summary

    events = timeline(conn, row.upload_id)
    seen = summary(conn, row.upload_id)
    if as_json:
        queue = {"queue_place": seen.queue_place, "percent": seen.percent} if seen else {}
        print_json({**row_facts(row), **queue, "timeline": [asdict(event) for event in events]})
        return
    if seen is not None:
        _print_outcome(seen, brings_in=row.reimport_of)
    inside = members(conn, row.upload_id)
    if inside:
        output().print()
        print_table(
            ("file in it", "upload", "state", "read", "loaded", "rejected"),
            [(m.member, m.upload_id, m.state, m.read, _loaded(m), m.rejected) for m in reversed(inside)],
            right=("read", "loaded", "rejected"),
        )
    output().print()
    print_table(
        ("time", "state", "percent", "message"),
        [(e.at, e.state, "" if e.percent is None else f"{e.percent:.0f}", e.message) for e in events],
        right=("percent",),
    )


def _print_outcome(seen: UploadSummary, *, brings_in: str | None = None) -> None:
    print_facts(
        (
            ("upload", seen.upload_id),
            ("name", seen.human_name),
            ("in the archive", seen.parent),
            ("sent by", seen.uploaded_by),
            ("size", size_text(seen.size)),
            ("state", seen.state.replace("_", " ")),
            ("place in the queue", seen.queue_place),
            ("percent", None if seen.percent is None else f"{seen.percent:.0f}"),
            ("error", f"{seen.error_code}: {seen.error_message}" if seen.error_code else None),
            ("what to do", seen.error_remedy),
            ("ignored because", seen.ignored_reason),
            ("same file as", seen.duplicate_of),
            ("brings in again", brings_in),
            *((count, getattr(seen, count)) for count in COUNTS),
            ("corrected since", seen.corrected_rows or None),
            ("undone", time_text(seen.undone_at) if seen.state == "undone" else None),
            *((f"{name} by the undo", getattr(seen, f"undo_{name}")) for name in UNDONE),
            ("took", seconds_text(seen.seconds)),
            ("attempts", seen.attempts),
            ("Dagster run", seen.run_id),
            ("arrived", time_text(seen.detected_at)),
            ("published", time_text(seen.published_at)),
            ("report", seen.report),
        )
    )


def _print_open(found: Sequence[UploadSummary]) -> None:
    print_table(
        ("place", "upload", "dataset", "size", "state", "percent", "arrived"),
        [
            (r.queue_place, r.upload_id, r.dataset, size_text(r.size), r.state,
             "" if r.percent is None else f"{r.percent:.0f}", r.detected_at)
            for r in found
        ],
        right=("place", "size", "percent"),
    )  # fmt: skip


def _loaded(row: UploadSummary) -> int | None:
    return None if row.inserted is None else row.inserted + (row.updated or 0)
