"""A job whose only op needs a slot of a pool, for either of Dagster's executors."""

from dagster import job, op

POOL = "narrow"


@op(pool=POOL)
def pooled() -> None:
    """Has its slot."""


@job
def one_pooled() -> None:
    """Waits for it."""
    pooled()
