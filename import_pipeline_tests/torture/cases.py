"""The cases of the kill matrix, drawn by a seed: which stage, what is killed, when, how it recovers.

Nothing is started here. Where exactly a case strikes depends on the recorded moments of its stage,
so a case says it as a share of them.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

Stage = Literal[
    "open_upload", "split_upload", "check_batch", "stage_batch", "find_duplicates", "publish_upload",
    "report_upload",
]  # fmt: skip
What = Literal["step", "worker", "daemon", "postgres", "s3", "cancel"]
Recovery = Literal["op_retry", "run_retry", "re_execution", "fresh", "beside"]
STAGES: tuple[Stage, ...] = get_args(Stage)
WHATS: tuple[What, ...] = get_args(What)
RECOVERIES: tuple[Recovery, ...] = get_args(Recovery)
MAPPED = ("check_batch", "stage_batch")
BATCHES = 4

# What may follow what. A step that died is not Dagster's to retry, a dead worker is; trouble of a
# service is first of all the op's own.
_AFTER: dict[What, tuple[Recovery, ...]] = {
    "step": ("re_execution", "fresh", "beside"),
    "worker": ("re_execution", "fresh", "beside"),
    "daemon": ("run_retry", "fresh"),
    "postgres": ("op_retry", "re_execution", "fresh", "beside"),
    "s3": ("op_retry", "re_execution", "fresh", "beside"),
    "cancel": ("re_execution", "fresh", "beside"),
}
_AFTER_BY_DAEMON: dict[What, tuple[Recovery, ...]] = {
    "step": ("re_execution", "fresh", "beside"),
    "worker": ("run_retry", "run_retry", "beside"),
    "daemon": ("run_retry", "run_retry", "fresh"),
    "postgres": ("op_retry", "run_retry", "beside"),
    "s3": ("op_retry", "re_execution", "beside"),
    "cancel": ("re_execution", "fresh", "beside"),
}


@dataclass(frozen=True)
class Case:
    """One kill and what follows.

    Attributes:
        number: also names its workspace.
        by: `moment`: at one of the stage's moments, where the step waits for it; `time`: at a time of
            the stage, while it goes on.
        where: share (0 to 1) of the stage's moments or of its time.
        processes: of the run: `one`, or `many` with a process a step.
        daemon: the run is launched by Dagster's daemon.
        restart: a service is started again before (`early`) or after (`late`) its users find it gone.
        release: when an orphan that waits goes on: before, while or after the recovery works.
        beside_seconds: how long a fresh launch works before the kill, where it is launched beside.
    """

    number: int
    dataset: str
    stage: Stage
    batch: int
    what: What
    by: Literal["moment", "time"]
    where: float
    processes: Literal["one", "many"]
    daemon: bool
    recovery: Recovery
    restart: Literal["early", "late"]
    release: Literal["before", "while", "after"]
    beside_seconds: float

    @property
    def workspace(self) -> str:
        """The workspace that only this case uses."""
        return f"kill-{'d' if self.daemon else 'p'}{self.number:05d}"


def draw_cases(
    seed: int, count: int, *, daemon: bool, whats: Sequence[str] = WHATS, stages: Sequence[str] = STAGES
) -> list[Case]:
    """`count` cases, spread evenly over the cells of stage and what is killed.

    Without a daemon there is none to kill. With one, its own cells come first, six times: nobody
    else fills them.
    """
    dice = random.Random(f"{seed} {daemon}")
    cells = [(s, w) for w in WHATS for s in STAGES if s in stages and w in whats]
    plan = [cell for cell in cells if cell[1] == "daemon"] * 6 if daemon else []
    rest = [cell for cell in cells if cell[1] != "daemon"]
    dice.shuffle(plan)
    plan += _for_ever(dice, rest, count - len(plan)) if rest else []
    return [_draw(dice, number, *cell, daemon=daemon) for number, cell in enumerate(plan[:count], start=1)]


def draw_short(seed: int) -> list[Case]:
    """A kill in each stage, of one thing or another, in files of two batches: `make test` has time for it."""
    dice = random.Random(f"{seed} short")
    whats: list[What] = ["step", "step", "step", "step", "cancel", "postgres", "s3"]
    dice.shuffle(whats)
    drawn = [
        _draw(dice, n, s, w, daemon=False) for n, (s, w) in enumerate(zip(STAGES, whats, strict=True), 1)
    ]
    plain: dict[str, Any] = {"dataset": "customers", "processes": "one", "restart": "early"}
    return [
        replace(case, **plain, batch=min(case.batch, 2), recovery=dice.choice(("re_execution", "fresh")))
        for case in drawn
    ]


def _where(dice: random.Random, stage: Stage) -> float:
    """Anywhere in the stage; in its last one rather late: what others wrote is taken away there."""
    return max(dice.random(), dice.random()) if stage == "report_upload" else dice.random()


def _for_ever(
    dice: random.Random, cells: list[tuple[Stage, What]], count: int
) -> Iterator[tuple[Stage, What]]:
    while count > 0:
        dice.shuffle(cells)
        yield from cells[:count]
        count -= len(cells)


def _draw(dice: random.Random, number: int, stage: Stage, what: What, *, daemon: bool) -> Case:
    processes: Literal["one", "many"] = "many" if what == "worker" or dice.random() < 0.3 else "one"
    return Case(
        number=number,
        dataset=dice.choice(("customers", "customers", "readings")),
        stage=stage,
        batch=dice.randint(1, BATCHES) if stage in MAPPED else 0,
        what=what,
        by="time" if dice.random() < 0.35 else "moment",
        where=_where(dice, stage),
        processes=processes,
        daemon=daemon,
        recovery=dice.choice((_AFTER_BY_DAEMON if daemon else _AFTER)[what]),
        restart=dice.choice(("early", "early", "late")),
        release=dice.choice(("before", "while", "after")),
        beside_seconds=round(dice.uniform(0, 2), 2),
    )
