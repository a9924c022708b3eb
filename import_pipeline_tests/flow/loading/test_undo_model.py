"""Any uploads undone in any order end as if they had written nothing: held against a model of a few lines."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.flow.loading.undoing import undo_upload
from import_pipeline_tests.flow.loading.world import NOON, MadeUpload, Seats, World

KEYS = [("A", 1), ("a", 1)]
VALUES = st.tuples(st.sampled_from([None, "x", "y"]), st.sampled_from([None, "null", '{"k": 1}']))
FILE = st.tuples(
    st.just("file"),
    st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1),
    st.sampled_from([0, 0, 0, 0, -3]),
    st.sampled_from(["update"] * 6 + ["skip", "reject"]),
)
EDIT = st.tuples(st.just("edit"), st.sampled_from(KEYS), VALUES)
OTHERS = st.one_of(
    EDIT,
    st.tuples(st.just("insert"), st.sampled_from(KEYS), VALUES),
    st.tuples(st.just("delete"), st.sampled_from(KEYS)),
    st.tuples(st.just("undo"), st.integers(0, 4)),
    st.tuples(st.just("undo"), st.integers(0, 4)),
    st.tuples(st.just("launch again"), st.integers(0, 4)),
)
# Three files of the same keys to begin with, with changes between: most of what is interesting needs a chain.
BEGINNING = st.tuples(FILE, st.lists(EDIT, max_size=1), FILE, st.lists(EDIT, max_size=1), FILE).map(
    lambda steps: (steps[0], *steps[1], steps[2], *steps[3], steps[4])
)
HISTORIES = st.tuples(BEGINNING, st.lists(st.one_of(FILE, OTHERS), max_size=6), st.randoms())
WORKSPACES = count(1)
NULLS: tuple[None, None] = (None, None)


@dataclass(frozen=True)
class Layer:
    """What one writer made of a row: an upload, or (None) an application."""

    writer: str | None
    values: tuple[Any, ...]
    claimed_by: str | None = None
    source: tuple[datetime, str] | None = None
    number: int | None = None


@dataclass
class Model:
    """The table: for each key, what was written, the newest last; without layers there is no row."""

    rows: dict[tuple[str, int], list[Layer]] = field(default_factory=dict)

    def of(self, key: tuple[str, int]) -> list[Layer]:
        return self.rows.setdefault(key, [])

    def load(self, made: MadeUpload, rows: dict[tuple[str, int], tuple[Any, ...]], existing: str) -> None:
        opened = made.opened
        source = (opened.source_time, opened.short_id)
        for number, (key, values) in enumerate(rows.items(), 2):
            layers = self.of(key)
            new = Layer(opened.upload_id, values, opened.upload_id, source, number)
            if not layers:
                layers.append(new)
            elif existing == "update" and layers[-1].values != values:
                known = layers[-1].source
                if known is None or known <= source:
                    layers.append(new)

    def edit(self, key: tuple[str, int], values: tuple[Any, ...]) -> None:
        """By an application; a row that is again as its upload wrote it is that upload's again."""
        layers = self.of(key)
        if not layers:
            return
        top = layers[-1]
        if top.writer is None:
            layers.pop()
        elif top.values == values:
            return
        under = layers[-1] if layers and top.writer is None else None
        if under is not None and under.writer == top.claimed_by and under.values == values:
            return
        layers.append(replace(top, writer=None, values=values))

    def undo(self, upload_id: str) -> tuple[int, int, int]:
        """Rows removed, restored, left."""
        removed = restored = left = 0
        for layers in self.rows.values():
            place = next((n for n, layer in enumerate(layers) if layer.writer == upload_id), None)
            if place is None:
                continue
            above = layers[place + 1] if place + 1 < len(layers) else None
            if above is None:
                removed, restored = removed + (place == 0), restored + (place > 0)
                layers.pop()
            elif above.writer is None:
                left += place + 2 == len(layers)
                layers[: place + 2] = [Layer(None, above.values)]
            else:
                layers.pop(place)
        return removed, restored, left

    def visible(self) -> dict[tuple[str, int], Layer]:
        return {key: layers[-1] for key, layers in self.rows.items() if layers}


