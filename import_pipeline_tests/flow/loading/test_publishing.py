"""Publishing: what becomes of each row, and that a file comes whole or not at all."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from import_pipeline.catalog.dataset import Dataset, Existing, SenderOptions
from import_pipeline.errors import BatchesMissing, CountsDoNotBalance, TableDoesNotFit, TooManyRejects
from import_pipeline.flow.loading.counting import check_reject_share, count_in_table
from import_pipeline.flow.loading.outcomes import read_outcomes
from import_pipeline.ledger import uploads as ledger
from import_pipeline.ledger.connection import connect
from import_pipeline.records import Counts, PublishedUpload
from import_pipeline_tests.flow.loading.world import NOON, MadeUpload, Seats, World, thing, things

NAMES = "SELECT code, name FROM things WHERE _workspace = 'acme' ORDER BY 1, 2"


def outcomes(world: World, published: PublishedUpload) -> list[tuple[int, str, str | None]]:
    with connect(world.url) as conn:
        table = read_outcomes(conn, published.outcomes_table)
    return [(r["_row_number"], r["outcome"], r["code"]) for r in table.to_pylist()]


def test_every_value_comes_into_the_table_with_where_it_comes_from(world: World) -> None:
    dataset = things()
    world.install(dataset)
    empty = dict.fromkeys(("place", "name", "amount", "day", "seen_at", "active", "stock", "extra"))
    made = world.make(dataset, [thing("á' %s", "Ana"), thing("b") | empty])
    published = world.load(made)
    assert published.state == "completed"
    assert published.counts == Counts(2, 2, 0, 0, 0, 0)
    upload = made.opened.upload_id
    assert world.query(
        "SELECT code, place, name, amount, day, seen_at, active, stock, extra, _workspace, _upload_id,"
        " _row_number, _source_time FROM things ORDER BY code COLLATE \"C\""
    ) == [
        ("b", *(None,) * 8, "acme", upload, 3, NOON),
        ("á' %s", "here", "Ana", Decimal("12.50"), date(2026, 2, 1), datetime(2026, 2, 1, 10, 30, tzinfo=UTC),
         True, 7, {"a": "x", "b": 1}, "acme", upload, 2, NOON),
    ]  # fmt: skip
    assert world.query(
        "SELECT count(*) FROM things WHERE _loaded_at <= now() AND _row_hash ="
        " hash_record_extended(ROW(code, place, name, amount, day, seen_at, active, stock, extra), 0)"
    ) == [(2,)]


def test_the_ledger_has_the_counts_of_the_publish_transaction(world: World) -> None:
    dataset = things()
    world.install(dataset)
    world.load(world.make(dataset, [thing("old")]))
    made = world.make(dataset, [thing("a"), thing("old"), thing("a"), thing("b")], rejected=3)
    published = world.load(made)
    assert published.counts == Counts(read=7, inserted=2, updated=0, unchanged=0, duplicate=2, rejected=3)
    assert published.duplicates == {"repeated_in_file": 1, "already_in_table": 1}
    assert world.query(
        "SELECT state, read, inserted, updated, unchanged, duplicate, rejected, published_at"
        " FROM imports.uploads WHERE upload_id = %s",
        made.opened.upload_id,
    ) == [("completed_with_rejects", 7, 2, 0, 0, 2, 3, published.published_at)]
    with connect(world.url) as conn:
        assert count_in_table(conn, dataset, made.opened.upload_id) == 2


def test_a_dataset_that_skips_keeps_what_the_table_has(world: World) -> None:
    dataset = things(existing="skip")
    world.install(dataset)
    world.load(world.make(dataset, [thing("a", "first")]))
    rows = [thing("a", "again"), thing("b", "one"), thing("b", "two"), thing("a", "third")]
    published = world.load(world.make(dataset, rows, at=NOON + timedelta(days=1)))
    assert world.query(NAMES) == [("a", "first"), ("b", "one")]
    assert outcomes(world, published) == [
        (2, "duplicate", "already_in_table"),
        (4, "duplicate", "repeated_in_file"),
        (5, "duplicate", "repeated_in_file"),
    ]


def test_a_dataset_that_rejects_rejects_every_row_whose_key_is_in_the_table(world: World) -> None:
    dataset = things(existing="reject")
    world.install(dataset)
    world.load(world.make(dataset, [thing("a", "first")]))
    rows = [thing("a", "again"), thing("a", "third"), thing("b", "one"), thing("b", "two")]
    published = world.load(world.make(dataset, rows))
    assert world.query(NAMES) == [("a", "first"), ("b", "one")]
    assert published.state == "completed_with_rejects"
    assert published.counts == Counts(4, 1, 0, 0, 1, 2)
    assert outcomes(world, published) == [
        (2, "rejected", "already_in_table"),
        (3, "rejected", "already_in_table"),
        (5, "duplicate", "repeated_in_file"),
    ]


def test_a_dataset_that_updates_overwrites_what_differs_and_leaves_what_does_not(world: World) -> None:
    dataset = things(existing="update", winner="last")
    world.install(dataset)
    first = world.make(dataset, [thing("a", "old"), thing("b", "same"), thing("c", extra='{"x": 1}')])
    world.load(first)
    rows = [thing("b", "same", extra='{"a": "x",  "b": 1.0}'), thing("a", "middle"), thing("a", "new"),
            thing("c", extra='{"x": 2}'), thing("d")]  # fmt: skip
    second = world.make(dataset, rows, at=NOON + timedelta(seconds=1))
    published = world.load(second)
    assert published.counts == Counts(read=5, inserted=1, updated=2, unchanged=1, duplicate=1, rejected=0)
    assert outcomes(world, published) == [(2, "unchanged", None), (3, "duplicate", "repeated_in_file")]
    source = {first.opened.upload_id: 1, second.opened.upload_id: 2}
    rows_now = world.query("SELECT code, name, extra ->> 'x', _upload_id, _row_number FROM things ORDER BY 1")
    assert [(*row[:3], source[row[3]], row[4]) for row in rows_now] == [
        ("a", "new", None, 2, 4),
        ("b", "same", None, 1, 3),
        ("c", None, "2", 2, 5),
        ("d", None, None, 2, 6),
    ]
    assert world.query(
        "SELECT count(*) FROM things WHERE _row_hash ="
        " hash_record_extended(ROW(code, place, name, amount, day, seen_at, active, stock, extra), 0)"
    ) == [(4,)]


@pytest.mark.parametrize("column", ["place", "name", "amount", "day", "seen_at", "active", "stock", "extra"])
def test_a_value_that_comes_or_goes_makes_a_row_differ(world: World, column: str) -> None:
    dataset = things(existing="update")
    world.install(dataset)
    full, without = thing("a", "Ana"), thing("a", "Ana") | {column: None}
    world.load(world.make(dataset, [full]))
    for day, row in enumerate((without, full), 1):
        published = world.load(world.make(dataset, [row], at=NOON + timedelta(days=day)))
        assert published.counts == Counts(1, 0, 1, 0, 0, 0)


def test_an_older_file_after_a_newer_one_changes_nothing(world: World) -> None:
    dataset = things(existing="update")
    world.install(dataset)
    world.load(world.make(dataset, [thing("a", "newer")], at=NOON))
    published = world.load(
        world.make(dataset, [thing("a", "older"), thing("b")], at=NOON - timedelta(days=1))
    )
    assert world.query(NAMES) == [("a", "newer"), ("b", None)]
    assert published.duplicates == {"newer_in_table": 1}
    assert outcomes(world, published) == [(2, "duplicate", "newer_in_table")]


def test_in_the_same_second_the_greater_identity_wins_whoever_comes_first(world: World) -> None:
    dataset = things(existing="update")
    world.install(dataset)
    uploads = [world.make(dataset, [thing("a", n), thing("b", n)], name=n) for n in ("one", "two")]
    small, great = sorted(uploads, key=lambda made: made.opened.identity)
    world.load(great)
    assert world.load(small).duplicates == {"newer_in_table": 2}
    assert {name for _, name in world.query(NAMES)} == {great.opened.file_name}


def test_a_row_that_an_application_wrote_is_the_oldest(world: World) -> None:
    dataset = things(existing="update")
    world.install(dataset)
    world.query("INSERT INTO things (_workspace, code, name) VALUES ('acme', 'a', 'by hand')")
    published = world.load(world.make(dataset, [thing("a", "file")], at=NOON - timedelta(days=9000)))
    assert published.counts.updated == 1
    assert world.query(NAMES) == [("a", "file")]


def test_two_workspaces_with_the_same_keys_both_get_all_rows(world: World) -> None:
    dataset = things()
    world.install(dataset)
    for workspace in ("acme", "beta"):
        published = world.load(world.make(dataset, [thing("a"), thing("b")], workspace=workspace))
        assert published.counts.inserted == 2
    assert world.query("SELECT _workspace, count(*) FROM things GROUP BY 1 ORDER BY 1") == [
        ("acme", 2),
        ("beta", 2),
    ]


@pytest.mark.parametrize("existing", ["skip", "update", "reject"])
def test_all_columns_of_a_key_together_identify_a_row(world: World, existing: str) -> None:
    dataset = Dataset("seats", Seats, key=("number", "row"), existing=existing, unknown_columns="ignore")
    world.install(dataset)
    rows = [{"row": "A", "number": 1}, {"row": "A", "number": 2}, {"row": "B", "number": 1}]
    assert world.load(world.make(dataset, rows)).counts.inserted == 3
    again = [{"row": "B", "number": 2, "name": "x"}, {"row": "A", "number": 2, "name": "x"}]
    published = world.load(world.make(dataset, again, at=NOON + timedelta(days=1)))
    assert published.counts.inserted == 1
    assert world.query("SELECT count(*) FROM seats") == [(4,)]


def test_a_dataset_without_a_key_appends_once_and_only_once(world: World) -> None:
    dataset = things(key=())
    world.install(dataset)
    made = world.make(dataset, [thing("a"), thing("a"), thing("b")])
    staged = world.stage(made)
    first = world.publish(made, staged)
    assert first.counts == Counts(3, 3, 0, 0, 0, 0)
    assert replace(world.publish(made, staged), seconds=0) == replace(first, seconds=0)
    assert world.query("SELECT count(*) FROM things") == [(3,)]


def test_publishing_again_tells_what_was_done_and_changes_nothing(world: World) -> None:
    dataset = things(existing="update")
    world.install(dataset)
    made = world.make(dataset, [thing("a", "file"), thing("a"), thing("b")], rejected=1)
    staged = world.stage(made)
    first = world.publish(made, staged)
    world.query("UPDATE things SET name = 'by hand'")
    again = world.publish(made, staged)
    assert replace(again, seconds=0) == replace(first, seconds=0)
    assert {name for _, name in world.query(NAMES)} == {"by hand"}
    later = world.publish(world.take_over(made), staged)
    assert replace(later, seconds=0) == replace(first, seconds=0)


@pytest.mark.parametrize("existing", ["skip", "update", "reject"])
def test_a_dry_run_counts_as_the_import_would_and_writes_nothing(world: World, existing: str) -> None:
    dataset = things(existing=existing)
    world.install(dataset)
    world.load(world.make(dataset, [thing("a", "old"), thing("b")]))
    before = world.query("SELECT * FROM things ORDER BY code")
    rows = [thing("a", "new"), thing("b"), thing("c"), thing("c"), thing("d")]
    tomorrow = NOON + timedelta(days=1)
    tried = world.make(dataset, rows, at=tomorrow, rejected=2, options=SenderOptions(dry_run=True))
    checked = world.load(tried)
    assert (checked.state, world.state(tried)) == ("checked", "checked")
    assert world.query("SELECT * FROM things ORDER BY code") == before
    verdicts = outcomes(world, checked)
    stated_by_the_run = world.load(world.make(dataset, rows, at=tomorrow, rejected=2), dry_run=True)
    assert stated_by_the_run.counts == checked.counts
    real = world.load(world.make(dataset, rows, at=tomorrow, rejected=2))
    assert (checked.counts, checked.duplicates) == (real.counts, real.duplicates)
    assert verdicts == outcomes(world, real)


def test_after_a_dry_run_the_upload_can_be_launched_and_is_imported(world: World) -> None:
    dataset = things()
    world.install(dataset)
    made = world.make(dataset, [thing("a"), thing("a")])
    assert world.load(made, dry_run=True).state == "checked"
    assert world.load(world.take_over(made)).state == "completed"
    assert world.query("SELECT count(*) FROM things") == [(1,)]


def test_the_same_bytes_again_are_a_duplicate_file_that_points_at_the_first(world: World) -> None:
    dataset = things()
    world.install(dataset)
    first = world.make(dataset, [thing("a")], sha256="same")
    world.load(first)
    world.query("DELETE FROM things")
    second = world.make(dataset, [thing("a")], sha256="same", name="other.csv")
    published = world.load(second)
    assert (published.state, published.duplicate_of) == ("duplicate_file", first.opened.upload_id)
    assert world.query("SELECT count(*) FROM things") == [(0,)]
    forced = world.make(dataset, [thing("a")], sha256="same", options=SenderOptions(force=True))
    assert world.load(forced).counts.inserted == 1


@pytest.mark.parametrize("declared", ["skip", "update", "reject"])
@pytest.mark.parametrize(
    ("stated", "name", "outcome"),
    [("skip", "old", "duplicate"), ("update", "new", "updated"), ("reject", "old", "rejected")],
)
def test_what_the_sender_says_of_existing_keys_wins_over_the_dataset(
    world: World, declared: str, stated: Existing, name: str, outcome: str
) -> None:
    dataset = things(existing=declared)
    world.install(dataset)
    world.load(world.make(dataset, [thing("a", "old")]))
    options = SenderOptions(on_existing=stated)
    made = world.make(dataset, [thing("a", "new")], at=NOON + timedelta(days=1), options=options)
    dry = world.load(made, dry_run=True)
    published = world.load(world.take_over(made))
    assert getattr(published.counts, outcome) == 1
    assert dry.counts == published.counts
    assert world.query(NAMES) == [("a", name)]


def test_a_datasets_default_for_existing_keys_holds_where_the_sender_says_nothing(world: World) -> None:
    dataset = things(existing="skip", defaults=SenderOptions(on_existing="reject"))
    world.install(dataset)
    world.load(world.make(dataset, [thing("a")]))
    assert world.load(world.make(dataset, [thing("a")])).counts.rejected == 1


def test_the_same_bytes_under_another_option_are_no_duplicate_file(world: World) -> None:
    dataset = things(existing="skip")
    world.install(dataset)
    world.load(world.make(dataset, [thing("a", "old")], sha256="same"))
    updating = SenderOptions(on_existing="update")
    later = NOON + timedelta(days=1)
    again = world.make(dataset, [thing("a", "new")], sha256="same", options=updating, at=later)
    assert world.load(again).counts.updated == 1
    third = world.make(dataset, [thing("a", "new")], sha256="same", options=updating, at=later)
    assert world.load(third).duplicate_of == again.opened.upload_id
    world.load(world.make(dataset, [thing("b")], at=later))
    fourth = world.make(dataset, [thing("a", "new")], sha256="same", options=updating, at=later)
    assert world.load(fourth).state == "completed", "something else was published since, and may be undone"


def test_an_upload_of_before_an_option_existed_is_still_found_as_the_first(world: World) -> None:
    dataset = things()
    world.install(dataset)
    first = world.make(dataset, [thing("a")], sha256="same")
    world.load(first)
    world.query("UPDATE imports.uploads SET options = options - 'header_row' - 'sheet' - 'on_existing'")
    again = world.load(world.make(dataset, [thing("a")], sha256="same"))
    assert again.duplicate_of == first.opened.upload_id


def test_a_trigger_that_drops_a_row_fails_the_publish_and_leaves_the_table_as_it_was(world: World) -> None:
    dataset = things()
    world.install(dataset)
    world.load(world.make(dataset, [thing("kept")]))
    _swallow(world, "INSERT", "NEW.code = 'b'")
    made = world.make(dataset, [thing("a"), thing("b"), thing("c")])
    with pytest.raises(CountsDoNotBalance) as caught:
        world.load(made)
    assert (caught.value.fields["read"], caught.value.fields["inserted"]) == (3, 2)
    _untouched(world, made, [("kept", None)])


def test_a_trigger_that_drops_an_update_fails_the_publish(world: World) -> None:
    dataset = things(existing="update")
    world.install(dataset)
    world.load(world.make(dataset, [thing("a", "old"), thing("b", "old")]))
    _swallow(world, "UPDATE", "NEW.code = 'b'")
    made = world.make(dataset, [thing("a", "new"), thing("b", "new")], at=NOON + timedelta(days=1))
    with pytest.raises(CountsDoNotBalance, match="trigger"):
        world.load(made)
    _untouched(world, made, [("a", "old"), ("b", "old")])


def test_a_trigger_that_gives_a_row_to_another_upload_fails_the_publish(world: World) -> None:
    """Inserted, updated and the rest add up here: only the count in the table sees it."""
    dataset = things()
    world.install(dataset)
    world.as_owner(
        "CREATE FUNCTION steal() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW._upload_id := 'acme/other'; RETURN NEW; END $$;"
        "CREATE TRIGGER steal BEFORE INSERT ON things FOR EACH ROW WHEN (NEW.code = 'b')"
        " EXECUTE FUNCTION steal()"
    )
    made = world.make(dataset, [thing("a"), thing("b")])
    with pytest.raises(CountsDoNotBalance, match="has 1 rows"):
        world.load(made)
    _untouched(world, made, [])


def test_a_reader_that_loses_a_row_fails_the_publish(world: World) -> None:
    dataset = things()
    world.install(dataset)
    made = world.make(dataset, [thing("a"), thing("b")])
    made = replace(made, split=replace(made.split, read=3))
    with pytest.raises(CountsDoNotBalance):
        world.load(made)
    _untouched(world, made, [])


def test_a_batch_that_did_not_arrive_stops_the_publish(world: World) -> None:
    dataset = things()
    world.install(dataset)
    made = world.make(dataset, [thing(c) for c in "abcdef"], batches=3)
    staged = world.stage(made)
    with pytest.raises(BatchesMissing, match=r"missing: \[2\]"):
        world.publish(made, [staged[0], staged[2]])
    with pytest.raises(BatchesMissing):
        world.publish(replace(made, checked=made.checked[:2]), staged)
    _untouched(world, made, [])


def test_a_constraint_of_the_table_that_refuses_a_row_is_named_without_the_rows_values(world: World) -> None:
    dataset = things()
    world.install(dataset)
    world.as_owner("ALTER TABLE things ADD CONSTRAINT no_b CHECK (code <> 'secret')")
    made = world.make(dataset, [thing("a"), thing("secret")])
    with pytest.raises(TableDoesNotFit, match="no_b") as caught:
        world.load(made)
    assert "secret" not in str(caught.value)
    _untouched(world, made, [])


def test_a_file_without_rows_is_published_with_zero_rows(world: World) -> None:
    dataset = things()
    world.install(dataset)
    made = world.make(dataset, [], batches=0)
    published = world.load(made)
    assert (published.state, published.counts) == ("completed", Counts(0, 0, 0, 0, 0, 0))
    assert outcomes(world, published) == []


def test_too_many_rejects_refuse_the_file_from_twenty_rows_on(world: World) -> None:
    dataset = things(maximum_reject_share=0.5)
    world.install(dataset)
    check_reject_share(dataset, 19, 19)
    check_reject_share(dataset, 20, 10)
    with pytest.raises(TooManyRejects, match="11 of 20"):
        check_reject_share(dataset, 20, 11)
    made = world.make(dataset, [thing("a")], rejected=19)
    with pytest.raises(TooManyRejects):
        world.load(made)
    _untouched(world, made, [])


def test_a_duplicate_whose_first_import_was_undone_is_not_published_empty(world: World) -> None:
    dataset = things()
    world.install(dataset)
    made = world.make(dataset, [], batches=0)
    made = replace(made, opened=replace(made.opened, duplicate_of="acme/gone@000000000000"))
    with pytest.raises(Exception, match="Launch the import again"):
        world.load(made)
    assert world.state(made) == "running"


def _swallow(world: World, event: str, condition: str) -> None:
    world.as_owner(
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
        f"CREATE TRIGGER swallow BEFORE {event} ON things FOR EACH ROW WHEN ({condition})"
        " EXECUTE FUNCTION swallow()"
    )


def _untouched(world: World, made: MadeUpload, rows: list[tuple[str, str | None]]) -> None:
    assert world.query(NAMES) == rows
    with connect(world.url) as conn:
        row = ledger.get_upload(conn, made.opened.upload_id)
    assert row is not None
    assert (row.state, row.inserted, row.published_at) == ("running", None, None)
    assert world.query(
        "SELECT count(*) FROM pg_tables WHERE tablename LIKE %s", f"u_{row.short_id}_outcomes"
    ) == [(0,)]
