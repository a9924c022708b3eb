"""Jobs `housekeeping_sweep` (hourly) and `housekeeping_retention` (daily), their schedules on by default.

Each runs its parts one after the other: one that fails does not stop the others, but the run ends
failed and names it. What the parts do is `flow/housekeeping/`'s and `forgetting.py`'s.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dagster import (
    DefaultScheduleStatus,
    Failure,
    JobDefinition,
    MetadataValue,
    OpExecutionContext,
    Output,
    ScheduleDefinition,
    in_process_executor,
    job,
    op,
)

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.housekeeping.days import FOR_EVER, kept_days
from import_pipeline.flow.housekeeping.house import House
from import_pipeline.flow.housekeeping.placing import delete_past, set_aside
from import_pipeline.flow.housekeeping.sweeping import abort_unfinished, sweep_objects, sweep_tables
from import_pipeline.ledger.connection import connect, translated_errors
from import_pipeline.ledger.housekeeping import database_use, delete_events
from import_pipeline.ledger.migrate import require_current
from import_pipeline.ledger.undoing import delete_dependencies, delete_history, past_histories
from import_pipeline.orchestration.event_log import delete_arrival_events
from import_pipeline.orchestration.forgetting import (
    active_in,
    ask_for_missing_reports,
    delete_records,
    delete_runs,
    prune_partitions,
)
from import_pipeline.settings import load_settings
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.leftovers import EVERY_PLACE, use_of
from import_pipeline.storage.places import STAGING

SWEEP_JOB, RETENTION_JOB = "housekeeping_sweep", "housekeeping_retention"
HOURLY, DAILY = "17 * * * *", "40 3 * * *"
EVENTS_A_CHUNK = 10_000
LAST_LOOK = "what is used after"
Part = Callable[[House], None]
Use = dict[str, int]


@dataclass(frozen=True)
class Housekeeping:
    """The two jobs and the schedules that launch them."""

    jobs: tuple[JobDefinition, ...]
    schedules: tuple[ScheduleDefinition, ...]


def build_housekeeping(datasets: Mapping[str, Dataset], jobs: Sequence[str]) -> Housekeeping:
    """Both jobs for these datasets.

    Args:
        jobs: names of this pipeline's other jobs: only their runs, and its own, are ever deleted.
    """
    ours = {*jobs, SWEEP_JOB, RETENTION_JOB}
    sweep = _build_job(
        SWEEP_JOB,
        "Take away what finished and dead attempts left in staging, and have missing reports written.",
        _sweep_parts,
        (STAGING,),
    )
    retention = _build_job(
        RETENTION_JOB,
        "Take away what has been kept for its days: docs/operating.md says what goes when.",
        lambda context: _retention_parts(context, datasets, ours),
        EVERY_PLACE,
    )
    return Housekeeping(
        jobs=(sweep, retention),
        schedules=(_schedule("hourly_sweep", sweep, HOURLY), _schedule("daily_retention", retention, DAILY)),
    )


def _sweep_parts(context: OpExecutionContext) -> dict[str, Part]:
    return {
        "staging tables": sweep_tables,
        "staging objects": sweep_objects,
        "missing reports": lambda house: ask_for_missing_reports(house, context.instance),
        "unfinished uploads of ours": abort_unfinished,
    }


def _retention_parts(
    context: OpExecutionContext, datasets: Mapping[str, Dataset], jobs: set[str]
) -> dict[str, Part]:
    """Partitions before runs: a run is kept as long as its partition."""
    return {
        "originals that are stuck in uploads/": lambda house: set_aside(house, datasets),
        "archive/": lambda house: delete_past(house, "archive"),
        "quarantine/": lambda house: delete_past(house, "quarantine"),
        "reports/": lambda house: delete_past(house, "reports"),
        "dagster/": lambda house: delete_records(house, context.instance),
        "row history": _forget_history,
        "timelines": _forget_events,
        "partitions": lambda house: prune_partitions(house, context.instance, datasets),
        "runs": lambda house: delete_runs(house, context.instance, datasets, jobs),
        "events of arrivals": lambda house: delete_arrival_events(house, context.instance, datasets),
    }


def _build_job(
    name: str,
    description: str,
    parts_of: Callable[[OpExecutionContext], dict[str, Part]],
    places: Sequence[str],
) -> JobDefinition:
    @op(name=f"{name}__op", description=description, required_resource_keys={"s3", "database"})
    def keep_house(context: OpExecutionContext) -> Iterator[Output[None]]:
        did, failed = _keep_house(context, parts_of(context), places)
        if failed:
            raise Failure(
                f"These parts failed, all others are done: {', '.join(failed)}.",
                metadata={**did, "failed": ", ".join(failed)},
                allow_retries=False,
            )
        yield Output(None, metadata=did)

    @job(name=name, description=description, executor_def=in_process_executor)
    def house_job() -> None:
        keep_house.alias("keep_house")()

    return house_job


def _keep_house(
    context: OpExecutionContext, parts: Mapping[str, Part], places: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Run all parts; what each did, and those that failed."""
    settings = load_settings()
    bucket = Bucket(context.resources.s3, settings.require_bucket())

    @contextmanager
    def at_work() -> Iterator[House]:
        """A house with a connection of its own: one that is lost ends no other part."""
        name = f"import_pipeline {context.job_name}"
        with closing(connect(context.resources.database.url(), application_name=name)) as conn:
            conn.autocommit = True
            yield House(conn, bucket, kept_days(settings), now, active_in(context.instance))

    now = datetime.now(UTC)
    with at_work() as house:
        with translated_errors():
            require_current(house.conn, {})
        before = _use(house, places)
    did: dict[str, Any] = {}
    failed = []
    for name, part in parts.items():
        if not _run_part(context, name, part, at_work, did):
            failed.append(name)
    after: Use = {}

    def look(house: House) -> None:
        after.update(_use(house, places))

    if not _run_part(context, LAST_LOOK, look, at_work, did):
        failed.append(LAST_LOOK)
    for what in before:
        did[f"{what}, before"] = MetadataValue.int(before[what])
        if what in after:
            did[f"{what}, after"] = MetadataValue.int(after[what])
            context.log.info(f"{what}: {before[what]:,} before, {after[what]:,} after")
    return did, failed


