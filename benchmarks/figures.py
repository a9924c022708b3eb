"""The measured figures as a Markdown table, and their place in docs/performance.md."""

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.core import STAGES, CoreTimes
from benchmarks.in_dagster import RunTimes
from benchmarks.leads_file import GeneratedFile

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = (
    "<!-- figures: begin (written by `python -m benchmarks.run --write`) -->",
    "<!-- figures: end -->",
)
CHECK_BEGIN, CHECK_END = (
    "<!-- check: begin (written by `python -m benchmarks.check_speed --write`) -->",
    "<!-- check: end -->",
)
PACKAGES = ("dagster", "duckdb", "pandas", "pandera", "pyarrow")


@dataclass(frozen=True)
class Measured:
    """Everything measured with one file, a value for each repetition.

    Attributes:
        copies: seconds of a plain COPY of the clean rows.
    """

    file: GeneratedFile
    copies: Sequence[float]
    cores: Sequence[CoreTimes]
    runs: Sequence[RunTimes]


def as_markdown(measured: Sequence[Measured], server_version: str) -> str:
    """Tables of medians, with their ratio to the plain COPY of the same file's clean rows."""
    return "\n\n".join([_preface(measured, server_version), _main_table(measured), _stages_table(measured)])


def write_into_page(text: str, page: Path = PAGE, begin: str = BEGIN, end: str = END) -> None:
    """Put the figures between two markers of the page.

    Raises:
        ValueError: the page has no markers.
    """
    old = page.read_text(encoding="utf-8")
    head, begins, rest = old.partition(begin)
    _, ends, tail = rest.partition(end)
    if not begins or not ends:
        raise ValueError(f"{page} does not have the two markers of the figures")
    page.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}", encoding="utf-8")


def versions() -> str:
    """The packages that decide the figures."""
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)


def _preface(measured: Sequence[Measured], server_version: str) -> str:
    packages = versions()
    memory = psutil.virtual_memory().total / 2**30
    repeats = len(measured[0].runs)
    return (
        f"Medians of {repeats} {'repetition' if repeats == 1 else 'repetitions'} on {os.cpu_count()} cores "
        f"and {memory:.0f} GiB ({platform.system()} {platform.machine()}, Python {platform.python_version()},"
        f" PostgreSQL {server_version}, {packages}). In brackets: times a plain `COPY`."
    )


def _main_table(measured: Sequence[Measured]) -> str:
    rows: list[tuple[str, Callable[[Measured], str]]] = [
        ("plain `COPY` of the clean rows, table and indexes alike", lambda m: _seconds(_floor(m))),
        (
            "all stages in one process, without Dagster and S3",
            lambda m: _with_ratio(m, [c.seconds for c in m.cores]),
        ),
        (
            "start of the run's process → rows visible",
            lambda m: _with_ratio(m, [r.run_to_visible for r in m.runs]),
        ),
        (
            "start of the run's process → end of the run",
            lambda m: _with_ratio(m, [r.run_to_end for r in m.runs]),
        ),
        (
            "file put into the bucket → rows visible",
            lambda m: _with_ratio(m, [r.arrival_to_visible for r in m.runs]),
        ),
        ("peak memory of the run's processes together", _memory),
        ("processes of the run at once", lambda m: str(max(r.processes for r in m.runs))),
    ]
    heads = [f"{m.file.counts.read:,} rows, {m.file.size / 1e6:.0f} MB" for m in measured]
    return _table(["", *heads], [[title, *(cell(m) for m in measured)] for title, cell in rows])


def _stages_table(measured: Sequence[Measured]) -> str:
    rows = [
        [stage, *(_seconds(statistics.median(c.stages[stage] for c in m.cores)) for m in measured)]
        for stage in STAGES
    ]
    heads = [f"{m.file.counts.read:,} rows" for m in measured]
    return _table(["one process, by stage", *heads], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _floor(m: Measured) -> float:
    return statistics.median(m.copies)


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{value:.2f} s"


def _with_ratio(m: Measured, values: Sequence[float]) -> str:
    middle = statistics.median(values)
    return f"{_seconds(middle)} ({middle / _floor(m):.1f} ×)"


def _memory(m: Measured) -> str:
    return f"{max(r.peak_memory for r in m.runs) / 1e6:,.0f} MB"
