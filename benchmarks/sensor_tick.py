"""One tick of the real sensor in this process, timed: `python -m benchmarks.sensor_tick` prints JSON.

The environment names services and Dagster's instance; `--stub N` puts a page source in the bucket's
place that lists N objects without a server, where the emulator would be what is measured.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import psycopg
from dagster import DagsterInstance, Definitions, SensorResult, build_sensor_context

from benchmarks.memory import peak_megabytes
from import_pipeline.orchestration.build import build_defs
from import_pipeline.orchestration.control import open_instance
from import_pipeline.orchestration.resources import build_resources
from import_pipeline.orchestration.sensors import SENSOR_NAME
from import_pipeline.settings import load_settings

PAGE = 1000


@dataclass(frozen=True)
class Tick:
    """What one tick took.

    Attributes:
        cpu: seconds of this process's own work; on a busy machine the better figure.
        questions: statements that asked the ledger about identities.
        megabytes: most memory of the process, before and after the tick.
        cursor: for the next tick.
    """

    seconds: float
    cpu: float
    questions: int
    megabytes: tuple[int, int]
    cursor: str | None


class StubPages:
    """Stands in for the S3 client: lists objects that nobody stored."""

    def __init__(self, objects: int):
        self.objects = objects

    def get_client(self) -> "StubPages":
        """As the resource does."""
        return self

    def get_paginator(self, _: str) -> "StubPages":
        """As boto3 does."""
        return self

    def paginate(self, *, Prefix: str, StartAfter: str = "", **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803
        """Pages of objects of 20 workspaces, in key order; half of them of a dataset that is not there."""
        modified = datetime(2026, 3, 1, tzinfo=UTC)
        keys = sorted(
            f"{Prefix}w{n % 20:02}/{'leads' if n % 2 else 'nothing'}/2026/03/file number {n:07}.csv"
            for n in range(self.objects)
        )
        keys = [key for key in keys if key > StartAfter]
        facts = {"Size": 1000, "LastModified": modified}
        for start in range(0, len(keys), PAGE):
            page = keys[start : start + PAGE]
            yield {"Contents": [{"Key": k, "ETag": f'"{crc32(k.encode()):032x}"', **facts} for k in page]}


def evaluate(
    instance: DagsterInstance, defs: Definitions, cursor: str | None, s3: Any = None
) -> tuple[SensorResult | None, Tick]:
    """One tick; its result, None if it launches nothing."""
    asked: list[str] = []
    execute = psycopg.Connection.execute

    def counted(conn: psycopg.Connection, query: Any, *values: Any, **named: Any) -> Any:
        asked.append(str(query))
        return execute(conn, query, *values, **named)

    resources = {**build_resources(), **({"s3": s3} if s3 else {})}
    sensor = defs.get_repository_def().get_sensor_def(SENSOR_NAME)
    before = peak_megabytes()
    psycopg.Connection.execute = counted  # type: ignore[method-assign]
    try:
        began, worked = time.monotonic(), time.process_time()
        with build_sensor_context(
            instance=instance, definitions=defs, resources=resources, cursor=cursor
        ) as context:
            result = sensor(context)
            cursor = context.cursor
        seconds, cpu = time.monotonic() - began, time.process_time() - worked
    finally:
        psycopg.Connection.execute = execute  # type: ignore[method-assign]
    questions = sum("found (identity)" in text for text in asked)
    tick = Tick(seconds, cpu, questions, (before, peak_megabytes()), cursor)
    return result if isinstance(result, SensorResult) else None, tick


def main() -> int:
    """One tick; prints it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stub", type=int, default=0, metavar="N")
    parser.add_argument("--cursor", default=None)
    parser.add_argument("home", type=Path)
    asked = parser.parse_args()
    with open_instance(load_settings(), asked.home) as instance:
        s3 = StubPages(asked.stub) if asked.stub else None
        _, tick = evaluate(instance, build_defs(), asked.cursor, s3)
    print(json.dumps(asdict(tick)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
