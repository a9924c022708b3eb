"""Overlaps: uploads, runs and applications that write the same rows at the same time."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from import_pipeline.errors import ConcurrentChange, DatabaseUnavailable, Superseded
from import_pipeline.flow.loading import deciding, publishing
from import_pipeline.flow.loading.staging import stage_batch
from import_pipeline.records import PublishedUpload
from import_pipeline_tests.flow.loading.world import NOON, World, at_once, thing, things

NAMES = "SELECT code, name FROM things ORDER BY 1, 2"


def while_blocked(
    world: World, watch: Callable[[str], str], blocked: Callable[[], Any], release: Callable[[], Any]
) -> Any:
    """Start `blocked`, wait until PostgreSQL says that it waits for a lock, then `release` it."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.extend(at_once(blocked)))
    thread.start()
    with psycopg.connect(watch(world.url), autocommit=True) as conn:
        waiting = (
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity"
        )
        while thread.is_alive():
            row = conn.execute(f"{waiting} WHERE datname = current_database())").fetchone()
            if row and row[0]:
                break
    release()
    thread.join()
    return results[0]


@pytest.mark.parametrize("existing", ["skip", "update", "reject"])
def test_two_uploads_with_overlapping_keys_published_at_once_never_double_a_row(
    world: World, existing: str
) -> None:
    dataset = things(existing=existing)
    world.install(dataset)
    codes = [f"{n:03d}" for n in range(120)]
    forward = world.make(dataset, [thing(c, "forward") for c in codes[:90]], name="forward")
    backward = world.make(dataset, [thing(c, "backward") for c in codes[:29:-1]], name="backward")
    staged = [world.stage(forward), world.stage(backward)]
    published: list[PublishedUpload] = at_once(
        lambda: world.publish(forward, staged[0]), lambda: world.publish(backward, staged[1])
    )
    counts = [p.counts for p in published]
    assert sum(c.inserted for c in counts) == 120
    assert sum(c.updated + c.duplicate + c.rejected for c in counts) == 60
    assert world.query("SELECT count(*), count(DISTINCT code) FROM things") == [(120, 120)]
    if existing == "update":
        greater = max((forward, backward), key=lambda made: made.opened.identity).opened.file_name
        shared = world.query("SELECT DISTINCT name FROM things WHERE code BETWEEN '030' AND '089'")
        assert shared == [(greater,)]


def test_two_workspaces_publish_the_same_keys_at_once(world: World) -> None:
    dataset = things(existing="update")
    world.install(dataset)
    uploads = [world.make(dataset, [thing(c) for c in "abc"], workspace=w) for w in ("acme", "beta", "gama")]
    results = at_once(*(lambda made=made: world.load(made) for made in uploads))
    assert [r.counts.inserted for r in results] == [3, 3, 3]


def test_one_upload_published_twice_at_once_is_published_once(world: World) -> None:
    dataset = things(key=())
    world.install(dataset)
    made = world.make(dataset, [thing(c) for c in "abc"])
    staged = world.stage(made)
    first, second = at_once(lambda: world.publish(made, staged), lambda: world.publish(made, staged))
    assert replace(first, seconds=0) == replace(second, seconds=0)
    assert world.query("SELECT count(*) FROM things") == [(3,)]


def test_a_run_beside_its_orphan_leaves_one_load(world: World) -> None:
    """The orphan publishes while a newer run takes over: whoever comes first, the other one stops."""
    dataset = things(key=())
    world.install(dataset)
    made = world.make(dataset, [thing(c) for c in "abcdef"], batches=3)
    staged = world.stage(made)
    orphan, newer = at_once(lambda: world.publish(made, staged), lambda: world.load(world.take_over(made)))
    assert {type(orphan), type(newer)} == {PublishedUpload, Superseded}
    assert world.query("SELECT count(*) FROM things") == [(6,)]


def test_batches_of_one_upload_stage_side_by_side(world: World, as_superuser: Callable[[str], str]) -> None:
    """A batch that is still copying holds up no other batch of its run, but a newer run's claim."""
    dataset = things()
    world.install(dataset)
    made = world.make(dataset, [thing(c) for c in "abcd"])
    world.stage(made)
    copying = psycopg.connect(world.url)
    copying.execute("SELECT FROM imports.uploads WHERE upload_id = %s FOR SHARE", [made.opened.upload_id])
    assert stage_batch(world.url, made.checked[0], made.opened, made.dataset, store=world.store).rows == 2
    newer = while_blocked(world, as_superuser, lambda: world.take_over(made), copying.commit)
    copying.close()
    assert world.load(newer).counts.inserted == 4


