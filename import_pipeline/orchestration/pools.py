"""How many PostgreSQL connections runs hold: limits of pools, set before their first use, and the sum.

A default limit would be written by the first op that needs a slot, and two such writes at once
fail runs (InFailedSqlTransaction on PostgreSQL storage).
"""

import time
from collections.abc import Sequence
from functools import wraps

from dagster import DagsterInstance
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.step import ExecutionStep

from import_pipeline.orchestration.tags import PUBLISHING_POOL, STAGING_POOL

CONNECTIONS_OF_AN_OP = 2
# The sensor, a schedule, a person at the command line.
CONNECTIONS_BESIDE_RUNS = 3
# Dagster tries again for a slot after a second or more; a run that is cancelled meanwhile notices so soon.
WAITING_SECONDS = 0.05


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


def sleep_while_waiting() -> None:
    """Have this process's executors sleep when all that a run could do next waits for a slot of a pool.

    Dagster's ask again at once: the in-process one means to sleep and always computes 0 seconds (see its
    pull request 20367), the multiprocess one does not mean to. Each such run kept a core busy.
    """
    choose = ActiveExecution.get_steps_to_execute
    if getattr(choose, "sleeps", False):
        return

    @wraps(choose)
    def choose_or_sleep(self: ActiveExecution, limit: int | None = None) -> Sequence[ExecutionStep]:
        steps = choose(self, limit)
        slots = self._instance_concurrency_context
        if not steps and not self._in_flight and slots is not None and slots.has_pending_claims():
            time.sleep(WAITING_SECONDS)
        return steps

    choose_or_sleep.sleeps = True  # type: ignore[attr-defined]
    ActiveExecution.get_steps_to_execute = choose_or_sleep  # type: ignore[method-assign]
