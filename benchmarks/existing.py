"""Files whose keys are in the table already: most of them skipped, unchanged, or all overwritten."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import duckdb

from benchmarks.bench import Bench
from benchmarks.core import CoreTimes
from benchmarks.plain_copy import export_clean

Case = Literal["skip", "update_few", "update_all"]
CASES: tuple[Case, ...] = ("skip", "update_few", "update_all")
SHARE_NEW = 10


@dataclass
class Existing:
    """By case, a value a round."""

    cores: dict[Case, list[CoreTimes]] = field(default_factory=dict)


def measure_existing(bench: Bench) -> Existing:
    """Import a file, and then another over it; each time into a workspace of its own."""
    file, found = bench.file(bench.rows), Existing()
    clean = Path.cwd() / "existing-clean.csv"
    for _ in range(bench.rounds):
        for case in CASES:
            workspace = bench.new_workspace()
            bench.core(file.path, workspace, file.counts)
            if not clean.exists():
                export_clean(bench.owner, bench.dataset, workspace, clean)
            second = _second_file(clean, case)
            existing: Literal["skip", "update"] = "skip" if case == "skip" else "update"
            found.cores.setdefault(case, []).append(bench.core(second, workspace, existing=existing))
            bench.empty()
    return found


def _second_file(clean: Path, case: Case) -> Path:
    """The clean rows again: one in ten with a new address, one in ten changed, or all changed."""
    path = clean.with_name(f"{case}.csv")
    if path.exists():
        return path
    tenth = f"row_number() OVER () % {SHARE_NEW} = 0"
    changed = {
        "skip": f"CASE WHEN {tenth} THEN 'n.' || email ELSE email END AS email",
        "update_few": f"CASE WHEN {tenth} THEN '1.00' ELSE estimated_value END AS estimated_value",
        "update_all": "printf('%.2f', estimated_value::decimal(14, 2) + 1) AS estimated_value",
    }[case]
    with duckdb.connect() as db:
        db.execute(
            f"COPY (SELECT * EXCLUDE (_workspace, extra) REPLACE ({changed}),"
            " extra->>'$.campaign' AS campaign"
            f" FROM read_csv('{clean}', all_varchar=true)) TO '{path}' (HEADER)"
        )
    return path
