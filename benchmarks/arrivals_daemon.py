"""The whole pipeline under load: large files of three workspaces, small ones of one, ten rows of another.

What is watched is the last: its rows are to be visible within 30 s, whatever else waits. The clock is
read from outside: a connection of its own looks for the rows.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console

from benchmarks.in_dagster import RunningDagster, running_dagster
from benchmarks.leads_file import generate
from import_pipeline.services.running import RunningServices
from import_pipeline.storage.bucket import Bucket, s3_client

LARGE_FILES = ("large-a", "large-a", "large-b", "large-c")  # workspaces
MANY, ONE = "many", "one"
ROWS_A_MEGABYTE = 4_400
LOOK_SECONDS = 0.1
LIMIT_SECONDS = 7_200
said = Console(stderr=True)


@dataclass(frozen=True)
class Loaded:
    """Seconds since the first file was in the bucket.

    Attributes:
        one: from the end of putting the ten rows until they were visible, one number a repetition.
        small, large: until the last of them was visible.
    """

    one: list[float]
    small: float
    large: float
    ticks: list[float]


def measure_daemon(services: RunningServices, megabytes: int, small: int, repeat: int) -> str:
    """Put large and small files, then ten rows `repeat` times, and wait until all are imported."""
    rows = megabytes * ROWS_A_MEGABYTE
    files = [generate(Path.cwd(), rows, seed=seed).path for seed in range(1, len(LARGE_FILES) + 1)]
    with running_dagster(services) as dagster:
        loaded = _load(dagster, files, small, repeat)
    waits = ", ".join(f"{seconds:.1f} s" for seconds in loaded.one)
    slowest = max(loaded.ticks, default=0.0)
    return "\n".join(
        [
            f"## {len(LARGE_FILES)} files of {megabytes} MB of 3 workspaces, {small:,} small ones of one",
            f"- ten rows of another workspace, put meanwhile, visible after: {waits}",
            f"- all small files visible after {loaded.small:.0f} s, large ones after {loaded.large:.0f} s",
            f"- {len(loaded.ticks)} ticks of the sensor, the slowest {slowest:.1f} s with its submissions",
        ]
    )


def _load(dagster: RunningDagster, files: list[Path], small: int, repeat: int) -> Loaded:
    settings = dagster.settings
    bucket = Bucket(s3_client(settings), settings.require_bucket())
    began = time.monotonic()
    for number, (workspace, path) in enumerate(zip(LARGE_FILES, files, strict=True)):
        bucket.upload_file(path, f"uploads/{workspace}/leads/{number}.csv", {})
    said.print(f"  large files put in {time.monotonic() - began:.0f} s")

    def put(number: int) -> None:
        bucket.put_bytes(f"uploads/{MANY}/leads/{number:05}.csv", _ten_rows(f"m{number}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(small)))
    said.print(f"  {small} small files put, {time.monotonic() - began:.0f} s")
    with psycopg.connect(settings.require_database_url(), autocommit=True) as conn:
        look = _Look(conn, dagster)
        look.until(lambda: look.running("large%") >= 1)
        one = [_one(bucket, look, number) for number in range(repeat)]
        look.until(lambda: look.visible(MANY) == small)
        small_seconds = time.monotonic() - began
        look.until(lambda: look.visible("large%") == len(files))
        large_seconds = time.monotonic() - began
    return Loaded(one, small_seconds, large_seconds, dagster.tick_seconds())


def _one(bucket: Bucket, look: "_Look", number: int) -> float:
    bucket.put_bytes(f"uploads/{ONE}/leads/{number}.csv", _ten_rows(f"o{number}"))
    put = time.monotonic()
    look.until(lambda: look.visible(ONE) == number + 1)
    seconds = time.monotonic() - put
    said.print(f"  ten rows visible after {seconds:.1f} s; {look.states()}")
    return seconds


def _ten_rows(name: str) -> bytes:
    return ("E-mail;Nome\n" + "".join(f"{name}x{n}@exemplo.com;Ana\n" for n in range(10))).encode()


class _Look:
    """What another connection sees."""

    def __init__(self, conn: psycopg.Connection, dagster: RunningDagster):
        self.conn = conn
        self.dagster = dagster

    def visible(self, workspace: str) -> int:
        """Uploads of workspaces like this one whose rows are in the table."""
        return self._count("workspace LIKE %s AND published_at IS NOT NULL", workspace)

    def running(self, workspace: str) -> int:
        """Uploads that run."""
        return self._count("workspace LIKE %s AND state = 'running'", workspace)

    def states(self) -> str:
        """How many uploads are in each state."""
        rows = self.conn.execute("SELECT state, count(*) FROM imports.uploads GROUP BY 1 ORDER BY 1")
        return ", ".join(f"{count} {state}" for state, count in rows)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it is so.

        Raises:
            RuntimeError: an upload failed, or it takes too long.
        """
        end = time.monotonic() + LIMIT_SECONDS
        while not condition():
            if self._count("state IN ('failed', 'refused', 'cancelled', 'ignored') AND %s <> ''", "any"):
                raise RuntimeError(f"not all were imported: {self.states()}")
            self.dagster.check()
            if time.monotonic() > end:
                raise RuntimeError(f"not so within {LIMIT_SECONDS} s: {self.states()}")
            time.sleep(LOOK_SECONDS)

    def _count(self, condition: str, *values: Any) -> int:
        row = self.conn.execute(f"SELECT count(*) FROM imports.uploads WHERE {condition}", values).fetchone()
        return int(row[0]) if row else 0
