"""Moments: the places in a step's work where it can be told from outside how far it is.

Imported by run workers and step processes of the kill matrix, and by nothing else. Before and after
each Dagster event, statement, COPY, commit and S3 call, it counts, and looks for an order.
"""

import functools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from botocore.client import BaseClient
from dagster import DagsterInstance

from import_pipeline.flow.batches import sizes
from import_pipeline.orchestration import failures
from import_pipeline_tests.torture.orders import Folder, Order, Reached

FOLDER = "TORTURE_FOLDER"
ROWS_PER_BATCH = "TORTURE_ROWS_PER_BATCH"
BEGINS = ("STEP_START", "STEP_RESTARTED")
ENDS = ("STEP_SUCCESS", "STEP_FAILURE", "STEP_UP_FOR_RETRY")


@dataclass
class Step:
    """The step that this process executes now."""

    workspace: str
    run_id: str
    key: str
    order: Order | None
    trace: Path | None
    number: int = 0


class Probe:
    """Counts the moments of a process's steps, one step after the other."""

    def __init__(self, folder: Folder):
        self.folder = folder
        self.step: Step | None = None
        # Held while an order is carried out: other threads of the step stop at their next moment.
        self.lock = threading.RLock()
        self.quiet = threading.local()
        self.workspaces: dict[str, str] = {}

    def begin(self, instance: DagsterInstance, run_id: str, key: str) -> None:
        """A step starts in this process."""
        self.quiet.on = True
        try:
            if run_id not in self.workspaces:
                run = instance.get_run_by_id(run_id)
                partition = run.tags.get("dagster/partition", "") if run else ""
                self.workspaces[run_id] = partition.split("/", 1)[0]
            workspace = self.workspaces[run_id]
            order = self.folder.order(workspace)
            wanted = order is not None and key.endswith(f".{order.step}")
            trace = self.folder.trace_file(workspace)
            self.step = Step(workspace, run_id, key, order if wanted else None, trace)
        finally:
            self.quiet.on = False

    def end(self, succeeded: bool) -> None:
        """The step is over: an order for a later moment is carried out now, if it went well."""
        step = self.step
        if step is not None and step.order is not None and succeeded:
            with self.lock:
                self._carry_out(step, step.order, "the end")
        self.step = None

    def moment(self, label: str) -> None:
        """One more moment of the step under way."""
        if self.step is None or getattr(self.quiet, "on", False):
            return
        with self.lock:
            step = self.step
            if step is None:
                return
            step.number += 1
            if step.trace is not None:
                with step.trace.open("a") as file:
                    file.write(f"{step.key}\t{step.number}\t{time.time():.6f}\t{label}\n")
            if step.order is not None and step.number >= step.order.moment:
                self._carry_out(step, step.order, label)

    def _carry_out(self, step: Step, order: Order, label: str) -> None:
        step.order = None
        reached = Reached(os.getpid(), step.run_id, step.key, step.number, label)
        if self.folder.take(step.workspace, reached) and order.hold:
            self.folder.wait_for_go(step.workspace)


def install(folder: Path) -> Probe:
    """Count moments in this process from now on."""
    probe = Probe(Folder(folder))
    # Several batches of a file that is imported in a second.
    sizes.SMALLEST_BATCH = sizes.SMALLEST_ROWS = int(os.environ.get(ROWS_PER_BATCH, "150"))
    failures.FIRST_WAIT_SECONDS = 0.2
    _around(psycopg.Cursor, "execute", probe, lambda _, query, *a, **k: f"statement {_first(query)}")
    _around(psycopg.Cursor, "copy", probe, lambda *_a, **_k: "copy")
    _around(psycopg.Connection, "commit", probe, lambda *_a, **_k: "commit")
    _around(psycopg.Connection, "rollback", probe, lambda *_a, **_k: "rollback")
    _around(psycopg.Transaction, "__exit__", probe, lambda _, kind, *a: "rollback" if kind else "commit")
    _around(BaseClient, "_make_api_call", probe, lambda _, name, params: f"{name} {params.get('Key', '')}")
    _around_events(probe)
    return probe


def _around(owner: type, name: str, probe: Probe, label: Callable[..., str]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def counted(*args: Any, **kwargs: Any) -> Any:
        if probe.step is None:
            return original(*args, **kwargs)
        said = label(*args, **kwargs)
        probe.moment(f"before {said}")
        done = original(*args, **kwargs)
        probe.moment(f"after {said}")
        return done

    setattr(owner, name, counted)


def _around_events(probe: Probe) -> None:
    original = DagsterInstance.handle_new_event

    @functools.wraps(original)
    def counted(self: DagsterInstance, event: Any, **kwargs: Any) -> None:
        kind = event.dagster_event.event_type_value if event.dagster_event else "log line"
        if kind in BEGINS:
            probe.begin(self, event.run_id, event.step_key)
        probe.moment(f"before {kind}")
        original(self, event, **kwargs)
        probe.moment(f"after {kind}")
        if kind in ENDS and probe.step is not None and probe.step.key == event.step_key:
            probe.end(kind == "STEP_SUCCESS")

    DagsterInstance.handle_new_event = counted  # type: ignore[method-assign, assignment]


def _first(query: Any) -> str:
    text = query if isinstance(query, str) else getattr(query, "_obj", "")
    while isinstance(text, list):
        text = getattr(text[0], "_obj", "") if text else ""
    return " ".join(str(text).split()[:4])


if FOLDER in os.environ:
    PROBE = install(Path(os.environ[FOLDER]))
