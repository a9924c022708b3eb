"""Split a file into batches: Parquet objects of rows as text, and what only the whole file can tell.

A repeated try writes the same keys again. Typed values and faults of cells are `flow/checks/`'s.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.errors import CountsDoNotBalance
from import_pipeline.flow.batches.columns.evidence import ColumnEvidence, Readings
from import_pipeline.flow.batches.readers import expanded, open_rows
from import_pipeline.flow.batches.sources.compression import ExpandedSource
from import_pipeline.flow.batches.sources.source import Source
from import_pipeline.records import Batch, ColumnVerdict, InspectedFile, LineCount, SplitUpload
from import_pipeline.storage.store import Store

Progress = Callable[[int, int], None]
OnBatch = Callable[[Batch, tuple[ColumnVerdict, ...], Mapping[str, Readings]], None]


def split_file(
    source: Source,
    inspected: InspectedFile,
    dataset: Dataset,
    *,
    options: SenderOptions,
    store: Store,
    staging: str,
    progress: Progress | None = None,
    on_batch: OnBatch | None = None,
) -> SplitUpload:
    """Stream a file into batches, with bounded memory.

    Args:
        staging: key prefix, ends with `/`; batches become `<staging>batches/0001.parquet`, ….
        progress: called with (bytes done, rows done), at most once a chunk.
        on_batch: called, in a thread, with each batch that was written, the verdicts so far, and the
            readings of its columns, see `ColumnEvidence.add`.

    Raises:
        UnclosedQuote: a quoted cell never closes.
        CountsDoNotBalance: the lines read are not those that `read_whole` counted.
    """
    started = time.monotonic()
    inside = expanded(source, inspected.compression, dataset)
    reader = open_rows(inside, inspected, dataset)
    evidence = ColumnEvidence(dataset, inspected.mapping)

    def finish(batch: Batch, table: pa.Table) -> None:
        store.put_table(batch.key, table)
        readings = evidence.add(table)
        if on_batch is not None:
            on_batch(batch, evidence.verdicts(options, dataset.defaults), readings)

    with _BatchWriter(f"{staging}batches/", inspected.rows_per_batch, finish) as writer:
        for table in reader.tables():
            if table.num_rows:
                writer.add(table)
            if progress is not None:
                done = inside.bytes_taken if isinstance(inside, ExpandedSource) else reader.bytes_done
                progress(done, reader.rows)
        batches = writer.finish()
    lines = inspected.text.physical_lines if inspected.text else 0
    _check_counts(source.name, lines, reader.lines, reader.rows, batches)
    return SplitUpload(
        batches=batches,
        read=reader.rows,
        lines=reader.lines,
        verdicts=evidence.verdicts(options, dataset.defaults),
        seconds=time.monotonic() - started,
        ignored=tuple(reader.ignored),
        ignored_rows=reader.ignored_rows,
    )


def _check_counts(
    name: str, physical_lines: int, lines: LineCount, rows: int, batches: tuple[Batch, ...]
) -> None:
    """Every line of the file belongs to something, and every row is in a batch."""
    accounted = lines.before_header + lines.header + lines.blank + lines.ignored + lines.rows
    if accounted != physical_lines:
        raise CountsDoNotBalance(
            f"{name}: {physical_lines:,} lines were counted, but {accounted:,} were read.",
            remedy="Launch the import again; if it says the same, report it with the file.",
            physical_lines=physical_lines, accounted=accounted,
        )  # fmt: skip
    written = sum(batch.rows for batch in batches)
    if written != rows:
        raise CountsDoNotBalance(
            f"{name}: {rows:,} rows were read, but {written:,} are in batches.", read=rows, written=written
        )


class _BatchWriter:
    """Gathers rows; hands full batches to `finish` in a thread of its own, one at a time.

    A batch has `rows_per_batch` rows; what would leave a last one of less than a tenth goes into it.
    """

    def __init__(self, prefix: str, rows_per_batch: int, finish: Callable[[Batch, pa.Table], None]):
        self._prefix, self._size, self._finish = prefix, rows_per_batch, finish
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._batches: list[Batch] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="write-batch")
        self._writing: Future[None] | None = None

    def __enter__(self) -> "_BatchWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def add(self, table: pa.Table) -> None:
        """Take rows; write the batches that are full."""
        self._waiting.append(table)
        self._rows += table.num_rows
        while self._rows >= self._size + self._size // 10:
            self._write(self._size)

    def finish(self) -> tuple[Batch, ...]:
        """Write what is left, wait, and say what was written."""
        if self._rows:
            self._write(self._rows)
        self._wait()
        return tuple(self._batches)

    def _write(self, rows: int) -> None:
        gathered = pa.concat_tables(self._waiting)
        table, left = gathered.slice(0, rows), gathered.slice(rows)
        self._waiting, self._rows = [left] if left.num_rows else [], left.num_rows
        number = len(self._batches) + 1
        key = f"{self._prefix}{number:04d}.parquet"
        bounds = pc.min_max(table["_row_number"]).as_py()
        self._batches.append(Batch(number, key, table.num_rows, bounds["min"], bounds["max"]))
        self._wait()
        self._writing = self._thread.submit(self._finish_one, self._batches[-1], table)

    def _finish_one(self, batch: Batch, table: pa.Table) -> None:
        self._finish(batch, table.combine_chunks())

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()
