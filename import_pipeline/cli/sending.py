"""`upload` and `import`: put files where the pipeline looks, and wait for what becomes of them."""

import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from import_pipeline.cli.console import messages, print_json, say, warn
from import_pipeline.cli.exit_codes import exit_code
from import_pipeline.cli.options import (
    DEFAULT_WORKSPACE,
    LOADING,
    READING,
    DatasetOption,
    FileArgument,
    FilesArgument,
    JsonOption,
    NameOption,
    WorkspaceOption,
    choose_dataset,
    state_options,
    takes,
)
from import_pipeline.errors import BadOption
from import_pipeline.flow.arrivals.options import Statement
from import_pipeline.settings import Settings


@takes(**READING, **LOADING)
def upload(
    files: FilesArgument,
    dataset: DatasetOption,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    name: NameOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the import until it is reported.")] = False,
    as_json: JsonOption = False,
    *,
    options: dict[str, Any],
) -> None:
    """Upload files into the bucket, where the sensor notices them.

    With --wait the exit code is the worst outcome: 0 completed, 3 completed with rejects, 4 refused,
    5 failed, 6 duplicate file.
    """
    stated = state_options(**options, name=name, uploaded_by=_user())
    _send_and_follow(files, dataset, workspace, stated, wait=wait, as_json=as_json)


@takes(**READING, **LOADING)
def import_file(
    file: FileArgument,
    dataset: DatasetOption,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    name: NameOption = None,
    as_json: JsonOption = False,
    *,
    options: dict[str, Any],
) -> None:
    """Upload a file and wait until it is imported and reported.

    Exit code: 0 completed, 3 completed with rejects, 4 refused, 5 failed, 6 duplicate file.
    --json prints the ledger's row, of an archive with the rows of its files as `members`.
    """
    stated = state_options(**options, name=name, uploaded_by=_user())
    _send_and_follow([file], dataset, workspace, stated, wait=True, as_json=as_json, single=True)


def _send_and_follow(
    files: Sequence[Path],
    dataset: str,
    workspace: str,
    stated: Statement,
    *,
    wait: bool,
    as_json: bool,
    single: bool = False,
) -> None:
    from import_pipeline.cli.connecting import datasets_of, open_bucket
    from import_pipeline.sending import SentUpload, check_sendable, send_file
    from import_pipeline.settings import load_settings

    settings = load_settings()
    chosen = choose_dataset(datasets_of(settings), dataset)
    for file in files:
        try:
            check_sendable(file, chosen, workspace, settings.allowed_workspaces())
        except BadOption as error:
            raise typer.BadParameter(str(error), param_hint=f"--{error.fields['option']}") from error
    bucket = open_bucket(settings)
    sent: list[SentUpload] = []
    with _bars() as bars:
        for file in files:
            task = bars.add_task(escape(file.name), total=file.stat().st_size)
            done = send_file(
                bucket, file, dataset=chosen.name, workspace=workspace, statement=stated,
                progress=lambda count, task=task: bars.advance(task, count),  # type: ignore[misc]
            )  # fmt: skip
            sent.append(done)
    for one in sent:
        if one.renamed:
            warn(f"Another {one.path.name} still waits; this one is kept apart as {one.listed.key}.")
        if not as_json:
            say(f"{escape(one.path.name)} is in {escape(one.listed.key)} as {escape(one.upload_id)}")
    if wait:
        code, rows = _follow(settings, sent)
        if as_json:
            inside = {"members": rows[1:]} if single and rows[1:] else {}
            print_json({**rows[0], **inside} if single else rows)
        raise typer.Exit(code)
    if as_json:
        print_json([_sent_facts(one) for one in sent])


def _follow(settings: Settings, sent: Sequence[Any]) -> tuple[int, list[dict[str, Any]]]:
    """Wait for uploads and say what became of each; the worst exit code, and the ledger's rows."""
    from import_pipeline.cli.connecting import open_ledger
    from import_pipeline.cli.following import TICKS_WITHOUT_NOTICE, Follower, follow, open_board
    from import_pipeline.cli.looking import describe_outcome, row_facts
    from import_pipeline.ledger.uploads import get_upload

    with open_ledger(settings) as conn:
        try:
            with open_board() as board:
                follower = Follower(conn, board)
                for one in sent:
                    follower.add(one.upload_id, one.path.name)
                follow(follower, warn_after_seconds=TICKS_WITHOUT_NOTICE * settings.sensor_interval_seconds)
        except KeyboardInterrupt:
            warn(f"The import goes on; see: import-pipeline status {sent[0].short_id}")
            raise
        codes, rows = [], []
        for seen in follower.finished():
            say(describe_outcome(seen))
            codes.append(exit_code(seen.state, seen.rejected))
            row = get_upload(conn, seen.upload_id)
            rows.append(row_facts(row) if row is not None else {})
        return max(codes), rows


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=messages(),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def _sent_facts(sent: Any) -> dict[str, Any]:
    return {
        "upload_id": sent.upload_id,
        "short_id": sent.short_id,
        "file": str(sent.path),
        "bucket": sent.listed.bucket,
        "key": sent.listed.key,
        "size": sent.listed.size,
        "sha256": sent.sha256,
    }


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return None
