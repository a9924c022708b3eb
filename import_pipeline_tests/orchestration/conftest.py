"""A small daemon for tests: the real sensor, a real Dagster instance, runs in this process.

It does with a SensorResult what Dagster's daemon does, one thing after the other, so that a test
can stop it anywhere between.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from dagster import (
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    Definitions,
    RunRequest,
    RunsFilter,
    SensorResult,
    SkipReason,
    build_sensor_context,
)
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.event_log import in_memory
from psycopg.rows import dict_row

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.orchestration.build import build_defs
from import_pipeline.orchestration.control import open_instance
from import_pipeline.orchestration.resources import build_resources
from import_pipeline.orchestration.sensors import SENSOR_NAME
from import_pipeline.services.dagster_home import prepare_dagster_home
from import_pipeline.settings import Settings
from import_pipeline_tests.waiting import wait_until


@dataclass
class World:
    """Everything a test of the Dagster layer touches.

    Attributes:
        cursor: of the sensor; None: every tick begins without one, so it lists the bucket.
        put_in: second in which a key last got some bytes.
    """

    settings: Settings
    instance: DagsterInstance
    s3: Any
    bucket: str
    datasets: dict[str, Dataset]
    defs: Definitions
    requested: list[RunRequest] = field(default_factory=list)
    cursor: str | None = None
    put_in: dict[tuple[str, bytes], int] = field(default_factory=dict)

    def put(self, key: str, data: bytes | str, **metadata: str) -> None:
        """Drop a file, as any S3 client does."""
        body = data.encode() if isinstance(data, str) else data
        # The same bytes within one second are one arrival to S3 itself: same ETag, size and LastModified.
        wait_until(lambda: self.put_in.get((key, body)) != int(time.time()))
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, Metadata=metadata)
        self.put_in[key, body] = int(time.time())

    def get(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def keys(self, prefix: str = "") -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return [entry["Key"] for entry in found]

    def evaluate(self) -> SensorResult | SkipReason:
        """One sensor tick, nothing done with its result."""
        repository = self.defs.get_repository_def()
        with build_sensor_context(
            instance=self.instance, definitions=self.defs, resources=build_resources(), cursor=self.cursor
        ) as context:
            result = repository.get_sensor_def(SENSOR_NAME)(context)
            self.cursor = self.cursor and context.cursor
        return result  # type: ignore[return-value]

    def tick(self, *, run: bool = True) -> list[RunRequest]:
        """One tick of the daemon: events, partitions, then each run, unless its key has one already."""
        result = self.evaluate()
        if not isinstance(result, SensorResult):
            return []
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        fresh = [r for r in result.run_requests or [] if not self.runs(r.run_key)]
        self.requested += fresh
        if run:
            for request in fresh:
                self.run(request)
        return fresh

    def run(self, request: RunRequest) -> bool:
        """Execute a run request in this process; whether it succeeded."""
        assert request.job_name is not None
        job = self.defs.resolve_job_def(request.job_name)
        tags = {**request.tags, "dagster/run_key": str(request.run_key)}
        done = job.execute_in_process(
            instance=self.instance,
            partition_key=request.partition_key,
            tags=tags,
            run_config={"ops": (request.run_config or {}).get("ops", {})},
            raise_on_error=False,
        )
        return done.success

    def run_in(self, status: DagsterRunStatus, request: RunRequest) -> DagsterRun:
        """A run for a request that stands in `status` without anybody executing it."""
        job = self.defs.resolve_job_def(str(request.job_name))
        tags = {
            **request.tags,
            "dagster/partition": str(request.partition_key),
            "dagster/run_key": str(request.run_key),
        }
        origin = RemoteJobOrigin(
            RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("tests"), "__repository__"), job.name
        )
        return self.instance.create_run_for_job(job, tags=tags, status=status, remote_job_origin=origin)

    def launch(self, upload_id: str, dataset: str = "leads", **config: Any) -> bool:
        """Launch an upload by hand, as from the UI."""
        ops = {"ops": {dataset: {"config": config}}} if config else {}
        job = self.defs.resolve_job_def(f"import_{dataset}")
        return job.execute_in_process(
            instance=self.instance, partition_key=upload_id, run_config=ops, raise_on_error=False
        ).success

    def import_file(self, key: str, data: bytes | str, **metadata: str) -> dict[str, Any]:
        """Drop a file, let the sensor import it, let the next tick look; the upload's ledger row."""
        self.put(key, data, **metadata)
        assert self.tick(), "the sensor launched nothing"
        self.tick(run=False)
        return self.upload(key)

    def runs(self, run_key: str | None) -> list[Any]:
        return list(self.instance.get_runs(RunsFilter(tags={"dagster/run_key": str(run_key)})))

    def sql(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of a query as the loader, as dicts."""
        with psycopg.connect(self.settings.require_database_url(), row_factory=dict_row) as conn:
            cursor = conn.execute(query, values)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def upload(self, key: str) -> dict[str, Any]:
        """The newest ledger row of a key."""
        rows = self.sql(
            "SELECT * FROM imports.uploads WHERE key = %s ORDER BY last_modified DESC, detected_at DESC", key
        )
        assert rows, f"the ledger does not know {key}"
        return rows[0]

    def events(self, upload_id: str) -> list[Any]:
        """Dagster events of all runs of an upload, oldest first."""
        runs = self.instance.get_runs(RunsFilter(tags={"dagster/partition": upload_id}))
        entries = [e for run in reversed(list(runs)) for e in self.instance.all_logs(run.run_id)]
        return [e.dagster_event for e in entries if e.dagster_event is not None]

    def statuses(self, upload_id: str) -> list[DagsterRunStatus]:
        return [r.status for r in self.instance.get_runs(RunsFilter(tags={"dagster/partition": upload_id}))]


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    """A Dagster instance of this test's own, its storage in memory."""
    # It notes its schema's version for upgrades that a storage in memory never sees: most of its start.
    monkeypatch.setattr(in_memory, "stamp_alembic_rev", lambda *_: None)
    with DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def world(settings: Settings, instance: DagsterInstance, s3: Any, bucket_name: str) -> World:
    """A migrated database, an empty bucket, a Dagster instance and the built-in datasets."""
    datasets = load_datasets("")
    return World(settings, instance, s3, bucket_name, datasets, build_defs(datasets=datasets))


@pytest.fixture
def deployed(settings: Settings) -> Iterator[DagsterInstance]:
    """The instance of deploy/dagster.yaml on an empty PostgreSQL."""
    prepare_dagster_home(settings.home)
    with open_instance(settings) as instance:
        yield instance
