"""What is to be reached, as `must` and as `reach for`, and what was."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.measured import Measured

Kind = Literal["times", "seconds", "more seconds", "GB", "exponent", "per minute"]
FORMS: dict[Kind, str] = {
    "times": "{:.2f} ×", "seconds": "{:.1f} s", "more seconds": "+ {:.1f} s", "GB": "{:.2f} GB",
    "exponent": "{:.3f}", "per minute": "{:.0f} a minute",
}  # fmt: skip
# On another machine, with less to measure, ratios differ so much.
TOLERANCE = 1.25


@dataclass(frozen=True)
class Target:
    """One row of the table.

    Attributes:
        value: what was measured; None: it was not.
        guarded: whether `--quick` fails where it is worse than `must`.
    """

    what: str
    value: float | None
    must: float
    reach: float
    kind: Kind
    guarded: bool = False

    @property
    def more_is_better(self) -> bool:
        """Of what is counted a minute."""
        return self.kind == "per minute"

    def holds(self, limit: float) -> bool:
        """Whether the value is as good as a limit."""
        if self.value is None:
            return True
        return self.value >= limit if self.more_is_better else self.value <= limit

    @property
    def is_clearly_missed(self) -> bool:
        """By more than machines differ."""
        return not self.holds(self.must / TOLERANCE if self.more_is_better else self.must * TOLERANCE)

    def cells(self) -> list[str]:
        """The row as texts."""
        form = FORMS[self.kind]
        said = "not measured" if self.value is None else form.format(self.value)
        verdict = "" if self.value is None else "reached" if self.holds(self.reach) else "kept"
        if self.value is not None and not self.holds(self.must):
            verdict = "**missed**"
        return [self.what, said, form.format(self.must), form.format(self.reach), verdict]


def targets(measured: Measured) -> list[Target]:
    """All that is to be reached; ratios are taken pair by pair, and their median shown."""
    return [*_importing(measured), *_small(measured), *_growing(measured), *_existing(measured)]


def lost(found: Sequence[Target]) -> list[str]:
    """What is guarded and was clearly missed."""
    worse = [target for target in found if target.guarded and target.is_clearly_missed]
    return [f"{target.what}: {' | '.join(target.cells()[1:3])}" for target in worse]


def _importing(measured: Measured) -> list[Target]:
    found = measured.importing
    if found is None:
        return []
    rows = f"{measured.rows:,} leads"
    core = _median(c.seconds / floor for c, floor in zip(found.cores, found.floors, strict=True))
    more = _median(r.run_to_end - c.seconds for r, c in zip(found.runs, found.cores, strict=True))
    against = [c.seconds / peer for c, peer in zip(found.cores, found.dlt, strict=False)]
    return [
        Target(f"core, {rows}, against the plain COPY", core, 2.0, 1.5, "times", guarded=True),
        Target(
            f"Dagster run, {rows}, start to end, beyond the core", more, 5, 3, "more seconds", guarded=True
        ),
        Target("core against dlt's fastest", _median(against), 0.4, 0.3, "times"),
    ]


def _small(measured: Measured) -> list[Target]:
    found = measured.small
    if found is None:
        return []
    return [
        Target("5,000 rows, put to visible, median", _median(found.waits), 12, 8, "seconds", guarded=True),
        Target("5,000 rows, put to visible, worst", max(found.waits, default=None), 18, 8, "seconds"),
        Target(f"{found.files} small files at once", found.per_minute, 20, 40, "per minute", guarded=True),
    ]


def _growing(measured: Measured) -> list[Target]:
    found = measured.growing
    if found is None or not found.runs:
        return []
    largest, smaller = max(found.runs), min(found.runs)
    peak = found.runs[largest].peak_memory / 1e9
    grown = found.runs[largest].peak_memory / found.runs[smaller].peak_memory
    return [
        Target(f"peak memory of all run processes, {largest:,} rows", peak, 1.2, 0.8, "GB"),
        Target(f"the same, against that of {smaller:,} rows", grown, 1.15, 1.0, "times"),
        Target("growth exponent of the core, from 100,000 rows", found.exponent(), 1.05, 1.0, "exponent"),
    ]


def _existing(measured: Measured) -> list[Target]:
    found, importing = measured.existing, measured.importing
    if found is None or importing is None:
        return []
    floor = statistics.median(importing.floors)
    few = _median(c.seconds / floor for c in found.cores["update_few"])
    every = _median(c.seconds / floor for c in found.cores["update_all"])
    return [
        Target("update, 90 % unchanged, with history", few, 3, 2, "times"),
        Target("update, all changed, with history", every, 7, 5, "times"),
    ]


def _median(values: Iterable[float]) -> float | None:
    some = list(values)
    return statistics.median(some) if some else None
