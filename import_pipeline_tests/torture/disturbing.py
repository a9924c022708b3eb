"""One lane of the kill matrix without a daemon: each case is launched, struck, recovered and compared."""

import os
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.context import ForkServerProcess

import psutil
from dagster import DagsterRun, DagsterRunStatus

from import_pipeline_tests.torture.cases import Case
from import_pipeline_tests.torture.moments import Moments, Strike
from import_pipeline_tests.torture.orders import Reached
from import_pipeline_tests.torture.outcomes import Outcome, outcome_of
from import_pipeline_tests.torture.runs import current, give_up, new_run, re_executed_run, runs_of
from import_pipeline_tests.torture.scene import Scene
from import_pipeline_tests.torture.snapshot import Snapshot, differences, lost_and_twice, take_snapshot
from import_pipeline_tests.torture.sweeping import sweep
from import_pipeline_tests.torture.workers import start_worker
from import_pipeline_tests.waiting import wait_until

SECONDS = 120.0
HELD_SECONDS = 6.0
MOST_LAUNCHES = 4


class Lane:
    """A scene, and what an undisturbed import looks like there."""

    def __init__(self, scene: Scene):
        self.scene = scene
        self.moments: dict[str, Moments] = {}
        self.undisturbed: dict[str, Snapshot] = {}
        self.workers: dict[str, ForkServerProcess] = {}

    def record(self, datasets: Iterable[str]) -> None:
        """Import each dataset's file undisturbed, and write down every moment."""
        for dataset in datasets:
            workspace = f"undisturbed-{dataset}"
            self.scene.drop_files(dataset, [workspace])
            self.scene.folder.ask_for_trace(workspace)
            run = self.launch(dataset, workspace, "one")
            self._wait_for(run)
            trace = self.scene.folder.trace_file(workspace)
            assert trace is not None
            self.moments[dataset] = Moments(trace)
            self.undisturbed[dataset] = take_snapshot(self.scene, workspace, dataset)
            assert self.scene.upload(workspace, dataset)["reported_at"] is not None

    def run_case(self, case: Case) -> Outcome:
        """Everything about one case; an error of the harness or of the pipeline is part of the outcome."""
        outcome = outcome_of(case)
        began = time.monotonic()
        try:
            self.scene.drop_files(case.dataset, [case.workspace])
            self._disturb(case, self.moments[case.dataset].strike(case), outcome)
            self._finish(case, outcome)
            self._compare(case, outcome)
        except Exception:
            outcome.error = traceback.format_exc()
        outcome.seconds = round(time.monotonic() - began, 2)
        return outcome

    def launch(self, dataset: str, workspace: str, processes: str) -> DagsterRun:
        """A fresh run of the workspace's upload, at work."""
        upload_id = str(self.scene.requests[workspace].partition_key)
        return self._start(new_run(self.scene.instance, dataset, upload_id, processes=processes))

    # -- the kill ----------------------------------------------------------------------------------

    def _disturb(self, case: Case, strike: Strike, outcome: Outcome) -> None:
        folder = self.scene.folder
        folder.place(case.workspace, strike.order)
        run = self.launch(case.dataset, case.workspace, case.processes)
        worker = self.workers[run.run_id]
        wait_until(lambda: folder.reached(case.workspace) or not worker.is_alive(), SECONDS)
        reached = folder.reached(case.workspace)
        if reached is None:
            return
        outcome.killed, outcome.moment = True, f"{reached.moment} {reached.label}"
        time.sleep(strike.delay)
        beside = self._launch_beside(case, outcome) if case.recovery == "beside" else None
        if case.by == "moment":
            outcome.after_commit = self._is_published(case)
        self._kill(case, run, reached)
        if case.by == "time":
            outcome.after_commit = self._is_published(case)
        self._recover(case, run, beside, reached, outcome)

    def _launch_beside(self, case: Case, outcome: Outcome) -> DagsterRun:
        outcome.overlap = True
        outcome.recoveries.append("beside")
        beside = self.launch(case.dataset, case.workspace, "one")
        time.sleep(case.beside_seconds)
        return beside

    def _kill(self, case: Case, run: DagsterRun, reached: Reached) -> None:
        scene, folder = self.scene, self.scene.folder
        if case.what == "step":
            _kill(reached.pid)
        elif case.what == "worker":
            _kill(self.workers[run.run_id].pid)
        elif case.what == "cancel":
            scene.instance.report_run_canceling(current(scene.instance, run.run_id))
            _signal(self.workers[run.run_id].pid, signal.SIGINT)
            folder.let_go(case.workspace)
        elif case.what == "postgres":
            self._interrupt_service(case, run, scene.kill_postgres, scene.restart_postgres)
        elif case.what == "s3":
            self._interrupt_service(case, run, scene.kill_aws, scene.restart_aws)

    def _interrupt_service(
        self, case: Case, run: DagsterRun, kill: Callable[[], None], restart: Callable[[], None]
    ) -> None:
        """`early`: it is back before the step goes on; `late`: the step finds it gone."""
        kill()
        if case.restart == "late":
            self.scene.folder.let_go(case.workspace)
            worker = self.workers[run.run_id]
            until = time.monotonic() + 3
            while worker.is_alive() and time.monotonic() < until:
                time.sleep(0.05)
        restart()
        self.scene.folder.let_go(case.workspace)

    # -- recovery ----------------------------------------------------------------------------------

    def _recover(
        self, case: Case, run: DagsterRun, beside: DagsterRun | None, reached: Reached, outcome: Outcome
    ) -> None:
        orphan = case.what == "worker" and case.processes == "many"
        if not orphan or case.release == "before":
            self.scene.folder.let_go(case.workspace)
        self._wait_for(run)
        recovering = beside or self._launch_recovery(case, run, outcome)
        if orphan and recovering is not None:
            outcome.overlap = outcome.overlap or psutil.pid_exists(reached.pid)
            if case.release == "while":
                time.sleep(case.beside_seconds)
                self.scene.folder.let_go(case.workspace)
        if recovering is not None:
            # What waits may hold the upload's row: nobody waits for ever, so it goes on in the end.
            self.workers[recovering.run_id].join(HELD_SECONDS)
            self.scene.folder.let_go(case.workspace)
            self._wait_for(recovering)
        self.scene.folder.let_go(case.workspace)
        wait_until(lambda: _is_gone(reached.pid), SECONDS)

    def _launch_recovery(self, case: Case, run: DagsterRun, outcome: Outcome) -> DagsterRun | None:
        ended = current(self.scene.instance, run.run_id)
        if ended.status == DagsterRunStatus.SUCCESS:
            outcome.recoveries.append("op_retry" if case.what in ("postgres", "s3") else "none needed")
            return None
        if case.recovery in ("re_execution", "run_retry"):
            outcome.recoveries.append(case.recovery)
            return self._start(re_executed_run(self.scene.instance, case.dataset, ended))
        outcome.recoveries.append("fresh")
        return self.launch(case.dataset, case.workspace, "one")

    def _finish(self, case: Case, outcome: Outcome) -> None:
        """Let the sensor look, and launch again whatever is not done: as a person or a schedule does."""
        upload_id = str(self.scene.requests[case.workspace].partition_key)
        for _ in range(MOST_LAUNCHES):
            for run in runs_of(self.scene.instance, upload_id):
                give_up(self.scene.instance, run.run_id)
            fresh = self.scene.world.tick(run=False)
            if self.scene.upload(case.workspace, case.dataset)["reported_at"] is not None:
                return
            asked = any(request.partition_key == upload_id for request in fresh)
            outcome.recoveries.append("sensor" if asked else "fresh")
            self._wait_for(self.launch(case.dataset, case.workspace, "one"))
        state = self.scene.upload(case.workspace, case.dataset)
        raise AssertionError(f"not done after {MOST_LAUNCHES} more launches: {state}")

    def _compare(self, case: Case, outcome: Outcome) -> None:
        undisturbed = self.undisturbed[case.dataset]
        found = take_snapshot(self.scene, case.workspace, case.dataset)
        outcome.left = list(found.staging)
        if found.staging:
            sweep(self.scene)
            found = take_snapshot(self.scene, case.workspace, case.dataset)
        outcome.left_after_sweep = list(found.staging)
        outcome.differences = differences(undisturbed, found)
        outcome.rows_lost, outcome.rows_twice = lost_and_twice(undisturbed, found)

    # -- runs --------------------------------------------------------------------------------------

    def _start(self, run: DagsterRun) -> DagsterRun:
        self.workers[run.run_id] = start_worker(run.run_id, self.scene.home / "workers.log")
        return run

    def _wait_for(self, run: DagsterRun) -> None:
        """Until its worker has ended; a run whose worker left it unfinished is given up."""
        worker = self.workers[run.run_id]
        worker.join(SECONDS)
        assert not worker.is_alive(), f"the worker of run {run.run_id} has not ended"
        give_up(self.scene.instance, run.run_id)

    def _is_published(self, case: Case) -> bool:
        return self.scene.upload(case.workspace, case.dataset)["published_at"] is not None


def run_lane(lane: Lane, cases: Sequence[Case], until: float, say: Callable[[Outcome], None]) -> None:
    """Run cases one after the other until they are done or the time (of `time.time()`) is up."""
    lane.record(sorted({case.dataset for case in cases}))
    for case in cases:
        if time.time() > until:
            return
        say(lane.run_case(case))


def _kill(pid: int | None) -> None:
    _signal(pid, signal.SIGKILL)


def _signal(pid: int | None, number: int) -> None:
    assert pid is not None
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended in the same moment


def _is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
