"""`python -m benchmarks.arrivals`: a sensor's tick with 100,000 known objects, and with 10,000 new ones.

Services of its own; every tick is the real sensor's, Dagster's storage is PostgreSQL. Two measurements run
the whole pipeline instead: `--to-end` imports the new objects until the last of them is in the table,
`--daemon` takes large files of some workspaces, many small ones of one, and one of another.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunRequest
from dagster._core.utils import make_new_run_id
from rich.console import Console

from benchmarks.arrivals_daemon import measure_daemon
from benchmarks.arrivals_to_end import import_to_end
from benchmarks.sensor_tick import Tick, evaluate
from benchmarks.services import fresh_services
from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.orchestration.build import build_defs
from import_pipeline.orchestration.control import open_instance, set_pool_limits
from import_pipeline.services.dagster_home import prepare_dagster_home
from import_pipeline.services.running import RunningServices
from import_pipeline.services.supervisor import StopAsked, dagster_environment, stop_on_signals
from import_pipeline.storage.bucket import Bucket, s3_client

PUTS_AT_ONCE = 8
BUSY, BUSY_SHARE = "busy", 0.9  # of the new objects, all of one workspace
said = Console(stderr=True)


@dataclass(frozen=True)
class Drained:
    """What became of many new objects.

    Attributes:
        noticed: seconds until all were in the ledger.
        ticks: number of ticks until all were launched; `slowest`: seconds, its runs submitted.
        in_order: whether each workspace's were launched oldest first.
        others_done: the tick by which every workspace but the busy one was served.
    """

    noticed: float
    ticks: int
    slowest: float
    in_order: bool
    others_done: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        with stop_on_signals(), fresh_services(load_datasets("")) as services:
            if asked.daemon:
                print(measure_daemon(services, asked.megabytes, asked.small, asked.repeat))
                return 0
            if asked.to_end:
                print(measure_to_end(services, asked.new))
                return 0
            if asked.known:
                print(measure_known(services, asked.known, stub=asked.stub))
            if asked.new:
                print(measure_new(services, asked.new))
    except StopAsked as stop:
        said.print("Stopped; nothing is left running.")
        return stop.exit_code
    return 0


def measure_known(services: RunningServices, objects: int, *, stub: bool) -> str:
    """Ticks over known objects, half of them failed and half ignored, each in a fresh process."""
    home = prepare_dagster_home(services.settings.home)
    if not stub:
        keys = [f"uploads/w{n % 20:02}/{'leads' if n % 2 else 'nothing'}/{n:07}.csv" for n in range(objects)]
        _put(services, keys)
    run = _ticker(services, home, objects if stub else 0)
    first: list[Tick] = []
    while not first or json.loads(first[-1].cursor or "{}").get("after") is not None:
        first.append(run(first[-1].cursor if first else None))
    with psycopg.connect(services.settings.require_owner_database_url()) as conn:
        conn.execute(
            "UPDATE imports.uploads SET state = 'failed', error_code = 'measured' WHERE state = 'detected'"
        )
        conn.execute("ANALYZE imports.uploads")
    known: list[Tick] = []
    while not known or json.loads(known[-1].cursor or "{}").get("after") is not None:
        known.append(run(known[-1].cursor if known else None))
    between = run(known[-1].cursor)
    source = "a stub of the listing, without a server" if stub else "the emulator"
    return "\n".join(
        [
            f"## {objects:,} objects under uploads/, listed by {source}",
            *(f"- first listing, slice {n}: {_told(tick)}" for n, tick in enumerate(first, start=1)),
            *(f"- all known, slice {n}: {_told(tick)}" for n, tick in enumerate(known, start=1)),
            f"- the next tick, whose turn to list it is not: {_told(between)}",
            f"- cursor: {between.cursor}",
        ]
    )


def measure_new(services: RunningServices, objects: int) -> str:
    """New objects at once: ticks until all are launched. Runs are recorded, and end at once, unexecuted."""
    home = prepare_dagster_home(services.settings.home)
    os.environ |= services.environment()  # the sensor reads its settings, as in a code server
    _put(services, _new_keys(objects))
    with open_instance(services.settings, home) as instance:
        set_pool_limits(instance, services.settings)
        done = _drain(services, instance, objects)
    return "\n".join(
        [
            f"## {objects:,} new objects at once, {BUSY_SHARE:.0%} of them of one workspace of ten",
            f"- all in the ledger after {done.noticed:.1f} s",
            f"- all launched after {done.ticks} ticks, oldest first in each workspace: {done.in_order}",
            f"- the other nine workspaces were served by tick {done.others_done}",
            f"- slowest tick, its runs recorded one by one: {done.slowest:.1f} s",
        ]
    )


def measure_to_end(services: RunningServices, objects: int) -> str:
    """New objects at once, each imported to its end by the real daemon."""
    done = import_to_end(services, lambda: _put(services, _new_keys(objects)), objects, BUSY)
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(done.states.items()))
    return "\n".join(
        [
            f"## {objects:,} new objects at once, to their end; {BUSY_SHARE:.0%} are of one workspace of ten",
            f"- all in the ledger {done.noticed:.0f} s after the last was put",
            f"- the other nine workspaces' ended after {done.others:.0f} s, all after {done.last:.0f} s"
            f" ({60 * objects / done.last:.0f} a minute, {done.cpu:.2f} s of processors each)",
            f"- {states}",
            f"- {done.rows:,} rows in the table, {done.keys:,} different keys; {done.staging} staging tables",
            f"- begun over 10 s after a younger one of their workspace: {done.late}",
            f"- {len(done.ticks):,} ticks of the sensor, the slowest {max(done.ticks):.1f} s",
        ]
    )


def _new_keys(objects: int) -> list[str]:
    busy = int(objects * BUSY_SHARE)
    return [f"uploads/{BUSY if n < busy else f'w{n % 9}'}/leads/{n:06}.csv" for n in range(objects)]


def _drain(services: RunningServices, instance: DagsterInstance, objects: int) -> Drained:
    defs, cursor = build_defs(), None
    launched: list[tuple[int, str]] = []
    slowest = noticed = 0.0
    ticks, began = 0, time.monotonic()
    with psycopg.connect(services.settings.require_owner_database_url(), autocommit=True) as conn:
        while len(launched) < objects:
            ticks += 1
            at = time.monotonic()
            result, tick = evaluate(instance, defs, cursor)
            cursor = tick.cursor
            requests = list(result.run_requests or []) if result else []
            _submit(instance, result, requests)
            slowest = max(slowest, time.monotonic() - at)
            launched += [(ticks, str(request.partition_key)) for request in requests]
            if not noticed and _count(conn) == objects:
                noticed = time.monotonic() - began
            _end_runs(conn, [str(request.partition_key) for request in requests])
            if ticks % 50 == 0:
                said.print(f"  {len(launched):,} of {objects:,} launched, slowest tick {slowest:.1f} s")
        order = dict(conn.execute("SELECT upload_id, last_modified FROM imports.uploads").fetchall())
    return Drained(
        noticed=noticed,
        ticks=ticks,
        slowest=slowest,
        in_order=_in_order(launched, order),
        others_done=max(tick for tick, upload_id in launched if not upload_id.startswith(f"{BUSY}/")),
    )


def _submit(instance: DagsterInstance, result: Any, requests: Sequence[RunRequest]) -> None:
    """What the daemon does with a tick's result, but for the runs themselves: they have ended at once."""
    if result is None:
        return
    for event in result.asset_events:
        instance.report_runless_asset_event(event)
    for request in result.dynamic_partitions_requests or []:
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    for request in requests:
        tags = {
            **request.tags,
            "dagster/partition": str(request.partition_key),
            "dagster/run_key": str(request.run_key),
        }
        instance.run_storage.add_run(
            DagsterRun(
                job_name=str(request.job_name),
                run_id=make_new_run_id(),
                status=DagsterRunStatus.SUCCESS,
                tags=tags,
            )
        )


