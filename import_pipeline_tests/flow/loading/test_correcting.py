"""Corrections in the publish transaction: each reject is put right once, the first upload stays as it was."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from import_pipeline.catalog.dataset import Dataset, Existing, SenderOptions
from import_pipeline.errors import CorrectedMeanwhile
from import_pipeline.flow.batches.corrections import TARGETS_SCHEMA
from import_pipeline.flow.loading.outcomes import read_outcomes
from import_pipeline.ledger.claims import lock_owned
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.outcomes import requeue
from import_pipeline.ledger.queries import summary
from import_pipeline.ledger.rejects import first_uploads
from import_pipeline.ledger.uploads import lock_table_of
from import_pipeline.records import Counts, PublishedUpload
from import_pipeline_tests.flow.loading.test_overlaps import while_blocked
from import_pipeline_tests.flow.loading.world import NOON, MadeUpload, World, at_once, thing, things

LATER = NOON + timedelta(days=3)


def a_first(world: World, dataset: Dataset, valid: Sequence[dict[str, Any]] = (), rejected: int = 3) -> str:
    """A published upload whose rejects are the rows after the valid ones; its id."""
    made = world.make(dataset, valid, rejected=rejected, name="first.csv")
    world.load(made)
    return made.opened.upload_id


def a_correction(
    world: World, dataset: Dataset, of: str, rows: dict[int, dict[str, Any]], rejected: int = 0, **more: Any
) -> MadeUpload:
    """A file whose rows put rows of another upload right, by the row number there."""
    corrects = {number: (of, target) for number, target in enumerate(rows, 2)}
    kept = {"at": LATER, "name": "rejected.csv"} | more
    return world.make(dataset, list(rows.values()), rejected=rejected, corrects=corrects, **kept)


def rejects(world: World, upload: str) -> list[tuple[int, str | None]]:
    return world.query(
        "SELECT row_number, corrected_by FROM imports.rejects WHERE upload_id = %s ORDER BY 1", upload
    )


def told(world: World, published: PublishedUpload) -> list[tuple[int, str, str | None]]:
    with connect(world.url) as conn:
        rows = read_outcomes(conn, published.outcomes_table).to_pylist()
    return [(r["_row_number"], r["outcome"], r["code"]) for r in rows]


def counts(world: World, upload: str) -> tuple[int, ...]:
    [row] = world.query(
        "SELECT read, inserted, updated, unchanged, duplicate, rejected, corrected_rows"
        " FROM imports.uploads WHERE upload_id = %s",
        upload,
    )
    return row


def test_publishing_lists_every_reject_those_that_met_the_table_too(world: World) -> None:
    dataset = things(existing="reject")
    world.install(dataset)
    world.load(world.make(dataset, [thing("old")]))
    upload = a_first(world, dataset, [thing("a"), thing("old"), thing("b")], rejected=2)
    assert rejects(world, upload) == [(3, None), (5, None), (6, None)]


def test_a_dry_run_lists_no_reject(world: World) -> None:
    dataset = things()
    world.install(dataset)
    made = world.make(dataset, [thing("a")], rejected=2)
    world.load(made, dry_run=True)
    assert rejects(world, made.opened.upload_id) == []


def test_a_correction_loads_its_rows_under_the_place_and_time_of_the_first_upload(world: World) -> None:
    dataset = things()
    world.install(dataset)
    first = a_first(world, dataset, [thing("a")])
    made = a_correction(world, dataset, first, {5: thing("e"), 3: thing("c")})
    published = world.load(made)
    assert published.counts == Counts(2, 2, 0, 0, 0, 0)
    correction = made.opened.upload_id
    assert world.query("SELECT code, _upload_id, _row_number, _source_time FROM things ORDER BY 1") == [
        ("a", first, 2, NOON),
        ("c", correction, 3, NOON),
        ("e", correction, 5, NOON),
    ]
    assert rejects(world, first) == [(3, correction), (4, None), (5, correction)]
    assert rejects(world, correction) == []
    assert counts(world, first) == (4, 1, 0, 0, 0, 3, 2)
    with connect(world.url) as conn:
        seen = summary(conn, first)
    assert seen is not None
    assert (seen.rejected, seen.corrected_rows) == (3, 2)


def test_rows_that_are_valid_count_as_corrected_whatever_becomes_of_them(world: World) -> None:
    dataset = things(existing="skip")
    world.install(dataset)
    first = a_first(world, dataset, [thing("a")], rejected=4)
    rows = {3: thing("a"), 4: thing("b", "one"), 5: thing("b", "two")}
    made = a_correction(world, dataset, first, rows, rejected=1)
    published = world.load(made)
    assert published.counts == Counts(read=4, inserted=1, updated=0, unchanged=0, duplicate=2, rejected=1)
    assert [by is not None for _, by in rejects(world, first)] == [True, True, True, False]


def test_a_row_that_meets_its_key_where_that_is_rejected_is_not_corrected_yet(world: World) -> None:
    dataset = things(existing="reject")
    world.install(dataset)
    first = a_first(world, dataset, [thing("a")])
    one = world.load(a_correction(world, dataset, first, {3: thing("a"), 4: thing("b")}))
    assert one.counts == Counts(2, 1, 0, 0, 0, 1)
    assert [by is not None for _, by in rejects(world, first)] == [False, True, False]
    two = world.load(a_correction(world, dataset, first, {3: thing("c")}))
    assert two.counts.inserted == 1
    assert counts(world, first) == (4, 1, 0, 0, 0, 3, 2)


def test_an_update_compares_with_the_time_of_the_first_upload(world: World) -> None:
    """With its own time a late correction would overwrite what a newer file brought meanwhile."""
    dataset = things(existing="update")
    world.install(dataset)
    first = a_first(world, dataset, [thing("own", "old")], rejected=4)
    world.load(world.make(dataset, [thing("older", "x")], at=NOON - timedelta(hours=1)))
    world.load(world.make(dataset, [thing("newer", "x")], at=NOON + timedelta(hours=1)))
    rows = {3: thing("older", "y"), 4: thing("newer", "y"), 5: thing("own", "new"), 6: thing("fresh")}
    published = world.load(a_correction(world, dataset, first, rows))
    assert told(world, published) == [(3, "duplicate", "newer_in_table")]
    assert published.counts == Counts(read=4, inserted=1, updated=2, unchanged=0, duplicate=1, rejected=0)
    assert world.query("SELECT code, name, _row_number, _source_time FROM things ORDER BY 1") == [
        ("fresh", None, 6, NOON),
        ("newer", "x", 2, NOON + timedelta(hours=1)),
        ("older", "y", 3, NOON),
        ("own", "new", 5, NOON),
    ]


def test_rejects_of_several_uploads_are_corrected_in_one_file(world: World) -> None:
    dataset = things()
    world.install(dataset)
    one, two = (a_first(world, dataset, [thing(c)], rejected=1) for c in "ab")
    rows = [thing("c"), thing("d")]
    made = world.make(dataset, rows, corrects={2: (one, 3), 3: (two, 3)}, at=LATER)
    assert world.load(made).counts.inserted == 2
    assert counts(world, one)[-1] == counts(world, two)[-1] == 1


@pytest.mark.parametrize("existing", ["skip", "update", "reject"])
def test_of_two_corrections_at_once_one_wins_each_row(world: World, existing: Existing) -> None:
    dataset = things(existing=existing)
    world.install(dataset)
    first = a_first(world, dataset, rejected=18)
    made = [
        a_correction(world, dataset, first, {n: thing(f"{name}{n}") for n in rows})
        for name, rows in (("a", range(2, 16)), ("b", range(6, 20)))
    ]
    staged = [world.stage(one) for one in made]
    done = at_once(*(lambda m=m, s=s: world.publish(m, s) for m, s in zip(made, staged, strict=True)))
    assert sorted((d.counts.inserted, d.counts.rejected) for d in done) == [(4, 10), (14, 0)]
    late = next(d for d in done if d.counts.rejected)
    assert {row[1:] for row in told(world, late)} == {("rejected", "not_a_reject")}
    assert world.query("SELECT count(*), count(DISTINCT _row_number) FROM things") == [(18, 18)]
    assert counts(world, first)[-1] == 18
    assert all(by is not None for _, by in rejects(world, first))


def test_a_late_row_that_had_won_over_another_of_its_file_stops_the_publish(world: World) -> None:
    dataset = things()
    world.install(dataset)
    first = a_first(world, dataset, rejected=2)
    made = a_correction(world, dataset, first, {2: thing("x", "one"), 3: thing("x", "two")})
    staged = world.stage(made)
    world.load(a_correction(world, dataset, first, {2: thing("y")}))
    with pytest.raises(CorrectedMeanwhile, match="Launch the import again"):
        world.publish(made, staged)
    assert world.state(made) == "running"
    assert rejects(world, first)[1] == (3, None)


def test_a_correction_waits_for_the_first_upload_before_it_takes_the_publish_lock(
    world: World, as_owner: Callable[[str], str]
) -> None:
    """Whoever holds an upload's row may want the publish lock next: the other order would be a deadlock."""
    dataset = things()
    world.install(dataset)
    first = a_first(world, dataset)
    made = a_correction(world, dataset, first, {2: thing("x")})
    staged = world.stage(made)
    with connect(world.url) as holder:
        lock_owned(holder, first, None)

        def take_the_publish_lock() -> None:
            holder.execute("SET LOCAL lock_timeout = '5s'")
            lock_table_of(holder, "acme", "things")
            holder.commit()

        published = while_blocked(world, as_owner, lambda: world.publish(made, staged), take_the_publish_lock)
    assert published.counts.inserted == 1


