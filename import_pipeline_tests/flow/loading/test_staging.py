"""Staging: a batch may be tried twice, lost or overtaken, and each row still counts once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from psycopg import sql

from import_pipeline.errors import (
    CountsDoNotBalance,
    DatabaseUnavailable,
    ImportFailed,
    Superseded,
)
from import_pipeline.flow.loading import publishing
from import_pipeline.flow.loading.staging import create_staging_table, drop_staging, stage_batch
from import_pipeline.ledger.connection import connect
from import_pipeline_tests.flow.loading.world import NOON, MadeUpload, World, thing, things


@pytest.fixture
def made(world: World) -> MadeUpload:
    """Six rows in three batches, not staged yet."""
    dataset = things()
    world.install(dataset)
    return world.make(dataset, [thing(c) for c in "abcdef"], batches=3)


def staging_tables(world: World) -> list[str]:
    return [name for (name,) in world.query("SELECT tablename FROM pg_tables WHERE schemaname = 'staging'")]


def staged_rows(world: World, made: MadeUpload) -> int:
    name = f"u_{made.opened.short_id}_{made.opened.attempt[:8].replace('-', '_')}"
    with psycopg.connect(world.url) as conn:
        row = conn.execute(
            sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("staging", name))
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_the_staging_table_is_made_once_and_costs_no_log(world: World, made: MadeUpload) -> None:
    with connect(world.url) as conn:
        name = create_staging_table(conn, made.opened, made.dataset)
        assert create_staging_table(conn, made.opened, made.dataset) == name
    assert world.query("SELECT relpersistence FROM pg_class WHERE oid = to_regclass(%s)", name) == [("u",)]


def test_rows_and_their_record_come_together(world: World, made: MadeUpload) -> None:
    staged = world.stage(made)
    recorded = world.query(
        "SELECT batch, load_id, rows, state FROM imports.batches WHERE upload_id = %s ORDER BY batch",
        made.opened.upload_id,
    )
    assert recorded == [(s.number, s.load_id, 2, "staged") for s in staged]
    assert staged_rows(world, made) == 6


def test_of_two_tries_of_a_batch_the_last_record_counts(world: World, made: MadeUpload) -> None:
    staged = world.stage(made)
    orphan = stage_batch(world.url, made.checked[1], made.opened, made.dataset, store=world.store)
    assert orphan.load_id != staged[1].load_id
    assert staged_rows(world, made) == 8
    assert world.publish(made, staged).counts.inserted == 6


def test_rows_that_postgresql_lost_are_staged_again(
    world: World, made: MadeUpload, as_superuser: Callable[[str], str]
) -> None:
    """As after a crash of PostgreSQL, which empties unlogged tables and keeps the ledger."""
    staged = world.stage(made)
    name = next(n for n in staging_tables(world) if made.opened.short_id in n)
    with psycopg.connect(as_superuser(world.url)) as conn:
        conn.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier("staging", name)))
    assert staged_rows(world, made) == 0
    assert world.publish(made, staged).counts.inserted == 6


def test_a_staging_table_that_was_dropped_is_made_and_filled_again(world: World, made: MadeUpload) -> None:
    staged = world.stage(made)
    with connect(world.url) as conn:
        drop_staging(conn, made.opened)
    again = stage_batch(world.url, made.checked[0], made.opened, made.dataset, store=world.store)
    assert staged_rows(world, made) == again.rows == 2
    assert world.publish(made, staged).counts.inserted == 6


def test_one_row_missing_in_staging_is_noticed(world: World, made: MadeUpload) -> None:
    staged = world.stage(made)
    name = next(n for n in staging_tables(world) if made.opened.short_id in n)
    with psycopg.connect(world.url) as conn:
        conn.execute(sql.SQL("DELETE FROM {} WHERE code = 'c'").format(sql.Identifier("staging", name)))
    assert world.publish(made, staged).counts.inserted == 6


def test_staged_rows_that_vanish_again_and_again_are_trouble_around_us(
    world: World, made: MadeUpload, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = world.stage(made)
    with connect(world.url) as conn:
        drop_staging(conn, made.opened)
    monkeypatch.setattr(publishing, "stage_batch", lambda *_, **__: None)
    with pytest.raises(DatabaseUnavailable, match="lost"):
        world.publish(made, staged)
    assert world.query("SELECT count(*) FROM things") == [(0,)]


def test_clean_rows_that_are_not_as_many_as_checked_are_not_staged(world: World, made: MadeUpload) -> None:
    batch = made.checked[0]
    world.store.put_table(batch.clean_key, world.store.get_table(batch.clean_key).slice(1))
    with pytest.raises(CountsDoNotBalance, match="Batch 1"):
        stage_batch(world.url, batch, made.opened, made.dataset, store=world.store)


def test_a_value_that_postgresql_cannot_hold_fails_the_batch_without_being_quoted(world: World) -> None:
    dataset = things()
    world.install(dataset)
    made = world.make(dataset, [thing("sec\0ret")], batches=1)
    with pytest.raises(ImportFailed, match="batch 1") as caught:
        world.stage(made)
    assert "sec" not in str(caught.value)
    assert world.query("SELECT count(*) FROM imports.batches") == [(0,)]


def test_a_superseded_run_writes_nothing_anywhere(world: World, made: MadeUpload) -> None:
    staged = world.stage(made)
    newer = world.take_over(made)
    steps: list[Callable[[], object]] = [
        lambda: stage_batch(world.url, made.checked[0], made.opened, made.dataset, store=world.store),
        lambda: world.publish(made, staged),
        lambda: world.publish(made, staged, dry_run=True),
        lambda: _with(world, lambda conn: create_staging_table(conn, made.opened, made.dataset)),
        lambda: _with(world, lambda conn: drop_staging(conn, made.opened)),
    ]
    for step in steps:
        with pytest.raises(Superseded):
            step()
    assert staged_rows(world, made) == 6
    assert world.query("SELECT count(*) FROM things") == [(0,)]
    assert world.state(made) == "running"
    assert world.load(newer).counts.inserted == 6


def test_an_orphan_stages_nothing_once_the_upload_is_published(world: World, made: MadeUpload) -> None:
    world.load(made)
    with connect(world.url) as conn:
        drop_staging(conn, made.opened)
    with pytest.raises(Superseded, match="completed"):
        stage_batch(world.url, made.checked[0], made.opened, made.dataset, store=world.store)
    assert not [n for n in staging_tables(world) if made.opened.short_id in n]


def test_a_new_attempt_has_a_staging_table_of_its_own(world: World, made: MadeUpload) -> None:
    world.stage(made)
    newer = world.take_over(made)
    newer = replace(newer, opened=replace(newer.opened, attempt=newer.opened.attempt))
    assert world.load(newer).counts.inserted == 6


def test_a_sqlalchemy_url_is_understood(world: World, made: MadeUpload) -> None:
    world.url = world.url.replace("postgresql://", "postgresql+psycopg2://")
    with connect(world.url.replace("+psycopg2", "")) as conn:
        create_staging_table(conn, made.opened, made.dataset)
    staged = [stage_batch(world.url, c, made.opened, made.dataset, store=world.store) for c in made.checked]
    assert world.publish(made, staged).counts.inserted == 6


def test_nobody_there_is_trouble_around_us(world: World, made: MadeUpload) -> None:
    nowhere = "postgresql://nobody:hidden@127.0.0.1:1/nothing"
    with pytest.raises(DatabaseUnavailable) as caught:
        stage_batch(nowhere, made.checked[0], made.opened, made.dataset, store=world.store)
    assert "hidden" not in str(caught.value)
    staged = world.stage(made)
    world.url = nowhere
    with pytest.raises(DatabaseUnavailable):
        world.publish(made, staged)


def test_a_batch_without_valid_rows_is_staged_and_counted(world: World) -> None:
    dataset = things()
    world.install(dataset)
    made = world.make(dataset, [thing("a")], batches=2, rejected=4)
    published = world.load(made)
    assert (published.counts.inserted, published.counts.rejected) == (1, 4)


def test_staged_keys_sort_and_compare_by_bytes(world: World) -> None:
    dataset = things(existing="skip")
    world.install(dataset)
    codes = ["a", "A", "á", "á", "ß", "ss", "ı", "i"]
    world.load(world.make(dataset, [thing(c) for c in codes]))
    published = world.load(world.make(dataset, [thing(c) for c in codes], at=NOON + timedelta(1), name="2"))
    assert (published.counts.inserted, published.counts.duplicate) == (0, len(codes))


def _with(world: World, action: Callable[[psycopg.Connection], object]) -> None:
    with connect(world.url) as conn:
        action(conn)
