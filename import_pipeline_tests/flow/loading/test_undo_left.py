"""The list of all rows that an undo left: an object beside the report, for the sender."""

import csv
from io import StringIO

import pytest
from psycopg.types.json import Jsonb

from import_pipeline.errors import UndoBlocked
from import_pipeline.flow.loading import undo_tables
from import_pipeline.row_numbers import ROWS_OF_A_SHEET
from import_pipeline_tests.flow.loading.test_undo_table_rules import ON, QUOTES, SWALLOW
from import_pipeline_tests.flow.loading.test_undoing import UPDATING, loaded, undo
from import_pipeline_tests.flow.loading.world import MadeUpload, World, thing, things


def listed(world: World, made: MadeUpload) -> list[list[str]]:
    """The lines of the object, and that it is a CSV for spreadsheets."""
    key = f"reports/acme/things/{made.opened.short_id}/undo_left.csv"
    text = world.store.get_bytes(key).decode()
    assert text.startswith("\ufeff") and text.endswith("\r\n")
    return list(csv.reader(StringIO(text[1:], newline="")))


def test_every_row_that_an_undo_leaves_is_listed_with_its_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first hundred were, and afterwards nothing in the table told the others from any row."""
    monkeypatch.setattr(undo_tables, "BLOCK_ROWS", 40)
    world.install(UPDATING)
    made = loaded(world, UPDATING, *(thing(f"k{n:03d}") for n in range(150)), thing("goes"))
    world.query("UPDATE things SET name = 'mine' WHERE code <> 'goes'")
    undone = undo(world, made)
    assert (undone.left, len(undone.left_rows)) == ({"changed_since": 150}, 100)
    assert undone.left_key == f"reports/acme/things/{made.opened.short_id}/undo_left.csv"
    header, *rows = listed(world, made)
    assert header == ["row", "code", "reason"]
    assert rows == [[str(n + 2), f"k{n:03d}", "changed_since"] for n in range(150)]
    [(kept,)] = world.query("SELECT details -> 'undo' ->> 'left_key' FROM imports.uploads")
    assert kept == undone.left_key


def test_the_list_runs_nothing_in_a_spreadsheet_and_counts_within_sheets(world: World) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("=1+1"), thing("b"), thing("c"), thing("d"), batches=1)
    sheets = {"opened": {"file": {"sheets": [{"name": "Plan1"}, {"name": "-2"}]}}}
    world.query("UPDATE imports.uploads SET details = details || %s", Jsonb(sheets))
    world.query("UPDATE things SET _row_number = _row_number + %s WHERE code > 'b'", ROWS_OF_A_SHEET)
    world.query("UPDATE things SET _row_number = 99 * _row_number WHERE code = 'd'")
    world.query("UPDATE things SET name = 'mine'")
    undo(world, made)
    assert listed(world, made)[1:3] == [
        ["2", "Plan1", "'=1+1", "changed_since"],
        ["3", "Plan1", "b", "changed_since"],
    ]
    assert [row[1:3] for row in listed(world, made)[3:]] == [["'-2", "c"], ["", "d"]]


def test_rows_without_a_key_are_listed_by_their_number(world: World) -> None:
    dataset = things(key=())
    world.install(dataset)
    made = loaded(world, dataset, thing("a"), thing("b"))
    world.query("UPDATE things SET name = 'mine' WHERE code = 'b'")
    undo(world, made)
    assert listed(world, made) == [["row", "reason"], ["3", "changed_since"]]


def test_there_is_a_list_only_after_an_undo_that_left_rows(world: World) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("a"), thing("b"))
    world.query("UPDATE things SET name = 'mine' WHERE code = 'a'")
    assert undo(world, made, dry_run=True).left_key is None
    world.as_owner(SWALLOW.format(QUOTES[0]) + ON.format("DELETE"))
    with pytest.raises(UndoBlocked):
        undo(world, made)
    assert world.store.list_keys("reports/") == []
    world.as_owner("DROP TRIGGER swallow ON things")
    undo(world, made)
    assert len(world.store.list_keys("reports/")) == 1
    world.query("DELETE FROM things")
    world.load(world.take_over(made))
    assert undo(world, made).left_key is None
    assert world.store.list_keys("reports/") == [], "it would be taken for that of the last undo"
