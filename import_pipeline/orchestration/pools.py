"""How many PostgreSQL connections runs hold: limits of pools, set before their first use, and the sum.

A default limit would be written by the first op that needs a slot, and two such writes at once
fail runs (InFailedSqlTransaction on PostgreSQL storage).
"""

from dagster import DagsterInstance

from import_pipeline.orchestration.tags import PUBLISHING_POOL, STAGING_POOL

CONNECTIONS_OF_AN_OP = 2
# The sensor, a schedule, a person at the command line.
CONNECTIONS_BESIDE_RUNS = 3


def pool_limits(connections: int) -> dict[str, int]:
    """How many ops of a kind may run at once, so that together they hold `connections` at most.

    An op holds two: the step's own and the one that loads. A quarter publishes, the rest stages.
    """
    ops = connections // CONNECTIONS_OF_AN_OP
    publishing = max(1, ops // 4)
    return {STAGING_POOL: max(1, ops - publishing), PUBLISHING_POOL: publishing}


def most_connections(connections: int, *, runs: int, steps: int) -> int:
    """How many connections all runs together hold at most.

    Every step holds one, and one more where it stages, publishes or undoes, which the pools bound.

    Args:
        connections: what staging and publishing may hold, as in the settings.
        runs: that Dagster lets run at once; `steps`: of one run, at once.
    """
    return runs * steps + sum(pool_limits(connections).values()) + CONNECTIONS_BESIDE_RUNS


def ensure_pool_limits(instance: DagsterInstance, connections: int) -> None:
    """Set limits that are missing or differ. Cheap when nothing is to be done."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    current = {limit.name: limit.limit for limit in storage.get_pool_limits()}
    for pool, limit in pool_limits(connections).items():
        if current.get(pool) != limit:
            storage.set_concurrency_slots(pool, limit)
