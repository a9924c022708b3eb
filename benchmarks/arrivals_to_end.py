"""Many small files at once through the whole pipeline, until the last of them is in the table."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from rich.console import Console

from benchmarks.in_dagster import RunningDagster, running_dagster
from import_pipeline.ledger.states import UNSTARTED_STATES
from import_pipeline.services.running import RunningServices

LOOK_SECONDS, TELL_SECONDS, STALLED_SECONDS = 1.0, 60.0, 300.0
OPEN = [*UNSTARTED_STATES, "running"]
# Runs that start side by side overtake each other by a moment; the times of the store are whole seconds.
LATE = """
    SELECT count(*) FROM (
        SELECT last_modified, max(last_modified) OVER (
            PARTITION BY workspace ORDER BY running_at
            RANGE BETWEEN UNBOUNDED PRECEDING AND '10 seconds' PRECEDING
        ) AS youngest
        FROM imports.uploads
    ) AS line WHERE last_modified < youngest
"""
STAGING = "SELECT count(*) FROM pg_tables WHERE schemaname = 'staging'"
said = Console(stderr=True)


@dataclass(frozen=True)
class ToEnd:
    """What became of the files.

    Attributes:
        noticed: seconds from the last put until all were in the ledger.
        others, last: seconds until all files but the busy workspace's, and all files, had ended.
        states: number of uploads in each state at the end.
        rows: in the dataset's table; `keys`: different keys among them.
        late: files whose run began over 10 s after that of a younger one of their workspace.
        staging: tables left there.
        cpu: seconds of processors a file, of code server, daemon and all below them.
        ticks: seconds of each tick of the sensor, its submissions included.
    """

    files: int
    noticed: float
    others: float
    last: float
    states: Mapping[str, int]
    rows: int
    keys: int
    late: int
    staging: int
    cpu: float
    ticks: Sequence[float]


def import_to_end(services: RunningServices, put: Callable[[], None], files: int, busy: str) -> ToEnd:
    """Have the real daemon import files of `leads` to their end.

    Args:
        put: puts all of them into the bucket.
        busy: the workspace that most of them are of.

    Raises:
        RuntimeError: nothing has ended for `STALLED_SECONDS`.
    """
    url = services.settings.require_owner_database_url()
    with running_dagster(services) as dagster, psycopg.connect(url, autocommit=True) as conn:
        before = dagster.cpu_seconds()
        put()
        noticed, others, last = _wait(dagster, conn, files, busy)
        states = dict(conn.execute("SELECT state, count(*) FROM imports.uploads GROUP BY 1").fetchall())
        rows, keys = _one_row(conn, "SELECT count(*), count(DISTINCT email) FROM leads")
        (late,) = _one_row(conn, LATE)
        (staging,) = _one_row(conn, STAGING)
        cpu = (dagster.cpu_seconds() - before) / files
        ticks = dagster.tick_seconds()
    return ToEnd(files, noticed, others, last, states, rows, keys, late, staging, cpu, ticks)


def _wait(
    dagster: RunningDagster, conn: psycopg.Connection, files: int, busy: str
) -> tuple[float, float, float]:
    began = told = moved = time.monotonic()
    noticed = others = 0.0
    ended = -1
    while ended < files:
        dagster.check()
        time.sleep(LOOK_SECONDS)
        now = time.monotonic()
        known, others_open, ended_now = _one_row(
            conn,
            "SELECT count(*), count(*) FILTER (WHERE workspace <> %(busy)s AND state = ANY(%(open)s)),"
            " count(*) FILTER (WHERE state <> ALL(%(open)s) AND (reported_at IS NOT NULL OR"
            " published_at IS NULL)) FROM imports.uploads",
            {"busy": busy, "open": OPEN},
        )
        if ended_now > ended:
            ended, moved = ended_now, now
        if known == files:
            noticed = noticed or now - began
            others = others or (0.0 if others_open else now - began)
        if now - moved > STALLED_SECONDS:
            raise RuntimeError(f"nothing has ended for {STALLED_SECONDS:.0f} s, {ended:,} of {files:,} had")
        if now - told > TELL_SECONDS:
            told = now
            said.print(f"  {known:,} in the ledger, {ended:,} of {files:,} ended after {now - began:.0f} s")
    return noticed, others, time.monotonic() - began


def _one_row(conn: psycopg.Connection, query: Any, values: Any = None) -> tuple[Any, ...]:
    return conn.execute(query, values).fetchone() or ()
