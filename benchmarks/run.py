"""`python -m benchmarks.run`: an import of 500,000 leads against a plain COPY, and one twice as large.

Starts services and a Dagster daemon of its own in a temporary folder and stops them; what is
measured stands in docs/performance.md.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql
from rich.console import Console
from rich.markdown import Markdown

from benchmarks.core import CoreTimes, import_in_one_process
from benchmarks.figures import PAGE, Measured, as_markdown, write_into_page
from benchmarks.in_dagster import RunTimes, import_by_dagster, running_dagster
from benchmarks.leads_file import GeneratedFile, generate
from benchmarks.plain_copy import copy_seconds, export_clean
from benchmarks.services import fresh_services
from import_pipeline.catalog.dataset import Dataset
from import_pipeline.catalog.discovery import get_dataset, load_datasets
from import_pipeline.services.running import RunningServices
from import_pipeline.services.supervisor import StopAsked, stop_on_signals

DATASET = "leads"
said = Console(stderr=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the page if asked; the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        with stop_on_signals():
            text = measure(asked.rows, asked.repeat)
    except StopAsked as stop:
        said.print("Stopped; nothing is left running.")
        return stop.exit_code
    Console().print(Markdown(text) if sys.stdout.isatty() else text, soft_wrap=not sys.stdout.isatty())
    if asked.write:
        write_into_page(text)
        said.print(f"Written to {PAGE}.")
    return 0


def measure(rows: int, repeat: int) -> str:
    """All figures as Markdown, for a file of `rows` rows and one twice as large."""
    datasets = load_datasets("")
    dataset = get_dataset(datasets, DATASET)
    with fresh_services(datasets) as services:
        said.print(f"Generating leads: {rows:,} and {2 * rows:,} rows ...")
        files = [generate(Path.cwd(), rows), generate(Path.cwd(), 2 * rows, seed=2)]
        alone = [_measure_alone(services, dataset, file, repeat) for file in files]
        runs: list[list[RunTimes]] = []
        with running_dagster(services) as dagster:
            for file in files:
                runs.append([])
                for number in range(repeat):
                    workspace = f"run-{file.counts.read}-{number + 1}"
                    runs[-1].append(import_by_dagster(dagster, dataset, file, workspace))
                    _say(f"{file.counts.read:,} rows by Dagster", runs[-1][-1].run_to_visible)
                    _empty(services, dataset)
        measured = [
            Measured(file, copies, cores, times)
            for file, (copies, cores), times in zip(files, alone, runs, strict=True)
        ]
        return as_markdown(measured, _server_version(services))


def _measure_alone(
    services: RunningServices, dataset: Dataset, file: GeneratedFile, repeat: int
) -> tuple[list[float], list[CoreTimes]]:
    """The core in one process and the plain COPY of what it brought, by turns."""
    settings = services.settings
    owner = settings.require_owner_database_url()
    copies: list[float] = []
    cores: list[CoreTimes] = []
    for number in range(repeat):
        workspace = f"core-{file.counts.read}-{number + 1}"
        cores.append(
            import_in_one_process(
                settings.require_database_url(),
                dataset,
                file,
                workspace,
                Path.cwd() / "parquet",
                settings.duckdb_memory_limit,
            )
        )
        _say(f"{file.counts.read:,} rows in one process", cores[-1].seconds)
        clean = Path.cwd() / "clean.csv"
        clean_rows = export_clean(owner, dataset, workspace, clean)
        _empty(services, dataset)
        copies.append(copy_seconds(owner, dataset, clean, clean_rows))
        _say(f"{clean_rows:,} clean rows by COPY", copies[-1])
    return copies, cores


def _empty(services: RunningServices, dataset: Dataset) -> None:
    """Begin each repetition with an empty table and nothing left to be written to disk."""
    superuser = services.postgres.url("imports", "postgres") if services.postgres else ""
    with psycopg.connect(superuser, autocommit=True) as conn:
        conn.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier("public", dataset.table)))
        conn.execute("CHECKPOINT")


def _server_version(services: RunningServices) -> str:
    with psycopg.connect(services.settings.require_database_url()) as conn:
        return str(conn.info.parameter_status("server_version"))


def _say(what: str, seconds: float) -> None:
    said.print(f"  {what}: {seconds:.1f} s")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument(
        "--rows", type=_rows, default=500_000, metavar="N", help="rows of the smaller file (%(default)s)"
    )
    parser.add_argument(
        "--repeat", type=int, default=3, metavar="N", help="repetitions; medians are shown (%(default)s)"
    )
    parser.add_argument("--write", action="store_true", help="write the figures into docs/performance.md")
    return parser


def _rows(text: str) -> int:
    rows = int(text)
    if rows < 1000:
        raise argparse.ArgumentTypeError("at least 1,000")
    return rows


if __name__ == "__main__":
    sys.exit(main())