def test_what_was_undone_meanwhile_cannot_be_corrected(world: World) -> None:
    dataset = things()
    world.install(dataset)
    first = a_first(world, dataset)
    made = a_correction(world, dataset, first, {2: thing("x")})
    staged = world.stage(made)
    world.query("UPDATE imports.uploads SET state = 'undone' WHERE upload_id = %s", first)
    published = world.publish(made, staged)
    assert (published.counts.inserted, published.counts.rejected) == (0, 1)
    assert told(world, published) == [(2, "rejected", "not_a_reject")]


@pytest.mark.parametrize("existing", ["skip", "update", "reject"])
def test_a_dry_run_gives_the_numbers_that_publishing_gives(world: World, existing: Existing) -> None:
    dataset = things(existing=existing)
    world.install(dataset)
    first = a_first(world, dataset, [thing("a", "old"), thing("b", "old")], rejected=6)
    rows = {4: thing("a", "new"), 5: thing("b", "old"), 6: thing("c"), 7: thing("c"), 8: thing("d")}
    made = a_correction(world, dataset, first, rows, rejected=1)
    world.load(a_correction(world, dataset, first, {8: thing("z")}))
    before = rejects(world, first), counts(world, first)
    dry = world.load(made, dry_run=True)
    assert (dry.state, rejects(world, first), counts(world, first)) == ("checked", *before)
    verdicts = told(world, dry)
    real = world.load(world.take_over(made))
    assert (dry.counts, dry.duplicates) == (real.counts, real.duplicates)
    assert verdicts == told(world, real)
    assert dry.counts.rejected == 2 + (2 if existing == "reject" else 0)


