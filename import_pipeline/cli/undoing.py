"""`undo` and `reimport`: take a published upload out of its table again, and bring one in anew.

What an undo does to rows is `flow/loading/undoing.py`'s; here it is shown, asked for, and launched.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.cli.console import (
    messages,
    output,
    print_facts,
    print_json,
    print_table,
    say,
    show_error,
    warn,
)
from import_pipeline.cli.exit_codes import FAILED, TROUBLE, exit_code
from import_pipeline.cli.options import JsonOption
from import_pipeline.errors import ConfigurationError, NotReimportable, NotUndoable, UndoBlocked
from import_pipeline.ledger.rows import UploadRow
from import_pipeline.records import UndoneUpload
from import_pipeline.settings import Settings
from import_pipeline.undo_words import depending_table, left_table

if TYPE_CHECKING:
    from import_pipeline.reimporting import ReimportedUpload

WAIT_SECONDS = 20.0
UploadArgument = Annotated[
    str,
    typer.Argument(help="Upload id, short id, given name or file name.", show_default=False),
]
UploadsArgument = Annotated[
    list[str],
    typer.Argument(help="Upload ids, short ids, given names or file names.", show_default=False),
]


def undo(
    upload: UploadArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what an undo would do.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take a published upload out of the table again; rows that it overwrote come back.

    It first shows what would happen, then asks, then runs as job `undo_<dataset>` in Dagster. Rows that
    somebody changed since stay, and are listed. An archive stands for the published files in it.
    """
    from import_pipeline.cli.connecting import datasets_of, open_ledger
    from import_pipeline.cli.naming import choose_upload
    from import_pipeline.ledger.members import instead_of_archives
    from import_pipeline.ledger.states import PUBLISHED_STATES
    from import_pipeline.settings import load_settings

    settings = load_settings()
    with open_ledger(settings) as conn:
        row = choose_upload(conn, upload, only=True)
        rows = instead_of_archives(conn, [row], PUBLISHED_STATES)
    datasets = datasets_of(settings)
    rows, previews, refused = _preview_all(settings, rows, datasets)
    asking = not yes and not dry_run
    if asking or not as_json:
        _show_all(rows, previews, messages() if as_json else output())
    if dry_run and as_json:
        print_json([asdict(preview) for preview in previews])
    if dry_run or not rows:
        raise typer.Exit(TROUBLE if refused else 0)
    if asking and not _confirmed(len(rows)):
        say("Nothing was changed.")
        raise typer.Exit(TROUBLE)
    failed = _launch_and_follow(settings, rows, datasets)
    _tell_undone(settings, rows, failed, as_json=as_json)
    if refused:
        raise typer.Exit(TROUBLE)


