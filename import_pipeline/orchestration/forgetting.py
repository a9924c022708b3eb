"""Retention of what Dagster keeps: partitions, runs with their events and logs, records under `dagster/`.

Ticks are Dagster's own to purge (`retention` in dagster.yaml). What is due, `flow/housekeeping/due.py`
decides.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

from dagster import DagsterInstance, RunRecord, RunsFilter
from dagster._core.storage.dagster_run import FINISHED_STATUSES, NOT_FINISHED_STATUSES
from dagster._core.storage.tags import ROOT_RUN_ID_TAG

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.housekeeping.days import FOR_EVER
from import_pipeline.flow.housekeeping.due import (
    KeptRun,
    partition_is_due,
    records_due,
    report_is_due,
    runs_due,
)
from import_pipeline.flow.housekeeping.house import UPLOADS_A_CHUNK, House, chunks
from import_pipeline.flow.housekeeping.stuck import Stuck
from import_pipeline.ledger.housekeeping import live_uploads, lock_families, unreported_uploads
from import_pipeline.ledger.outcomes import ask_for_reports
from import_pipeline.orchestration.event_log import all_partitions, delete_check_verdicts
from import_pipeline.orchestration.reconciling import PARTITION_TAG
from import_pipeline.orchestration.tags import DATASET, uploads_partitions
from import_pipeline.storage.places import DAGSTER, run_of_record, run_records_prefix

RUNS_A_CHUNK = 100


def active_in(instance: DagsterInstance) -> Callable[[Sequence[str]], set[str]]:
    """Asks Dagster which of some uploads have an unfinished run."""

    def active(upload_ids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for some in chunks(upload_ids, UPLOADS_A_CHUNK):
            wanted = RunsFilter(tags={PARTITION_TAG: some}, statuses=list(NOT_FINISHED_STATUSES))
            found |= {run.tags[PARTITION_TAG] for run in instance.get_runs(wanted)}
        return found

    return active


def ask_for_missing_reports(house: House, instance: DagsterInstance) -> None:
    """Have the sensor launch what is published and lost its report, unless a run is at it or just was."""
    for some in chunks(unreported_uploads(house.conn), UPLOADS_A_CHUNK):
        names = [one.upload_id for one in some]
        busy, ended = house.active(names), _last_ends(instance, names)
        due = [
            one.upload_id
            for one in some
            if one.upload_id not in busy
            and report_is_due(one.published_at, ended.get(one.upload_id), house.now)
        ]
        with house.conn.transaction():
            house.did["reports asked for"] += len(ask_for_reports(house.conn, due))


def prune_partitions(house: House, instance: DagsterInstance, datasets: Mapping[str, Dataset]) -> None:
    """Take finished uploads out of the sets of partitions; one that the ledger does not know stays."""
    if house.days.partitions == FOR_EVER:
        return
    for dataset in datasets.values():
        partitions = str(uploads_partitions(dataset).name)
        for some in chunks(instance.get_dynamic_partitions(partitions), UPLOADS_A_CHUNK):
            with house.conn.transaction():
                families = lock_families(house.conn, some)
                held = {one.upload_id for family in families.values() for one in family or ()}
                busy = house.active(sorted(held))
                for name, family in families.items():
                    idle = family is not None and not any(one.upload_id in busy for one in family)
                    if family is not None and idle and partition_is_due(family, house.now, house.days):
                        instance.delete_dynamic_partition(partitions, name)
                        house.did["partitions"] += 1


def delete_records(house: House, instance: DagsterInstance) -> None:
    """Delete what ops of long finished runs handed each other; other objects there are left alone."""
    stuck = Stuck(house, "could not be deleted")
    for some in chunks(_records(house), RUNS_A_CHUNK):
        newest = {run: at for run, at, _ in some}
        due = records_due(newest, _chains(instance, list(newest)), house.days.records, house.now)
        for run, _, size in some:
            if run in due:
                with stuck.apart(run_records_prefix(run)):
                    house.did["objects deleted"] += house.bucket.delete_prefix(run_records_prefix(run))
                    house.did["bytes deleted"] += size
    stuck.settle()


def delete_runs(
    house: House, instance: DagsterInstance, datasets: Mapping[str, Dataset], jobs: Collection[str]
) -> None:
    """Delete finished runs of this pipeline with their events and logs.

    A run whose upload is still a partition stays, or the partition would look as if it was never filled;
    so does one of an upload that is not finished: its run key says that it was launched.

    Args:
        jobs: names of this pipeline's jobs; runs of other code are never touched.
    """
    if house.days.runs == FOR_EVER:
        return
    partitions = all_partitions(instance, datasets)
    for some in _finished_runs(instance, house.now - timedelta(days=house.days.runs)):
        ours = [run for run in some if run.dagster_run.job_name in jobs or DATASET in run.dagster_run.tags]
        uploads = {run.dagster_run.run_id: run.dagster_run.tags.get(PARTITION_TAG, "") for run in ours}
        kept = partitions | live_uploads(house.conn, set(uploads.values()))
        due = runs_due(_chains(instance, list(uploads)), house.days.runs, house.now)
        for run_id, upload_id in uploads.items():
            if run_id in due and upload_id not in kept:
                instance.compute_log_manager.delete_logs(prefix=[run_id])
                instance.delete_run(run_id)
                delete_check_verdicts(instance, run_id)
                house.did["runs"] += 1


def _finished_runs(instance: DagsterInstance, before: datetime) -> Iterator[list[RunRecord]]:
    """Runs that ended before a moment, oldest first, in chunks.

    A chunk is given out when the next one is read: the cursor is a run that has to be there.
    """
    wanted = RunsFilter(statuses=list(FINISHED_STATUSES), updated_before=before)
    some = list(instance.get_run_records(wanted, limit=RUNS_A_CHUNK, ascending=True))
    while some:
        cursor = some[-1].dagster_run.run_id
        following = list(instance.get_run_records(wanted, limit=RUNS_A_CHUNK, ascending=True, cursor=cursor))
        yield some
        some = following


def _chains(instance: DagsterInstance, run_ids: Sequence[str]) -> list[KeptRun]:
    """The runs that Dagster knows of `run_ids`, and all others of their chains of re-executions."""
    if not run_ids:
        return []
    found = {record.dagster_run.run_id: record for record in
             instance.get_run_records(RunsFilter(run_ids=list(run_ids)))}  # fmt: skip
    roots = sorted({_root(record) for record in found.values()})
    if roots:
        again = RunsFilter(tags={ROOT_RUN_ID_TAG: roots})
        firsts = RunsFilter(run_ids=roots)
        for wanted in (again, firsts):
            found |= {r.dagster_run.run_id: r for r in instance.get_run_records(wanted)}
    return [KeptRun(run_id, _root(record), _ended(record)) for run_id, record in found.items()]


def _root(record: RunRecord) -> str:
    return record.dagster_run.root_run_id or record.dagster_run.run_id


def _ended(record: RunRecord) -> datetime | None:
    if record.dagster_run.status not in FINISHED_STATUSES:
        return None
    if record.end_time is not None:
        return datetime.fromtimestamp(record.end_time, UTC)
    return record.update_timestamp.astimezone(UTC)


def _last_ends(instance: DagsterInstance, upload_ids: Sequence[str]) -> dict[str, datetime]:
    """When the last run of each upload ended; those without a finished run are not in it."""
    ends: dict[str, datetime] = {}
    wanted = RunsFilter(tags={PARTITION_TAG: list(upload_ids)}, statuses=list(FINISHED_STATUSES))
    for record in instance.get_run_records(wanted):
        ended, upload_id = _ended(record), record.dagster_run.tags[PARTITION_TAG]
        if ended is not None:
            ends[upload_id] = max(ended, ends.get(upload_id, ended))
    return ends


def _records(house: House) -> Iterator[tuple[str, datetime, int]]:
    """Each run with records under `dagster/`: its id, when the youngest was written, bytes."""
    listed = ((run_of_record(one.key), one) for one in house.bucket.list_objects(DAGSTER))
    for run, group in groupby(listed, key=lambda pair: pair[0]):
        if run is not None:
            found = [one for _, one in group]
            yield run, max(one.last_modified for one in found), sum(one.size for one in found)
