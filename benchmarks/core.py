"""The core alone: every stage of `flow/` in one process, one after the other, without Dagster and S3.

Rows travel as Parquet files in a local folder; PostgreSQL and the ledger are the real ones.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from benchmarks.leads_file import GeneratedFile
from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.flow.arrivals.decision import Arrival, classify
from import_pipeline.flow.batches.opening import inspect_file
from import_pipeline.flow.batches.sources.source import FileSource
from import_pipeline.flow.batches.splitting import split_file
from import_pipeline.flow.checks.checking import check_batch
from import_pipeline.flow.duplicates.finding import find_duplicates
from import_pipeline.flow.loading.publishing import publish_upload
from import_pipeline.flow.loading.staging import create_staging_table, drop_staging, stage_batch
from import_pipeline.ledger import uploads as ledger
from import_pipeline.ledger.arrivals import mark_queued, record_arrivals
from import_pipeline.ledger.claims import claim
from import_pipeline.ledger.connection import connect
from import_pipeline.records import InspectedFile, ListedObject, OpenedUpload, Token
from import_pipeline.storage.places import staging_prefix
from import_pipeline.storage.store import LocalStore

STAGES = ("inspect", "split", "check", "stage", "find duplicates", "publish")


@dataclass(frozen=True)
class CoreTimes:
    """Seconds of each stage, by the names of STAGES."""

    stages: dict[str, float]

    @property
    def seconds(self) -> float:
        """From the first byte read to the commit of the publish."""
        return sum(self.stages.values())


def import_in_one_process(
    database_url: str, dataset: Dataset, file: GeneratedFile, workspace: str, folder: Path, memory_limit: str
) -> CoreTimes:
    """Import a file into an empty workspace.

    Args:
        folder: for Parquet; emptied afterwards.
        memory_limit: of DuckDB, in its notation.

    Raises:
        RuntimeError: the counts are not those of the file.
    """
    store, stages = LocalStore(folder), dict.fromkeys(STAGES, 0.0)
    options, source = SenderOptions(), FileSource(file.path)

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        stages[stage] += time.perf_counter() - started

    with timed("inspect"):
        inspected = inspect_file(source, dataset, options)
    arrival = _arrival(file, workspace, dataset)
    opened = _opened(arrival, inspected, dataset, options)
    with connect(database_url) as conn:
        _begin(conn, arrival, opened, dataset)
    staging = opened.staging
    with timed("split"):
        split = split_file(source, inspected, dataset, options=options, store=store, staging=staging)
    with timed("check"):
        checked = [
            check_batch(b, inspected, split.verdicts, dataset, options=options, store=store, staging=staging)
            for b in split.batches
        ]
    with timed("stage"):
        staged = [stage_batch(database_url, c, opened, dataset, store=store) for c in checked]
    with timed("find duplicates"):
        keys = [c.keys_key for c in checked]
        found = find_duplicates(keys, dataset, store=store, staging=staging, memory_limit=memory_limit)
    with timed("publish"):
        published = publish_upload(database_url, opened, split, checked, staged, found, dataset, store=store)
    with connect(database_url) as conn:
        drop_staging(conn, opened)
    shutil.rmtree(folder)
    if published.counts != file.counts:
        raise RuntimeError(f"the core counted {published.counts} where the file has {file.counts}")
    return CoreTimes(stages)


def _arrival(file: GeneratedFile, workspace: str, dataset: Dataset) -> Arrival:
    listed = ListedObject(
        bucket="none",
        key=f"uploads/{workspace}/{dataset.name}/{file.path.name}",
        etag=f"{time.time_ns():x}",
        size=file.size,
        last_modified=datetime.now(UTC),
    )
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