def reimport(
    uploads: UploadsArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the imports until they are reported.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring published uploads in again, from the archive, with the dataset as it is today.

    For uploads that lack rows since another one was undone: each comes in as an upload of its own, and
    rows that are there already are not loaded twice. An archive stands for the published files in it.
    """
    from import_pipeline.cli.connecting import datasets_of, open_bucket, open_ledger
    from import_pipeline.cli.naming import choose_upload
    from import_pipeline.ledger.members import instead_of_archives
    from import_pipeline.ledger.states import PUBLISHED_STATES
    from import_pipeline.reimporting import reimport as bring_in
    from import_pipeline.settings import load_settings

    settings = load_settings()
    datasets, bucket = datasets_of(settings), open_bucket(settings)
    done: list[ReimportedUpload] = []
    refused = 0
    with open_ledger(settings) as conn:
        named = [choose_upload(conn, text, only=True) for text in uploads]
        chosen = instead_of_archives(conn, named, PUBLISHED_STATES)
        conn.commit()
        for row in chosen:
            try:
                done.append(bring_in(conn, bucket, row, datasets.get(row.dataset or "")))
            except NotReimportable as error:
                refused += 1
                show_error(error)
    if as_json and not wait:
        print_json([asdict(one) for one in done])
    elif not as_json:
        for one in done:
            _say_reimported(one)
    code = TROUBLE if refused else 0
    if wait and done:
        code = max(code, _follow_imports(settings, done, as_json=as_json))
    if code:
        raise typer.Exit(code)


def _preview_all(
    settings: Settings, rows: Sequence[UploadRow], datasets: Mapping[str, Dataset]
) -> tuple[list[UploadRow], list[UndoneUpload], int]:
    """What an undo of each would do, of those that can be undone, and how many cannot.

    A file of an archive that cannot is named, and does not keep the others from it.
    """
    kept, previews = [], []
    for row in rows:
        try:
            previews.append(_preview(settings, row, datasets))
            kept.append(row)
        except (NotUndoable, UndoBlocked) as error:
            if len(rows) == 1:
                raise
            say(f"{escape(row.upload_id)} cannot be undone:")
            show_error(error)
    return kept, previews, len(rows) - len(kept)


def _preview(settings: Settings, row: UploadRow, datasets: Mapping[str, Dataset]) -> UndoneUpload:
    """What an undo would do: the undo itself, rolled back."""
    from import_pipeline.flow.loading.undoing import undo_upload

    return undo_upload(
        settings.require_database_url(),
        row.upload_id,
        _dataset_of(row, datasets),
        undo_days=settings.undo_days,
        store=None,
        dry_run=True,
    )


def _dataset_of(row: UploadRow, datasets: Mapping[str, Dataset]) -> Dataset:
    if row.dataset is None or row.dataset not in datasets:
        raise NotUndoable(
            f"There is no dataset {row.dataset!r} any more, so its table is not known.",
            remedy="Declare it again; IMPORT_PIPELINE_DATASETS names where datasets are.",
            upload_id=row.upload_id,
        )
    return datasets[row.dataset]


def _show_all(rows: Sequence[UploadRow], previews: Sequence[UndoneUpload], to: Console) -> None:
    """The previews; an upload that is undone as well lacks nothing afterwards."""
    going = {row.upload_id for row in rows}
    for row, preview in zip(rows, previews, strict=True):
        depending = tuple(one for one in preview.depending if one.upload_id not in going)
        _show(row, replace(preview, depending=depending), to)
    if len(rows) > 1:
        say("Each is shown as if it alone were undone: rows that several of them wrote count for each.")


def _show(row: UploadRow, preview: UndoneUpload, to: Console) -> None:
    """One preview: what goes, what comes back, what stays and why, and who lacks rows afterwards."""
    print_facts(
        (
            ("upload", row.upload_id),
            ("published", row.published_at),
            ("rows taken out", preview.removed),
            ("rows as before", preview.restored),
            ("rows left: changed since", preview.left.get("changed_since") or None),
            ("rows left: referred to", preview.left.get("referenced") or None),
            ("overwritten since, stay", preview.overwritten or None),
            ("gone already", preview.gone or None),
        ),
        to,
    )
    for title, rows in (
        ("These rows stay:", left_table(preview)),
        ("These uploads lack rows then, which the commands bring in:", depending_table(preview)),
    ):
        if rows:
            say(f"\n{title}")
            print_table(tuple(rows[0]), [tuple(one.values()) for one in rows], right=("row", "rows"), to=to)


def _confirmed(uploads: int) -> bool:
    if not _is_terminal():
        warn("Nobody is there to be asked; say --yes to undo without.")
        return False
    return typer.confirm("Undo it?" if uploads == 1 else f"Undo all {uploads} files?", err=True)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _launch_and_follow(
    settings: Settings, rows: Sequence[UploadRow], datasets: Mapping[str, Dataset]
) -> dict[str, str]:
    """Run the undo of each upload in Dagster; why it failed, by upload id, of those that did."""
    from import_pipeline.orchestration.control import open_instance
    from import_pipeline.orchestration.launching import launch_runs, wait_for_runs
    from import_pipeline.orchestration.undoing import undo_launch

    launches = [undo_launch(_dataset_of(row, datasets), row) for row in rows]
    try:
        with open_instance(settings) as instance:
            run_ids = launch_runs(instance, launches)
            say(f"Undoing in Dagster: run {', '.join(run_id[:8] for run_id in run_ids)} …")
            try:
                failed = wait_for_runs(instance, run_ids, _patience())
            except KeyboardInterrupt:
                warn(f"The undo goes on in Dagster; see: import-pipeline status {rows[0].short_id}")
                raise
    except ConfigurationError as error:
        remedy = f"{error.remedy} Or launch {launches[0].job_name} with this partition in the Dagster UI."
        raise ConfigurationError(error.message, remedy=remedy, **error.fields) from error
    return {row.upload_id: failed[run] for row, run in zip(rows, run_ids, strict=True) if run in failed}


def _patience() -> Callable[[int], None]:
    """Says once that runs still wait, when they have waited for long."""
    until: float | None = time.monotonic() + WAIT_SECONDS

    def look(waiting: int) -> None:
        nonlocal until
        if until is not None and waiting and time.monotonic() > until:
            until = None
            warn(
                "It waits in Dagster's queue: for a free slot, another run of the same upload, or a "
                "daemon. `import-pipeline doctor` says whether one is there."
            )

    return look


def _tell_undone(
    settings: Settings, rows: Sequence[UploadRow], failed: Mapping[str, str], *, as_json: bool
) -> None:
    """What the ledger says now; exit code 5 if one was not undone."""
    from import_pipeline.cli.connecting import open_ledger
    from import_pipeline.cli.looking import row_facts
    from import_pipeline.ledger.uploads import get_upload

    with open_ledger(settings) as conn:
        after = [get_upload(conn, row.upload_id) or row for row in rows]
    if as_json:
        print_json(
            [
                {**row_facts(row), "undo_error": failed.get(row.upload_id), "undo_left_rows": _left_rows(row)}
                for row in after
            ]
        )
    for row in after:
        name = escape(row.upload_id)
        if row.upload_id in failed:
            say(f"[red]{name}: not undone. {escape(failed[row.upload_id])}[/]")
        else:
            say(
                f"[green]{name}: undone[/]: {row.undo_removed or 0:,} rows taken out, "
                f"{row.undo_restored or 0:,} as before, {row.undo_left or 0:,} left"
            )
            if key := _left_rows(row):
                say(f"All rows left: {escape(key)}; import-pipeline report {row.short_id} shows a link")
    if failed:
        raise typer.Exit(FAILED)


def _left_rows(row: UploadRow) -> str | None:
    """The object that lists the rows that the undo left."""
    key = row.details.get("undo", {}).get("left_key")
    return None if key is None else str(key)


def _say_reimported(one: "ReimportedUpload") -> None:
    new = escape(one.upload_id)
    if one.new:
        say(f"[green]{escape(one.of)} is brought in again as {new}[/], at the sensor's next look.")
    else:
        say(f"{escape(one.of)} is on its way again already, as {new}.")


def _follow_imports(settings: Settings, done: "Sequence[ReimportedUpload]", *, as_json: bool) -> int:
    """Wait for reimports and say what became of each; the worst exit code."""
    from import_pipeline.cli.connecting import open_ledger
    from import_pipeline.cli.following import TICKS_WITHOUT_NOTICE, Follower, follow, open_board
    from import_pipeline.cli.looking import describe_outcome

    with open_ledger(settings) as conn:
        with open_board() as board:
            follower = Follower(conn, board)
            for upload in done:
                follower.add(upload.upload_id, upload.file_name)
            follow(follower, warn_after_seconds=TICKS_WITHOUT_NOTICE * settings.sensor_interval_seconds)
        seen = follower.finished()
    for one in seen:
        say(describe_outcome(one))
    if as_json:
        print_json([asdict(one) for one in seen])
    return max(exit_code(one.state, one.rejected) for one in seen)