def test_a_correction_is_not_refused_for_the_share_of_its_rejects(world: World) -> None:
    """Whoever mends ten of a hundred rows and sends the file back would get none of them in."""
    dataset = things(maximum_reject_share=0.1)
    world.install(dataset)
    first = a_first(world, dataset, [thing(f"v{n}") for n in range(300)], rejected=30)
    made = a_correction(world, dataset, first, {302: thing("x")}, rejected=29)
    assert world.load(made).counts == Counts(30, 1, 0, 0, 0, 29)


def test_a_row_that_lost_its_place_can_be_corrected_in_the_file_it_came_back_from(world: World) -> None:
    dataset = things()
    world.install(dataset)
    first = a_first(world, dataset, rejected=1)
    made = world.make(dataset, [], rejected=2, at=LATER, corrects={})
    key = f"{made.split.targets}0001.parquet"
    world.store.put_table(key, pa.table([[3], [None], [None]], schema=TARGETS_SCHEMA))
    world.load(made)
    assert rejects(world, made.opened.upload_id) == [(3, None)]
    assert rejects(world, first) == [(2, None)]


def test_beginning_anew_forgets_the_rejects(world: World) -> None:
    dataset = things()
    world.install(dataset)
    made = world.make(dataset, [thing("a")], rejected=2)
    world.load(made)
    world.query("UPDATE imports.uploads SET state = 'undone' WHERE upload_id = %s", made.opened.upload_id)
    with connect(world.url) as conn:
        assert requeue(conn, [made.opened.upload_id])
    world.query("DELETE FROM things")
    again = world.take_over(made)
    assert rejects(world, made.opened.upload_id) == []
    world.load(again)
    assert rejects(world, made.opened.upload_id) == [(3, None), (4, None)]


def test_the_same_correction_again_is_a_duplicate_file_until_more_is_published(
    world: World,
) -> None:
    dataset = things()
    world.install(dataset)
    first = a_first(world, dataset)

    def again() -> PublishedUpload:
        made = a_correction(world, dataset, first, {2: thing("x")}, sha256="same")
        ours = replace(made.opened.file, ours=True)
        return world.load(replace(made, opened=replace(made.opened, file=ours)))

    one = again()
    assert one.counts.inserted == 1
    assert again().state == "duplicate_file"
    world.load(world.make(dataset, [thing("y")], at=datetime(2026, 5, 1, tzinfo=UTC)))
    assert again().counts == Counts(1, 0, 0, 0, 0, 1)


def test_only_published_uploads_of_the_same_workspace_and_dataset_can_be_corrected(world: World) -> None:
    dataset = things()
    world.install(dataset)
    first = a_first(world, dataset, [thing("a")], rejected=3)
    checked = world.make(dataset, [], rejected=1)
    world.load(checked, dry_run=True)
    world.load(a_correction(world, dataset, first, {4: thing("x")}))
    names = [first, checked.opened.upload_id, "acme/nothing@000000000000"]

    def found(workspace: str, kind: str) -> list[tuple[str, list[int]]]:
        with connect(world.url) as conn:
            rows = first_uploads(conn, names, workspace=workspace, dataset=kind, correction="acme/new")
        return [(one.upload_id, one.open_rows.tolist()) for one in rows]

    assert found("acme", "things") == [(first, [3, 5])]
    assert found("other", "things") == []
    assert found("acme", "seats") == []


def test_an_option_of_the_sender_holds_for_a_correction(world: World) -> None:
    dataset = things(existing="skip")
    world.install(dataset)
    first = a_first(world, dataset, [thing("a", "old")])
    options = SenderOptions(on_existing="update")
    made = a_correction(world, dataset, first, {3: thing("a", "new")}, options=options)
    assert world.load(made).counts.updated == 1
