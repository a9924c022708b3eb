"""`demo`: sample files through the whole pipeline, in a folder of its own, and every count compared."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from import_pipeline.cli.console import output, print_table, say, seconds_text
from import_pipeline.cli.following import Follower, open_board
from import_pipeline.cli.looking import COUNTS, download_report
from import_pipeline.errors import ImportPipelineError
from import_pipeline.ledger.rows import UploadSummary
from import_pipeline.samples.all_samples import SAMPLES
from import_pipeline.samples.sample import Sample
from import_pipeline.settings import Settings

if TYPE_CHECKING:
    from import_pipeline.local_pipeline import RunningPipeline

FOLDER = "demo"
SECONDS = 900.0
LAST_STEPS_SECONDS = 30.0
WORKSPACES = sorted({sample.workspace for sample in SAMPLES})
# The demo must reach nobody's database or bucket: these are left to local services, whatever is set.
LOCAL_ONLY = (
    "database_url", "owner_database_url", "dagster_database_url", "bucket", "aws_endpoint_url",
    "aws_access_key_id", "aws_secret_access_key", "aws_session_token",
)  # fmt: skip
OWN_DEFAULTS = ("aws_region", "postgres_port", "aws_port")


@dataclass(frozen=True)
class ImportedSample:
    """A sample and what the ledger says of it; `report` is the folder with its report."""

    sample: Sample
    seen: UploadSummary | None
    report: Path

    @property
    def differences(self) -> list[str]:
        """What is not as the sample must give; empty if all is."""
        if self.seen is None:
            return ["was never noticed"]
        wanted = {"state": self.sample.state, **asdict(self.sample.counts)}
        return [
            f"{name} is {getattr(self.seen, name)} instead of {value}"
            for name, value in wanted.items()
            if getattr(self.seen, name) != value
        ]


def demo(
    home: Annotated[
        Path | None, typer.Option(help="Folder to work in. Default: .import_pipeline/demo", file_okay=False)
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep database and bucket, to look at them later.")
    ] = False,
) -> None:
    """Import sample files on services of its own, and compare every count.

    The sensor and the Dagster daemon do the work. Exit code 0: every count is exactly what the
    samples must give. Files and reports stay in the folder; nothing is left running.
    """
    from import_pipeline.services.lock import is_held
    from import_pipeline.services.supervisor import StopAsked, stop_on_signals
    from import_pipeline.settings import load_settings

    settings = load_settings()
    folder = (home or settings.home / FOLDER).absolute()
    services = folder / "services"
    if is_held(services):
        raise ImportPipelineError(f"Another demo runs in {folder}.", remedy="Wait for it, or say --home.")
    for part in ("services", "files", "reports"):
        shutil.rmtree(folder / part, ignore_errors=True)
    began = time.monotonic()
    try:
        with stop_on_signals():
            imported = _run(_own_settings(settings, services), folder)
    except StopAsked as asked:
        say("Stopped.")
        raise typer.Exit(asked.exit_code) from asked
    finally:
        if not keep:
            shutil.rmtree(services, ignore_errors=True)
    _show(imported, time.monotonic() - began)
    if keep:
        say(f"Database and bucket are kept: import-pipeline dev --no-samples --home {services}")
    if any(one.differences for one in imported):
        raise typer.Exit(1)


def _own_settings(settings: Settings, home: Path) -> Settings:
    """Settings that name no service of the user's, so that local ones are started for all."""
    defaults = {name: Settings.model_fields[name].default for name in (*LOCAL_ONLY, *OWN_DEFAULTS)}
    own = {"home": home, "sensor_interval_seconds": 2, "workspaces": ",".join(WORKSPACES)}
    return settings.model_copy(update={**defaults, **own})


