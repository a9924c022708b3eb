"""One file of leads, in all ways by turns: COPY, the core, a Dagster run, and what others would use."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from benchmarks.bench import PEERS, Bench, said, say
from benchmarks.core import CoreTimes
from benchmarks.in_dagster import RunTimes, import_by_dagster
from benchmarks.leads_file import GeneratedFile
from benchmarks.plain_copy import copy_seconds, export_clean

# Of the file that the design of rows one by one gets; its seconds are scaled.
SHARE_ROW_BY_ROW = 10
# The first run of a daemon waits for the fork server that its worker comes from.
ROWS_TO_WARM_UP = 1000


@dataclass
class Importing:
    """Seconds of each way, a value a round.

    Attributes:
        floors: of a plain COPY of the clean rows.
        reads: of DuckDB merely reading the file as text.
        dlt, dlt_merges, to_sql, row_by_row: of others; empty where they are not installed.
    """

    file: GeneratedFile
    floors: list[float] = field(default_factory=list)
    cores: list[CoreTimes] = field(default_factory=list)
    runs: list[RunTimes] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    dlt: list[float] = field(default_factory=list)
    dlt_merges: list[float] = field(default_factory=list)
    to_sql: list[float] = field(default_factory=list)
    row_by_row: list[float] = field(default_factory=list)


def measure_importing(bench: Bench, *, peers: bool) -> Importing:
    """Each way in each round, one after the other; the slow peers once."""
    file = bench.file(bench.rows)
    found = Importing(file)
    clean = Path.cwd() / "clean.csv"
    for number in range(bench.rounds):
        workspace = bench.new_workspace()
        found.reads.append(_read_seconds(file.path))
        found.cores.append(bench.core(file.path, workspace, file.counts))
        rows = export_clean(bench.owner, bench.dataset, workspace, clean)
        bench.empty()
        found.floors.append(copy_seconds(bench.owner, bench.dataset, clean, rows))
        say(f"{rows:,} clean rows by COPY", found.floors[-1])
        bench.empty()
        # Not beside the core: the sensor ends imports that no run of Dagster is behind.
        with bench.dagster() as dagster:
            warm = bench.file(ROWS_TO_WARM_UP)
            import_by_dagster(dagster, bench.dataset, warm, bench.new_workspace())
            bench.empty()
            found.runs.append(import_by_dagster(dagster, bench.dataset, file, bench.new_workspace()))
        say(f"{file.path.name} by Dagster", found.runs[-1].run_to_end)
        bench.empty()
        if peers:
            _measure_peers(bench, found, clean, first=number == 0)
            bench.empty()
    return found


def peers_are_installed() -> bool:
    """Whether `make bench` made their environment."""
    if not PEERS.exists():
        said.print(f"  Without dlt and pandas: {PEERS} is not there (`make bench` installs them).")
    return PEERS.exists()


def _measure_peers(bench: Bench, found: Importing, clean: Path, *, first: bool) -> None:
    found.dlt.append(bench.peer("dlt_load", found.file.path))
    if not first:
        return
    bench.empty()
    merged = clean.with_name("clean-text.csv")
    with duckdb.connect() as db:
        columns = "* EXCLUDE (_workspace, extra)"
        db.execute(
            f"COPY (SELECT {columns} FROM read_csv('{clean}', all_varchar=true)) TO '{merged}' (HEADER)"
        )
    found.dlt_merges.append(bench.peer("dlt_load", merged, "--merge", "email"))
    found.to_sql.append(bench.peer("pandas_to_sql", found.file.path))
    part = bench.file(bench.rows // SHARE_ROW_BY_ROW)
    found.row_by_row.append(bench.peer("row_by_row", part.path) * SHARE_ROW_BY_ROW)


def _read_seconds(path: Path) -> float:
    started = time.perf_counter()
    with duckdb.connect() as db:
        db.execute(f"CREATE TABLE t AS SELECT * FROM read_csv('{path}', all_varchar=true, header=true)")
    return time.perf_counter() - started
