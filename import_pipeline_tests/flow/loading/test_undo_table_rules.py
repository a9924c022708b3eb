"""Undoing in tables that have rules of their own: foreign keys, unique columns, triggers."""

import pytest
from psycopg import conninfo

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import TableDoesNotFit, UndoBlocked
from import_pipeline_tests.flow.loading.test_undoing import (
    TOMORROW,
    UPDATING,
    everything,
    loaded,
    numbers,
    undo,
)
from import_pipeline_tests.flow.loading.world import Seats, World, thing


@pytest.mark.parametrize("points_at", ["(id)", "(stock, code)"])
def test_a_foreign_key_on_a_column_that_is_no_text_keeps_its_row_as_any_other(
    world: World, points_at: str
) -> None:
    """A number has no collation, and naming the one of each column failed every undo of such a table."""
    world.install(UPDATING)
    role = conninfo.conninfo_to_dict(world.url)["user"]
    world.as_owner(
        "ALTER TABLE things ADD id bigserial PRIMARY KEY, ADD UNIQUE (stock, code);"
        f"GRANT USAGE ON SEQUENCE things_id_seq TO {role}"
    )
    made = loaded(world, UPDATING, thing("a", stock=1), thing("b", stock=2))
    world.as_owner(
        "CREATE TABLE sales (id bigint, stock bigint, code text);"
        f"ALTER TABLE sales ADD FOREIGN KEY {points_at} REFERENCES things {points_at}"
    )
    world.query("INSERT INTO sales SELECT id, stock, code FROM things WHERE code = 'a'")
    assert numbers(undo(world, made)) == (1, 0, {"referenced": 1}, 0, 0)
    assert world.query("SELECT code FROM things") == [("a",)]


SWALLOW = "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION {} END $$;"
QUOTES = [
    "'never %', coalesce(OLD.code, NEW.code);",
    "'never %', coalesce(OLD.code, NEW.code) USING ERRCODE = 'check_violation', CONSTRAINT = 'mine';",
]
ON = "CREATE TRIGGER swallow BEFORE {} ON things FOR EACH ROW EXECUTE FUNCTION swallow()"


@pytest.mark.parametrize("raised", QUOTES)
def test_a_triggers_words_about_an_undo_are_not_repeated_where_they_may_be_personal(
    world: World, raised: str
) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("secret@x.example"))
    world.as_owner(SWALLOW.format(raised) + ON.format("DELETE"))
    with pytest.raises(UndoBlocked, match=r"trigger or function|'mine'") as caught:
        undo(world, made)
    assert "secret" not in f"{caught.value} {caught.value.fields}"


def test_a_triggers_words_about_an_import_are_not_repeated_where_they_may_be_personal(world: World) -> None:
    world.install(UPDATING)
    world.as_owner(SWALLOW.format(QUOTES[1]) + ON.format("INSERT"))
    with pytest.raises(TableDoesNotFit, match=r"constraint 'mine' \(SQLSTATE 23514") as caught:
        loaded(world, UPDATING, thing("secret@x.example"))
    assert "secret" not in f"{caught.value} {caught.value.fields}"


def test_where_nothing_is_personal_a_trigger_is_quoted(world: World) -> None:
    dataset = Dataset("seats", Seats, key=("row", "number"), personal_extra=False)
    world.install(dataset)
    made = loaded(world, dataset, {"row": "A", "number": 1})
    world.as_owner(SWALLOW.format("'not while it is open';") + ON.format("DELETE").replace("things", "seats"))
    with pytest.raises(UndoBlocked, match="not while it is open"):
        undo(world, made)


def test_a_dry_run_of_an_undo_meets_what_would_stop_the_undo_and_nothing_of_it_stays(world: World) -> None:
    """It only decided and counted: a person confirmed what could never be."""
    world.install(UPDATING)
    loaded(world, UPDATING, thing("x", place="one"))
    made = loaded(world, UPDATING, thing("x", place="two"), at=TOMORROW)
    world.as_owner("ALTER TABLE things ADD CONSTRAINT one_place UNIQUE (place)")
    world.query("INSERT INTO things (code, place) VALUES ('mine', 'one')")
    before = everything(world)
    with pytest.raises(UndoBlocked, match="one_place"):
        undo(world, made, dry_run=True)
    assert everything(world) == before


@pytest.mark.parametrize("columns", ["place", "name, place", "lane, place"])
def test_rows_come_back_in_an_order_that_a_unique_column_allows(world: World, columns: str) -> None:
    """Each met, in the order of the table, the value that the next one was about to give up."""
    world.install(UPDATING)
    world.as_owner(
        "ALTER TABLE things ADD lane integer NOT NULL DEFAULT 1;"
        f"ALTER TABLE things ADD CONSTRAINT one_place UNIQUE ({columns})"
    )
    before = {"x": "p1", "y": "p2", "z": "p3"}
    after = {"x": "p0", "y": "p1", "z": "p2"}
    loaded(world, UPDATING, *(thing(c, "n", place=p) for c, p in before.items()), batches=1)
    made = loaded(
        world, UPDATING, *(thing(c, "n", place=p) for c, p in after.items()), at=TOMORROW, batches=1
    )
    assert numbers(undo(world, made)) == (0, 3, {}, 0, 0)
    assert dict(world.query("SELECT code, place FROM things")) == before


def test_a_value_that_a_row_which_stays_has_taken_since_still_blocks_the_undo_by_name(world: World) -> None:
    world.install(UPDATING)
    world.as_owner("ALTER TABLE things ADD CONSTRAINT one_place UNIQUE (place)")
    loaded(world, UPDATING, thing("x", place="p1"), thing("y", place="p2"))
    made = loaded(world, UPDATING, thing("x", place="p3"), thing("y", place="p4"), at=TOMORROW)
    world.query("INSERT INTO things (code, place) VALUES ('mine', 'p2')")
    before = everything(world)
    with pytest.raises(UndoBlocked, match="one_place"):
        undo(world, made)
    assert everything(world) == before


def test_in_a_table_that_was_restored_from_a_backup_uploads_are_undone_all_the_same(world: World) -> None:
    """A row was there again and in an image too, so that two seemed to go where one was inserted."""
    world.install(UPDATING)
    first = loaded(world, UPDATING, thing("k", "first"), thing("l", "first"))
    world.as_owner("CREATE TABLE sales AS SELECT * FROM things")
    second = loaded(world, UPDATING, thing("k", "second"), at=TOMORROW)
    world.as_owner("DELETE FROM things; INSERT INTO things SELECT * FROM sales")
    assert numbers(undo(world, first)) == (2, 0, {}, 1, 0)
    assert numbers(undo(world, second)) == (0, 0, {}, 0, 1)
    assert world.query("SELECT code FROM things") == []