def _run(settings: Settings, folder: Path) -> list[ImportedSample]:
    """Start the pipeline, drop the samples, follow them, fetch their reports."""
    from import_pipeline.cli.connecting import open_bucket, open_ledger
    from import_pipeline.flow.arrivals.options import Statement
    from import_pipeline.local_pipeline import start_pipeline
    from import_pipeline.sending import send_file

    with start_pipeline(settings, ui_port=None, say=lambda text: say(escape(text))) as pipeline:
        bucket = open_bucket(pipeline.settings)
        files = folder / "files"
        files.mkdir(parents=True, exist_ok=True)
        ids: dict[str, str] = {}
        with open_ledger(pipeline.settings) as conn, open_board() as board:
            follower = Follower(conn, board)
            until = time.monotonic() + SECONDS

            def done() -> bool:
                for sample in [s for s in SAMPLES if s.file_name not in ids]:
                    if not sample.after or _is_published(follower, ids.get(sample.after)):
                        sent = send_file(
                            bucket,
                            sample.write(files),
                            dataset=sample.dataset,
                            workspace=sample.workspace,
                            statement=Statement(sample.options),
                        )
                        ids[sample.file_name] = sent.upload_id
                        follower.add(sent.upload_id, sample.file_name)
                finished = follower.look()
                ahead = [s for s in SAMPLES if s.file_name not in ids]
                # A sample whose predecessor was not published would wait for ever.
                possible = any(_is_published(follower, ids.get(s.after)) for s in ahead)
                return (finished and not possible) or time.monotonic() > until

            pipeline.watch(done)
            _let_runs_end(pipeline)
            return [_fetch(sample, follower.seen.get(ids.get(sample.file_name, "")), bucket, folder)
                    for sample in SAMPLES]  # fmt: skip


def _let_runs_end(pipeline: "RunningPipeline") -> None:
    """Give runs whose upload is reported the seconds to say so in Dagster."""
    from import_pipeline.orchestration.control import open_instance, unfinished_runs

    until = time.monotonic() + LAST_STEPS_SECONDS
    with open_instance(pipeline.settings) as instance:
        pipeline.watch(lambda: not unfinished_runs(instance) or time.monotonic() > until)


def _is_published(follower: Follower, upload_id: str | None) -> bool:
    seen = follower.seen.get(upload_id) if upload_id is not None else None
    return seen is not None and seen.published_at is not None


def _fetch(sample: Sample, seen: UploadSummary | None, bucket: object, folder: Path) -> ImportedSample:
    from import_pipeline.storage.places import reports_prefix

    target = folder / "reports" / sample.file_name
    if seen is not None and seen.reported_at is not None:
        download_report(bucket, reports_prefix(seen.workspace, seen.dataset, seen.short_id), target)
    return ImportedSample(sample, seen, target)


def _show(imported: Sequence[ImportedSample], seconds: float) -> None:
    # A terminal may have 80 columns: no count that is 0 for every file, no long state.
    counts = [c for c in COUNTS if any(one.seen and getattr(one.seen, c) for one in imported)]
    print_table(
        ("file", "state", *counts, "ok"),
        [
            (one.sample.file_name, _short_state(one), *(getattr(one.seen, c, None) for c in counts),
             "no" if one.differences else "yes")
            for one in imported
        ],
        right=counts,
    )  # fmt: skip
    console = output()
    console.print("\nReports:")
    for one in imported:
        console.print(f"  {one.report}", soft_wrap=True, markup=False)
    wrong = [one for one in imported if one.differences]
    for one in wrong:
        say(f"[red]{escape(one.sample.file_name)}: {escape('; '.join(one.differences))}.[/]")
        if one.seen is not None and one.seen.error_message:
            say(f"  {escape(one.seen.error_message)} {escape(one.seen.error_remedy or '')}")
    if not wrong:
        say(
            f"\n[bold green]Every count is exactly what the samples must give[/] ({seconds_text(seconds)}). "
            "Next: import-pipeline dev"
        )


def _short_state(one: ImportedSample) -> str:
    if one.seen is None:
        return "unnoticed"
    return "with rejects" if one.seen.state == "completed_with_rejects" else one.seen.state
