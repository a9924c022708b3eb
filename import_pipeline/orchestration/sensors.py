"""The sensor `new_uploads`: a thin shell around the decisions of `flow/arrivals/`.

Dagster reports events, adds partitions and submits runs one by one and may stop anywhere between,
so an upload stays `detected` until a run of it is seen: every tick asks again, under the same key.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from dagster import (
    AddDynamicPartitionsRequest,
    AssetMaterialization,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    MetadataValue,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)
from dagster._core.storage.tags import PRIORITY_TAG
from dagster_aws.s3 import S3Resource

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.arrivals.decision import KnownUpload, choose_launches, priorities, run_key
from import_pipeline.flow.arrivals.pace import read_pace, write_pace
from import_pipeline.ledger.arrivals import (
    awaiting_report,
    mark_queued,
    queued_by_workspace,
    waiting,
)
from import_pipeline.ledger.connection import connect, translated_errors
from import_pipeline.ledger.migrate import require_current
from import_pipeline.orchestration.executor import one_process
from import_pipeline.orchestration.noticing import notice
from import_pipeline.orchestration.pools import ensure_pool_limits
from import_pipeline.orchestration.reconciling import reconcile_ledger, run_facts, stop_late_runs
from import_pipeline.orchestration.resources import DatabaseResource
from import_pipeline.orchestration.tags import (
    WORKSPACE,
    job_name,
    lane_of,
    run_tags,
    uploads_key,
    uploads_partitions,
)
from import_pipeline.settings import Settings, load_settings
from import_pipeline.storage.bucket import Bucket

SENSOR_NAME = "new_uploads"
# PostgreSQL's index entries end at about 2,700 bytes; a longer partition key fails the whole tick.
MAXIMUM_PARTITION_BYTES = 1024


def build_sensor(datasets: Mapping[str, Dataset], jobs: Sequence[Any], seconds: int) -> SensorDefinition:
    """The one sensor of all datasets: on by default, a look every `seconds`."""

    @sensor(
        name=SENSOR_NAME,
        jobs=jobs,
        minimum_interval_seconds=seconds,
        default_status=DefaultSensorStatus.RUNNING,
        description="Notices files in the bucket and launches one import run for each.",
    )
    def new_uploads(
        context: SensorEvaluationContext, s3: S3Resource, database: DatabaseResource
    ) -> SensorResult | SkipReason:
        settings = load_settings()
        bucket = Bucket(s3.get_client(), settings.require_bucket())
        ensure_pool_limits(context.instance, settings.database_connections)
        with (
            translated_errors(),
            connect(database.url(), application_name=f"import_pipeline {SENSOR_NAME}") as conn,
        ):
            # The ledger only: a dataset whose table does not fit fails its own uploads, nobody else's.
            require_current(conn, {})
            reconciled = reconcile_ledger(context.instance, conn, settings.max_hours)
            for done in reconciled.actions:
                context.log.info(f"{done.upload_id}: {done.reason}")
            conn.commit()
            stop_late_runs(context.instance, bucket, reconciled)
            noticed = notice(conn, bucket, datasets, settings, read_pace(context.cursor))
            launches = choose(conn, context.instance, settings)
        context.update_cursor(write_pace(noticed.pace))
        for note in noticed.notes:
            context.log.info(note)
        if not launches:
            listing = f" The bucket is listed again in {noticed.waits:.0f} s." if noticed.waits else ""
            return SkipReason(f"Nothing to launch.{listing}")
        return sensor_result(launches, datasets, settings, queued_priorities(context.instance))

    return new_uploads


def choose(conn: psycopg.Connection, instance: DagsterInstance, settings: Settings) -> list[KnownUpload]:
    """Uploads to ask a run at this tick; those that wait and have one already become `queued`.

    A missing report is asked for under the launch number of its publish, which Dagster has a run for;
    `retry` gives it the next one.
    """
    most = settings.max_runs_per_tick * 20
    candidates = [*waiting(conn, most), *awaiting_report(conn, most)]
    facts = run_facts(instance, [upload.upload_id for upload in candidates])
    under_way, queued = set[str](), set[str]()
    for upload in candidates:
        for run in facts.get(upload.upload_id, ()):
            own = run.launch_number == upload.launch_number and run.status != "abandoned"
            if own or run.status == "active":
                under_way.add(upload.upload_id)
            # One of an earlier launch still ends: it is not what the upload waits for.
            if own or (run.status == "active" and run.launch_number is None):
                queued.add(upload.upload_id)
    mark_queued(conn, sorted(queued))
    return choose_launches(
        [upload for upload in candidates if upload.upload_id not in under_way],
        queued_by_workspace(conn),
        at_most=settings.max_runs_per_tick,
        per_workspace=settings.max_queued_per_workspace,
    )


def queued_priorities(instance: DagsterInstance) -> dict[str, list[int]]:
    """The priorities of the runs that Dagster has queued, by workspace."""
    queued: dict[str, list[int]] = defaultdict(list)
    for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.QUEUED])):
        priority = run.tags.get(PRIORITY_TAG, "0")  # people may write anything into a tag
        if WORKSPACE in run.tags and priority.removeprefix("-").isdecimal():
            queued[run.tags[WORKSPACE]].append(int(priority))
    return queued


@dataclass(frozen=True)
class _Launch:
    upload: KnownUpload
    dataset: Dataset
    priority: int


def sensor_result(
    launches: Sequence[KnownUpload],
    datasets: Mapping[str, Dataset],
    settings: Settings,
    queued: Mapping[str, Collection[int]],
) -> SensorResult:
    """Partitions, arrivals on the external assets, and one run request an upload.

    A request that Dagster would refuse stops every request after it, so each is looked at first.

    Args:
        queued: priorities of the runs that are queued, by workspace.
    """
    sound = [
        _Launch(upload, datasets[upload.dataset], priority)
        for upload, priority in zip(launches, priorities(launches, queued), strict=True)
        if upload.dataset in datasets and len(upload.upload_id.encode()) <= MAXIMUM_PARTITION_BYTES
    ]
    by_dataset: dict[str, list[str]] = {}
    for launch in sound:
        by_dataset.setdefault(launch.dataset.name, []).append(launch.upload.upload_id)
    return SensorResult(
        run_requests=[_run_request(launch, settings) for launch in sound],
        dynamic_partitions_requests=[
            AddDynamicPartitionsRequest(str(uploads_partitions(datasets[name]).name), ids)
            for name, ids in by_dataset.items()
        ],
        # Dagster reports them before it submits runs: whatever had an attempt was reported.
        asset_events=[_arrival_event(launch) for launch in sound if launch.upload.attempts == 0],
    )


def _run_request(launch: _Launch, settings: Settings) -> RunRequest:
    upload = launch.upload
    lane = lane_of(upload.size, settings.small_file_mb)
    return RunRequest(
        run_key=run_key(upload.upload_id, upload.launch_number),
        job_name=job_name(launch.dataset),
        partition_key=upload.upload_id,
        run_config=one_process() if upload.size < settings.fan_out_mb * 1_000_000 else {},
        tags={
            **run_tags(
                workspace=upload.workspace,
                dataset=upload.dataset,
                file_name=upload.upload_id.split("/", 1)[-1].rsplit("@", 1)[0],
                lane=lane,
                short_id=upload.upload_id[-12:],
            ),
            PRIORITY_TAG: str(launch.priority),
        },
    )


def _arrival_event(launch: _Launch) -> AssetMaterialization:
    upload = launch.upload
    return AssetMaterialization(
        asset_key=uploads_key(launch.dataset),
        partition=upload.upload_id,
        description="Noticed in the bucket.",
        metadata={
            "size": MetadataValue.int(upload.size),
            "last modified": MetadataValue.timestamp(upload.last_modified.timestamp()),
            "workspace": MetadataValue.text(upload.workspace),
        },
    )