def test_a_key_that_an_application_inserts_meanwhile_is_tried_again(
    world: World, as_superuser: Callable[[str], str]
) -> None:
    dataset = things()
    world.install(dataset)
    made = world.make(dataset, [thing("a", "file"), thing("b", "file")])
    staged = world.stage(made)
    with psycopg.connect(world.url) as application:
        application.execute("INSERT INTO things (_workspace, code, name) VALUES ('acme', 'b', 'app')")
        error = while_blocked(world, as_superuser, lambda: world.publish(made, staged), application.commit)
    assert isinstance(error, ConcurrentChange)
    assert world.query(NAMES) == [("b", "app")]
    assert world.publish(made, staged).duplicates == {"already_in_table": 1}
    assert world.query(NAMES) == [("a", "file"), ("b", "app")]


@pytest.mark.parametrize("change", ["UPDATE things SET name = 'app' WHERE code = 'b'", "DELETE FROM things"])
def test_a_row_that_an_application_changes_meanwhile_is_looked_at_again(
    world: World, as_superuser: Callable[[str], str], change: str
) -> None:
    dataset = things(existing="update")
    world.install(dataset)
    world.load(world.make(dataset, [thing("a", "old"), thing("b", "old")]))
    made = world.make(dataset, [thing("a", "new"), thing("b", "new")], at=NOON + timedelta(days=1))
    staged = world.stage(made)
    with psycopg.connect(world.url) as application:
        application.execute(change)
        error = while_blocked(world, as_superuser, lambda: world.publish(made, staged), application.commit)
        left = application.execute(NAMES).fetchall()
    assert isinstance(error, ConcurrentChange)
    assert "new" not in str(left)
    assert world.publish(made, staged).state == "completed"
    assert world.query(NAMES) == [("a", "new"), ("b", "new")]


@pytest.mark.parametrize("existing", ["skip", "update"])
def test_readers_see_a_whole_upload_or_none_of_it(
    world: World, as_superuser: Callable[[str], str], existing: str
) -> None:
    """The publish stops at its last key, which an application has in hand; a reader looks meanwhile."""
    dataset = things(existing=existing)
    world.install(dataset)
    codes = [f"{n:03d}" for n in range(50)]
    world.load(world.make(dataset, [thing(code, "before") for code in codes[:20]], name="before"))
    made = world.make(
        dataset, [thing(code, "after") for code in codes], name="after", at=NOON + timedelta(days=1)
    )
    staged = world.stage(made)
    seen: list[list[Any]] = []
    with psycopg.connect(world.url) as application:
        application.execute(
            "INSERT INTO things (_workspace, code, name) VALUES ('acme', %s, 'app')", [codes[-1]]
        )

        def look() -> None:
            seen.append(world.query(NAMES))
            application.rollback()

        published = while_blocked(world, as_superuser, lambda: world.publish(made, staged), look)
    assert seen == [[(code, "before") for code in codes[:20]]]
    assert published.counts.inserted == 30
    names = dict(world.query(NAMES))
    assert len(names) == 50
    assert names["000"] == ("after" if existing == "update" else "before")


def test_a_publish_whose_machine_vanished_gives_its_locks_back(
    world: World, as_superuser: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing any more, and its connection stays open for hours: others waited for its locks."""
    dataset = things()
    world.install(dataset)
    made, other = (world.make(dataset, [thing(c)], name=c, batches=1) for c in "ab")
    staged = world.stage(made)
    assert "'10min'" in publishing.TRANSACTION_SETTINGS
    monkeypatch.setattr(
        publishing, "TRANSACTION_SETTINGS", publishing.TRANSACTION_SETTINGS.replace("10min", "50ms")
    )

    def silent(conn: psycopg.Connection, *args: Any) -> Any:
        monkeypatch.undo()
        assert world.load(other).counts.inserted == 1, "another upload waits no longer for the publish lock"
        return deciding.decide(conn, *args)

    monkeypatch.setattr(publishing, "decide", silent)
    with pytest.raises(DatabaseUnavailable):
        world.publish(made, staged)
    assert world.query("SELECT code FROM things") == [("b",)]
    assert world.publish(made, staged).counts.inserted == 1
