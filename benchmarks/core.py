"""The core alone: every stage of `flow/`, from the object in the bucket to published rows, without Dagster.

The same functions in the same order as a run in one process, with its store: what is written goes to the
bucket, and what this process reads once more stays in memory. PostgreSQL, ledger and emulator are real.

`python -m benchmarks.core` imports one file in a process of its own, for its CPU and its memory.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psycopg

from benchmarks.memory import peak_megabytes
from import_pipeline.catalog.dataset import Dataset, Existing, SenderOptions
from import_pipeline.catalog.discovery import get_dataset, load_datasets
from import_pipeline.flow.arrivals.decision import Arrival, classify
from import_pipeline.flow.batches.columns.evidence import Readings
from import_pipeline.flow.batches.opening import inspect_file
from import_pipeline.flow.batches.sources.source import ObjectSource
from import_pipeline.flow.batches.splitting import split_file
from import_pipeline.flow.checks.checking import check_batch
from import_pipeline.flow.checks.early import Verdicts
from import_pipeline.flow.duplicates.finding import find_duplicates
from import_pipeline.flow.loading.early import EarlyBatches
from import_pipeline.flow.loading.publishing import publish_upload
from import_pipeline.flow.loading.staging import create_staging_table, drop_staging, stage_batch
from import_pipeline.ledger import uploads as ledger
from import_pipeline.ledger.arrivals import mark_queued, record_arrivals
from import_pipeline.ledger.claims import claim
from import_pipeline.ledger.connection import connect
from import_pipeline.orchestration.batches import THREADS
from import_pipeline.orchestration.memory import give_memory_back_between_batches
from import_pipeline.orchestration.session import recent_memory
from import_pipeline.records import (
    Batch,
    CheckedBatch,
    Counts,
    InspectedFile,
    OpenedUpload,
    StagedBatch,
    Token,
)
from import_pipeline.settings import load_settings
from import_pipeline.storage.bucket import Bucket, s3_client
from import_pipeline.storage.places import staging_prefix

DATASET = "leads"
STAGES = ("inspect", "split, check and stage", "find duplicates", "publish")


@dataclass(frozen=True)
class CoreTimes:
    """What one import took.

    Attributes:
        stages: seconds of each, by the names of STAGES.
        cpu: seconds of processors of this process, PostgreSQL's and the emulator's not among them.
        megabytes: most memory of this process.
    """

    stages: dict[str, float]
    cpu: float
    megabytes: int
    counts: Counts

    @property
    def seconds(self) -> float:
        """From the first byte read to the commit of the publish."""
        return sum(self.stages.values())


def import_apart(
    path: Path,
    workspace: str,
    env: Mapping[str, str],
    *,
    existing: Existing | None = None,
    rows_per_batch: int | None = None,
) -> CoreTimes:
    """Import a file of leads in a process of its own.

    Args:
        env: says where the services are.
        existing: instead of the dataset's policy for rows whose key is in the table.
    """
    options = [*_option("--existing", existing), *_option("--rows-per-batch", rows_per_batch)]
    command = [sys.executable, "-m", "benchmarks.core", str(path.absolute()), workspace, *options]
    root = Path(__file__).parents[1]
    answer = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=root, env={**os.environ, **env}
    ).stdout
    found = json.loads(answer)
    return CoreTimes(**{**found, "counts": Counts(**found["counts"])})


def import_in_one_process(
    database_url: str,
    dataset: Dataset,
    path: Path,
    workspace: str,
    *,
    bucket: Bucket,
    memory_limit: str,
    rows_per_batch: int | None = None,
) -> CoreTimes:
    """Put a file into the bucket, and import it.

    Args:
        memory_limit: of DuckDB, in its notation.
    """
    stages, options = dict.fromkeys(STAGES, 0.0), SenderOptions()
    arrival = _arrival(bucket, path, workspace, dataset)
    give_memory_back_between_batches()
    store = Bucket(bucket.client, bucket.name, recent=recent_memory())
    source = ObjectSource(store, arrival.listed)

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        stages[stage] += time.perf_counter() - started

    began = time.process_time()
    with timed("inspect"):
        inspected = inspect_file(source, dataset, options, rows_per_batch=rows_per_batch)
    opened = _opened(arrival, inspected, dataset, options)
    with connect(database_url) as conn:
        _begin(conn, arrival, opened, dataset)
    staging = opened.staging

    def check(batch: Batch, verdicts: Verdicts, readings: Mapping[str, Readings]) -> CheckedBatch:
        return check_batch(
            batch,
            inspected,
            verdicts,
            dataset,
            options=options,
            readings=readings,
            store=store,
            staging=staging,
        )

    def stage(one: CheckedBatch) -> StagedBatch:
        return stage_batch(database_url, one, opened, dataset, store=store)

    with timed("split, check and stage"):
        with EarlyBatches(check, stage, THREADS) as early:
            split = split_file(
                source, inspected, dataset,
                options=options, store=store, staging=staging, on_batch=early.begin,
            )  # fmt: skip
            early.finish(split)
        checked = [early.take_checked(b.number) or check(b, split.verdicts, {}) for b in split.batches]
    with timed("find duplicates"):
        keys = [c.keys_key for c in checked]
        found = find_duplicates(keys, dataset, store=store, staging=staging, memory_limit=memory_limit)
    with timed("split, check and stage"):
        staged = [early.take_staged(one) or stage(one) for one in checked]
    with timed("publish"):
        published = publish_upload(database_url, opened, split, checked, staged, found, dataset, store=store)
    cpu = time.process_time() - began
    with connect(database_url) as conn:
        drop_staging(conn, opened)
        # Or the next daemon would write its report beside what is measured then.
        reported = "UPDATE imports.uploads SET reported_at = now() WHERE upload_id = %s"
        conn.execute(reported, [opened.upload_id])
    bucket.delete_prefix(staging)
    bucket.delete_pinned(arrival.listed)
    return CoreTimes(stages, cpu, peak_megabytes(), published.counts)


def _option(name: str, value: object) -> list[str]:
    return [] if value is None else [name, str(value)]


def _arrival(bucket: Bucket, path: Path, workspace: str, dataset: Dataset) -> Arrival:
    key = f"uploads/{workspace}/{dataset.name}/{path.name}"
    bucket.upload_file(path, key, {})
    (listed,) = bucket.list_objects(key)
    (arrival,) = classify([listed], datasets=[dataset.name], workspaces=None, known=())
    return arrival


def _opened(
    arrival: Arrival, inspected: InspectedFile, dataset: Dataset, options: SenderOptions
) -> OpenedUpload:
    attempt = f"{time.time_ns():016x}"
    return OpenedUpload(
        upload_id=arrival.upload_id,
        short_id=arrival.short_id,
        identity=arrival.identity,
        workspace=str(arrival.workspace),
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        attempt=attempt,
        token=Token(time.time(), attempt),
        source=arrival.listed,
        source_time=arrival.listed.last_modified,
        file_name=arrival.file_name,
        options=options,
        staging=staging_prefix(dataset.name, arrival.short_id, attempt),
        file=inspected,
    )


def _begin(conn: psycopg.Connection, arrival: Arrival, opened: OpenedUpload, dataset: Dataset) -> None:
    """What sensor and first op write into the ledger before a row is read."""
    record_arrivals(conn, [arrival])
    mark_queued(conn, [arrival.upload_id])
    claim(conn, opened.upload_id, opened.token, opened.attempt)
    ledger.record_opened(conn, opened)
    create_staging_table(conn, opened, dataset)
    conn.commit()


def main(arguments: Sequence[str] | None = None) -> None:
    """Import one file; print its times as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.core", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("workspace")
    parser.add_argument("--existing", choices=["skip", "update", "reject"])
    parser.add_argument("--rows-per-batch", type=int)
    asked = parser.parse_args(arguments)
    settings = load_settings()
    dataset = get_dataset(load_datasets(settings.datasets), DATASET)
    if asked.existing:
        dataset = replace(dataset, existing=asked.existing)
    done = import_in_one_process(
        settings.require_database_url(),
        dataset,
        asked.file,
        asked.workspace,
        bucket=Bucket(s3_client(settings), settings.require_bucket()),
        memory_limit=settings.duckdb_memory_limit,
        rows_per_batch=asked.rows_per_batch,
    )
    sys.stdout.write(json.dumps(asdict(done)))


if __name__ == "__main__":
    main()
