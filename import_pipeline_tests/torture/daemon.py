"""The lane of the kill matrix with Dagster's own daemon: files are dropped, and everything else happens.

Several cases are under way at once, so a service or daemon that is killed for one of them is gone for
all; each is held against an undisturbed import all the same.
"""

import os
import re
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import psutil
import psycopg
from botocore.exceptions import BotoCoreError
from dagster import DagsterRun
from sqlalchemy.exc import OperationalError

from import_pipeline_tests.torture.cases import Case
from import_pipeline_tests.torture.deployment import Deployment
from import_pipeline_tests.torture.files import file_of, seed_workspaces
from import_pipeline_tests.torture.moments import Moments
from import_pipeline_tests.torture.orders import Reached
from import_pipeline_tests.torture.outcomes import Outcome, outcome_of
from import_pipeline_tests.torture.runs import ENDED, runs_of
from import_pipeline_tests.torture.scene import Scene, key_of, open_scene
from import_pipeline_tests.torture.snapshot import Snapshot, differences, lost_and_twice, take_snapshot
from import_pipeline_tests.torture.sweeping import sweep
from import_pipeline_tests.waiting import wait_until

AT_ONCE = 4
SECONDS = 600.0
HELD_SECONDS = 10.0
# Dagster's own retry comes within a few seconds; a person does not wait longer than this.
IDLE_SECONDS = 12.0
QUIET_SECONDS = 5.0
LAUNCHES = 4  # of an upload whose runs end by other cases' kills
VARIANTS = [(d, p) for d in ("customers", "readings") for p in ("one", "many")]
RETRY_TAG, RETRIED_TAG = "dagster/retry_number", "dagster/auto_retry_run_id"

T = TypeVar("T")


