"""Undoing uploads and their corrections, and launching them again: what was put right stays so, once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from import_pipeline.ledger import outcomes
from import_pipeline.ledger.connection import connect
from import_pipeline.records import Token
from import_pipeline.undo_words import command_for
from import_pipeline_tests.flow.loading.test_undoing import (
    ROWS,
    UPDATING,
    correction,
    loaded,
    numbers,
    open_rejects,
    undo,
)
from import_pipeline_tests.flow.loading.world import TURNS, MadeUpload, World, thing, things


def consistent(world: World) -> bool:
    """Whether each upload has as many corrected rows as its list of rejects says."""
    return not world.query(
        "SELECT FROM imports.uploads u WHERE corrected_rows <> (SELECT count(*) FROM imports.rejects r"
        " WHERE r.upload_id = u.upload_id AND r.corrected_by IS NOT NULL)"
    )


def requeued(world: World, made: MadeUpload) -> None:
    with connect(world.url) as conn:
        assert outcomes.requeue(conn, [made.opened.upload_id])


def cancelled(world: World, made: MadeUpload) -> None:
    requeued(world, made)
    with connect(world.url) as conn:
        outcomes.record_cancelled(conn, made.opened.upload_id)


def running(world: World, made: MadeUpload) -> None:
    world.take_over(made)


def executed_again(world: World, made: MadeUpload) -> MadeUpload:
    """Claimed by a later run of its own attempt, as by "Re-execute all" in the UI."""
    turn = next(TURNS)
    opened = replace(made.opened, token=Token(float(turn), f"run-{turn}"))
    with connect(world.url) as conn:
        world.claim(conn, opened)
    return replace(made, opened=opened)


def reported(world: World, made: MadeUpload) -> None:
    with connect(world.url) as conn:
        outcomes.mark_reported(conn, made.opened.upload_id, "reports/x/", made.opened.token)


@pytest.mark.parametrize("state", [requeued, cancelled, running])
def test_a_correction_can_be_undone_wherever_its_undone_first_upload_is_by_then(
    world: World, state: Callable[[World, MadeUpload], None]
) -> None:
    """Its corrected rows were forgotten there and remembered with its rejects: they went below zero."""
    world.install(UPDATING)
    first = loaded(world, UPDATING, thing("a", "first"), rejected=2)
    made = correction(world, first, {3: thing("x", "corrected"), 4: thing("b", "corrected")})
    undo(world, first)
    state(world, first)
    assert consistent(world)
    assert numbers(undo(world, made)) == (2, 0, {}, 0, 0)
    assert (consistent(world), world.query(ROWS)) == (True, [])
    again = world.take_over(first)
    assert world.load(again).counts.rejected == 2
    assert open_rejects(world) == [(3, True, 0), (4, True, 0)]


def test_an_undone_upload_begins_anew_in_its_own_attempt_too(world: World) -> None:
    """Its rejects were still listed, and listing them again was an error."""
    world.install(UPDATING)
    first = loaded(world, UPDATING, thing("a", "first"), rejected=2)
    reported(world, first)
    undo(world, first)
    again = executed_again(world, first)
    facts = "SELECT row_errors, details ? 'undo', details ? 'loaded' FROM imports.uploads"
    assert world.query(facts) == [(None, False, False)]
    assert world.query("SELECT FROM imports.rejects") == []
    assert world.load(again).counts.inserted == 1
    assert open_rejects(world) == [(3, True, 0), (4, True, 0)]


@pytest.mark.parametrize("start", [World.take_over, executed_again])
@pytest.mark.parametrize("key", [(), ("code",)])
def test_what_a_published_correction_put_right_stays_so_when_the_first_is_launched_again(
    world: World, key: Any, start: Callable[[World, MadeUpload], MadeUpload]
) -> None:
    dataset = things(key=key)
    world.install(dataset)
    first = loaded(world, dataset, thing("a", "first"), rejected=2)
    correction(world, first, {3: thing("b", "corrected")})
    reported(world, first)
    undo(world, first)
    world.load(start(world, first))
    assert open_rejects(world) == [(3, False, 1), (4, True, 1)]
    late = correction(world, first, {3: thing("c", "again"), 4: thing("d", "corrected")})
    assert world.state(late) == "completed_with_rejects"
    assert world.query(ROWS) == [("a", "first"), ("b", "corrected"), ("d", "corrected")]
    assert open_rejects(world) == [(3, False, 2), (4, False, 2)]


def test_rows_that_are_valid_when_the_first_is_launched_again_are_no_rejects_any_more(world: World) -> None:
    world.install(UPDATING)
    first = loaded(world, UPDATING, thing("a", "first"), rejected=2)
    made = correction(world, first, {3: thing("x", "corrected"), 4: thing("b", "corrected")})
    undo(world, first)
    fewer = world.make(UPDATING, [thing("a"), thing("x")], rejected=1)
    again = replace(fewer, opened=world.take_over(first).opened)
    assert world.load(again, dry_run=True).counts.rejected == 1
    assert (consistent(world), world.state(first)) == (True, "checked")
    again = replace(again, opened=world.take_over(first).opened)
    world.load(again)
    assert open_rejects(world) == [(4, False, 1)]
    undo(world, made)
    assert open_rejects(world) == [(4, True, 0)]


def test_a_correction_wins_over_its_first_upload_also_when_that_is_launched_again(world: World) -> None:
    """Both have one time, so a random identity decided which of the two rows stood in the end."""
    world.install(UPDATING)
    for number in range(4):
        world.query("DELETE FROM things")
        first = loaded(world, UPDATING, thing("a", "first"), rejected=1, name=f"{number}.csv")
        correction(world, first, {3: thing("a", "corrected")})
        undo(world, first)
        assert world.load(world.take_over(first)).duplicates == {"newer_in_table": 1}
        assert world.query(ROWS) == [("a", "corrected")]


def test_of_a_correction_that_lacks_rows_then_an_undo_says_what_brings_them_in(world: World) -> None:
    """It said `reimport`, which refuses corrections."""
    skipping = things()
    world.install(skipping)
    taken = loaded(world, skipping, thing("k", "taken"))
    first = loaded(world, skipping, thing("z", "first"), rejected=1)
    made = correction(world, first, {3: thing("k", "corrected")})
    [one] = undo(world, taken).depending
    name = made.opened.short_id
    assert (one.upload_id, one.correction) == (made.opened.upload_id, True)
    assert command_for(one) == f"import-pipeline undo {name}, then import-pipeline retry {name}"
    undo(world, made)
    world.load(world.take_over(made))
    assert world.query(ROWS) == [("k", "corrected"), ("z", "first")]
