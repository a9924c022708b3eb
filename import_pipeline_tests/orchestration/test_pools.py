"""How many connections to PostgreSQL imports hold, and which limits see to it."""

import threading
from typing import Any

import pytest
from dagster import DagsterInstance, execute_job
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

from import_pipeline.orchestration.build import build_defs
from import_pipeline.orchestration.pools import (
    CONNECTIONS_BESIDE_RUNS,
    CONNECTIONS_OF_AN_OP,
    most_connections,
    pool_limits,
    sleep_while_waiting,
)
from import_pipeline.orchestration.tags import PUBLISHING_POOL, STAGING_POOL
from import_pipeline_tests.orchestration import pooled_job
from import_pipeline_tests.orchestration.pooled_job import POOL
from import_pipeline_tests.waiting import wait_until


@pytest.mark.parametrize("connections", range(4, 65))
def test_staging_and_publishing_together_hold_no_more_connections_than_the_setting(connections: int) -> None:
    limits = pool_limits(connections)
    assert set(limits) == {STAGING_POOL, PUBLISHING_POOL}
    assert min(limits.values()) >= 1
    assert CONNECTIONS_OF_AN_OP * sum(limits.values()) <= connections


def test_the_most_connections_are_one_a_step_and_one_more_a_slot_of_a_pool() -> None:
    assert most_connections(16, runs=10, steps=4) == 10 * 4 + 8 + CONNECTIONS_BESIDE_RUNS


def test_every_op_that_opens_a_second_connection_is_in_a_pool() -> None:
    """Those that stage, publish or undo; a new op without a pool would be counted wrongly."""
    jobs = build_defs().get_repository_def().get_all_jobs()
    pooled = {
        node.name.split("__")[-1]
        for job in jobs
        for node in job.all_node_defs
        if getattr(node, "pool", None) in (STAGING_POOL, PUBLISHING_POOL)
    }
    assert pooled == {"stage_batch", "publish_upload", "undo_upload"}


@pytest.mark.parametrize("executor", ["in_process", "multiprocess"])
def test_a_run_that_waits_for_a_slot_sleeps_meanwhile(
    deployed: DagsterInstance, monkeypatch: pytest.MonkeyPatch, executor: str
) -> None:
    sleep_while_waiting()
    sleep_while_waiting()
    storage, claims = deployed.event_log_storage, list[str]()
    claim = InstanceConcurrencyContext.claim

    def noted(self: InstanceConcurrencyContext, key: str, *rest: Any, **more: Any) -> bool:
        claims.append(key)
        return claim(self, key, *rest, **more)

    monkeypatch.setattr(InstanceConcurrencyContext, "claim", noted)
    storage.set_concurrency_slots(POOL, 1)
    assert storage.claim_concurrency_slot(POOL, "another run", "its step").is_claimed
    # It waits for a second at least before it tries again; twenty looks in it are sleep, thousands are not.
    freeing = threading.Thread(target=_free_once_waited_for, args=[deployed])
    freeing.start()
    with execute_job(
        ReconstructableJob.for_file(pooled_job.__file__, "one_pooled"),
        deployed,
        run_config={"execution": {"config": {executor: {}}}},
    ) as done:
        assert done.success
        blocked = [e for e in done.all_events if "blocked by limit for pool narrow" in str(e.message)]
    freeing.join()
    assert len(blocked) == 1
    assert 2 <= len(claims) <= 200


def _free_once_waited_for(instance: DagsterInstance) -> None:
    storage = instance.event_log_storage
    wait_until(lambda: storage.get_concurrency_info(POOL).pending_step_count == 1)
    storage.free_concurrency_slot_for_step("another run", "its step")
