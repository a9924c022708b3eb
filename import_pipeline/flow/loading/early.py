"""Checking and staging batches while the file behind them is still read, in threads of one process.

Both may be done again at any time, so what was begun early and went wrong, or was never asked for, is
merely lost. Whoever runs the steps one after the other takes what is done already, and does the rest.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType

from import_pipeline.flow.batches.columns.evidence import Readings
from import_pipeline.flow.checks.early import Check, EarlyChecks, Verdicts
from import_pipeline.records import Batch, CheckedBatch, SplitUpload, StagedBatch

Stage = Callable[[CheckedBatch], StagedBatch]


class EarlyBatches:
    """The checked and the staged batches of one file; a context manager around its split.

    A split that fails stops all of it. After one that does not, what is still being staged goes on.

    Args:
        check: checks one batch under verdicts; `stage` loads it. A second time either does the same again.
        threads: batches checked at once; one more thread stages, on a connection of its own.
    """

    def __init__(self, check: Check, stage: Stage, threads: int):
        self._check, self._stage = check, stage
        self._checks = EarlyChecks(self._check_then_stage, threads)
        self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stage-batch")
        self._checked: dict[int, CheckedBatch] = {}
        self._staged: dict[int, tuple[CheckedBatch, Future[StagedBatch]]] = {}

    def __enter__(self) -> "EarlyBatches":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._checks.__exit__(kind, error, trace)
        self._loader.shutdown(wait=error is not None, cancel_futures=error is not None)
        if error is not None:
            self._checked.clear()
            self._staged.clear()

    def begin(self, batch: Batch, verdicts: Verdicts, readings: Mapping[str, Readings]) -> None:
        """Check and stage a batch under what the file has shown so far; returns at once."""
        self._checks.begin(batch, verdicts, readings)

    def finish(self, split: SplitUpload) -> None:
        """Wait until every batch is checked under the verdicts of the whole file."""
        futures = self._checks.futures(split.batches, split.verdicts)
        wait(futures)
        done = [future.result() for future in futures if future.exception() is None]
        self._checked = {checked.number: checked for checked in done}

    def take_checked(self, number: int) -> CheckedBatch | None:
        """What checking a batch early gave, once; None if that failed."""
        return self._checked.pop(number, None)

    def take_staged(self, checked: CheckedBatch) -> StagedBatch | None:
        """What staging this very check of a batch early gave, once, waiting for it; None if that failed.

        Rows of another check of the batch may have been read otherwise, however many they are.
        """
        loaded, staging = self._staged.pop(checked.number, (None, None))
        if staging is None:
            return None
        wait([staging])
        if loaded != checked or staging.cancelled() or staging.exception() is not None:
            return None
        staged = staging.result()
        return staged if staged.rows == checked.valid else None

    def _check_then_stage(
        self, batch: Batch, verdicts: Verdicts, readings: Mapping[str, Readings]
    ) -> CheckedBatch:
        checked = self._check(batch, verdicts, readings)
        # One thread: of a batch that is checked twice, the second staging comes last and counts.
        self._staged[batch.number] = checked, self._loader.submit(self._stage, checked)
        return checked
