"""How many connections to PostgreSQL imports hold, and which limits see to it."""

import pytest

from import_pipeline.orchestration.build import build_defs
from import_pipeline.orchestration.pools import (
    CONNECTIONS_BESIDE_RUNS,
    CONNECTIONS_OF_AN_OP,
    most_connections,
    pool_limits,
)
from import_pipeline.orchestration.tags import PUBLISHING_POOL, STAGING_POOL


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