class DaemonLane:
    """A deployment, and what an undisturbed import looks like there."""

    def __init__(self, deployment: Deployment):
        self.deployment = deployment
        self.scene: Scene = deployment.scene
        self.moments: dict[tuple[str, str], Moments] = {}
        self.undisturbed: dict[tuple[str, str], Snapshot] = {}
        self.ours: dict[str, str] = {}
        self.sweeping = threading.Lock()

    def record(self) -> None:
        """Import each file undisturbed, and write down every moment."""
        for dataset, processes in VARIANTS:
            workspace = f"undisturbed-{dataset}-{processes}"
            self.scene.folder.ask_for_trace(workspace)
            self._drop(workspace, dataset, processes)
        for dataset, processes in VARIANTS:
            workspace = f"undisturbed-{dataset}-{processes}"
            wait_until(lambda w=workspace, d=dataset: self._is(w, d, "reported_at"), SECONDS)  # type: ignore[misc]
            wait_until(lambda w=workspace, d=dataset: not self._at_work(w, d), SECONDS)  # type: ignore[misc]
            trace = self.scene.folder.trace_file(workspace)
            assert trace is not None
            self.moments[dataset, processes] = Moments(trace)
            self.undisturbed[dataset, processes] = take_snapshot(self.scene, workspace, dataset)

    def run_case(self, case: Case) -> Outcome:
        """Everything about one case; an error of the harness or of the pipeline is part of the outcome."""
        outcome = outcome_of(case)
        began = time.monotonic()
        try:
            reached = self._strike(case, outcome)
            self._until_reported(case, reached, outcome)
            self._name_recoveries(case, outcome)
            self._compare(case, outcome)
        except Exception:
            outcome.error = traceback.format_exc()
        finally:
            self.scene.folder.let_go(case.workspace)
        outcome.seconds = round(time.monotonic() - began, 2)
        return outcome

    # -- the kill ----------------------------------------------------------------------------------

    def _strike(self, case: Case, outcome: Outcome) -> Reached | None:
        folder = self.scene.folder
        strike = self.moments[case.dataset, case.processes].strike(case)
        folder.place(case.workspace, strike.order)
        self._drop(case.workspace, case.dataset, case.processes)
        reached = self._until_reached(case)
        if reached is None:
            return None
        outcome.killed, outcome.moment = True, f"{reached.moment} {reached.label}"
        time.sleep(strike.delay)
        if case.recovery == "beside":
            # Dagster's queue lets it start when the run it stands beside has ended, or was given up.
            self._launch(case, "beside")
            time.sleep(case.beside_seconds)
        if case.by == "moment":
            outcome.after_commit = self._is(case.workspace, case.dataset, "published_at")
        self._kill(case, reached)
        if case.by == "time":
            outcome.after_commit = self._is(case.workspace, case.dataset, "published_at")
        return reached

    def _until_reached(self, case: Case) -> Reached | None:
        """Until the moment has come; None if the upload is done without it."""
        folder = self.scene.folder
        for _ in range(LAUNCHES):
            wait_until(
                lambda: (
                    folder.reached(case.workspace)
                    or self._is(case.workspace, case.dataset, "reported_at")
                    or self._has_failed(case)
                ),
                SECONDS,
            )
            reached = folder.reached(case.workspace)
            if reached is not None:
                return reached
            if self._is(case.workspace, case.dataset, "reported_at"):
                break
            self._launch(case, "fresh")  # whose run may come to the moment yet
        folder.let_go(case.workspace)
        return None

    def _kill(self, case: Case, reached: Reached) -> None:
        scene, folder = self.scene, self.scene.folder
        if case.what == "step":
            _kill(reached.pid)
        elif case.what == "worker":
            _kill(self._worker_of(reached))
            if case.release == "before":
                folder.let_go(case.workspace)
            return
        elif case.what == "cancel":
            self.deployment.ui.terminate(reached.run_id)
        elif case.what == "daemon":
            self._kill_daemon(case)
        elif case.what == "postgres":
            self._interrupt(case, scene.kill_postgres, scene.restart_postgres)
        elif case.what == "s3":
            self._interrupt(case, scene.kill_aws, scene.restart_aws)
        folder.let_go(case.workspace)

    def _kill_daemon(self, case: Case) -> None:
        """The daemon alone, whose runs live on; or with the code server, and so with all runs."""
        names = ["daemon"] if case.restart == "early" else ["daemon", "code"]
        with self.deployment.lock:
            for name in names:
                self.deployment.kill(name)
            self.scene.folder.let_go(case.workspace)
            time.sleep(case.beside_seconds)
            for name in reversed(names):
                self.deployment.start(name)

    def _interrupt(self, case: Case, kill: Callable[[], None], restart: Callable[[], None]) -> None:
        """`early`: it is back before the step goes on; `late`: the step finds it gone."""
        with self.deployment.lock:
            kill()
            if case.restart == "late":
                self.scene.folder.let_go(case.workspace)
                time.sleep(1.0 + case.beside_seconds)
            restart()

    # -- recovery ----------------------------------------------------------------------------------

    def _until_reported(self, case: Case, reached: Reached | None, outcome: Outcome) -> None:
        """Until the upload is done and nobody works on it; a person helps where Dagster does not."""
        until, held_until = time.monotonic() + SECONDS, time.monotonic() + HELD_SECONDS
        idle_since = None
        while True:
            assert time.monotonic() < until, f"not done after {SECONDS} s: {self._row(case)}"
            time.sleep(0.3)
            at_work = self._at_work(case.workspace, case.dataset)
            orphan = reached is not None and _is_alive(reached.pid)
            if orphan and reached is not None:
                other = any(run.run_id != reached.run_id and run.status.value == "STARTED" for run in at_work)
                outcome.overlap = outcome.overlap or other
                if (other and case.release == "while") or time.monotonic() > held_until:
                    self.scene.folder.let_go(case.workspace)
            if at_work or orphan:
                idle_since = None
                continue
            idle_since = idle_since or time.monotonic()
            waited = time.monotonic() - idle_since
            if self._is(case.workspace, case.dataset, "reported_at"):
                if waited > QUIET_SECONDS or not self._may_be_retried(case):
                    return
                continue
            # A run of ours is launched once; if it did not do, and Dagster does nothing, another.
            if waited > (3.0 if case.recovery in ("re_execution", "fresh") else IDLE_SECONDS):
                self._help(case)
                idle_since = None

    def _help(self, case: Case) -> None:
        runs = self._runs(case.workspace, case.dataset)
        if case.recovery == "re_execution" and runs and not any(r.run_id in self.ours for r in runs):
            newest = runs[0]
            if newest.status.value in ("FAILURE", "CANCELED"):
                self.ours[self.deployment.ui.re_execute(newest.run_id)] = "re_execution"
                return
        self._launch(case, "fresh")

    def _launch(self, case: Case, why: str) -> None:
        upload_id = str(self._row(case)["upload_id"])
        self.ours[self.deployment.ui.launch(case.dataset, upload_id)] = why

    def _name_recoveries(self, case: Case, outcome: Outcome) -> None:
        """From the upload's runs: who launched each after the first."""
        runs = list(reversed(self._runs(case.workspace, case.dataset)))
        for run in runs[1:]:
            ours = self.ours.get(run.run_id)
            outcome.recoveries.append(ours or ("run_retry" if RETRY_TAG in run.tags else "sensor"))
        if not outcome.recoveries and outcome.killed:
            outcome.recoveries.append("op_retry" if case.what in ("postgres", "s3") else "none needed")

    def _compare(self, case: Case, outcome: Outcome) -> None:
        undisturbed = self.undisturbed[case.dataset, case.processes]
        with self.sweeping:
            found = _patiently(lambda: take_snapshot(self.scene, case.workspace, case.dataset))
            outcome.left = list(found.staging)
            if found.staging:
                _patiently(lambda: sweep(self.scene))
                found = _patiently(lambda: take_snapshot(self.scene, case.workspace, case.dataset))
        outcome.left_after_sweep = list(found.staging)
        outcome.differences = differences(undisturbed, found)
        outcome.rows_lost, outcome.rows_twice = lost_and_twice(undisturbed, found)

    # -- looking -----------------------------------------------------------------------------------

    def _drop(self, workspace: str, dataset: str, processes: str) -> None:
        _patiently(lambda: seed_workspaces(self.scene.url, [workspace]))
        data = file_of(dataset, processes)
        _patiently(lambda: self.scene.world.put(key_of(workspace, dataset), data))

    def _row(self, case: Case) -> dict[str, object]:
        return _patiently(lambda: self.scene.upload(case.workspace, case.dataset))

    def _uploads(self, workspace: str, dataset: str) -> list[dict[str, object]]:
        """The upload's row in the ledger; none before the sensor has seen the file."""
        key = key_of(workspace, dataset)
        return _patiently(lambda: self.scene.world.sql("SELECT * FROM imports.uploads WHERE key = %s", key))

    def _is(self, workspace: str, dataset: str, column: str) -> bool:
        rows = self._uploads(workspace, dataset)
        return bool(rows) and rows[0][column] is not None

    def _has_failed(self, case: Case) -> bool:
        """Whether another case's kill ended the upload's run for good before its own moment came.

        PostgreSQL may go while Dagster writes an event into it: that fails the step, whatever its policy.
        """
        rows = self._uploads(case.workspace, case.dataset)
        failed = bool(rows) and rows[0]["state"] in ("failed", "cancelled")
        return failed and not self._at_work(case.workspace, case.dataset)

    def _may_be_retried(self, case: Case) -> bool:
        """Whether Dagster may be about to retry a run that failed, perhaps beside the one that reported."""
        runs = self._runs(case.workspace, case.dataset)
        return any(run.status.value == "FAILURE" and RETRIED_TAG not in run.tags for run in runs)

    def _runs(self, workspace: str, dataset: str) -> Sequence[DagsterRun]:
        rows = self._uploads(workspace, dataset)
        return _patiently(lambda: runs_of(self.scene.instance, str(rows[0]["upload_id"]))) if rows else []

    def _at_work(self, workspace: str, dataset: str) -> list[DagsterRun]:
        return [run for run in self._runs(workspace, dataset) if run.status not in ENDED]

    def _worker_of(self, reached: Reached) -> int:
        logs = self.scene.instance.all_logs(reached.run_id)
        said = " ".join(entry.user_message + str(entry.dagster_event) for entry in logs)
        found = re.search(r"parent process \(pid: (\d+)\)", said)
        assert found, said[:500]
        return int(found[1])


def run_daemon_lane(home: Path, cases: Sequence[Case], until: float, say: Callable[[Outcome], None]) -> None:
    """Run cases, several at once, until they are done or the time (of `time.time()`) is up."""
    with open_scene(home) as scene, Deployment(scene).running() as deployment:
        lane = DaemonLane(deployment)
        lane.record()

        def one(case: Case) -> None:
            if time.time() < until:
                say(lane.run_case(case))

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(one, cases))


def _patiently(ask: Callable[[], T]) -> T:
    """Ask again while PostgreSQL or the emulator is away because of another case."""
    until = time.monotonic() + 60
    while True:
        try:
            return ask()
        except (psycopg.OperationalError, OperationalError, OSError, BotoCoreError) as error:
            if time.monotonic() > until:
                raise AssertionError(f"a service did not come back: {error}") from error
            time.sleep(0.2)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended in the same moment


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
