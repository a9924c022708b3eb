"""The recorded moments of an undisturbed import, and where in them a case strikes."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from import_pipeline_tests.torture.cases import Case
from import_pipeline_tests.torture.orders import Order


@dataclass(frozen=True)
class Moment:
    """One moment of a step: its number from 1, seconds since the step began, and what it was."""

    number: int
    seconds: float
    label: str


@dataclass(frozen=True)
class Strike:
    """Where a case strikes: the order, and how long after its moment."""

    order: Order
    delay: float


class Moments:
    """All moments of an import, by step."""

    def __init__(self, trace: Path):
        self.steps: dict[str, list[Moment]] = defaultdict(list)
        began: dict[str, float] = {}
        for line in trace.read_text().splitlines():
            key, number, at, label = line.split("\t", 3)
            step = key.split(".", 1)[1]
            began.setdefault(step, float(at))
            self.steps[step].append(Moment(int(number), float(at) - began[step], label))

    def strike(self, case: Case) -> Strike:
        """The case's share of the stage's moments or time, as one of them."""
        order = Order(case.stage, case.batch, 1, hold=case.by == "moment")
        found = self.steps[order.step]
        if case.by == "moment":
            return Strike(Order(case.stage, case.batch, 1 + int(case.where * len(found)), hold=True), 0.0)
        at = case.where * found[-1].seconds
        last = max((m for m in found if m.seconds <= at), key=lambda m: m.number)
        return Strike(Order(case.stage, case.batch, last.number, hold=False), at - last.seconds)
