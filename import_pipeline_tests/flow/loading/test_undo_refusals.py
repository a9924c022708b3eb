"""What an undo refuses, in words, with nothing changed; and datasets that were changed since."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pandera.pandas as pandera
import pytest
from psycopg import conninfo

from import_pipeline.catalog.dataset import Dataset, column
from import_pipeline.catalog.types import Integer, Number, Text
from import_pipeline.errors import (
    ConfigurationError,
    CountsDoNotBalance,
    NotUndoable,
    PartitionMissing,
    UndoBlocked,
)
from import_pipeline.flow.loading.undoing import undo_upload
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.undoing import delete_history, past_histories
from import_pipeline_tests.flow.loading.test_undoing import (
    TOMORROW,
    UPDATING,
    everything,
    loaded,
    numbers,
    sales,
    undo,
)
from import_pipeline_tests.flow.loading.world import NOON, MadeUpload, Seats, World, thing, things

WHERE = ("acme", "things")


def refused(world: World, made: MadeUpload, why: str, words: str, **options: Any) -> NotUndoable:
    """The undo, and its dry run, are refused for this reason; nothing is changed."""
    before = everything(world)
    for dry_run in (True, False):
        with pytest.raises(NotUndoable, match=words) as caught:
            undo(world, made, dry_run=dry_run, **options)
        assert caught.value.fields["why"] == why
    assert everything(world) == before
    return caught.value


# --- Its state and its age


@pytest.mark.parametrize("state", ["detected", "running", "failed", "checked", "duplicate_file"])
def test_an_upload_that_is_not_published_is_refused(world: World, state: str) -> None:
    world.install(UPDATING)
    made = world.make(UPDATING, [thing("a")], sha256="same")
    if state == "checked":
        world.load(made, dry_run=True)
    elif state == "duplicate_file":
        world.load(made)
        made = loaded(world, UPDATING, thing("a"), sha256="same")
    elif state != "running":
        world.query(
            "UPDATE imports.uploads SET state = 'failed', error_code = 'x' WHERE upload_id = %s",
            made.opened.upload_id,
        )
        world.query("UPDATE imports.uploads SET state = %s", state)
    assert world.state(made) == state
    error = refused(world, made, "not_published", f"is {state}: it has no rows")
    assert ("wait for its end" in error.remedy) is (state in ("detected", "running"))


def test_an_upload_that_is_undone_is_refused_with_when_and_how_to_bring_it_back(world: World) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("a"))
    undone = undo(world, made)
    assert undone.undone_at is not None
    error = refused(world, made, "already_undone", f"undone already, at {undone.undone_at:%Y-%m-%d %H:%M}")
    assert "import-pipeline retry" in error.remedy


def test_an_upload_of_too_long_ago_is_refused_with_the_day_its_time_ended(world: World) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("a"))
    world.query("UPDATE imports.uploads SET published_at = '2026-01-31 12:30Z'")
    refused(world, made, "too_long_ago", "for 30 days, until 2026-03-02 12:30 UTC")


def test_the_last_moment_counts_in_days_of_the_setting(world: World) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("a"))
    world.query("UPDATE imports.uploads SET published_at = now() - interval '30 days' + interval '1 minute'")
    assert numbers(undo(world, made)) == (1, 0, {}, 0, 0)


def test_an_upload_that_the_ledger_does_not_know_is_refused(world: World) -> None:
    with pytest.raises(PartitionMissing, match="does not know"):
        undo_upload(world.url, "acme/none@000000000000", UPDATING, undo_days=30, store=None)


def test_an_upload_of_another_dataset_is_refused(world: World) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("a"))
    other = Dataset("others", UPDATING.model, key=("code",))
    with pytest.raises(ConfigurationError, match="is of dataset 'things'"):
        undo(world, made, dataset=other)


# --- Its history


def test_once_its_images_were_deleted_an_upload_is_refused_rather_than_its_updated_rows_deleted(
    world: World,
) -> None:
    world.install(UPDATING)
    loaded(world, UPDATING, thing("a", "old"))
    made = loaded(world, UPDATING, thing("a", "new"), thing("b"), at=TOMORROW)
    with connect(world.url) as conn:
        assert delete_history(conn, *WHERE, datetime.now(UTC) + timedelta(days=1)) == 1
    refused(world, made, "history_gone", "no longer kept")


def test_only_images_of_before_the_moment_are_deleted(world: World) -> None:
    world.install(UPDATING)
    days = ("2026-01-01", "2026-01-02", "2026-01-03")
    uploads = [loaded(world, UPDATING, thing("a", day), at=NOON + timedelta(n)) for n, day in enumerate(days)]
    for made, day in zip(uploads, days, strict=True):
        world.query(
            "UPDATE imports.uploads SET published_at = %s WHERE upload_id = %s", day, made.opened.upload_id
        )
    before = datetime(2026, 1, 3, tzinfo=UTC)
    with connect(world.url) as conn:
        assert past_histories(conn, before) == [WHERE]
        assert delete_history(conn, *WHERE, before) == 1
        assert past_histories(conn, before) == []
    assert world.query("SELECT publish_number FROM imports.row_history") == [(3,)]


def test_more_rows_without_an_image_than_were_inserted_are_not_deleted(world: World) -> None:
    world.install(UPDATING)
    loaded(world, UPDATING, thing("a", "old"))
    made = loaded(world, UPDATING, thing("a", "new"), at=TOMORROW)
    world.query("UPDATE imports.row_history SET key = '[\"b\"]'")
    before = everything(world)
    with pytest.raises(CountsDoNotBalance, match="1 rows would go where 0 were inserted"):
        undo(world, made)
    assert everything(world) == before


def test_an_upload_of_before_the_ledger_kept_history_can_be_undone_while_its_dataset_is_the_same(
    world: World,
) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("a"))
    world.query("UPDATE imports.uploads SET publish_number = NULL, details = details - 'loaded'")
    refused(world, made, "table_changed", "nobody noted how", dataset=things(existing="skip"))
    assert numbers(undo(world, made)) == (1, 0, {}, 0, 0)


# --- The table's own rules


def test_a_constraint_that_a_restored_row_would_break_blocks_the_undo_by_name(world: World) -> None:
    world.install(UPDATING)
    loaded(world, UPDATING, thing("x", place="one"))
    made = loaded(world, UPDATING, thing("x", place="two"), at=TOMORROW)
    world.as_owner("ALTER TABLE things ADD CONSTRAINT one_place UNIQUE (place)")
    world.query("INSERT INTO things (code, place) VALUES ('mine', 'one')")
    before = everything(world)
    with pytest.raises(UndoBlocked, match="one_place") as caught:
        undo(world, made)
    assert "mine" not in str(caught.value)
    assert everything(world) == before


def test_a_rule_that_is_kept_only_at_the_commit_blocks_the_undo_as_well(world: World) -> None:
    world.install(UPDATING)
    loaded(world, UPDATING, thing("x", place="one"))
    made = loaded(world, UPDATING, thing("x", place="two"), at=TOMORROW)
    world.as_owner("ALTER TABLE things ADD CONSTRAINT late UNIQUE (place) DEFERRABLE INITIALLY DEFERRED")
    world.query("INSERT INTO things (code, place) VALUES ('mine', 'one')")
    with pytest.raises(UndoBlocked, match="late"):
        undo(world, made)
    assert world.state(made) == "completed"


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ("RAISE EXCEPTION 'never delete';", UndoBlocked, "a trigger or function .SQLSTATE P0001"),
        ("RETURN NULL;", CountsDoNotBalance, "1 of 2 rows could be removed"),
    ],
)
def test_a_trigger_that_keeps_a_row_fails_the_undo(
    world: World, body: str, error: type[Exception], words: str
) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("a"), thing("b"))
    world.as_owner(
        f"CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"
        "CREATE TRIGGER swallow BEFORE DELETE ON things FOR EACH ROW WHEN (OLD.code = 'b')"
        " EXECUTE FUNCTION swallow()"
    )
    before = everything(world)
    with pytest.raises(error, match=words):
        undo(world, made)
    assert everything(world) == before


def loader(world: World) -> str:
    return str(conninfo.conninfo_to_dict(world.url)["user"])


def test_a_table_that_may_point_at_rows_and_cannot_be_read_stops_the_undo(world: World) -> None:
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("a"))
    sales(world, "ON DELETE CASCADE")
    world.as_owner(f"REVOKE ALL ON sales FROM {loader(world)}")
    error = refused(world, made, "not_readable", "may point at rows")
    assert f'GRANT SELECT ON "public"."sales" TO {loader(world)}' in error.remedy
    world.as_owner(f"GRANT SELECT (workspace, code) ON sales TO {loader(world)}")
    assert undo(world, made).left == {"referenced": 1}


def test_a_table_whose_rows_are_partly_hidden_from_the_pipeline_stops_the_undo(world: World) -> None:
    """It would see no reference, and the delete would take the hidden row along."""
    world.install(UPDATING)
    made = loaded(world, UPDATING, thing("a"))
    sales(world, "ON DELETE CASCADE")
    world.as_owner(
        "ALTER TABLE sales ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY few ON sales FOR SELECT USING (workspace = 'other')"
    )
    refused(world, made, "not_readable", "cannot see all of them")
    world.as_owner(f"CREATE POLICY everything ON sales TO {loader(world)} USING (true)")
    assert undo(world, made).left == {"referenced": 1}


# --- Datasets that were changed since


class Old(pandera.DataFrameModel):
    """`seats` as it was declared first."""

    code: Text = column(required=True)
    name: Text = column()
    stock: Integer = column()


class New(pandera.DataFrameModel):
    """`seats` as it was declared later: one column less, one more."""

    code: Text = column(required=True)
    name: Text = column()
    price: Number(8, 2) = column()


OLD = Dataset("seats", Old, key=("code",), existing="update", unknown_columns="ignore")
NEW = Dataset("seats", New, key=("code",), existing="update", unknown_columns="ignore")
SEATS = "SELECT code, name, stock, price FROM seats"


def changed(world: World) -> tuple[MadeUpload, MadeUpload, MadeUpload]:
    """A row written by three uploads: the dataset was changed after the first, and back after the second."""
    world.install(OLD)
    first = loaded(world, OLD, {"code": "a", "name": "first", "stock": 1})
    world.as_owner("ALTER TABLE seats ADD price numeric(8,2)")
    second = loaded(world, NEW, {"code": "a", "name": "second", "price": 2}, at=TOMORROW)
    third = loaded(world, OLD, {"code": "a", "name": "third", "stock": 3}, at=TOMORROW + timedelta(days=1))
    return first, second, third


@pytest.mark.parametrize("order", [(2, 1, 0), (0, 1, 2), (1, 0, 2), (1, 2, 0), (0, 2, 1), (2, 0, 1)])
def test_a_dataset_that_was_changed_between_uploads_is_undone_in_any_order(
    world: World, order: tuple[int, ...]
) -> None:
    uploads = changed(world)
    for which in order:
        assert undo(world, uploads[which], dataset=NEW).left == {}
    assert world.query(SEATS) == []


def test_what_an_upload_did_not_write_stays_as_it_is_when_it_is_undone(world: World) -> None:
    first, second, third = changed(world)
    undo(world, third, dataset=NEW)
    assert world.query(SEATS) == [("a", "second", 1, 2)]
    undo(world, second, dataset=NEW)
    assert world.query(SEATS) == [("a", "first", 1, None)]
    assert world.query("SELECT _upload_id FROM seats") == [(first.opened.upload_id,)]


def test_what_comes_back_in_the_middle_is_what_was_before(world: World) -> None:
    _, second, third = changed(world)
    undo(world, second, dataset=NEW)
    assert world.query(SEATS) == [("a", "third", 3, 2)], "nobody wrote the price since"
    undo(world, third, dataset=NEW)
    assert world.query("SELECT code, name, stock FROM seats") == [("a", "first", 1)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER TABLE seats DROP stock", "column stock was bigint, now it is gone"),
        ("ALTER TABLE seats ALTER stock TYPE text", "column stock was bigint, now it is text"),
        ("ALTER TABLE seats RENAME TO former", "table 'seats' is gone"),
        ("CREATE TABLE former () INHERITS (seats)", "other tables inherit from table public.seats"),
    ],
)
def test_a_table_whose_columns_cannot_be_compared_any_more_is_refused(
    world: World, change: str, words: str
) -> None:
    world.install(OLD)
    made = loaded(world, OLD, {"code": "a", "name": "x", "stock": 1})
    world.as_owner(change)
    with pytest.raises(NotUndoable, match=words) as caught:
        undo(world, made)
    assert caught.value.fields["why"] == "table_changed"
    world.as_owner("DROP TABLE IF EXISTS former")


def test_a_wider_number_is_no_change(world: World) -> None:
    world.install(NEW)
    made = loaded(world, NEW, {"code": "a", "price": 2})
    world.as_owner("ALTER TABLE seats ALTER price TYPE numeric(12,3)")
    assert numbers(undo(world, made)) == (1, 0, {}, 0, 0)


def test_the_key_of_then_finds_the_rows_of_then(world: World) -> None:
    by_row, by_both = (
        Dataset("seats", Seats, key=key, existing="update") for key in (("row",), ("row", "number"))
    )
    world.install(by_row)
    seat = {"row": "A", "number": 1, "name": "old"}
    loaded(world, by_row, seat)
    made = loaded(world, by_row, seat | {"name": "new"}, at=TOMORROW)
    assert numbers(undo(world, made, dataset=by_both)) == (0, 1, {}, 0, 0)
    assert world.query("SELECT name FROM seats") == [("old",)]
