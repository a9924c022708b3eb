"""Many small files dropped at once, and one at a time: how soon they are in the table."""

import time
from dataclasses import dataclass

import psycopg

from benchmarks.bench import Bench, say
from benchmarks.in_dagster import RunningDagster, import_by_dagster
from import_pipeline.storage.bucket import Bucket, s3_client

ROWS_OF_SMALL, ROWS_OF_LATENCY = 500, 5_000
LOOK_SECONDS = 0.5
LIMIT_SECONDS = 1800


@dataclass(frozen=True)
class ManySmall:
    """What a number of small files took.

    Attributes:
        first, last: seconds from the last put until the first, and all, are in the table.
        cpu: seconds of processors a file, of the daemon and all below it.
        waits: seconds from put to visible of files dropped one at a time.
    """

    files: int
    first: float
    last: float
    cpu: float
    waits: list[float]

    @property
    def per_minute(self) -> float:
        """Files."""
        return 60 * self.files / self.last


def measure_many_small(bench: Bench, files: int, puts: int) -> ManySmall:
    """Files in one workspace, as a sender has them; and single ones, each after the one before."""
    workspace = bench.new_workspace()
    settings = bench.services.settings
    bucket = Bucket(s3_client(settings), settings.require_bucket())
    paths = [bench.file(ROWS_OF_SMALL, seed).path for seed in range(1, files + 1)]
    with bench.dagster() as dagster:
        single = bench.file(ROWS_OF_LATENCY)
        import_by_dagster(dagster, bench.dataset, single, bench.new_workspace())  # warms the fork server
        waits = []
        for _ in range(puts):
            done = import_by_dagster(dagster, bench.dataset, single, bench.new_workspace())
            waits.append(done.arrival_to_visible)
            say(f"{single.path.name} from put to visible", waits[-1])
        before = dagster.cpu_seconds()
        for path in paths:
            bucket.upload_file(path, f"uploads/{workspace}/{bench.dataset.name}/{path.name}", {})
        first, last = _wait_for(dagster, workspace, files)
        cpu = (dagster.cpu_seconds() - before) / files
    for path in paths:
        path.unlink()
    bench.empty()
    say(f"{files} files of {ROWS_OF_SMALL} rows", last)
    return ManySmall(files, first, last, cpu, waits)


def _wait_for(dagster: RunningDagster, workspace: str, files: int) -> tuple[float, float]:
    """Seconds until the first and the last of a workspace's files are in the table."""
    began, first = time.monotonic(), 0.0
    with psycopg.connect(dagster.settings.require_database_url(), autocommit=True) as conn:
        while time.monotonic() - began < LIMIT_SECONDS:
            row = conn.execute(
                "SELECT count(*) FILTER (WHERE published_at IS NOT NULL), count(*) FILTER (WHERE state"
                " IN ('failed', 'refused', 'ignored')) FROM imports.uploads WHERE workspace = %s",
                [workspace],
            ).fetchone()
            published, lost = row or (0, 0)
            if lost:
                raise RuntimeError(f"{lost} files did not make it")
            first = first or (time.monotonic() - began if published else 0.0)
            if published == files:
                return first, time.monotonic() - began
            dagster.check()
            time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"not all files were in the table after {LIMIT_SECONDS} s")
