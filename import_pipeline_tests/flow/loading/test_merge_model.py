"""Any files in any order, against a model of a few lines: the tables and the counts are the same."""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from import_pipeline.catalog.dataset import Dataset
from import_pipeline_tests.flow.loading.world import NOON, MadeUpload, Seats, World

ROW = st.fixed_dictionaries(
    {
        "row": st.sampled_from(["A", "a", ""]),
        "number": st.integers(1, 2),
        "name": st.sampled_from([None, "", "x", "y"]),
        "extra": st.sampled_from([None, '{"k": 1}', '{"k": 1.0}', '{"k": null}']),
    }
)
FILES = st.lists(
    st.tuples(st.lists(ROW, max_size=8), st.integers(0, 2), st.integers(1, 3)), min_size=1, max_size=4
)
POLICIES = [(existing, winner) for existing in ("skip", "update", "reject") for winner in ("first", "last")]
WORKSPACES = count(1)


@dataclass
class Model:
    """The dataset's table as section 6 of the design says, row by row."""

    dataset: Dataset
    table: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)

    def load(self, made: MadeUpload, rows: list[dict[str, Any]]) -> Counter[str]:
        """What becomes of each row of a file, by outcome or code."""
        opened = made.opened
        keys = [tuple(row[k] for k in self.dataset.key) for row in rows]
        before = dict(self.table)
        outcomes: Counter[str] = Counter()
        for place, (key, row) in enumerate(zip(keys, rows, strict=True)):
            others = keys[:place] if self.dataset.winner == "first" else keys[place + 1 :]
            stored = before.get(key)
            written = row | {
                "source": (opened.source.last_modified, opened.short_id),
                "number_in_file": place + 2,
            }
            if self.dataset.existing == "reject" and stored:
                outcomes["rejected"] += 1
            elif key in others:
                outcomes["repeated_in_file"] += 1
            elif stored is None:
                outcomes["inserted"] += 1
                self.table[key] = written
            elif self.dataset.existing == "skip":
                outcomes["already_in_table"] += 1
            elif stored["source"] > written["source"]:
                outcomes["newer_in_table"] += 1
            elif same_values(stored, row):
                outcomes["unchanged"] += 1
            else:
                outcomes["updated"] += 1
                self.table[key] = written
        return outcomes


def values(row: dict[str, Any]) -> tuple[Any, ...]:
    """The declared values."""
    return row["row"], row["number"], row["name"], row["extra"]


def same_values(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether all declared values are equal; numbers in JSON are equal as numbers."""
    extras = [row["extra"] and json.loads(row["extra"]) for row in (one, other)]
    return extras[0] == extras[1] and values(one)[:3] == values(other)[:3]


@pytest.mark.parametrize(("existing", "winner"), POLICIES)
def test_any_files_in_any_order_end_as_the_model_says(world: World, existing: Any, winner: Any) -> None:
    dataset = Dataset("seats", Seats, key=("row", "number"), existing=existing, winner=winner)
    world.install(dataset)

    @settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(FILES)
    def same(files: list[tuple[list[dict[str, Any]], int, int]]) -> None:
        workspace, model = f"w{next(WORKSPACES)}", Model(dataset)
        for rows, day, batches in files:
            at = NOON + timedelta(days=day)
            made = world.make(dataset, rows, workspace=workspace, at=at, batches=batches)
            published = world.load(made)
            counts, expected = published.counts, model.load(made, rows)
            assert counts.read == len(rows) == sum(expected.values())
            for name in ("inserted", "updated", "unchanged", "rejected"):
                assert getattr(counts, name) == expected[name], name
            codes = ("repeated_in_file", "already_in_table", "newer_in_table")
            assert published.duplicates == {c: expected[c] for c in codes if expected[c]}
        table = world.query(
            'SELECT "row", number, name, extra::text, _source_time, right(_upload_id, 12), _row_number'
            " FROM seats WHERE _workspace = %s",
            workspace,
        )
        assert sorted(table, key=lambda row: row[:2]) == sorted(
            ((*values(r), *r["source"], r["number_in_file"]) for r in model.table.values()),
            key=lambda row: row[:2],
        )

    same()
