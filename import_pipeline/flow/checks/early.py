"""Checking batches while the file behind them is still read: in threads, with the verdicts so far.

How a column is read is known only when all of the file was seen, but it rarely changes after its first
batch. A batch that was checked under another reading is checked again, so the result is that of waiting.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType

from import_pipeline.flow.batches.columns.evidence import Readings
from import_pipeline.records import Batch, CheckedBatch, ColumnVerdict

Verdicts = Sequence[ColumnVerdict]
Check = Callable[[Batch, Verdicts, Mapping[str, Readings]], CheckedBatch]


class EarlyChecks:
    """The checks of one file's batches.

    Args:
        check: checks one batch under verdicts; a second time it writes the same objects again. Gets the
            readings that the split found, so as not to look for them twice.
        threads: batches checked at once; each is held in memory.
    """

    def __init__(self, check: Check, threads: int):
        self._check = check
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="check-batch")
        self._begun: dict[int, tuple[dict[str, str | None], Future[CheckedBatch]]] = {}

    def __enter__(self) -> "EarlyChecks":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def begin(self, batch: Batch, verdicts: Verdicts, readings: Mapping[str, Readings]) -> None:
        """Check a batch under what the file has shown so far; returns at once."""
        checking = self._threads.submit(self._check, batch, verdicts, readings)
        self._begun[batch.number] = _chosen(verdicts), checking

    def finish(self, batches: Sequence[Batch], verdicts: Verdicts) -> Iterator[CheckedBatch]:
        """All batches in their order, checked under the verdicts of the whole file."""
        for future in self.futures(batches, verdicts):
            yield future.result()

    def futures(self, batches: Sequence[Batch], verdicts: Verdicts) -> list[Future[CheckedBatch]]:
        """The checks of all batches, in their order, under the verdicts of the whole file."""
        final = _chosen(verdicts)
        stale = [future for chosen, future in self._begun.values() if chosen != final]
        for future in stale:
            future.cancel()
        wait(stale)  # two checks of one batch would write the same objects at once
        done = {number: future for number, (chosen, future) in self._begun.items() if chosen == final}
        for batch in batches:
            if batch.number not in done:
                done[batch.number] = self._threads.submit(self._check, batch, verdicts, {})
        return [done[batch.number] for batch in batches]


def _chosen(verdicts: Verdicts) -> dict[str, str | None]:
    """What a check takes from verdicts."""
    return {verdict.column: verdict.reading for verdict in verdicts}
