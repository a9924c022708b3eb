"""Limits of the pools that hold PostgreSQL connections, set explicitly before their first use.

A default limit would be written by the first op that needs a slot, and two such writes at once
fail runs (InFailedSqlTransaction on PostgreSQL storage).
"""

from dagster import DagsterInstance

from import_pipeline.orchestration.tags import PUBLISHING_POOL, STAGING_POOL

CONNECTIONS_OF_AN_OP = 2


def pool_limits(connections: int) -> dict[str, int]:
    """How many ops of a kind may run at once, so that together they hold `connections` at most.

    An op holds two: the step's own and the one that loads. A quarter publishes, the rest stages.
    """
    ops = connections // CONNECTIONS_OF_AN_OP
    publishing = max(1, ops // 4)
    return {STAGING_POOL: max(1, ops - publishing), PUBLISHING_POOL: publishing}


def ensure_pool_limits(instance: DagsterInstance, connections: int) -> None:
    """Set limits that are missing or differ. Cheap when nothing is to be done."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    current = {limit.name: limit.limit for limit in storage.get_pool_limits()}
    for pool, limit in pool_limits(connections).items():
        if current.get(pool) != limit:
            storage.set_concurrency_slots(pool, limit)