@dataclass
class Story:
    """One workspace in the world and in the model, side by side."""

    world: World
    dataset: Dataset
    workspace: str
    model: Model = field(default_factory=Model)
    uploads: list[tuple[MadeUpload, dict[Any, Any], str]] = field(default_factory=list)
    published: set[str] = field(default_factory=set)

    def file(self, rows: dict[tuple[str, int], tuple[Any, ...]], days: int, existing: Any) -> None:
        """A file that came a day after the one before, or days earlier."""
        listed = [
            {"row": key[0], "number": key[1], "name": values[0], "extra": values[1]}
            for key, values in rows.items()
        ]
        made = self.world.make(
            self.dataset,
            listed,
            workspace=self.workspace,
            at=NOON + timedelta(days=len(self.uploads) + days),
            options=SenderOptions(on_existing=existing),
        )
        self.uploads.append((made, rows, existing))
        self._load(len(self.uploads) - 1)

    def edit(self, key: tuple[str, int], values: tuple[Any, ...]) -> None:
        self._sql("UPDATE seats SET name = %s, extra = %s::jsonb WHERE {}", key, *values)
        self.model.edit(key, values)

    def insert(self, key: tuple[str, int], values: tuple[Any, ...]) -> None:
        if self.model.of(key):
            return
        self.world.query(
            'INSERT INTO seats (_workspace, "row", number, name, extra) VALUES (%s, %s, %s, %s, %s::jsonb)',
            self.workspace,
            *key,
            *values,
        )
        self.model.of(key).append(Layer(None, values))

    def delete(self, key: tuple[str, int]) -> None:
        self._sql("DELETE FROM seats WHERE {}", key)
        self.model.of(key).clear()

    def undo(self, which: int) -> None:
        if which >= len(self.uploads) or self.uploads[which][0].opened.upload_id not in self.published:
            return
        upload_id = self.uploads[which][0].opened.upload_id
        plan, undone = (
            undo_upload(self.world.url, upload_id, self.dataset, undo_days=30, store=None, dry_run=dry)
            for dry in (True, False)
        )
        assert replace(plan, dry_run=False, seconds=0, undone_at=None) == replace(
            undone, seconds=0, undone_at=None
        )
        expected = self.model.undo(upload_id)
        assert (undone.removed, undone.restored, undone.left.get("changed_since", 0)) == expected
        self.published.discard(upload_id)

    def launch_again(self, which: int) -> None:
        if which < len(self.uploads) and self.uploads[which][0].opened.upload_id not in self.published:
            made, rows, existing = self.uploads[which]
            self.uploads[which] = (self.world.take_over(made), rows, existing)
            self._load(which)

    def compare(self) -> None:
        table = self.world.query(
            'SELECT "row", number, name, extra::text, _upload_id, _source_time, _row_number,'
            " _row_hash IS NULL FROM seats WHERE _workspace = %s",
            self.workspace,
        )
        assert {row[:2]: row[2:] for row in table} == {
            key: (
                *layer.values,
                layer.claimed_by,
                layer.source and layer.source[0],
                layer.number,
                layer.claimed_by is None,
            )
            for key, layer in self.model.visible().items()
        }

    def _load(self, which: int) -> None:
        made, rows, existing = self.uploads[which]
        self.world.load(made)
        self.model.load(made, rows, existing)
        self.published.add(made.opened.upload_id)

    def _sql(self, statement: str, key: tuple[str, int], *values: Any) -> None:
        where = '_workspace = %s AND "row" = %s AND number = %s'
        self.world.query(statement.format(where), *values, self.workspace, *key)


def tell(world: World, dataset: Dataset, history: Any) -> Story:
    """Play a history, look at the table after each step, then undo all that is left in any order."""
    beginning, others, random = history
    story = Story(world, dataset, f"w{next(WORKSPACES)}")
    for name, *values in (*beginning, *others):
        step: Callable[..., None] = getattr(story, name.replace(" ", "_"))
        step(*values)
        story.compare()
    order = list(range(len(story.uploads)))
    random.shuffle(order)
    for which in order:
        story.undo(which)
        story.compare()
    return story


def hold(world: World, examples: int) -> None:
    dataset = Dataset("seats", Seats, key=("row", "number"), existing="update")
    world.install(dataset)

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(HISTORIES)
    def as_if_nothing_was_written(history: Any) -> None:
        story = tell(world, dataset, history)
        assert all(layer.writer is None for layer in story.model.visible().values())
        nobodys = world.query(
            "SELECT count(*) FROM imports.row_history WHERE workspace = %s", story.workspace
        )
        assert nobodys == [(0,)], "history is left of uploads that are undone"

    as_if_nothing_was_written()


def test_any_uploads_undone_in_any_order_end_as_if_they_had_written_nothing(world: World) -> None:
    hold(world, 12)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_histories_of_uploads_and_undos_end_as_the_model_says(world: World) -> None:
    hold(world, 400)
