"""What checking a file costs beyond merely reading it, and how much memory it takes.

`python -m benchmarks.check_speed` makes 500,000 leads (about 113 MB) and lets DuckDB read them as text and
`check` check them by turns, in one process; then the same rows in other formats, and workbooks beside
calamine's own reading. `--write` puts the figures into docs/performance.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import duckdb

from benchmarks import workbook
from benchmarks.figures import CHECK_BEGIN, CHECK_END, PAGE, versions, write_into_page
from benchmarks.leads_file import GeneratedFile, generate
from benchmarks.memory import peak_megabytes
from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.catalog.discovery import get_dataset, load_datasets
from import_pipeline.local_check import check_file

# Times DuckDB's reading that a check may take, and megabytes.
LIMIT, LIMIT_MB = 3.0, 1024
T = TypeVar("T")
# As DuckDB writes the same rows.
FORMATS = {
    "jsonl": ("JSON Lines", "FORMAT json"),
    "json": ("JSON array", "FORMAT json, ARRAY true"),
    "parquet": ("Parquet", "FORMAT parquet"),
}


@dataclass(frozen=True)
class Times:
    """One check, and DuckDB's reading of the same file before it; seconds on the clock and of processors."""

    read: float
    read_cpu: float
    checked: float
    checked_cpu: float


@dataclass(frozen=True)
class Measured:
    """A file's checks; `megabytes`: most memory of the process, with DuckDB's reading if that was asked."""

    times: list[Times]
    megabytes: int

    def median(self, value: Callable[[Times], float]) -> float:
        """Middle of the rounds."""
        return statistics.median(map(value, self.times))


def measure(path: Path, rounds: int, *, beside_duckdb: bool) -> Measured:
    """Check a file of leads several times; the first time, which warms everything up, does not count."""
    dataset = get_dataset(load_datasets(""), "leads")
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds + 1):
            read = _timed(lambda: _read_as_text(path))[1] if beside_duckdb else (0.0, 0.0)
            checked, done = _timed(lambda: check_file(path, dataset, SenderOptions(), Path(folder)))
            counts = checked.counts
            if counts is None or not counts.rejected or not counts.duplicate:
                raise RuntimeError(f"{path.name} was not checked: {checked}")
            times.append(Times(*read, *done))
    return Measured(times[1:], peak_megabytes())


def _read_as_text(path: Path) -> None:
    with duckdb.connect() as connection:
        read = f"read_csv('{path}', all_varchar=true, header=true)"
        connection.execute(f"CREATE TABLE t AS SELECT * FROM {read}")


def _timed(work: Callable[[], T]) -> tuple[T, tuple[float, float]]:
    """What some work gave; its seconds on the clock and of processors."""
    started, cpu = time.perf_counter(), time.process_time()
    given = work()
    return given, (time.perf_counter() - started, time.process_time() - cpu)


def main() -> None:
    """Measure, print, and write the page if asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_speed", description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000, metavar="N", help="leads (%(default)s)")
    parser.add_argument("--workbook-rows", type=int, default=300_000, metavar="N", help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="medians are shown (%(default)s)")
    parser.add_argument("--folder", type=Path, help="keeps the files there; default: a temporary one")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/performance.md")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--beside-duckdb", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        found = measure(asked.measure, asked.rounds, beside_duckdb=asked.beside_duckdb)
        sys.stdout.write(json.dumps(asdict(found)))
        return
    with tempfile.TemporaryDirectory() as folder:
        text = as_markdown(asked.folder or Path(folder), asked.rows, asked.workbook_rows, asked.rounds)
    sys.stdout.write(text + "\n")
    if asked.write:
        write_into_page(text, PAGE, CHECK_BEGIN, CHECK_END)


def _measured_apart(path: Path, rounds: int, *, beside_duckdb: bool = False) -> Measured:
    """In a process of its own, for its memory."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.check_speed",
        "--rounds",
        str(rounds),
        "--measure",
        str(path),
        *(["--beside-duckdb"] if beside_duckdb else []),
    ]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return Measured([Times(**one) for one in answer["times"]], answer["megabytes"])


def as_markdown(folder: Path, rows: int, workbook_rows: int, rounds: int) -> str:
    """All figures as Markdown."""
    file = generate(folder, rows)
    csv = _measured_apart(file.path, rounds, beside_duckdb=True)
    alone = _measured_apart(file.path, rounds)
    ratio = csv.median(lambda t: t.checked / t.read)
    cpu_ratio = csv.median(lambda t: t.checked_cpu / t.read_cpu)
    lines = [
        f"Medians of {rounds} rounds on {os.cpu_count()} cores ({versions()}); load {os.getloadavg()[0]:.1f} "
        "when this was measured: other work on the machine's cores makes ratios of CPU the surer ones.",
        "",
        f"| {rows:,} leads, {file.size / 1e6:.0f} MB of CSV | time | CPU | peak memory |",
        "| --- | ---: | ---: | ---: |",
        f"| DuckDB reads it as text | {csv.median(lambda t: t.read):.2f} s "
        f"| {csv.median(lambda t: t.read_cpu):.2f} s | |",
        f"| `check` | {csv.median(lambda t: t.checked):.2f} s ({ratio:.1f} ×, at most {LIMIT:.0f}) "
        f"| {csv.median(lambda t: t.checked_cpu):.2f} s ({cpu_ratio:.1f} ×) "
        f"| {alone.megabytes} MB, at most {LIMIT_MB} |",
    ]
    lines += [_format_line(file, name, rounds) for name in FORMATS]
    lines += ["", *_workbook_lines(folder, workbook_rows)]
    return "\n".join(lines)


def _format_line(file: GeneratedFile, suffix: str, rounds: int) -> str:
    """The same rows in another format, for information."""
    title, how = FORMATS[suffix]
    path = file.path.with_suffix(f".{suffix}")
    if not path.exists():
        with duckdb.connect() as connection:
            rows = f"SELECT * FROM read_csv('{file.path}', all_varchar=true, header=true)"
            connection.execute(f"COPY ({rows}) TO '{path}' ({how})")
    found = _measured_apart(path, rounds)
    return (
        f"| `check` of the same rows as {title}, {path.stat().st_size / 1e6:.0f} MB "
        f"| {found.median(lambda t: t.checked):.2f} s | {found.median(lambda t: t.checked_cpu):.2f} s "
        f"| {found.megabytes} MB |"
    )


def _workbook_lines(folder: Path, rows: int) -> list[str]:
    """Workbooks, inspected and split, beside calamine's reading alone."""
    lines = [
        f"| {rows:,} rows of XLSX | calamine alone | inspected and split | peak memory |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, limit in workbook.LIMITS.items():
        alone, looked, read, megabytes = workbook.measured(folder, name, rows)
        lines.append(
            f"| {name} | {alone:.2f} s | {looked + read:.2f} s ({(looked + read) / alone:.1f} ×, at most "
            f"{limit:.0f}) | {megabytes:.0f} MB |"
        )
    return lines


if __name__ == "__main__":
    main()
