"""What the one who kills and the process to be killed tell each other, as small files in a folder.

An order names a workspace, a stage and a moment in it. It is taken once, by the first process that
gets there, which then says so and, if asked to, waits to be killed or let go.
"""

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

LOOK_SECONDS = 0.005


@dataclass(frozen=True)
class Order:
    """Where a run is to be disturbed.

    Attributes:
        stage: the op's name; `batch`: which of its mapped steps, 0 for ops that are not mapped.
        moment: the how-manieth moment of the step, from 1; the step's last one if it has fewer.
        hold: wait there; otherwise only say that the moment has come and go on.
    """

    stage: str
    batch: int
    moment: int
    hold: bool

    @property
    def step(self) -> str:
        """End of the Dagster step key."""
        return f"{self.stage}[batch_{self.batch:04d}]" if self.batch else self.stage


@dataclass(frozen=True)
class Reached:
    """The moment has come: in which process, run and step, at which moment, and what it was."""

    pid: int
    run_id: str
    step_key: str
    moment: int
    label: str


class Folder:
    """The files of all workspaces."""

    def __init__(self, path: Path):
        self.path = path

    def place(self, workspace: str, order: Order) -> None:
        """Give an order; an earlier one of the workspace is forgotten."""
        for name in ("reached", "go"):
            self._file(workspace, name).unlink(missing_ok=True)
        self._write(workspace, "order", asdict(order))

    def order(self, workspace: str) -> Order | None:
        """The order that stands and that nobody has taken."""
        content = self._read(workspace, "order")
        return None if content is None else Order(**content)

    def take(self, workspace: str, reached: Reached) -> bool:
        """Take the order for this process; False if another one did."""
        try:
            self._file(workspace, "order").unlink()
        except FileNotFoundError:
            return False
        self._write(workspace, "reached", asdict(reached))
        return True

    def reached(self, workspace: str) -> Reached | None:
        """Who took the order, and where."""
        content = self._read(workspace, "reached")
        return None if content is None else Reached(**content)

    def wait_for_go(self, workspace: str) -> None:
        """Wait until `let_go`; whoever waits is usually killed here."""
        while not self._file(workspace, "go").exists():
            time.sleep(LOOK_SECONDS)

    def let_go(self, workspace: str) -> None:
        """Let whoever waits go on."""
        self._file(workspace, "go").touch()

    def ask_for_trace(self, workspace: str) -> None:
        """Have every moment of the workspace's steps written down."""
        self._file(workspace, "trace").touch()

    def trace_file(self, workspace: str) -> Path | None:
        """Where moments are written down, if that is wanted."""
        path = self._file(workspace, "trace")
        return path if path.exists() else None

    def _file(self, workspace: str, name: str) -> Path:
        return self.path / f"{workspace}.{name}"

    def _read(self, workspace: str, name: str) -> dict[str, Any] | None:
        try:
            return dict(json.loads(self._file(workspace, name).read_text()))
        except FileNotFoundError:
            return None

    def _write(self, workspace: str, name: str, content: dict[str, Any]) -> None:
        beside = self._file(workspace, f"{name}.{os.getpid()}")
        beside.write_text(json.dumps(content))
        beside.rename(self._file(workspace, name))
