"""How long an import may run, and how much room it needs on the disk before it splits a file."""

import threading
from collections import namedtuple
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

from import_pipeline.errors import NoRoomOnDisk, Superseded, TookTooLong
from import_pipeline.flow.batches.sources.source import DISK_RESERVE
from import_pipeline.flow.batches.splitting import split_file
from import_pipeline.flow.loading.publishing import publish_upload
from import_pipeline.ledger.claims import claim
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.uploads import lock_table_of
from import_pipeline.orchestration import failures, limits, steps
from import_pipeline.orchestration.batches import check_one
from import_pipeline.orchestration.session import Session
from import_pipeline.orchestration.tags import TIMED_OUT
from import_pipeline.records import InspectedFile, OpenedUpload, Token
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.places import staging_prefix
from import_pipeline_tests.orchestration.conftest import World
from import_pipeline_tests.waiting import wait_until

KEY = "uploads/acme/leads/leads.csv"
ROWS = "E-mail;Nome\n" + "".join(f"a{n}@exemplo.com;A\n" for n in range(30))
MB = 1024**2
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(limits, "ROOM_POLL_SECONDS", 0.01)


@pytest.fixture
def stopped(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs that Dagster was asked to stop: one in this process cannot be."""
    asked: list[str] = []
    monkeypatch.setattr(
        type(world.instance.run_launcher), "terminate", lambda _, run_id: asked.append(run_id)
    )
    return asked


def noticed(world: World) -> str:
    world.put(KEY, ROWS)
    world.tick(run=False)
    return str(world.upload(KEY)["upload_id"])


def age(world: World) -> None:
    """Make every import an hour older than one may become."""
    hours = world.settings.max_hours + 1
    for table, column in (("uploads", "running_at"), ("attempts", "started_at")):
        world.sql(
            f"UPDATE imports.{table} SET {column} = {column} - make_interval(hours => %s) RETURNING 1",
            int(hours),
        )


def left_in_staging(world: World) -> list[Any]:
    tables = world.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'staging'")
    return [*tables, *world.keys("staging/")]


def run_in_thread(world: World, upload_id: str) -> tuple[threading.Thread, list[bool]]:
    ended: list[bool] = []
    thread = threading.Thread(target=lambda: ended.append(world.launch(upload_id)))
    thread.start()
    return thread, ended


def said(world: World) -> list[str]:
    return [row["message"] for row in world.sql("SELECT message FROM imports.events ORDER BY id")]


def test_an_import_that_hangs_is_stopped_after_its_longest_time_and_fails_with_its_staging_gone(
    world: World, monkeypatch: pytest.MonkeyPatch, stopped: list[str]
) -> None:
    upload_id = noticed(world)
    hanging, released = threading.Event(), threading.Event()

    def hang(*args: Any, **kwargs: Any) -> Any:
        hanging.set()
        assert released.wait(60)
        return check_one(*args, **kwargs)

    monkeypatch.setattr(steps, "check_one", hang)
    thread, ended = run_in_thread(world, upload_id)
    assert hanging.wait(60)
    world.tick(run=False)
    assert (world.upload(KEY)["state"], stopped) == ("running", []), "in time, nobody stops it"
    age(world)
    world.tick(run=False)
    row = world.upload(KEY)
    world.tick(run=False)

    assert (row["state"], row["error_code"]) == ("failed", "took_too_long")
    assert "more than 24 hours" in row["error_message"]
    assert stopped == [row["run_id"]], "once"
    assert TIMED_OUT in world.instance.get_run_by_id(row["run_id"]).tags  # type: ignore[union-attr]
    assert left_in_staging(world) == []

    released.set()
    thread.join(60)
    assert ended == [False], "the step that hung goes on and finds that it owns nothing"
    assert world.upload(KEY) == row
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 0}]

    monkeypatch.setattr(steps, "check_one", check_one)
    assert world.launch(upload_id)
    assert world.upload(KEY)["inserted"] == 30


def test_a_publish_that_hangs_is_stopped_and_fails_once_its_transaction_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch, stopped: list[str]
) -> None:
    """It may still commit, and holds its upload's row: nobody can say meanwhile how it ends."""
    upload_id = noticed(world)
    url = world.settings.require_database_url()
    blocked = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
    )
    with psycopg.connect(url) as other:
        lock_table_of(other, "acme", "leads")
        thread, ended = run_in_thread(world, upload_id)
        (publishing,) = wait_until(lambda: world.sql(blocked))
        monkeypatch.setenv("IMPORT_PIPELINE_MAX_HOURS", "0.0000001")
        world.tick(run=False)
        assert (world.upload(KEY)["state"], stopped) == ("running", [world.upload(KEY)["run_id"]])
        world.sql("SELECT pg_terminate_backend(%s)", publishing["pid"])
        thread.join(60)

    assert ended == [False]
    assert (world.upload(KEY)["state"], world.upload(KEY)["error_code"]) == ("failed", "took_too_long")
    assert left_in_staging(world) == []
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 0}]


