"""Which reject a row of a corrected file puts right, whatever its three columns say."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.flow.batches.corrections import FirstUpload, mark_unmatched, match_corrections
from import_pipeline.flow.batches.kinds import batch_schema
from import_pipeline.records import Batch, InspectedFile, LineCount, SplitUpload
from import_pipeline.row_numbers import row_number
from import_pipeline.storage.store import LocalStore

HEADER = ("name", "_import_row", "_import_upload", "_import_errors")
FILE = InspectedFile("csv", HEADER, {"name": 0}, (), ours=True, rows_per_batch=10)
ONE, TWO, BOOK = "acme/one.csv@0123456789ab", "acme/two.csv@ba9876543210", "acme/x y!z.xlsx@00000000000a"

Row = tuple[str | None, str | None] | tuple[str | None, str | None, str]


class Ledger:
    """What the ledger would answer, and what it was asked."""

    def __init__(self, *uploads: FirstUpload):
        self.uploads = uploads
        self.asked: list[str] = []

    def look_up(self, upload_ids: Sequence[str]) -> list[FirstUpload]:
        self.asked += upload_ids
        return [upload for upload in self.uploads if upload.upload_id in upload_ids]


def upload(upload_id: str, rows: Sequence[int], sheets: tuple[str, ...] = ()) -> FirstUpload:
    return FirstUpload(upload_id, sheets, np.array(sorted(rows), np.int64))


def split_of(store: LocalStore, *batches: Sequence[Row]) -> SplitUpload:
    """Batches of rows (`_import_row`, `_import_upload`, perhaps the row's problem), numbered from 2."""
    made, number = [], 2
    for at, rows in enumerate(batches, 1):
        table = pa.Table.from_pylist(
            [
                {"_row_number": number + i, "_line": number + i, "_problem": row[2] if len(row) > 2 else None,
                 "c0": f"n{number + i}", "c1": row[0], "c2": row[1], "c3": "old message"}
                for i, row in enumerate(rows)
            ],
            batch_schema(len(HEADER)),
        )  # fmt: skip
        store.put_table(f"s/batches/{at:04d}.parquet", table)
        made.append(Batch(at, f"s/batches/{at:04d}.parquet", len(rows), number, number + len(rows) - 1))
        number += len(rows)
    return SplitUpload(tuple(made), number - 2, LineCount(), (), 0.0)


def matched(store: LocalStore, ledger: Ledger, *batches: Sequence[Row]) -> SplitUpload:
    return match_corrections(
        split_of(store, *batches), FILE, file_name="f.csv", store=store, staging="s/", look_up=ledger.look_up
    )


def targets(store: LocalStore, split: SplitUpload) -> list[tuple[Any, ...]]:
    tables = [store.get_table(key) for key in store.list_keys(split.targets)]
    return [tuple(row.values()) for row in pa.concat_tables(tables).to_pylist()]


def problems(store: LocalStore, split: SplitUpload) -> list[str | None]:
    return [p for b in split.batches for p in store.get_table(b.key)["_problem"].to_pylist()]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def test_rows_of_several_uploads_find_their_rejects_over_all_batches(store: LocalStore) -> None:
    ledger = Ledger(upload(ONE, [3, 9]), upload(TWO, [3]))
    split = matched(store, ledger, [("9", ONE), (" 3 ", f" {TWO}\u00a0")], [("3", ONE)])
    assert targets(store, split) == [(2, ONE, 9), (3, TWO, 3), (4, ONE, 3)]
    assert problems(store, split) == [None, None, None]
    assert split.corrects == (ONE, TWO)
    assert ledger.asked.count(ONE) == 1


@pytest.mark.parametrize(
    "row",
    [
        ("4", ONE), ("-3", ONE), ("3.0", ONE), ("Plan1!3", ONE), ("", ONE), (None, ONE), ("9" * 19, ONE),
        ("3", TWO), ("3", ""), ("3", None), ("3", "acme/one.csv"), ("3", "x\0y"), ("", ""), (None, None),
    ],
)  # fmt: skip
def test_a_row_that_names_no_open_reject_is_one_itself(store: LocalStore, row: Row) -> None:
    split = matched(store, Ledger(upload(ONE, [3, 5])), [("5", ONE)], [row])
    assert targets(store, split) == [(2, ONE, 5)]
    assert problems(store, split) == [None, "not_a_reject"]


def test_of_rows_that_name_the_same_reject_the_first_counts(store: LocalStore) -> None:
    rows: list[Row] = [("3", ONE), ("3", ONE), ("5", ONE)]
    split = matched(store, Ledger(upload(ONE, [3, 5])), rows, [("3", ONE), ("5", ONE)])
    assert targets(store, split) == [(2, ONE, 3), (4, ONE, 5)]
    assert problems(store, split) == [None, "not_a_reject", None, "not_a_reject", "not_a_reject"]


def test_rows_of_a_workbook_are_named_by_sheet_and_row(store: LocalStore) -> None:
    """The name of a sheet may hold an exclamation mark itself: the last one parts it from the row."""
    sheets = ("Plan1", "a!b\n", "Plan3")
    open_rows = [3, row_number(1, 3), row_number(2, 4)]
    rows: list[Row] = [
        ("3", BOOK),
        ("a!b\n!3", BOOK),
        ("Plan3!4", BOOK),
        ("Plan4!4", BOOK),
        ("Plan1!3", BOOK),
    ]
    split = matched(store, Ledger(upload(BOOK, open_rows, sheets)), rows)
    assert targets(store, split) == [(2, BOOK, 3), (3, BOOK, row_number(1, 3)), (4, BOOK, row_number(2, 4))]
    assert problems(store, split) == [None, None, None, "not_a_reject", "not_a_reject"]


def test_a_row_number_beyond_a_sheet_never_reaches_the_next_one(store: LocalStore) -> None:
    first = upload(BOOK, [2, row_number(1, 3)], ("Plan1", "Plan2"))
    split = matched(store, Ledger(first), [("2", BOOK), (str(row_number(1, 3)), BOOK)])
    assert problems(store, split) == [None, "not_a_reject"]


def test_a_row_that_was_not_cut_into_cells_keeps_its_fault(store: LocalStore) -> None:
    """One that lost the name of its reject becomes a reject of this file, to be corrected from there."""
    rows: list[Row] = [("3", ONE, "stray_quote"), (None, None, "too_few_cells"), ("3", ONE), (None, None)]
    split = matched(store, Ledger(upload(ONE, [3])), rows)
    assert targets(store, split) == [(3, None, None), (4, ONE, 3)]
    assert problems(store, split) == ["stray_quote", "too_few_cells", None, "not_a_reject"]


def test_a_file_none_of_whose_rows_names_a_known_upload_is_a_plain_file_with_a_notice(
    store: LocalStore,
) -> None:
    split = matched(store, Ledger(), [("3", ONE), ("x", "y")])
    assert (split.targets, split.corrects) == ("", ())
    [notice] = split.notices
    assert notice.code == "not_a_correction"
    assert notice.message.startswith("f.csv has our columns _import_row, _import_upload, _import_errors")
    table = store.get_table(split.batches[0].key)
    assert table["c0"].to_pylist() == ["n2", "n3"]
    assert [table[f"c{n}"].null_count for n in (1, 2, 3)] == [2, 2, 2], "its rejects are its own"
    assert table["_problem"].to_pylist() == [None, None]


def test_an_upload_without_open_rejects_makes_a_correction_of_rejects(store: LocalStore) -> None:
    split = matched(store, Ledger(upload(ONE, [])), [("3", ONE)])
    assert problems(store, split) == ["not_a_reject"]
    assert (targets(store, split), split.corrects, split.notices) == ([], (ONE,), ())


def test_what_was_matched_can_be_marked_again_in_batches_split_anew(store: LocalStore) -> None:
    rows: list[Row] = [("3", ONE), ("4", ONE), ("5", ONE)]
    split = matched(store, Ledger(upload(ONE, [3, 5])), rows)
    before = [store.get_table(b.key) for b in split.batches]
    again = mark_unmatched(split_of(store, rows[:1], rows[1:]), split.targets, store)
    assert again.targets == split.targets
    assert pa.concat_tables(store.get_table(b.key) for b in again.batches) == before[0]


names = st.sampled_from([ONE, TWO, "acme/nobody.csv@000000000000", "", None])
cells = st.tuples(st.one_of(st.integers(1, 9).map(str), st.sampled_from(["", None, "x!3"])), names)


@given(
    st.lists(st.lists(cells, min_size=1, max_size=8), min_size=1, max_size=3),
    st.sets(st.integers(1, 9)),
    st.sets(st.integers(1, 9)),
)
def test_each_row_is_matched_as_a_plain_loop_would(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[Row]],
    one: set[int],
    two: set[int],
) -> None:
    store = LocalStore(tmp_path_factory.mktemp("store"))
    split = matched(store, Ledger(upload(ONE, list(one)), upload(TWO, list(two))), *batches)
    rows = [row for batch in batches for row in batch]
    left = {ONE: set(one), TWO: set(two)}
    expected, wrong = [], []
    for number, (row, name, *_) in enumerate(rows, 2):
        wanted = int(row) if row and row.isdigit() else 0
        found = wanted in left.get(name or "", set())
        if found:
            left[str(name)].remove(wanted)
            expected.append((number, name, wanted))
        wrong.append(None if found else "not_a_reject")
    if not any(name in left for _, name, *_ in rows):
        assert split.targets == ""
        return
    assert targets(store, split) == expected
    assert problems(store, split) == wrong
