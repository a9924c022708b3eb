"""`python -m benchmarks.run`: imports, beside a plain COPY and other tools, and what is to be reached.

Starts services and Dagster daemons of its own in a temporary folder and stops them; what is measured
stands in docs/performance.md. `--quick` measures the ratios that were reached, on any machine, in minutes,
and fails where one is lost.
"""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markdown import Markdown

from benchmarks.bench import Bench, open_bench, said
from benchmarks.existing import measure_existing
from benchmarks.figures import PAGE, as_markdown, write_into_page
from benchmarks.growing import SIZES, measure_growing
from benchmarks.importing import measure_importing, peers_are_installed
from benchmarks.many_small import measure_many_small
from benchmarks.measured import Measured
from benchmarks.reach import lost, targets
from import_pipeline.services.supervisor import StopAsked, stop_on_signals

PARTS = ("importing", "small", "existing", "growing")
USUAL = {"rows": 500_000, "rounds": 5, "files": 200, "puts": 10}
QUICK = {"rows": 500_000, "rounds": 2, "files": 20, "puts": 3}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write the page if asked; the exit code is 1 if a part failed or a ratio was lost."""
    asked = _asked(arguments)
    failed: list[str] = []
    try:
        with stop_on_signals(), open_bench(asked.rows, asked.rounds) as bench:
            measured = Measured(bench.rows, bench.rounds, bench.server_version())
            for part in asked.only or (("importing", "small") if asked.quick else PARTS):
                try:
                    _measure(part, bench, asked, measured)
                except Exception:
                    said.print_exception()
                    failed.append(part)
                    bench.empty()
    except StopAsked as stop:
        said.print("Stopped; nothing is left running.")
        return stop.exit_code
    text = as_markdown(measured)
    Console().print(Markdown(text) if sys.stdout.isatty() else text, soft_wrap=not sys.stdout.isatty())
    if asked.write:
        write_into_page(text)
        said.print(f"Written to {PAGE}.")
    missed = lost(targets(measured)) if asked.quick else []
    for line in missed:
        said.print(f"[bold red]lost[/]: {line}")
    for part in failed:
        said.print(f"[bold red]failed[/]: {part}, as told above; the table is without it.")
    return int(bool(missed or failed))


def _measure(part: str, bench: Bench, asked: argparse.Namespace, measured: Measured) -> None:
    if part == "importing":
        peers = not asked.quick and peers_are_installed()
        measured.importing = measure_importing(bench, peers=peers)
    elif part == "small":
        measured.small = measure_many_small(bench, asked.files, asked.puts)
    elif part == "existing":
        measured.existing = measure_existing(bench)
    else:
        measured.growing = measure_growing(bench, asked.largest)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    told = {name: f"({USUAL[name]:,}; {QUICK[name]:,} with --quick)" for name in USUAL}
    add = parser.add_argument
    add("--rows", type=_rows, metavar="N", help=f"of the file that most figures are about {told['rows']}")
    add("--rounds", type=int, metavar="N", help=f"medians are shown {told['rounds']}")
    add("--files", type=int, metavar="N", help=f"small files at once {told['files']}")
    add("--puts", type=int, metavar="N", help=f"files one at a time {told['puts']}")
    add("--largest", type=int, choices=SIZES, default=SIZES[-1], help="rows to grow to (%(default)s)")
    add("--only", action="append", choices=PARTS, help="measure only this (repeatable)")
    add("--quick", action="store_true", help="the ratios that were reached, in minutes")
    add("--write", action="store_true", help="write the figures into docs/performance.md")
    return parser


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    asked = _parser().parse_args(arguments)
    for name, number in (QUICK if asked.quick else USUAL).items():
        if getattr(asked, name) is None:
            setattr(asked, name, number)
    return asked


def _rows(text: str) -> int:
    rows = int(text)
    if rows < 10_000:
        raise argparse.ArgumentTypeError("at least 10,000")
    return rows


if __name__ == "__main__":
    sys.exit(main())
