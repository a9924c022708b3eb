"""Undoing an upload: what goes, what comes back, what is left, and what refuses."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import NotUndoable
from import_pipeline.flow.loading.undoing import undo_upload
from import_pipeline.records import DependingUpload, LeftRow, UndoneUpload
from import_pipeline_tests.flow.loading.world import NOON, MadeUpload, World, thing, things

TOMORROW = NOON + timedelta(days=1)
UPDATING = things(existing="update")


def loaded(world: World, dataset: Dataset, *rows: dict[str, Any], **options: Any) -> MadeUpload:
    made = world.make(dataset, rows, **options)
    world.load(made)
    return made


def undo(world: World, made: MadeUpload, *, dry_run: bool = False, **dataset: Any) -> UndoneUpload:
    return undo_upload(
        world.url,
        made.opened.upload_id,
        dataset.get("dataset", made.dataset),
        undo_days=30,
        dry_run=dry_run,
    )


def table(world: World) -> list[tuple[Any, ...]]:
    return world.query("SELECT code, name, right(_upload_id, 12) FROM things ORDER BY code")


def whole_table(world: World) -> list[tuple[Any, ...]]:
    return world.query("SELECT t::text FROM things t ORDER BY 1")


def test_inserted_rows_go_and_overwritten_rows_come_back_in_full(world: World) -> None:
    world.install(UPDATING)
    loaded(world, UPDATING, thing("a", "old"), thing("b", "old", extra="null", day=None))
    before = whole_table(world)
    made = loaded(world, UPDATING, thing("a", "new"), thing("b", "new"), thing("c", "new"), at=TOMORROW)
    undone = undo(world, made)
    assert (undone.removed, undone.restored, undone.left, undone.overwritten, undone.gone) == (1, 2, {}, 0, 0)
    assert whole_table(world) == before
    assert world.state(made) == "undone"
    assert world.query("SELECT count(*) FROM imports.row_history") == [(0,)]
