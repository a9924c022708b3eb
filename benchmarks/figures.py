"""The measured figures as Markdown tables, and their place in docs/performance.md."""

import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.core import STAGES
from benchmarks.existing import Existing
from benchmarks.growing import Growing
from benchmarks.importing import SHARE_ROW_BY_ROW, Importing
from benchmarks.many_small import ROWS_OF_SMALL, ManySmall
from benchmarks.measured import Measured
from benchmarks.reach import targets

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
CASES = {
    "skip": "9 of 10 keys are in the table: skipped",
    "update_few": "all keys are; 1 of 10 rows changed: overwritten",
    "update_all": "all keys are, all rows changed: overwritten",
}


def as_markdown(measured: Measured) -> str:
    """What was to be reached, then the tables behind it."""
    reached = [target.cells() for target in targets(measured)]
    parts = [_preface(measured), table(["", "measured", "must", "reach for", ""], reached)]
    if measured.importing is not None:
        parts += [_ways(measured.importing), _stages(measured.importing)]
    if measured.existing is not None:
        parts.append(_existing(measured.existing))
    if measured.growing is not None:
        parts.append(_growing(measured.growing))
    if measured.small is not None:
        parts.append(_small(measured.small))
    return "\n\n".join(parts)


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


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; all columns but the first to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _preface(measured: Measured) -> str:
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"Medians of {measured.rounds} rounds, ratios pair by pair; slow tools and the largest files once. "
        f"{os.cpu_count()} cores and {memory:.0f} GiB ({platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, PostgreSQL {measured.server_version}, {versions()})."
    )


def _ways(found: Importing) -> str:
    floor = statistics.median(found.floors)
    ways: list[tuple[str, Sequence[float]]] = [
        ("plain `COPY` of the clean rows, table and indexes alike", found.floors),
        ("core alone: object in the bucket to published rows", [c.seconds for c in found.cores]),
        ("Dagster run, start to end", [r.run_to_end for r in found.runs]),
        ("Dagster: object put to rows visible", [r.arrival_to_visible for r in found.runs]),
        ("dlt, append, nothing checked", found.dlt),
        ("dlt, merge, of the clean file", found.dlt_merges),
        ("pandas `to_sql`, nothing checked", found.to_sql),
        (f"row by row (a {_ordinal(SHARE_ROW_BY_ROW)} of the file, scaled)", found.row_by_row),
        ("DuckDB merely reads the file as text", found.reads),
    ]
    head = [f"{found.file.counts.read:,} rows, {found.file.size / 1e6:.0f} MB", "time", "× `COPY`"]
    rows = [
        [title, seconds(statistics.median(values)), f"{statistics.median(values) / floor:.1f}"]
        for title, values in ways
        if values
    ]
    return table(head, rows)


def _stages(found: Importing) -> str:
    rows = [[name, seconds(statistics.median(c.stages[name] for c in found.cores))] for name in STAGES]
    rows.append(["CPU of the process", seconds(statistics.median(c.cpu for c in found.cores))])
    rows.append(["its peak memory", f"{max(c.megabytes for c in found.cores)} MB"])
    peak = max(r.peak_memory for r in found.runs) / 1e6
    rows.append(["peak memory of a Dagster run's processes together", f"{peak:,.0f} MB"])
    return table(["core, by stage", ""], rows)


def _existing(found: Existing) -> str:
    rows = []
    for case, times in found.cores.items():
        counts = times[0].counts
        text = f"{counts.inserted:,} / {counts.updated:,} / {counts.unchanged + counts.duplicate:,}"
        rows.append([CASES[case], seconds(statistics.median(c.seconds for c in times)), text])
    return table(["file over a table that has its keys", "core", "inserted / updated / left"], rows)


def _growing(found: Growing) -> str:
    rows = [
        [f"{rows:,} rows", seconds(times.seconds), f"{times.megabytes} MB", *_run_cells(found, rows)]
        for rows, times in found.cores.items()
    ]
    if found.into_full is not None:
        full = found.into_full
        name = f"{full.counts.read:,} rows into a table with the largest one's"
        rows.append([name, seconds(full.seconds), f"{full.megabytes} MB", "", ""])
    rows += [
        [f"50,000 rows in {number} batch{'es' if number > 1 else ''}", seconds(times.seconds),
         f"{times.megabytes} MB", "", ""]
        for number, times in found.batches.items()
    ]  # fmt: skip
    return table(["growth", "core", "its memory", "Dagster run", "memory of its processes"], rows)


def _run_cells(found: Growing, rows: int) -> list[str]:
    run = found.runs.get(rows)
    return ["", ""] if run is None else [seconds(run.run_to_end), f"{run.peak_memory / 1e6:,.0f} MB"]


def _small(found: ManySmall) -> str:
    rows = [
        ["first file in the table", seconds(found.first)],
        ["last file in the table", seconds(found.last)],
        ["CPU a file, with all of Dagster", seconds(found.cpu)],
    ]
    return table([f"{found.files} files of {ROWS_OF_SMALL} rows put at once", ""], rows)


def seconds(value: float) -> str:
    """A time as people read it."""
    return f"{value:.1f} s" if value >= 1 else f"{value:.2f} s"


def _ordinal(number: int) -> str:
    return {10: "tenth"}.get(number, f"1/{number}")