def _end_runs(conn: psycopg.Connection, upload_ids: list[str]) -> None:
    """What the runs would have written of empty files."""
    for state in ("queued", "running"):
        conn.execute("UPDATE imports.uploads SET state = %s WHERE upload_id = ANY(%s)", [state, upload_ids])
    conn.execute(
        "UPDATE imports.uploads SET state = 'completed', reported_at = now(), read = 0, inserted = 0,"
        " updated = 0, unchanged = 0, duplicate = 0, rejected = 0 WHERE upload_id = ANY(%s)",
        [upload_ids],
    )


def _in_order(launched: Sequence[tuple[int, str]], order: dict[str, Any]) -> bool:
    lines: dict[str, list[tuple[Any, str]]] = defaultdict(list)
    for _, upload_id in launched:
        lines[upload_id.split("/")[0]].append((order[upload_id], upload_id))
    return all(line == sorted(line) for line in lines.values())


def _count(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT count(*) FROM imports.uploads").fetchone()
    return int(row[0]) if row else 0


def _put(services: RunningServices, keys: Sequence[str]) -> None:
    settings = services.settings
    bucket = Bucket(s3_client(settings), settings.require_bucket())
    began = time.monotonic()

    def put(numbered: tuple[int, str]) -> None:
        bucket.put_bytes(numbered[1], f"E-mail\nn{numbered[0]}@exemplo.com\n".encode())

    with ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
        for done, _ in enumerate(pool.map(put, enumerate(keys)), start=1):
            if done % 10_000 == 0:
                said.print(f"  {done:,} objects put in {time.monotonic() - began:.0f} s")


def _ticker(services: RunningServices, home: Path, stub: int) -> Callable[[str | None], Tick]:
    """Evaluates a tick in a process of its own, as fresh as a code server's."""
    env = dagster_environment(services.environment(), home)
    command = [sys.executable, "-m", "benchmarks.sensor_tick", str(home), "--stub", str(stub)]
    top = Path(__file__).parents[1]

    def run(cursor: str | None) -> Tick:
        asked = [*command, *(["--cursor", cursor] if cursor else [])]
        done = subprocess.run(asked, env=env, cwd=top, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        tick = Tick(**json.loads(done.stdout.strip().splitlines()[-1]))
        said.print(f"  {_told(tick)}")
        return tick

    return run


def _told(tick: Tick) -> str:
    before, after = tick.megabytes
    return (
        f"{tick.seconds:.1f} s ({tick.cpu:.1f} s of CPU), {tick.questions} questions about identities, "
        f"peak memory {after} MB ({before} MB before)"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.arrivals", description=__doc__)
    add = parser.add_argument
    add("--known", type=int, default=100_000, metavar="N", help="known objects, 0: none (%(default)s)")
    add("--stub", action="store_true", help="known objects from a stub of the listing, without a server")
    add("--new", type=int, default=10_000, metavar="N", help="new objects at once, 0: none (%(default)s)")
    add("--to-end", action="store_true", help="have the real daemon import the new objects to their end")
    add("--daemon", action="store_true", help="large and small files through the real daemon instead")
    add("--megabytes", type=int, default=500, metavar="N", help="size of each large file (%(default)s)")
    add("--small", type=int, default=1000, metavar="N", help="number of small files (%(default)s)")
    add("--repeat", type=int, default=3, metavar="N", help="times that ten rows are put (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
