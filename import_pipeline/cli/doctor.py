"""`doctor`: looks at everything an import needs; each line is ok or says what to do."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import typer
from rich.markup import escape

from import_pipeline.cli.console import output, print_json, seconds_text, size_text
from import_pipeline.cli.exit_codes import TROUBLE
from import_pipeline.cli.options import JsonOption
from import_pipeline.errors import ImportPipelineError
from import_pipeline.settings import Settings
from import_pipeline.storage.places import DOCTOR

HEARTBEAT_SECONDS = 120.0
LITTLE_DISK_BYTES = 2 * 1000**3
TICKS_MISSED = 12
SHOWN = 3
PROBE_KEY = f"{DOCTOR}probe"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        ok: False if something is to be done; `remedy` says what.
        text: what was seen.
    """

    name: str
    ok: bool
    text: str
    remedy: str = ""


def doctor(as_json: JsonOption = False) -> None:
    """Look at S3, PostgreSQL, tables, Dagster, disk and uploads; each line is ok or what to do.

    Exit code: 0 all is well, 1 something is to be done.
    """
    from import_pipeline.settings import load_settings

    findings = []
    for finding in examine(load_settings()):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print_json(findings)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(TROUBLE)


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything, one thing after the other; what cannot be looked at is a finding too."""
    yield from _guarded("S3", lambda: _look_at_bucket(settings))
    yield from _guarded("queue", lambda: _look_at_queue(settings))
    yield from _guarded("PostgreSQL", lambda: _look_at_database(settings))
    yield from _guarded("Dagster", lambda: _look_at_dagster(settings))
    yield from _guarded("disk", lambda: [_look_at_disk(settings)])
    yield from _guarded("uploads", lambda: _look_at_uploads(settings))


def _guarded(name: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except ImportPipelineError as error:
        yield Finding(name, False, error.message, error.remedy or "See the message.")


def _look_at_bucket(settings: Settings) -> Iterator[Finding]:
    from botocore.exceptions import ClientError

    from import_pipeline.cli.connecting import open_bucket
    from import_pipeline.storage.conditions import probe

    bucket = open_bucket(settings)
    where = settings.aws_endpoint_url or f"AWS, {settings.aws_region}"
    try:
        next(iter(bucket.list_objects()), None)
        bucket.put_bytes(PROBE_KEY, b"doctor")
        bucket.get_bytes(PROBE_KEY)
        bucket.delete_prefix(PROBE_KEY)
        conditional = probe(bucket.client, bucket.name)
    except ClientError as error:
        answer = error.response.get("Error", {})
        yield Finding(
            "S3",
            False,
            f"bucket {bucket.name} at {where}: {error.operation_name} gives {answer.get('Code')}",
            "Create the bucket and give this user the rights of deploy/s3-policies/pipeline.json.",
        )
        return
    yield Finding("S3", True, f"bucket {bucket.name} at {where}: list, write, read and delete work")
    yield _judge_deletes(conditional)


def _look_at_queue(settings: Settings) -> Iterator[Finding]:
    from import_pipeline.storage.queue import Queue, sqs_client

    if settings.queue_url is None:
        return
    facts = Queue(sqs_client(settings), settings.queue_url).facts()
    if facts.dead_letter_queue is None:
        yield Finding(
            "queue",
            False,
            f"{settings.queue_url} has no dead-letter queue: what cannot be read comes again for days",
            "Give it a redrive policy: see docs/noticing-files.md.",
        )
        return
    name = facts.dead_letter_queue.rsplit(":", 1)[-1]
    text = f"{facts.waiting} messages wait, {facts.in_flight} are in flight; dead letters go to {name}"
    yield Finding("queue", True, f"{settings.queue_url}: {text} after {facts.most_receives} receives")


def _judge_deletes(conditional: bool) -> Finding:
    if conditional:
        return Finding("conditional deletes", True, "the store honours If-Match: finished originals move")
    return Finding(
        "conditional deletes",
        False,
        "the store deletes an object though its ETag is another, or refuses If-Match",
        "Finished originals are copied and stay in uploads/; delete those in archive/ there yourself.",
    )


def _look_at_database(settings: Settings) -> Iterator[Finding]:
    from import_pipeline.cli.connecting import datasets_of
    from import_pipeline.ledger.connection import connect, translated_errors
    from import_pipeline.ledger.migrate import check_schema

    with translated_errors(), connect(settings.require_database_url()) as conn:
        row = conn.execute("SELECT current_setting('server_version'), current_user").fetchone()
        version, user = row if row is not None else ("?", "?")
        yield Finding("PostgreSQL", True, f"version {version}, as {user}")
        problems = check_schema(conn, datasets_of(settings))
    if problems:
        yield Finding("tables", False, "; ".join(problems), "Type `import-pipeline migrate`.")
    else:
        yield Finding("tables", True, "ledger and dataset tables are up to date")


def _look_at_dagster(settings: Settings) -> Iterator[Finding]:
    from sqlalchemy.exc import OperationalError

    from import_pipeline.orchestration.control import (
        connections_of_runs,
        heartbeat_age,
        look_at_sensor,
        open_instance,
        watches_run_workers,
        wrong_pool_limits,
        zone_of_dagster,
    )

    try:
        with open_instance(settings) as instance:
            yield _judge_zone(zone_of_dagster(instance))
            yield _judge_heartbeat(heartbeat_age(instance))
            yield _judge_sensor(look_at_sensor(instance), settings)
            yield _judge_run_workers(watches_run_workers(instance))
            yield _judge_pools(wrong_pool_limits(instance, settings))
            yield _judge_connections(connections_of_runs(instance, settings), settings)
    except OperationalError as error:
        reason = str(error.orig).strip().split("\n")[0]
        yield Finding(
            "Dagster storage",
            False,
            reason,
            "Start PostgreSQL, or correct IMPORT_PIPELINE_DAGSTER_DATABASE_URL.",
        )


def _judge_zone(zone: str | None) -> Finding:
    if zone is None:
        return Finding("Dagster storage", True, "answers")
    return Finding(
        "Dagster storage",
        False,
        f"its sessions are in {zone}, whose clock Dagster takes for UTC: fresh runs seem hours old",
        "Copy storage from deploy/dagster.yaml, or ALTER ROLE import_dagster SET timezone TO 'UTC'; restart.",
    )


def _judge_heartbeat(age: float | None) -> Finding:
    remedy = "Start it: `import-pipeline dev`, or `dagster-daemon run -w workspace.yaml`."
    if age is None:
        return Finding("daemon", False, "the Dagster daemon never ran", remedy)
    if age > HEARTBEAT_SECONDS:
        return Finding("daemon", False, f"no sign of life for {seconds_text(age)}", remedy)
    return Finding("daemon", True, f"alive {seconds_text(age)} ago")


def _judge_sensor(fact: Any, settings: Settings) -> Finding:
    from datetime import UTC, datetime

    if fact.state == "off":
        return Finding("sensor", False, "new_uploads is off", "Switch it on in the UI, under Automation.")
    if fact.state == "unseen":
        return Finding(
            "sensor", False, "no daemon has looked at new_uploads yet", "Start the daemon, or wait."
        )
    if fact.last_status == "failure":
        return Finding("sensor", False, f"its last look failed: {fact.error}", "See its ticks in the UI.")
    if fact.last_tick is None:
        return Finding("sensor", True, "on, has not looked yet")
    age = (datetime.now(UTC) - fact.last_tick).total_seconds()
    if age > TICKS_MISSED * settings.sensor_interval_seconds + HEARTBEAT_SECONDS:
        return Finding("sensor", False, f"looked {seconds_text(age)} ago", "See whether the daemon runs.")
    return Finding("sensor", True, f"on, looked {seconds_text(age)} ago")


def _judge_run_workers(watched: bool) -> Finding:
    if watched:
        return Finding("run workers", True, "runs whose worker is gone are noticed")
    return Finding(
        "run workers",
        False,
        "Dagster does not notice when a code server dies with its runs: they stay started for ever",
        "Set run_launcher and run_monitoring as in deploy/dagster.yaml, and restart Dagster.",
    )


def _judge_pools(wrong: dict[str, int]) -> Finding:
    if not wrong:
        return Finding("pool limits", True, "set")
    commands = "; ".join(f"dagster instance concurrency set {pool} {limit}" for pool, limit in wrong.items())
    return Finding(
        "pool limits", False, f"not set as they should be: {', '.join(wrong)}", f"Type: {commands}"
    )


def _judge_connections(needed: int | None, settings: Settings) -> Finding:
    from import_pipeline.ledger.connection import connect, translated_errors
    from import_pipeline.ledger.queries import free_for_us

    if needed is None:
        return Finding(
            "connections",
            False,
            "Dagster does not limit the runs at once, and so nothing limits their connections",
            "Set concurrency.runs.max_concurrent_runs as in deploy/dagster.yaml.",
        )
    with translated_errors(), connect(settings.require_database_url()) as conn:
        allowed = free_for_us(conn)
    text = f"runs hold {needed} at most, PostgreSQL allows {allowed}"
    if needed <= allowed:
        return Finding("connections", True, text)
    return Finding(
        "connections",
        False,
        text,
        "Raise max_connections of PostgreSQL, put PgBouncer before it, or lower max_concurrent_runs in "
        "dagster.yaml; steps that find no connection are tried again, then their upload is failed.",
    )


def _look_at_disk(settings: Settings) -> Finding:
    folder = settings.home.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    text = f"{size_text(free)} free in {folder}"
    if free < LITTLE_DISK_BYTES:
        return Finding("disk", False, text, f"Free some space: at least {size_text(LITTLE_DISK_BYTES)}.")
    return Finding("disk", True, text)


def _look_at_uploads(settings: Settings) -> Iterator[Finding]:
    from import_pipeline.cli.connecting import open_ledger
    from import_pipeline.ledger.queries import ignored_uploads, stuck_uploads

    with open_ledger(settings) as conn:
        ignored, stuck = ignored_uploads(conn), stuck_uploads(conn)
        failed = _count_failed(conn)
    if ignored:
        shown = "; ".join(f"{row.upload_id}: {row.ignored_reason}" for row in ignored[:SHOWN])
        yield Finding(
            "ignored uploads",
            False,
            f"{len(ignored)} are not imported. {shown}{' …' if len(ignored) > SHOWN else ''}",
            "Move the files, or add the dataset or workspace: they are then taken up by themselves.",
        )
    else:
        yield Finding("ignored uploads", True, "none")
    if stuck:
        shown = "; ".join(f"{row.upload_id} {row.why} ({seconds_text(row.seconds)})" for row in stuck[:SHOWN])
        yield Finding(
            "stuck uploads",
            False,
            f"{len(stuck)}: {shown}{' …' if len(stuck) > SHOWN else ''}",
            "Look with `import-pipeline status UPLOAD`; `import-pipeline retry UPLOAD` launches it again.",
        )
    else:
        yield Finding("stuck uploads", True, "none")
    if failed:
        yield Finding(
            "failed uploads", False, f"{failed} are failed", "Type `import-pipeline retry --failed`."
        )
    else:
        yield Finding("failed uploads", True, "none")


def _count_failed(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT count(*) FROM imports.uploads WHERE state = 'failed'").fetchone()
    return 0 if row is None else int(row[0])


def _print(finding: Finding) -> None:
    mark = "[green]ok[/]" if finding.ok else "[bold red]!![/]"
    console = output()
    console.print(f"{mark}  [bold]{finding.name}[/]: {escape(finding.text)}", soft_wrap=True)
    if finding.remedy:
        console.print(f"    {escape(finding.remedy)}", soft_wrap=True)
