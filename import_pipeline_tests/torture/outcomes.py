"""What became of a case: the kill itself, the recoveries, and whether anything is not as it should be."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from import_pipeline_tests.torture.cases import Case


@dataclass
class Outcome:
    """One case after its end.

    Attributes:
        killed: the moment came and the kill was done; a case whose moment never came is not counted.
        moment: what the step was about to do or had done.
        after_commit: the upload was published when the kill came.
        overlap: another run worked on the upload while the disturbed one, or its orphan, was alive.
        recoveries: what was launched or retried until the upload was done, in order.
        left: what stayed in staging when the upload was done; `left_after_sweep`: and after the sweep.
        differences: from an undisturbed import.
    """

    case: dict[str, Any]
    killed: bool = False
    moment: str = ""
    after_commit: bool = False
    overlap: bool = False
    recoveries: list[str] = field(default_factory=list)
    rows_lost: int = 0
    rows_twice: int = 0
    left: list[str] = field(default_factory=list)
    left_after_sweep: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    error: str = ""
    seconds: float = 0.0

    @property
    def is_bad(self) -> bool:
        """Whether the promise was broken, or could not be looked at."""
        return bool(self.differences or self.left_after_sweep or self.error)


def outcome_of(case: Case) -> Outcome:
    return Outcome(case=asdict(case))


def to_line(outcome: Outcome) -> str:
    return json.dumps(asdict(outcome), ensure_ascii=False)


def from_line(line: str) -> Outcome:
    return Outcome(**json.loads(line))
