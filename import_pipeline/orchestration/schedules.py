"""Schedules `retry_failed_<dataset>`: the scheduled backfill of uploads that failed for our reasons."""

from collections.abc import Iterator

from dagster import (
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.ledger.connection import connect, translated_errors
from import_pipeline.ledger.queries import failed_to_retry
from import_pipeline.orchestration.resources import DatabaseResource
from import_pipeline.orchestration.tags import uploads_partitions

RETRY_DAYS = 7
MAX_ATTEMPTS = 5


def build_retry_schedule(dataset: Dataset, job: UnresolvedAssetJobDefinition) -> ScheduleDefinition:
    """Once a day, launch again what failed less than 7 days ago in fewer than 5 attempts."""

    @schedule(
        name=f"retry_failed_{dataset.name}",
        cron_schedule="0 5 * * *",
        job=job,
        default_status=DefaultScheduleStatus.STOPPED,
        description=f"Launch uploads of {dataset.name} again that failed for reasons of ours.",
    )
    def retry_failed(
        context: ScheduleEvaluationContext, database: DatabaseResource
    ) -> Iterator[RunRequest | SkipReason]:
        with translated_errors(), connect(database.url(), application_name="import_pipeline retry") as conn:
            failed = failed_to_retry(conn, dataset.name, days=RETRY_DAYS, attempts=MAX_ATTEMPTS)
        # One key that is not in the set would fail the whole tick.
        known = set(context.instance.get_dynamic_partitions(str(uploads_partitions(dataset).name)))
        wanted = [upload for upload in failed if upload.upload_id in known]
        if not wanted:
            yield SkipReason("No failed upload is due for another try.")
        for upload in wanted:
            yield RunRequest(
                run_key=f"{upload.upload_id}/retry/{upload.launch_number}/{upload.attempts}",
                partition_key=upload.upload_id,
            )

    return retry_failed
