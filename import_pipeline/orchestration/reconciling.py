"""Dagster's runs held against the ledger: facts for the pure decision, and doing what it says."""

from collections import defaultdict
from collections.abc import Sequence

import psycopg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from import_pipeline.flow.arrivals.decision import run_key
from import_pipeline.flow.arrivals.reconciliation import ReconciledUpload, RunFact, RunStatus, reconcile
from import_pipeline.ledger.outcomes import end_in_flight, relaunch
from import_pipeline.ledger.queries import in_flight
from import_pipeline.ledger.rows import InFlightUpload

PARTITION_TAG = "dagster/partition"
RUN_KEY_TAG = "dagster/run_key"
UPLOADS_A_QUERY = 200

_ENDED: dict[DagsterRunStatus, RunStatus] = {
    DagsterRunStatus.SUCCESS: "succeeded",
    DagsterRunStatus.FAILURE: "failed",
    DagsterRunStatus.CANCELED: "cancelled",
}


def run_facts(instance: DagsterInstance, upload_ids: Sequence[str]) -> dict[str, list[RunFact]]:
    """All runs of each upload, by upload id; an upload without runs is not in it."""
    facts: dict[str, list[RunFact]] = defaultdict(list)
    for start in range(0, len(upload_ids), UPLOADS_A_QUERY):
        wanted = list(upload_ids[start : start + UPLOADS_A_QUERY])
        for record in instance.get_run_records(RunsFilter(tags={PARTITION_TAG: wanted})):
            run = record.dagster_run
            upload_id = run.tags[PARTITION_TAG]
            facts[upload_id].append(
                RunFact(
                    run_id=run.run_id,
                    status=_ENDED.get(run.status, "active"),
                    created=record.create_timestamp.timestamp(),
                    launch_number=_launch_number(upload_id, run.tags.get(RUN_KEY_TAG)),
                )
            )
    return facts


def reconcile_ledger(instance: DagsterInstance, conn: psycopg.Connection) -> list[ReconciledUpload]:
    """End or launch again what the ledger believes to be under way and Dagster does not.

    Commits nothing.

    Returns:
        What was done, for the sensor's log.
    """
    seen = {row.upload_id: row for row in in_flight(conn)}
    actions = reconcile(list(seen.values()), run_facts(instance, list(seen)))
    for action in actions:
        _do(conn, action, seen[action.upload_id])
    return actions


def _do(conn: psycopg.Connection, action: ReconciledUpload, row: InFlightUpload) -> None:
    if action.do == "launch_again":
        relaunch(conn, [row])
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


def _launch_number(upload_id: str, key: str | None) -> int | None:
    """The launch that a run key stands for; None for a run that no sensor asked for."""
    number = (key or "").rsplit("#", 1)[-1]
    if not number.isdigit() or key != run_key(upload_id, int(number)):
        return None
    return int(number)