def test_a_step_that_begins_after_the_longest_time_ends_the_import_itself_and_no_other_step_revives_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's next batch took the upload back, and it failed for another reason."""
    upload_id = noticed(world)

    def slow(*args: Any, **kwargs: Any) -> Any:
        done = split_file(*args, **kwargs)
        age(world)
        return done

    monkeypatch.setattr(steps, "split_file", slow)
    assert not world.launch(upload_id, rows_per_batch=10)
    world.tick(run=False)

    row = world.upload(KEY)
    assert (row["state"], row["error_code"]) == ("failed", "took_too_long")
    assert "IMPORT_PIPELINE_MAX_HOURS" in row["error_remedy"]
    assert left_in_staging(world) == []
    assert world.keys("uploads/") == [KEY]
    assert world.sql("SELECT state FROM imports.attempts") == [{"state": "failed"}]


def test_an_older_run_that_gives_up_leaves_the_staging_of_its_re_execution(world: World) -> None:
    """It deleted the objects before it found out that it owned nothing any more."""
    upload_id = noticed(world)
    with connect(world.settings.require_database_url()) as conn:
        row = claim(conn, upload_id, Token(1.0, "first"), "first").row
        claim(conn, upload_id, Token(2.0, "second"), "first")
        conn.commit()
        older = SimpleNamespace(
            claim=SimpleNamespace(row=row), upload_id=upload_id, token=Token(1.0, "first"), attempt="first",
            dataset=world.datasets["leads"], bucket=Bucket(world.s3, world.bucket),
            ledger=lambda: nullcontext(conn),
        )  # fmt: skip
        staged = f"{staging_prefix('leads', row.short_id, 'first')}batches/0001.parquet"
        world.put(staged, "of the second run")
        with pytest.raises(Superseded):
            limits.give_up(cast(Session, older), TookTooLong("It ran too long.", limit=1))

    assert world.keys("staging/") == [staged]
    assert world.upload(KEY)["state"] == "running"


def test_a_published_upload_is_reported_however_long_it_took(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = noticed(world)

    def slow(*args: Any, **kwargs: Any) -> Any:
        done = publish_upload(*args, **kwargs)
        age(world)
        return done

    monkeypatch.setattr(steps, "publish_upload", slow)
    assert world.launch(upload_id)
    assert (world.upload(KEY)["state"], world.upload(KEY)["reported_at"] is None) == ("completed", False)


def test_a_split_waits_for_room_on_the_disk_and_says_for_how_much(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = noticed(world)
    waiting = "waits for 168 MB of room"

    def usage(_: Any) -> Usage:
        told = any(message.startswith(waiting) for message in said(world))
        return Usage(100_000 * MB, 0, 300 * MB if told else 96 * MB)

    monkeypatch.setattr(limits.shutil, "disk_usage", usage)
    assert world.launch(upload_id)

    (message,) = [message for message in said(world) if message.startswith("waits")]
    assert "268 MB are needed, 101 MB are free" in message
    assert world.upload(KEY)["inserted"] == 30


def test_an_import_that_never_finds_room_fails_after_its_longest_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = noticed(world)
    monkeypatch.setattr(limits.shutil, "disk_usage", lambda _: Usage(100_000 * MB, 0, 0))
    monkeypatch.setenv("IMPORT_PIPELINE_MAX_HOURS", "0.0001")
    assert not world.launch(upload_id)
    row = world.upload(KEY)
    assert (row["state"], row["error_code"]) == ("failed", "took_too_long")
    assert row["batches"] is None


def test_a_file_that_unpacks_to_more_than_there_is_room_for_is_read_again_once_there_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = noticed(world)
    needed = 500 * MB
    free, tries = [DISK_RESERVE + needed - 1], []

    def unpacks(*args: Any, **kwargs: Any) -> Any:
        tries.append(free[0])
        if free[0] < DISK_RESERVE + needed:
            raise NoRoomOnDisk("There is no room.", needed=needed, free=free[0])
        return split_file(*args, **kwargs)

    def usage(_: Any) -> Usage:
        free[0] += MB if tries else 0
        return Usage(100_000 * MB, 0, free[0])

    monkeypatch.setattr(steps, "split_file", unpacks)
    monkeypatch.setattr(limits.shutil, "disk_usage", usage)
    assert world.launch(upload_id)
    assert len(tries) == 2
    assert world.upload(KEY)["inserted"] == 30


@pytest.mark.parametrize(
    ("form", "compression", "member", "copied"),
    [
        ("csv", None, "", 0),
        ("csv", "gz", "", 0),
        ("jsonl", None, "a.jsonl", 0),
        ("xlsx", None, "", 10),
        ("ods", "zst", "", 10),
        ("parquet", None, "", 0),
        ("parquet", "gz", "", 10),
        ("parquet", None, "a.parquet", 10),
    ],
)
def test_room_is_needed_for_what_is_copied_before_it_is_read(
    form: Any, compression: Any, member: str, copied: int
) -> None:
    file = InspectedFile(
        format=form, header=(), mapping={}, unknown=(), ours=False, rows_per_batch=1, compression=compression
    )
    opened = cast(OpenedUpload, SimpleNamespace(file=file, member=member, size=10))
    assert limits.room_for_copy(opened) == copied
