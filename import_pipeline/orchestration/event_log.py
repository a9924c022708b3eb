"""What of Dagster's event log no call of its own deletes: events outside of runs, and verdicts of checks.

Written against Dagster's tables; a storage that has none (Dagster+) keeps house by itself.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from dagster import DagsterInstance
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.housekeeping.days import FOR_EVER
from import_pipeline.flow.housekeeping.house import House
from import_pipeline.orchestration.tags import imported_key, rejected_key, uploads_key, uploads_partitions

EVENTS_A_CHUNK = 1000
EVENTS, TAGS, VERDICTS = SqlEventLogStorageTable.c, AssetEventTagsTable.c, AssetCheckExecutionsTable.c


def all_partitions(instance: DagsterInstance, datasets: Mapping[str, Dataset]) -> set[str]:
    """Every upload that is a partition of a dataset."""
    sets = [str(uploads_partitions(dataset).name) for dataset in datasets.values()]
    return {key for name in sets for key in instance.get_dynamic_partitions(name)}


def delete_arrival_events(house: House, instance: DagsterInstance, datasets: Mapping[str, Dataset]) -> None:
    """Delete events about uploads that belong to no run, such as the one that says that a file was noticed.

    They go as runs do: after the same days, never before the upload's partition.
    """
    storage = instance.event_log_storage
    if house.days.runs == FOR_EVER or not isinstance(storage, SqlEventLogStorage):
        return
    partitions = all_partitions(instance, datasets)
    before = (house.now - timedelta(days=house.days.runs)).replace(tzinfo=None)
    keys = [key(dataset).to_string() for dataset in datasets.values()
            for key in (uploads_key, imported_key, rejected_key)]  # fmt: skip
    last = 0
    while found := _runless(storage, keys, before, last):
        due = [event for event, partition in found if partition not in partitions]
        if due:
            with storage.index_connection() as conn:
                conn.execute(sa.delete(SqlEventLogStorageTable).where(EVENTS.id.in_(due)))
                conn.execute(sa.delete(AssetEventTagsTable).where(TAGS.event_id.in_(due)))
        house.did["events"] += len(due)
        last = found[-1][0]


def delete_check_verdicts(instance: DagsterInstance, run_id: str) -> None:
    """Delete the verdicts of asset checks that a deleted run left."""
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        with storage.index_connection() as conn:
            conn.execute(sa.delete(AssetCheckExecutionsTable).where(VERDICTS.run_id == run_id))


def _runless(storage: SqlEventLogStorage, keys: Sequence[str], before: Any, after: int) -> list[Any]:
    """Id and partition of old events outside of runs, in the order of their ids."""
    query = (
        sa.select(EVENTS.id, EVENTS.partition)
        .where(
            EVENTS.run_id == RUNLESS_RUN_ID,
            EVENTS.asset_key.in_(keys),
            EVENTS.partition.is_not(None),
            EVENTS.timestamp < before,
            EVENTS.id > after,
        )
        .order_by(EVENTS.id)
        .limit(EVENTS_A_CHUNK)
    )
    with storage.index_connection() as conn:
        return list(conn.execute(query).fetchall())
