from collections.abc import Sequence
from decimal import Decimal

import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from import_pipeline.catalog.dataset import Dataset, column
from import_pipeline.catalog.types import Number, Text
from import_pipeline.flow.duplicates import finding
from import_pipeline.flow.duplicates.finding import find_duplicates
from import_pipeline.storage.store import LocalStore


class Part(pandera.DataFrameModel):
    maker: Text = column(required=True)
    number: Text = column(required=True)
    price: Number(10, 2) = column(required=True)


def _dataset(*key: str, winner: str = "first") -> Dataset:
    return Dataset(name="parts", model=Part, key=key, winner=winner)


def _find(
    tmp_path, dataset: Dataset, batches: Sequence[Sequence[tuple]], memory_limit: str = "256MB"
) -> list[tuple[int, int]]:
    """Find duplicates among batches of keys; rows are numbered on from 2. Losers with their winners."""
    store, number, keys = LocalStore(tmp_path), 2, []
    types = {c.name: c.arrow_type for c in dataset.columns}
    for index, rows in enumerate(batches):
        columns = {"_row_number": pa.array(range(number, number + len(rows)), pa.int64())}
        for position, name in enumerate(dataset.key):
            columns[name] = pa.array([row[position] for row in rows], types[name])
        number += len(rows)
        keys.append(f"s/keys/{index:04d}.parquet")
        store.put_table(keys[-1], pa.table(columns))
    found = find_duplicates(keys, dataset, store=store, staging="s/", memory_limit=memory_limit)
    if not found.key:
        assert found.rows == 0
        return []
    assert found.key == "s/duplicates.parquet"
    table = store.get_table(found.key)
    assert table.schema.types == [pa.int64(), pa.int64()]
    assert table.num_rows == found.rows
    return list(zip(table["_row_number"].to_pylist(), table["_winner_row_number"].to_pylist(), strict=True))


REPEATS = [[("a",), ("b",)], [("a",), ("c",), ("b",)], [("a",)]]


def test_the_first_row_of_a_key_wins_over_all_batches(tmp_path):
    assert _find(tmp_path, _dataset("maker"), REPEATS) == [(4, 2), (6, 3), (7, 2)]


def test_the_last_row_of_a_key_wins_where_the_dataset_says_so(tmp_path):
    assert _find(tmp_path, _dataset("maker", winner="last"), REPEATS) == [(2, 7), (3, 6), (4, 7)]


def test_keys_of_several_columns_are_not_joined(tmp_path):
    """Joined with a separator, these pairs are one key each."""
    rows = [("a", "b|c"), ("a|b", "c"), ("a,", "b"), ("a", ",b"), ("", "ab"), ("a", "b"), ("a\x1f", "b")]
    assert _find(tmp_path, _dataset("maker", "number"), [rows]) == []


def test_keys_differ_by_case_and_accents_and_composition(tmp_path):
    assert _find(tmp_path, _dataset("maker"), [[("e",), ("E",), ("é",), ("e\u0301",), ("e ",)]]) == []


def test_keys_of_other_types_than_text_are_compared_by_value(tmp_path):
    rows = [("a", Decimal("1.10")), ("a", Decimal("1.1")), ("a", Decimal("1.01"))]
    assert _find(tmp_path, _dataset("maker", "price"), [rows]) == [(3, 2)]


def test_minus_zero_is_zero(tmp_path):
    """To PostgreSQL and DuckDB, but not to Arrow."""
    store = LocalStore(tmp_path)
    store.put_table("k", pa.table({"_row_number": [2, 3, 4], "maker": [0.0, -0.0, 1.0]}))
    found = find_duplicates(["k"], _dataset("maker"), store=store, staging="", memory_limit="256MB")
    assert store.get_table(found.key)["_row_number"].to_pylist() == [3]


def test_few_keys_of_which_none_comes_again_need_no_database(tmp_path, monkeypatch):
    monkeypatch.setattr(finding, "_scratch", lambda *_: pytest.fail("40 ms for nothing"))
    assert _find(tmp_path, _dataset("maker"), [[("a",)], [("b",), ("A",)]]) == []


@pytest.mark.parametrize("batches", [[], [[]], [[], [("a",)], []]], ids=["none", "empty", "one row"])
def test_without_repeats_there_is_no_object(tmp_path, batches):
    assert _find(tmp_path, _dataset("maker"), batches) == []
    assert not LocalStore(tmp_path).exists("s/duplicates.parquet")


def test_a_dataset_without_a_key_has_no_duplicates(tmp_path):
    store = LocalStore(tmp_path)
    found = find_duplicates(["", ""], _dataset(), store=store, staging="s/", memory_limit="256MB")
    assert (found.key, found.rows) == ("", 0)


def test_keys_that_go_through_in_many_passes_give_the_same(tmp_path, monkeypatch):
    """200,000 keys of 200 characters, 40 MB: ten passes, under a limit of 64 MB."""
    monkeypatch.setattr(finding, "_BYTES_PER_PASS", 4 * 1024 * 1024)
    total = 200_000
    store = LocalStore(tmp_path)
    for batch in range(4):
        numbers = range(batch, total, 4)
        maker = [f"{n // 2:0200d}" for n in numbers]
        keys = pa.table({"_row_number": pa.array(numbers, pa.int64()), "maker": maker})
        store.put_table(f"k{batch}", keys)
    found = find_duplicates(
        [f"k{n}" for n in range(4)], _dataset("maker"), store=store, staging="", memory_limit="64MB"
    )
    table = pq.read_table(store.path(found.key))
    assert table["_row_number"].to_pylist() == list(range(1, total, 2))
    assert table["_winner_row_number"].to_pylist() == list(range(0, total, 2))


PAIR = st.tuples(st.text("ab|é", max_size=2), st.text("ab|", max_size=2))
KEYS = st.lists(st.lists(PAIR, max_size=6), max_size=4)


@settings(max_examples=30, deadline=None)
@given(KEYS, st.sampled_from(["first", "last"]), st.sampled_from([0, 4, 20_000]))
def test_exactly_one_row_of_each_key_is_left(tmp_path_factory, batches, winner, few):
    """Whether Arrow looks at all keys, at the first batches only, or at none."""
    dataset = _dataset("maker", "number", winner=winner)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finding, "_FEW_ROWS", few)
        found = _find(tmp_path_factory.mktemp("s"), dataset, batches)
    rows = dict(enumerate((row for batch in batches for row in batch), start=2))
    winners: dict[tuple[str, str], int] = {}
    for number in rows if winner == "last" else reversed(rows):
        winners[rows[number]] = number
    assert found == [(n, winners[key]) for n, key in rows.items() if winners[key] != n]