def _run_part(
    context: OpExecutionContext,
    name: str,
    part: Part,
    at_work: Callable[[], AbstractContextManager[House]],
    did: dict[str, Any],
) -> bool:
    """Run one part, log what it did and add that to `did`; False if it failed: the run names it."""
    done: Counter[str] = Counter()
    succeeded = True
    try:
        with translated_errors(), at_work() as house:
            part(replace(house, did=done))
    except Exception:
        context.log.exception(f"{name} failed.")
        succeeded = False
    if name != LAST_LOOK:
        told = ", ".join(f"{what} {number:,}" for what, number in done.items() if number)
        context.log.info(f"{name}: {told or 'nothing to do'}")
    did |= {f"{name}: {what}": MetadataValue.int(number) for what, number in done.items()}
    return succeeded


def _forget_history(house: House) -> None:
    before = house.now - timedelta(days=house.days.history)
    for workspace, dataset in past_histories(house.conn, before):
        with house.conn.transaction():
            deleted = delete_history(house.conn, workspace, dataset, before)
        if deleted is None:
            house.did["tables that a publish is at work on, left"] += 1
        else:
            house.did["images of rows"] += deleted
    with house.conn.transaction():
        delete_dependencies(house.conn, before)


def _forget_events(house: House) -> None:
    if house.days.events == FOR_EVER:
        return
    before = house.now - timedelta(days=house.days.events)
    while deleted := delete_events(house.conn, before, EVENTS_A_CHUNK):
        house.did["lines"] += deleted


def _use(house: House, places: Sequence[str]) -> Use:
    """Bytes taken on disk and in the bucket."""
    with translated_errors():
        database = database_use(house.conn)
    found = {f"bytes of {what}": size for what, size in database.items()}
    found["bytes free on this disk"] = shutil.disk_usage(tempfile.gettempdir()).free
    for place, use in use_of(house.bucket, places).items():
        found[f"objects in {place}"] = use.objects
        found[f"bytes in {place}"] = use.size
    return found


def _schedule(name: str, target: JobDefinition, cron: str) -> ScheduleDefinition:
    return ScheduleDefinition(
        name=name,
        job=target,
        cron_schedule=cron,
        default_status=DefaultScheduleStatus.RUNNING,
        description=target.description,
    )
