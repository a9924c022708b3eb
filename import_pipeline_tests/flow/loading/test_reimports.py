"""A file that is brought in again where rows are updated: only what lacks comes in."""

import pytest

from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.reimports import of_the_same_file
from import_pipeline_tests.flow.loading.test_undoing import ROWS, UPDATING, loaded
from import_pipeline_tests.flow.loading.world import MadeUpload, World, thing

IDENTITIES = pytest.mark.parametrize("greater", [True, False], ids=["greater", "smaller"])


def again(
    world: World, of: MadeUpload, *names: str, greater: bool, than: MadeUpload | None = None
) -> MadeUpload:
    """A reimport, with an identity that is greater, or smaller, than that of the one it repeats."""
    other = (than or of).opened.short_id
    rows = [thing(name[0], name) for name in names]
    while True:
        made = world.make(of.dataset, rows, name="again.csv")
        if (made.opened.short_id > other) is greater:
            break
    world.query(
        "UPDATE imports.uploads SET reimport_of = %s WHERE upload_id = %s",
        of.opened.upload_id,
        made.opened.upload_id,
    )
    return made


@IDENTITIES
def test_a_reimport_leaves_what_an_application_made_of_its_own_rows(world: World, greater: bool) -> None:
    """Both are files of one second, so a random identity decided whether the change was overwritten."""
    world.install(UPDATING)
    names = ("a sent", "b sent", "c sent")
    first = loaded(world, UPDATING, *(thing(name[0], name) for name in names))
    world.query("UPDATE things SET name = 'a mine' WHERE code = 'a'")
    world.query("DELETE FROM things WHERE code = 'b'")

    done = world.load(again(world, first, *names, greater=greater))

    assert (done.counts.inserted, done.duplicates) == (1, {"already_in_table": 2})
    assert world.query(ROWS) == [("a", "a mine"), ("b", "b sent"), ("c", "c sent")]


@IDENTITIES
def test_a_reimport_leaves_rows_of_an_earlier_reimport_of_the_same_file(world: World, greater: bool) -> None:
    world.install(UPDATING)
    first = loaded(world, UPDATING, thing("a", "a sent"))
    world.query("DELETE FROM things")
    second = again(world, first, "a sent", greater=greater)
    world.load(second)
    world.query("UPDATE things SET name = 'a mine'")

    world.load(again(world, first, "a sent", greater=not greater))
    world.load(again(world, second, "a sent", greater=greater))

    assert world.query(ROWS) == [("a", "a mine")]


def test_between_files_of_one_second_a_reimport_stands_where_its_original_stood(world: World) -> None:
    world.install(UPDATING)
    first = world.make(UPDATING, [thing("z", "first")], name="first.csv")
    other = loaded(world, UPDATING, thing("z", "other"), name="other.csv")
    wins = first.opened.short_id > other.opened.short_id

    done = world.load(again(world, first, "z first", greater=not wins, than=other))

    assert (done.counts.updated, done.duplicates) == ((1, {}) if wins else (0, {"newer_in_table": 1}))


def test_files_are_the_same_through_all_reimports_and_the_original_comes_first(world: World) -> None:
    world.install(UPDATING)
    first, other = (world.make(UPDATING, [thing("a")], name=f"{n}.csv") for n in range(2))
    second = again(world, first, "a", greater=False)
    third = again(world, second, "a", greater=False)
    family = [made.opened.upload_id for made in (first, second, third)]
    with connect(world.url) as conn:
        for upload_id in family:
            assert of_the_same_file(conn, upload_id) == family
        assert of_the_same_file(conn, other.opened.upload_id) == [other.opened.upload_id]
