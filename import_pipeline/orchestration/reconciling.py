"""Dagster's runs held against the ledger: facts for the pure decision, and doing what it says."""

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psycopg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.storage.tags import RUN_KEY_TAG

from import_pipeline.flow.arrivals.decision import launch_of
from import_pipeline.flow.arrivals.reconciliation import (
    SECONDS_WITHOUT_RUN,
    ReconciledUpload,
    RunFact,
    RunStatus,
    reconcile,
)
from import_pipeline.flow.loading.staging import drop_staging_of
from import_pipeline.ledger.outcomes import end_in_flight, relaunch
from import_pipeline.ledger.queries import in_flight
from import_pipeline.ledger.rows import InFlightUpload
from import_pipeline.orchestration.session import took_too_long
from import_pipeline.orchestration.tags import TIMED_OUT, is_undo_job
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.places import staging_prefix

PARTITION_TAG = "dagster/partition"
UPLOADS_A_QUERY = 200

_ENDED: dict[DagsterRunStatus, RunStatus] = {
    DagsterRunStatus.SUCCESS: "succeeded",
    DagsterRunStatus.FAILURE: "failed",
    DagsterRunStatus.CANCELED: "cancelled",
}


def run_facts(instance: DagsterInstance, upload_ids: Sequence[str]) -> dict[str, list[RunFact]]:
    """All import runs of each upload, by upload id; an upload without any is not in it."""
    facts: dict[str, list[RunFact]] = defaultdict(list)
    for start in range(0, len(upload_ids), UPLOADS_A_QUERY):
        wanted = list(upload_ids[start : start + UPLOADS_A_QUERY])
        for record in instance.get_run_records(RunsFilter(tags={PARTITION_TAG: wanted})):
            run, created = record.dagster_run, record.create_timestamp.timestamp()
            if is_undo_job(run.job_name):
                continue
            upload_id = run.tags[PARTITION_TAG]
            facts[upload_id].append(
                RunFact(
                    run_id=run.run_id,
                    status=_status(run.status, created),
                    created=created,
                    launch_number=launch_of(upload_id, run.tags.get(RUN_KEY_TAG)),
                    timed_out=TIMED_OUT in run.tags,
                )
            )
    return facts


def _status(status: DagsterRunStatus, created: float) -> RunStatus:
    if status == DagsterRunStatus.NOT_STARTED and time.time() - created >= SECONDS_WITHOUT_RUN:
        return "abandoned"
    return _ENDED.get(status, "active")


@dataclass(frozen=True)
class ReconciledLedger:
    """What one look did.

    Attributes:
        actions: for the sensor's log.
        abandoned: key prefixes of the staging of attempts that took too long.
    """

    actions: list[ReconciledUpload]
    abandoned: tuple[str, ...]


def reconcile_ledger(
    instance: DagsterInstance, conn: psycopg.Connection, max_hours: float = math.inf
) -> ReconciledLedger:
    """End or launch again what the ledger believes to be under way and Dagster does not.

    What runs for more than `max_hours` is ended too. Commits nothing; `stop_late_runs` comes after the
    commit.
    """
    seen = {row.upload_id: row for row in in_flight(conn)}
    actions = reconcile(list(seen.values()), run_facts(instance, list(seen)), max_hours * 3600)
    abandoned: list[str] = []
    for action in actions:
        row = seen[action.upload_id]
        if action.do != "time_out":
            _do(conn, action, row)
        elif _time_out(conn, row, max_hours):
            abandoned.append(staging_prefix(row.dataset, row.upload_id[-12:], str(row.attempt)))
    return ReconciledLedger(actions, tuple(abandoned))


def stop_late_runs(instance: DagsterInstance, bucket: Bucket, done: ReconciledLedger) -> None:
    """Stop the runs of uploads that took too long, and remove what they left in the bucket's staging.

    A run that does not stop keeps its slot until Dagster's run monitoring ends it, and can write nothing:
    its upload has its outcome. One that held its upload's row meanwhile is looked at again by the next tick.
    """
    for action in done.actions:
        for run_id in action.stop:
            instance.add_run_tags(run_id, {TIMED_OUT: "true"})
            with suppress(DagsterUserCodeUnreachableError):
                instance.run_coordinator.cancel_run(run_id)
    for prefix in done.abandoned:
        bucket.delete_prefix(prefix)


def _time_out(conn: psycopg.Connection, row: InFlightUpload, max_hours: float) -> bool:
    """End an upload that takes too long, its staging table with it, unless somebody holds its row."""
    error = took_too_long(max_hours)
    ended = end_in_flight(conn, [row], "failed", code=error.code, message=error.message, remedy=error.remedy)
    if not ended:
        return False
    drop_staging_of(conn, row.upload_id[-12:], str(row.attempt))
    return True


def _do(conn: psycopg.Connection, action: ReconciledUpload, row: InFlightUpload) -> None:
    if action.do == "launch_again":
        relaunch(conn, [row])
    elif action.do == "ask_again":
        relaunch(conn, [row], same_key=True)
    elif action.do == "cancel":
        end_in_flight(conn, [row], "cancelled", code="cancelled", message=action.reason)
    else:
        end_in_flight(
            conn,
            [row],
            "failed",
            code="run_failed",
            message=action.reason,
            remedy=f"Look at run {action.run_id} in the Dagster UI, then launch the upload again.",
        )
