"""`check`: what an import of a file would give, without any service."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from import_pipeline.cli.console import (
    messages,
    output,
    print_facts,
    print_json,
    print_table,
    say,
    seconds_text,
    show_error,
    warn,
)
from import_pipeline.cli.exit_codes import exit_code
from import_pipeline.cli.options import (
    READING,
    DatasetOption,
    FileArgument,
    JsonOption,
    choose_dataset,
    state_options,
    takes,
)
from import_pipeline.plain_text import one_line

STEPS = ("opening", "reading", "checking", "searching for duplicates", "reporting")


@takes(**READING)
def check(
    file: FileArgument,
    dataset: DatasetOption,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder for the results. Default: check-<file>.", file_okay=False
        ),
    ] = None,
    as_json: JsonOption = False,
    *,
    options: dict[str, Any],
) -> None:
    """Check a file on this machine: same reading, rules and duplicate search as an import.

    Needs no service and changes nothing. Writes clean.parquet, summary.html, errors.csv,
    rejected.<format> and summary.json; of a zip a folder for each file in it. Exit code: 0 all rows are
    good, 3 some are rejected, 4 a file would be refused.
    """
    from import_pipeline.catalog.discovery import load_datasets
    from import_pipeline.local_check import check_files
    from import_pipeline.settings import load_settings

    settings = load_settings()
    chosen = choose_dataset(load_datasets(settings.datasets), dataset)
    stated = state_options(**options).options
    folder = folder or Path(f"check-{file.stem}")
    with _Steps() as steps:
        checked = check_files(file, chosen, stated, folder, steps.show, settings.language)
    codes = [exit_code(one.state, one.counts.rejected if one.counts else None) for one in checked]
    facts = [_facts(one, code) for one, code in zip(checked, codes, strict=True)]
    if as_json:
        archive = {"file": str(file), "dataset": chosen.name, "members": facts, "exit_code": max(codes)}
        print_json(facts[0] if checked[0].path == file else archive)
    else:
        for one in checked:
            if one.path != file:
                inside = one_line(str(one.path.relative_to(file)), "_")
                output().print(f"\n{inside}", soft_wrap=True, markup=False)
            _show(one)
    raise typer.Exit(max(codes))


class _Steps:
    """A bar on a terminal that shows which stage is how far; nothing elsewhere."""

    def __init__(self) -> None:
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            console=messages(),
            transient=True,
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> "_Steps":
        self.bar.start()
        self.task = self.bar.add_task("", total=len(STEPS))
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def show(self, stage: str, share: float) -> None:
        """A stage and its share done."""
        self.bar.update(self.task, description=stage, completed=STEPS.index(stage) + share)


def _facts(checked: Any, code: int) -> dict[str, Any]:
    error = checked.error
    return {
        "file": str(checked.path),
        "dataset": checked.dataset,
        "state": checked.state,
        "counts": dataclasses.asdict(checked.counts) if checked.counts else None,
        "codes": checked.codes,
        "warnings": list(checked.warnings),
        "error": {"code": error.code, "message": error.message, "remedy": error.remedy} if error else None,
        "files": [str(path) for path in checked.files],
        "seconds": round(checked.seconds, 3),
        "exit_code": code,
    }


def _show(checked: Any) -> None:
    if checked.error is not None:
        show_error(checked.error)
    else:
        counts = checked.counts
        print_facts(
            (
                ("rows read", counts.read),
                ("would be loaded", counts.inserted),
                ("repeated in the file", counts.duplicate),
                ("rejected", counts.rejected),
            )
        )
    if checked.codes:
        print_table(("code", "rows"), sorted(checked.codes.items()), right=("rows",))
    for warning in checked.warnings:
        warn(str(warning.get("message", warning) if isinstance(warning, dict) else warning))
    files = ", ".join(path.name for path in checked.files)
    say(f"{escape(f'{files} are in {checked.files[-1].parent}')} ({seconds_text(checked.seconds)}).")
