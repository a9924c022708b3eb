"""Where an archive is while its files are imported, and that it goes once, when all are final."""

from typing import Any

import pytest

from import_pipeline.errors import CountsDoNotBalance, StorageUnavailable
from import_pipeline.flow.batches.splitting import split_file
from import_pipeline.orchestration import ending, failures, originals, steps
from import_pipeline.storage.bucket import Bucket
from import_pipeline_tests.orchestration.archives import (
    JANUARY,
    KEY,
    NO_KEY_COLUMN,
    archive,
    archived,
    expand,
    keep_no_originals,
    members,
    originals_of,
    quarantined,
    states,
)
from import_pipeline_tests.orchestration.conftest import World


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_WAIT_SECONDS", 0.01)


def test_an_archive_of_refused_members_only_goes_to_quarantine(world: World) -> None:
    expanded = expand(world, {"bad.csv": NO_KEY_COLUMN, "empty.csv": ""})
    world.tick()

    assert set(states(world).values()) == {"refused"}
    assert originals_of(world) == [quarantined(expanded)]


def test_a_failed_member_keeps_the_archive_until_it_is_launched_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    expanded = expand(world)

    def broken(source: Any, *args: Any, **kwargs: Any) -> Any:
        if source.name.endswith("janeiro.csv"):
            raise CountsDoNotBalance("A fault of ours.")
        return split_file(source, *args, **kwargs)

    monkeypatch.setattr(steps, "split_file", broken)
    world.tick()
    world.tick(run=False)

    assert states(world) == {"janeiro.csv": "failed", "2026/fevereiro.csv": "completed"}
    assert originals_of(world) == [KEY]

    monkeypatch.setattr(steps, "split_file", split_file)
    assert world.launch(members(world)["janeiro.csv"]["upload_id"])

    assert set(states(world).values()) == {"completed"}
    assert originals_of(world) == [archived(expanded)]


def test_a_refused_member_is_read_again_from_where_the_archive_went(world: World) -> None:
    expanded = expand(world, {"bad.csv": NO_KEY_COLUMN})
    world.tick()
    assert originals_of(world) == [quarantined(expanded)]
    bad = members(world)["bad.csv"]

    assert not world.launch(bad["upload_id"])

    assert (members(world)["bad.csv"]["state"], members(world)["bad.csv"]["attempts"]) == ("refused", 2)
    assert originals_of(world) == [quarantined(expanded)]


def test_the_last_two_members_that_finish_together_move_the_archive_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one ends between the first one's publish and its look at the others."""
    expanded = expand(world)
    first, second = (r.partition_key for r in world.tick(run=False))
    moves: list[str] = []
    real_move, real_settle = Bucket.move, ending.settle_archive

    def move(bucket: Bucket, source: Any, target: str) -> Any:
        moves.append(target)
        return real_move(bucket, source, target)

    def settle(session: Any, conn: Any) -> None:
        if session.upload_id == first:
            monkeypatch.setattr(ending, "settle_archive", real_settle)
            assert world.launch(str(second))
        real_settle(session, conn)

    monkeypatch.setattr(Bucket, "move", move)
    monkeypatch.setattr(ending, "settle_archive", settle)

    assert world.launch(str(first))
    assert set(states(world).values()) == {"completed"}
    assert moves == [archived(expanded)]
    assert originals_of(world) == [archived(expanded)]


def test_a_run_killed_after_the_archive_was_moved_finishes_its_report_when_launched_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    expanded = expand(world, {"janeiro.csv": JANUARY})

    def killed(*args: Any, **kwargs: Any) -> Any:
        raise CountsDoNotBalance("Killed before the ledger heard of the report.")

    with monkeypatch.context() as patched:
        patched.setattr(ending, "mark_reported", killed)
        world.tick()
    assert originals_of(world) == [archived(expanded)]
    assert members(world)["janeiro.csv"]["reported_at"] is None

    assert world.launch(members(world)["janeiro.csv"]["upload_id"])

    member = members(world)["janeiro.csv"]
    assert (member["state"], member["inserted"]) == ("completed", 1)
    assert member["reported_at"] is not None
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 1}]


def test_an_archive_moved_while_a_member_is_read_is_read_again_where_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    expand(world, {"janeiro.csv": JANUARY})
    tries: list[str] = []

    def moved(source: Any, *args: Any, **kwargs: Any) -> Any:
        tries.append(source.archive.listed.key)
        if len(tries) == 1:
            listed = source.archive.listed
            Bucket(world.s3, world.bucket).move(listed, archived(archive(world)))
        return split_file(source, *args, **kwargs)

    monkeypatch.setattr(steps, "split_file", moved)
    world.tick()

    assert tries == [KEY, archived(archive(world))]
    assert states(world) == {"janeiro.csv": "completed"}


def test_an_archive_is_deleted_when_its_dataset_keeps_no_originals_and_all_are_reported(
    world: World,
) -> None:
    keep_no_originals(world)
    expand(world)
    first, second = (str(r.partition_key) for r in world.tick(run=False))

    assert world.launch(first)
    assert originals_of(world) == [KEY]
    assert world.launch(second)
    assert originals_of(world) == []


def test_an_archive_is_not_deleted_while_a_report_may_have_to_be_written_again_from_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_no_originals(world)
    expand(world)
    first, second = (str(r.partition_key) for r in world.tick(run=False))

    def killed(*args: Any, **kwargs: Any) -> Any:
        raise CountsDoNotBalance("Killed before the ledger heard of the report.")

    with monkeypatch.context() as patched:
        patched.setattr(ending, "mark_reported", killed)
        assert not world.launch(first)
    assert world.launch(second)
    assert set(states(world).values()) == {"completed"}
    assert originals_of(world) == [KEY]

    assert world.launch(first)
    assert originals_of(world) == []


def test_a_refused_member_is_never_deleted_with_its_archive(world: World) -> None:
    keep_no_originals(world)
    expanded = expand(world, {"janeiro.csv": JANUARY, "bad.csv": NO_KEY_COLUMN})
    world.tick()

    assert originals_of(world) == [quarantined(expanded)]


def test_trouble_while_the_archive_is_moved_is_tried_again_and_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    expanded = expand(world, {"bad.csv": NO_KEY_COLUMN})
    tries: list[int] = []
    real = originals.quarantine_original

    def shaky(*args: Any) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise StorageUnavailable("The bucket does not answer.")
        return real(*args)

    monkeypatch.setattr(originals, "quarantine_original", shaky)
    world.tick()

    assert states(world) == {"bad.csv": "refused"}
    assert originals_of(world) == [quarantined(expanded)]
