"""Undoing an upload: what goes, what comes back, what is left. What it refuses: test_undo_refusals.py."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pandera.pandas as pandera
import pytest

from import_pipeline.catalog.dataset import Dataset, SenderOptions, column
from import_pipeline.catalog.types import Text, Timestamp
from import_pipeline.errors import ConcurrentChange, NotUndoable, Superseded
from import_pipeline.flow.loading.counting import count_in_table
from import_pipeline.flow.loading.undoing import undo_upload
from import_pipeline.ledger.claims import claim, lock_owned
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.events import timeline
from import_pipeline.ledger.queries import summary
from import_pipeline.ledger.uploads import find_first_import
from import_pipeline.records import DependingUpload, LeftRow, Token, UndoneUpload
from import_pipeline_tests.flow.loading.test_overlaps import while_blocked
from import_pipeline_tests.flow.loading.world import NOON, TURNS, MadeUpload, World, at_once, thing, things

TOMORROW = NOON + timedelta(days=1)
UPDATING = things(existing="update")
ROWS = "SELECT code, name FROM things ORDER BY code"


def loaded(world: World, dataset: Dataset, *rows: dict[str, Any], **options: Any) -> MadeUpload:
    made = world.make(dataset, rows, **options)
    world.load(made)
    return made


def undo(
    world: World, made: MadeUpload, *, dry_run: bool = False, dataset: Dataset | None = None
) -> UndoneUpload:
    upload_id = made.opened.upload_id
    return undo_upload(
        world.url, upload_id, dataset or made.dataset, undo_days=30, store=world.store, dry_run=dry_run
    )


def numbers(undone: UndoneUpload) -> tuple[int, int, dict[Any, int], int, int]:
    return undone.removed, undone.restored, undone.left, undone.overwritten, undone.gone


def whole_table(world: World) -> list[tuple[Any, ...]]:
    """Every column of every row, those of ours too."""
    return world.query("SELECT t::text FROM things t ORDER BY 1")


def everything(world: World) -> list[list[tuple[Any, ...]]]:
    tables = ("things", "imports.uploads", "imports.row_history", "imports.dependencies", "imports.events")
    return [world.query(f"SELECT t::text FROM {table} t ORDER BY 1") for table in tables]


def test_inserted_rows_go_and_overwritten_rows_come_back_in_full(world: World) -> None:
    world.install(UPDATING)
    loaded(world, UPDATING, thing("a", "old"), thing("b", "old", extra="null", day=None))
    before = whole_table(world)
    made = loaded(world, UPDATING, thing("a", "new"), thing("b", "new"), thing("c", "new"), at=TOMORROW)
    assert numbers(undo(world, made)) == (1, 2, {}, 0, 0)
    assert whole_table(world) == before
    with connect(world.url) as conn:
        row = summary(conn, made.opened.upload_id)
        assert count_in_table(conn, UPDATING, made.opened.upload_id) == 0
        last = timeline(conn, made.opened.upload_id)[-1]
    assert row is not None and row.undone_at is not None
    assert (row.state, row.undo_removed, row.undo_restored, row.undo_left) == ("undone", 1, 2, 0)
    assert (row.inserted, row.updated) == (1, 2), "what was published stays on record"
    assert (last.state, last.message) == ("undone", "rows removed 1, restored 2, left 0")


def test_a_plain_insert_writes_no_image(world: World) -> None:
    world.install(UPDATING)
    loaded(world, UPDATING, thing("a"), thing("b"))
    loaded(world, UPDATING, thing("a"), thing("b", "new"), thing("c"), at=TOMORROW)
    assert world.query("SELECT key FROM imports.row_history") == [(["b"],)]


def test_a_dry_run_of_an_undo_says_what_it_would_do_and_changes_nothing(world: World) -> None:
    world.install(UPDATING)
    loaded(world, UPDATING, thing("a", "old"))
    made = loaded(world, UPDATING, thing("a", "new"), thing("b"), thing("c"), at=TOMORROW)
    loaded(world, UPDATING, thing("b"), at=TOMORROW + timedelta(days=1))
    world.query("UPDATE things SET name = 'mine' WHERE code = 'c'")
    before = everything(world)
    plan = undo(world, made, dry_run=True)
    assert everything(world) == before
    assert (plan.dry_run, plan.undone_at) == (True, None)
    done = undo(world, made)
    assert numbers(plan) == numbers(done) == (1, 1, {"changed_since": 1}, 0, 0)
    assert (plan.left_rows, plan.depending) == (done.left_rows, done.depending)


def test_a_row_that_someone_changed_is_left_and_listed_with_its_personal_key_masked(world: World) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, *(thing(c) for c in "abc"))
    world.query("UPDATE things SET stock = 8 WHERE code = 'b'")
    undone = undo(world, made)
    assert undone.left == {"changed_since": 1}
    assert undone.left_rows == (LeftRow(3, {"code": "***"}, "changed_since"),)
    assert world.query("SELECT code, stock, _workspace, _upload_id, _row_number, _row_hash FROM things") == [
        ("b", 8, "acme", None, None, None)
    ]


def test_a_row_changed_and_changed_back_is_as_it_was_written(world: World) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("a", "x"))
    world.query("UPDATE things SET name = 'y'")
    world.query("UPDATE things SET name = 'x'")
    assert numbers(undo(world, made)) == (1, 0, {}, 0, 0)


def test_a_change_between_two_uploads_survives_the_undo_of_both(world: World) -> None:
    for order in ((0, 1), (1, 0)):
        world.as_owner("DROP TABLE IF EXISTS things")
        world.install(UPDATING)
        first = loaded(world, UPDATING, thing("a", "first"))
        world.query("UPDATE things SET name = 'mine'")
        second = loaded(world, UPDATING, thing("a", "second"), at=TOMORROW)
        for which in order:
            undo(world, (first, second)[which])
        assert world.query("SELECT name, _upload_id FROM things") == [("mine", None)]


def test_undoing_one_in_the_middle_keeps_what_came_later(world: World) -> None:
    world.install(UPDATING)
    uploads = [
        loaded(world, UPDATING, thing("a", name), at=NOON + timedelta(days=day))
        for day, name in enumerate(("first", "second", "third"))
    ]
    assert numbers(undo(world, uploads[1])) == (0, 0, {}, 1, 0)
    assert world.query(ROWS) == [("a", "third")]
    assert numbers(undo(world, uploads[2])) == (0, 1, {}, 0, 0)
    assert world.query(ROWS) == [("a", "first")]
    assert numbers(undo(world, uploads[0])) == (1, 0, {}, 0, 0)
    assert world.query(ROWS) == []


def test_rows_that_someone_deleted_are_counted_apart(world: World) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("a"), thing("b"))
    world.query("DELETE FROM things WHERE code = 'a'")
    assert numbers(undo(world, made)) == (1, 0, {}, 0, 1)


def test_without_a_key_the_rows_of_the_upload_go_and_equal_ones_stay(world: World) -> None:
    dataset = things(key=())
    world.install(dataset)
    kept = loaded(world, dataset, thing("a"), thing("a"))
    made = loaded(world, dataset, thing("a"), thing("a"), thing("b"))
    world.query("UPDATE things SET name = 'mine' WHERE code = 'b'")
    assert numbers(undo(world, made)) == (2, 0, {"changed_since": 1}, 0, 0)
    assert world.query("SELECT code, _upload_id FROM things ORDER BY 1") == [
        ("a", kept.opened.upload_id),
        ("a", kept.opened.upload_id),
        ("b", None),
    ]


def test_another_workspace_with_the_same_keys_is_not_touched(world: World) -> None:
    world.install(UPDATING)
    for name, day in (("old", 0), ("new", 1)):
        made = {
            workspace: loaded(
                world, UPDATING, thing("a", name), workspace=workspace, at=NOON + timedelta(days=day)
            )
            for workspace in ("acme", "beta")
        }
    assert numbers(undo(world, made["acme"])) == (0, 1, {}, 0, 0)
    assert world.query("SELECT _workspace, name FROM things ORDER BY 1") == [("acme", "old"), ("beta", "new")]
    assert numbers(undo(world, made["beta"])) == (0, 1, {}, 0, 0)


# --- Rows that others point at


def sales(world: World, action: str = "", columns: str = "_workspace, code") -> None:
    world.as_owner(
        "CREATE TABLE sales (workspace text, code text,"
        f" FOREIGN KEY (workspace, code) REFERENCES things ({columns}) {action})"
    )
    world.query("INSERT INTO sales VALUES ('acme', 'a')")


@pytest.mark.parametrize("action", ["", "ON DELETE CASCADE", "ON DELETE SET NULL"])
def test_a_row_that_another_table_points_at_is_left_and_that_table_untouched(
    world: World, action: str
) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("a"), thing("b"))
    sales(world, action)
    undone = undo(world, made)
    assert (undone.removed, undone.left) == (1, {"referenced": 1})
    assert undone.left_rows == (LeftRow(2, {"code": "***"}, "referenced"),)
    assert world.query("SELECT code, _upload_id FROM things") == [("a", None)]
    assert world.query("SELECT * FROM sales") == [("acme", "a")]


def test_a_row_that_is_pointed_at_by_its_key_is_restored(world: World) -> None:
    world.install(UPDATING)
    loaded(world, UPDATING, thing("a", "old"))
    made = loaded(world, UPDATING, thing("a", "new"), at=TOMORROW)
    sales(world)
    assert numbers(undo(world, made)) == (0, 1, {}, 0, 0)
    assert world.query(ROWS) == [("a", "old")]


def test_a_row_is_not_restored_where_that_changes_what_is_pointed_at(world: World) -> None:
    world.install(UPDATING)
    world.as_owner("ALTER TABLE things ADD UNIQUE (_workspace, place)")
    loaded(world, UPDATING, thing("x", place="old a"), thing("y", "old", place="b"))
    made = loaded(world, UPDATING, thing("x", place="a"), thing("y", "new", place="b"), at=TOMORROW)
    sales(world, "ON UPDATE CASCADE", columns="_workspace, place")
    world.query("INSERT INTO sales VALUES ('acme', 'b')")
    assert numbers(undo(world, made)) == (0, 1, {"referenced": 1}, 0, 0)
    assert world.query("SELECT code, place, name FROM things ORDER BY 1") == [
        ("x", "a", None),
        ("y", "b", "old"),
    ]
    assert world.query("SELECT code FROM sales ORDER BY 1") == [("a",), ("b",)]


def test_rows_of_one_table_that_point_at_each_other_go_together_or_stay_together(world: World) -> None:
    world.install(UPDATING)
    world.as_owner(
        "ALTER TABLE things ADD parent text, ADD FOREIGN KEY (_workspace, parent)"
        " REFERENCES things (_workspace, code) ON DELETE CASCADE"
    )
    made = loaded(world, UPDATING, *(thing(c) for c in "abcdef"))
    for child, parent in ("ba", "cb", "ed"):
        world.query("UPDATE things SET parent = %s WHERE code = %s", parent, child)
    world.query("UPDATE things SET name = 'mine' WHERE code = 'c'")
    assert numbers(undo(world, made)) == (3, 0, {"changed_since": 1, "referenced": 2}, 0, 0)
    assert world.query("SELECT code FROM things ORDER BY 1") == [("a",), ("b",), ("c",)]


# --- Corrections


def correction(world: World, first: MadeUpload, rows: Mapping[int, dict[str, Any]]) -> MadeUpload:
    corrects = {n: (first.opened.upload_id, target) for n, target in enumerate(rows, 2)}
    made = world.make(first.dataset, list(rows.values()), corrects=corrects, at=TOMORROW, name="rejected.csv")
    world.load(made)
    return made


def open_rejects(world: World) -> list[tuple[Any, ...]]:
    return world.query(
        "SELECT row_number, corrected_by IS NULL, corrected_rows FROM imports.rejects"
        " JOIN imports.uploads USING (upload_id) ORDER BY 1"
    )


def test_undoing_a_correction_opens_the_rejects_again_and_they_can_be_corrected_anew(world: World) -> None:
    world.install(UPDATING)
    first = loaded(world, UPDATING, thing("a", "first"), rejected=2)
    made = correction(world, first, {3: thing("a", "corrected"), 4: thing("b", "corrected")})
    assert open_rejects(world) == [(3, False, 2), (4, False, 2)]
    assert numbers(undo(world, made)) == (1, 1, {}, 0, 0)
    assert open_rejects(world) == [(3, True, 0), (4, True, 0)]
    assert world.query(ROWS) == [("a", "first")]
    correction(world, first, {4: thing("b", "corrected")})
    assert open_rejects(world) == [(3, True, 1), (4, False, 1)]


def test_undoing_the_first_upload_leaves_its_correction_and_then_that_can_go_too(world: World) -> None:
    world.install(UPDATING)
    first = loaded(world, UPDATING, thing("a", "first"), thing("z", "first"), rejected=2)
    made = correction(world, first, {4: thing("a", "corrected"), 5: thing("b", "corrected")})
    assert numbers(undo(world, first)) == (1, 0, {}, 1, 0)
    assert world.query(ROWS) == [("a", "corrected"), ("b", "corrected")]
    assert open_rejects(world) == [(4, False, 2), (5, False, 2)]
    assert numbers(undo(world, made)) == (2, 0, {}, 0, 0)
    assert open_rejects(world) == [(4, True, 0), (5, True, 0)]


# --- Who depends on it


@pytest.mark.parametrize("existing", ["skip", "update", "reject"])
def test_an_undo_names_the_uploads_whose_rows_were_kept_out_because_of_this_one(
    world: World, existing: Any
) -> None:
    dataset = things(existing=existing)
    world.install(dataset)
    made = loaded(world, dataset, *(thing(c, "same") for c in "abc"), sha256="twice")
    other = loaded(world, dataset, thing("d", "same"))
    later = loaded(world, dataset, *(thing(c, "same") for c in "cdbe"), at=TOMORROW, name="later.csv")
    older = loaded(world, dataset, thing("a", "other"), at=NOON - timedelta(days=1), name="older.csv")
    again = loaded(world, dataset, thing("f"), name="again.csv", sha256="twice")
    named = [
        DependingUpload(later.opened.upload_id, "later.csv", world.state(later), 2),
        DependingUpload(older.opened.upload_id, "older.csv", world.state(older), 1),
    ]
    if existing == "update":
        assert world.state(again) == "completed", "something else was published there since"
    else:
        copy = DependingUpload(again.opened.upload_id, "again.csv", "duplicate_file", 3)
        named.insert(0, copy)
    assert undo(world, made, dry_run=True).depending == tuple(named)
    undo(world, later)
    assert later.opened.upload_id not in {d.upload_id for d in undo(world, made).depending}
    assert undo(world, other).depending == ()


def test_the_same_file_dropped_again_after_an_undo_is_imported(world: World) -> None:
    world.install(UPDATING)
    undo(world, loaded(world, UPDATING, thing("a"), sha256="same"))
    again = loaded(world, UPDATING, thing("a"), sha256="same")
    assert (world.state(again), world.query(ROWS)) == ("completed", [("a", None)])


def test_a_file_whose_rows_an_undone_upload_kept_out_is_no_duplicate_when_dropped_again(
    world: World,
) -> None:
    dataset = things()
    world.install(dataset)
    first = loaded(world, dataset, thing("a", "first"))
    loaded(world, dataset, thing("a", "second"), thing("b", "second"), sha256="same")
    undo(world, first)
    again = loaded(world, dataset, thing("a", "second"), thing("b", "second"), sha256="same")
    assert world.state(again) == "completed"
    assert world.query(ROWS) == [("a", "second"), ("b", "second")]


def test_where_rows_are_updated_a_file_is_no_duplicate_once_another_was_undone_or_launched_again(
    world: World,
) -> None:
    """The ledger forgets when an upload was undone as soon as it is launched again."""
    world.install(UPDATING)
    loaded(world, UPDATING, thing("a", "first"), sha256="same")
    opened = world.make(UPDATING, [thing("a", "first")], sha256="same").opened
    with connect(world.url) as conn:
        assert find_first_import(conn, opened, UPDATING) is not None
    second = loaded(world, UPDATING, thing("a", "second"), at=TOMORROW)
    undo(world, second)
    world.take_over(second)
    with connect(world.url) as conn:
        assert find_first_import(conn, opened, UPDATING) is None


# --- Launched again


def test_an_undone_upload_can_be_launched_again_and_undone_again(world: World) -> None:
    world.install(UPDATING)
    loaded(world, UPDATING, thing("a", "old"))
    made = loaded(world, UPDATING, thing("a", "new"), thing("b"), at=TOMORROW)
    undo(world, made)
    again = world.take_over(made)
    with connect(world.url) as conn:
        row = summary(conn, made.opened.upload_id)
    assert row is not None
    assert (row.undo_removed, row.undo_restored, row.undo_left, row.undone_at) == (None, None, None, None)
    published = world.load(again)
    assert (published.counts.inserted, published.counts.updated) == (1, 1)
    assert world.query("SELECT publish_number FROM imports.uploads ORDER BY 1") == [(1,), (4,)]
    assert numbers(undo(world, again)) == (1, 1, {}, 0, 0)
    assert world.query(ROWS) == [("a", "old")]


def test_a_run_that_was_at_the_report_when_its_upload_was_undone_does_not_load_it_again(
    world: World,
) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("a"))
    undo(world, made)
    with connect(world.url) as conn:
        with pytest.raises(Superseded):
            lock_owned(conn, made.opened.upload_id, made.opened.token)
        turn = next(TURNS)
        retry = Token(float(turn), f"run-{turn}")
        claimed = claim(conn, made.opened.upload_id, retry, attempt=made.opened.attempt)
    assert (claimed.action, claimed.row.state) == ("nothing", "undone")
    assert world.query(ROWS) == []


# --- Beside others


def test_two_undos_of_one_upload_at_once_undo_it_once(world: World) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("a"))
    results = at_once(lambda: undo(world, made), lambda: undo(world, made))
    assert {type(result) for result in results} == {UndoneUpload, NotUndoable}
    assert [numbers(r) for r in results if isinstance(r, UndoneUpload)] == [(1, 0, {}, 0, 0)]


def test_an_undo_waits_for_an_application_that_has_a_row_in_hand_and_sees_its_change(
    world: World, as_superuser: Callable[[str], str]
) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("a"), thing("b"))
    with connect(world.url) as application:
        application.execute("UPDATE things SET name = 'mine' WHERE code = 'b'")
        undone = while_blocked(world, as_superuser, lambda: undo(world, made), application.commit)
    assert numbers(undone) == (1, 0, {"changed_since": 1}, 0, 0)
    assert world.query(ROWS) == [("b", "mine")]


def test_an_undo_waits_for_a_reference_that_is_being_made(
    world: World, as_superuser: Callable[[str], str]
) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("a"), thing("b"))
    sales(world, "ON DELETE CASCADE")
    with connect(world.url) as application:
        application.execute("INSERT INTO sales VALUES ('acme', 'b')")
        undone = while_blocked(world, as_superuser, lambda: undo(world, made), application.commit)
    assert numbers(undone) == (0, 0, {"referenced": 2}, 0, 0)
    assert world.query("SELECT count(*) FROM sales") == [(2,)]


def test_undos_and_publishes_of_the_same_keys_at_once_lose_nothing(world: World) -> None:
    world.install(UPDATING)
    base = loaded(world, UPDATING, *(thing(c, "base") for c in "abcdefgh"))
    first = loaded(world, UPDATING, *(thing(c, "first") for c in "abcdefgh"), at=TOMORROW)
    second = world.make(UPDATING, [thing(c, "second") for c in "hgfedcba"], at=TOMORROW + timedelta(days=1))
    staged = world.stage(second)
    results = at_once(
        lambda: undo(world, first), lambda: undo(world, base), lambda: world.publish(second, staged)
    )
    assert not [result for result in results if isinstance(result, Exception)]
    assert world.query("SELECT DISTINCT name FROM things") == [("second",)]
    undo(world, second)
    assert world.query("SELECT count(*) FROM things") == [(0,)]


# --- What a row may hold


class Hours(pandera.DataFrameModel):
    """A key that is a time, and text that is hard on JSON."""

    at: Timestamp = column(required=True)
    note: Text = column()


def test_a_key_with_a_time_is_found_again_whatever_the_connections_time_zone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset("seats", Hours, key=("at",), existing="update")
    world.install(dataset)
    loaded(world, dataset, {"at": NOON, "note": '"old" \\ \x01 \u2028 é'})
    before = world.query("SELECT s::text FROM seats s")
    monkeypatch.setenv("PGTZ", "America/Sao_Paulo")
    made = loaded(world, dataset, {"at": NOON, "note": "new"}, at=TOMORROW)
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    assert numbers(undo(world, made)) == (0, 1, {}, 0, 0)
    monkeypatch.delenv("PGTZ")
    assert world.query("SELECT s::text FROM seats s") == before


def test_a_row_of_more_columns_than_a_function_takes_arguments_comes_back(world: World) -> None:
    names = [f"c{n:03d}" for n in range(120)]
    wide = type(
        "Wide",
        (pandera.DataFrameModel,),
        {"__annotations__": dict.fromkeys(names, Text), "c000": column(required=True)}
        | {n: column() for n in names[1:]},
    )
    dataset = Dataset("seats", wide, key=("c000",), existing="update")  # type: ignore[arg-type]
    world.install(dataset)
    loaded(world, dataset, dict.fromkeys(names, "old") | {"c000": "k"})
    made = loaded(world, dataset, dict.fromkeys(names, "new") | {"c000": "k"}, at=TOMORROW)
    assert numbers(undo(world, made)) == (0, 1, {}, 0, 0)
    assert world.query("SELECT c001, c119 FROM seats") == [("old", "old")]


def test_images_are_of_the_rows_that_were_overwritten_or_nothing_is_published(world: World) -> None:
    """An application changed a row after it was compared: the publish is tried again as a whole."""
    world.install(UPDATING)
    loaded(world, UPDATING, thing("a", "old"))
    made = world.make(UPDATING, [thing("a", "new")], at=TOMORROW, options=SenderOptions())
    staged = world.stage(made)
    world.as_owner(
        "CREATE FUNCTION steal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE public.things SET stock = stock + 1; RETURN NULL; END $$;"
        "CREATE TRIGGER steal AFTER INSERT OR UPDATE ON imports.publish_numbers"
        " FOR EACH STATEMENT EXECUTE FUNCTION steal()"
    )
    try:
        with pytest.raises(ConcurrentChange, match="changed by someone else"):
            world.publish(made, staged)
    finally:
        world.as_owner("DROP TRIGGER steal ON imports.publish_numbers")
    assert world.query("SELECT count(*) FROM imports.row_history") == [(0,)]
    assert world.publish(made, staged).counts.updated == 1
