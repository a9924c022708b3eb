"""Takes the pictures of the Dagster UI and of a report that README and docs show: `make images`.

Starts the whole pipeline in a temporary folder, imports the sample files and one large one, opens
the pages in a headless Chromium (`browser.py`) and writes PNGs beside this file.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]  # browser.py is beside this file, benchmarks at the top

from browser import Page, open_page  # noqa: E402

from benchmarks.leads_file import generate  # noqa: E402
from import_pipeline.cli.connecting import open_bucket, open_ledger  # noqa: E402
from import_pipeline.flow.arrivals.options import Statement  # noqa: E402
from import_pipeline.flow.reports.page import PAGE  # noqa: E402
from import_pipeline.ledger.queries import summary  # noqa: E402
from import_pipeline.ledger.rows import UploadSummary  # noqa: E402
from import_pipeline.local_pipeline import RunningPipeline, choose_ui_port, start_pipeline  # noqa: E402
from import_pipeline.samples.all_samples import SAMPLES  # noqa: E402
from import_pipeline.samples.leads import EVERY_FAULT  # noqa: E402
from import_pipeline.samples.sample import Sample  # noqa: E402
from import_pipeline.sending import send_file  # noqa: E402
from import_pipeline.services.supervisor import StopAsked, stop_on_signals  # noqa: E402
from import_pipeline.settings import Settings  # noqa: E402
from import_pipeline.storage.places import reports_prefix  # noqa: E402

WIDTH, HEIGHT = 1280, 800
LARGE_ROWS = 300_000
# More files, so that the plots have something to show.
MORE_ROWS = (12_000, 30_000, 21_000)
PATIENCE_SECONDS = 900
GROUP = "/locations/__repository__@import_pipeline.definitions/asset-groups/leads/lineage"
ASSET = "/assets/imported/leads"
# How the run page divides its height and width, in percent.
PANELS = {"run-gantt": 74, "gantt-split": 86}


@dataclass
class Stage:
    """The running pipeline, and what was dropped into it: upload ids by file name."""

    pipeline: RunningPipeline
    files: Path
    dropped: dict[str, str]

    def drop(self, path: Path, workspace: str, dataset: str, options: Statement) -> None:
        """Put a file into the bucket."""
        bucket = open_bucket(self.pipeline.settings)
        sent = send_file(bucket, path, dataset=dataset, workspace=workspace, statement=options)
        self.dropped[path.name] = sent.upload_id

    def look(self, file_name: str) -> UploadSummary | None:
        """What the ledger says of a file."""
        with open_ledger(self.pipeline.settings) as conn:
            return summary(conn, self.dropped[file_name])

    def wait(self, file_name: str, until: Callable[[UploadSummary], bool]) -> UploadSummary:
        """Wait for an upload; a service that ends meanwhile is an error.

        Raises:
            TimeoutError: it takes too long.
        """
        end = time.monotonic() + PATIENCE_SECONDS
        found: list[UploadSummary] = []

        def reached() -> bool:
            seen = self.look(file_name)
            if time.monotonic() > end:
                raise TimeoutError(f"{file_name}: {seen}")
            if seen is not None and until(seen):
                found.append(seen)
            return bool(found)

        self.pipeline.watch(reached)
        return found[0]


def main() -> int:
    """Take all pictures; the exit code."""
    try:
        with stop_on_signals(), tempfile.TemporaryDirectory(prefix="import-pipeline-images-") as folder:
            home = Path(folder)
            home.chmod(0o755)  # as root, PostgreSQL runs as another user
            # The large file is to show the fan-out that only larger ones have by default.
            settings = Settings(home=home / "home", sensor_interval_seconds=2, fan_out_mb=20)
            port = choose_ui_port(0, settings)
            with start_pipeline(settings, ui_port=port, say=print) as pipeline:
                _take_all(Stage(pipeline, home, {}), HERE)
    except StopAsked as stop:
        return stop.exit_code
    return 0


def _take_all(stage: Stage, target: Path) -> None:
    _import_samples(stage, SAMPLES)
    for number, rows in enumerate(MORE_ROWS, start=1):
        path = generate(stage.files, rows, seed=number).path
        stage.drop(path, f"plots-{number}", "leads", Statement())
        stage.wait(path.name, lambda seen: seen.reported_at is not None)
    url = stage.pipeline.url
    large = generate(stage.files, LARGE_ROWS).path
    with open_page(WIDTH, HEIGHT) as page:
        page.before_each(
            "".join(f"localStorage.setItem('dagster.panel-width.{name}', '{share}');"
                    for name, share in PANELS.items())
        )  # fmt: skip
        page.open(f"{url}{GROUP}", ["Materialize all"])
        page.click("Hide navigation")
        stage.drop(large, "demo", "leads", Statement())
        stage.wait(large.name, lambda seen: (seen.percent or 0) >= 55)
        _take(page, target / "progress.png", f"{url}{ASSET}?view=events", ["seconds left"])
        run = stage.wait(large.name, lambda seen: seen.reported_at is not None).run_id
        page.resize(WIDTH, 680)
        _take(page, target / "lineage.png", f"{url}{GROUP}", ["100% filled", "Postgres"])
        page.resize(WIDTH, 1100)
        _take(page, target / "run.png", f"{url}/runs/{run}", ["RUN_SUCCESS"])
        page.resize(WIDTH, 900)
        partition = quote(stage.dropped[EVERY_FAULT.file_name], safe="")
        place = f"{url}{ASSET}?view=partitions&partition={partition}"
        _take(page, target / "partition.png", place, ["first rejects"])
        page.click("[Show Markdown]")
        page.wait_for(["too_few_cells"])
        page.take(target / "rejects.png")
        page.resize(WIDTH, 1000)
        _take(page, target / "summary.png", _summary_page(stage, EVERY_FAULT), ["Commonest errors"])
        page.open(f"{url}{ASSET}", ["Plots"])
        page.click("Plots")
        page.click("Events", place=-1)
        page.scroll_to("Plots")
        page.take(target / "plots.png")
    for path in sorted(target.glob("*.png")):
        print(path)


def _summary_page(stage: Stage, sample: Sample) -> str:
    """Address of a copy of the page that a sample's sender gets."""
    short_id = stage.dropped[sample.file_name].rpartition("@")[2]
    key = f"{reports_prefix(sample.workspace, sample.dataset, short_id)}{PAGE}"
    copy = stage.files / PAGE
    open_bucket(stage.pipeline.settings).get_file(key, copy)
    return copy.as_uri()


def _import_samples(stage: Stage, samples: Sequence[Sample]) -> None:
    for sample in samples:
        if sample.after:
            stage.wait(sample.after, lambda seen: seen.published_at is not None)
        path = sample.write(stage.files)
        stage.drop(path, sample.workspace, sample.dataset, Statement(sample.options))
    for sample in samples:
        stage.wait(sample.file_name, lambda seen: seen.reported_at is not None)


def _take(page: Page, path: Path, url: str, words: Sequence[str]) -> None:
    page.open(url, words)
    page.take(path)


if __name__ == "__main__":
    sys.exit(main())
