"""How cost grows with the rows: the core at each size, whole runs for the memory of the largest."""

from dataclasses import dataclass, field

import numpy as np

from benchmarks.bench import Bench, say
from benchmarks.core import CoreTimes
from benchmarks.in_dagster import RunTimes, import_by_dagster

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
# The exponent is fitted from here on: below, what a file costs whatever its size would flatter it.
FITTED_FROM = 100_000
SEED_OF_ANOTHER = 7


@dataclass
class Growing:
    """By number of rows.

    Attributes:
        into_full: the usual file into a table that holds the largest one's rows; None: not measured.
        batches: 50,000 rows as one batch, and as 50.
    """

    cores: dict[int, CoreTimes] = field(default_factory=dict)
    runs: dict[int, RunTimes] = field(default_factory=dict)
    into_full: CoreTimes | None = None
    batches: dict[int, CoreTimes] = field(default_factory=dict)

    def exponent(self) -> float | None:
        """Of seconds over rows, fitted to the logarithms; None with fewer than two sizes."""
        some = {rows: times.seconds for rows, times in self.cores.items() if rows >= FITTED_FROM}
        if len(some) < 2:
            return None
        slope, _ = np.polyfit(np.log(list(some)), np.log(list(some.values())), 1)
        return float(slope)


def measure_growing(bench: Bench, largest: int) -> Growing:
    """All sizes up to the largest, once each."""
    found = Growing()
    for rows in (size for size in SIZES if size <= largest):
        file = bench.file(rows)
        workspace = bench.new_workspace()
        found.cores[rows] = bench.core(file.path, workspace, file.counts)
        if rows == largest:
            another = bench.file(bench.rows, SEED_OF_ANOTHER)
            found.into_full = bench.core(another.path, workspace)
        bench.empty()
    for number in (1, 50):
        file = bench.file(50_000)
        found.batches[number] = bench.core(
            file.path, bench.new_workspace(), file.counts, rows_per_batch=50_000 // number
        )
        bench.empty()
    with bench.dagster() as dagster:
        for rows in (size for size in SIZES if max(FITTED_FROM, largest // 10) <= size <= largest):
            file = bench.file(rows)
            found.runs[rows] = import_by_dagster(dagster, bench.dataset, file, bench.new_workspace())
            say(f"{file.path.name} by Dagster", found.runs[rows].run_to_end)
            bench.empty()
    return found
