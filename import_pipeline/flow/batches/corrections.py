"""Which reject each row of a corrected file puts right; rows that name none become rejects themselves.

A corrected file is a `rejected.*` of ours, mended and dropped in again: its last three columns name
upload and row. What is finally still open is decided in the publish transaction
(`flow/loading/correcting.py`); the ledger is asked by the caller.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.flow.batches.columns.evidence import WHITE_SPACE
from import_pipeline.flow.batches.columns.headers import OUR_COLUMNS
from import_pipeline.language import told
from import_pipeline.records import Batch, InspectedFile, Notice, SplitUpload
from import_pipeline.row_numbers import ROWS_OF_A_SHEET
from import_pipeline.storage.store import Store

FOLDER = "targets/"
TARGETS_SCHEMA = pa.schema(
    [("_row_number", pa.int64()), ("upload_id", pa.string()), ("row_number", pa.int64())]
)
LISTED = 100
_UPLOAD_ID = r"\A[a-z0-9][a-z0-9_-]{0,62}/[^\x00]+@[0-9a-f]{12}\z"
_ROW = r"(?s)\A(?:(?P<sheet>.*)!)?(?P<row>[0-9]{1,18})\z"


@dataclass(frozen=True, eq=False)
class FirstUpload:
    """A published upload whose rejects may be corrected.

    Attributes:
        sheets: names of the sheets that were read, in their order; empty for other formats.
        open_rows: int64, its rejects that no correction put right yet, ascending.
    """

    upload_id: str
    sheets: tuple[str, ...]
    open_rows: npt.NDArray[np.int64]


LookUp = Callable[[Sequence[str]], Sequence[FirstUpload]]


def match_corrections(
    split: SplitUpload, file: InspectedFile, *, file_name: str, store: Store, staging: str, look_up: LookUp
) -> SplitUpload:
    """Find the reject that each row of a file with our three columns puts right.

    Of several rows that name the same reject the first one counts. A row that could not be cut into
    cells and names nothing is a reject of this file's own. If no row names a published upload, the file
    is a plain one. Batches are written again; a repeated call gives the same.

    Args:
        file: whose `ours` is true.
        staging: key prefix, ends with `/`; the matches lie at `<staging>targets/0001.parquet`, one object a
            batch: `_row_number`, `upload_id` and `row_number` of the reject; null where the row is a
            reject of this file's own.
        look_up: the published ones of some upload ids, with what of them is still to be corrected.
    """
    matching = _Matching(look_up)
    targets = f"{staging}{FOLDER}"
    for batch in split.batches:
        store.put_table(f"{targets}{batch.number:04d}.parquet", matching.match(_places(store, batch, file)))
    if not matching.known:
        return take_as_plain(split, file, file_name=file_name, store=store)
    corrects = tuple(sorted(matching.known)[:LISTED])
    return mark_unmatched(replace(split, corrects=corrects), targets, store)


def take_as_plain(split: SplitUpload, file: InspectedFile, *, file_name: str, store: Store) -> SplitUpload:
    """A file with our three columns that corrects nothing: its rejects are its own, and a notice says so."""
    _write_again(store, split.batches, lambda batch, table: _without_places(table, file))
    return replace(split, notices=(*split.notices, _plain(file_name)))


def mark_unmatched(split: SplitUpload, targets: str, store: Store) -> SplitUpload:
    """Make rejects of the rows of a correction that put nothing right; other batches stay as they are.

    Args:
        targets: key prefix of what `match_corrections` wrote, now or in the attempt that published; its
            batches may have been other ones.
    """
    keys = store.list_keys(targets)
    parts = [store.get_table(key, ["_row_number"])["_row_number"].to_numpy() for key in keys]
    matched = np.concatenate([np.empty(0, np.int64), *parts])

    def change(batch: Batch, table: pa.Table) -> pa.Table | None:
        start, end = np.searchsorted(matched, [batch.first_row, batch.last_row + 1])
        return _with_problems(table, pa.array(matched[start:end]))

    _write_again(store, split.batches, change)
    return replace(split, targets=targets)


@dataclass(frozen=True, eq=False)
class _Places:
    """What the rows of one batch name; arrays of one length, nulls where a row names nothing sensible.

    Attributes:
        rows: row as the sender counts it; sheets: empty text where none is named.
        named: whether the row names both upload and row, and could be cut into cells.
        broken: whether it could not; `blank`: whether both cells are empty.
    """

    numbers: npt.NDArray[np.int64]
    uploads: pa.DictionaryArray
    sheets: pa.DictionaryArray
    rows: npt.NDArray[np.int64]
    named: npt.NDArray[np.bool_]
    broken: npt.NDArray[np.bool_]
    blank: npt.NDArray[np.bool_]


class _Matching:
    """The matches of one file, batch after batch.

    Attributes:
        known: the published uploads that were named so far.
    """

    def __init__(self, look_up: LookUp):
        self._look_up = look_up
        self._asked: set[str] = set()
        self.known: dict[str, FirstUpload] = {}
        self._taken: dict[str, npt.NDArray[np.bool_]] = {}

    def match(self, places: _Places) -> pa.Table:
        """The matches of a batch; columns as in `TARGETS_SCHEMA`, by row number."""
        names = places.uploads.dictionary.to_pylist()
        self._ask(names)
        codes = places.uploads.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        codes = np.where(places.named, codes, -1)
        order = np.argsort(codes, kind="stable")
        ends = np.searchsorted(codes[order], np.arange(len(names) + 1))
        positions, uploads, targets = [], [], []
        for code, name in enumerate(names):
            first = self.known.get(name)
            if first is None:
                continue
            some = order[ends[code] : ends[code + 1]]
            took, rows = self._match_one(first, places, some)
            positions.append(took)
            targets.append(rows)
            uploads += [pa.repeat(pa.scalar(name), len(took))]
        own = np.flatnonzero(places.broken & places.blank)
        positions.append(own)
        table = pa.table(
            [
                places.numbers[np.concatenate(positions)],
                pa.chunked_array([*uploads, pa.nulls(len(own), pa.string())], pa.string()),
                pa.chunked_array(
                    [*(pa.array(rows) for rows in targets), pa.nulls(len(own), pa.int64())], pa.int64()
                ),
            ],
            schema=TARGETS_SCHEMA,
        )
        return table.sort_by("_row_number")

    def _ask(self, names: Sequence[str]) -> None:
        unknown = [name for name in names if name not in self._asked]
        for first in self._look_up(unknown) if unknown else ():
            self.known[first.upload_id] = first
            self._taken[first.upload_id] = np.zeros(len(first.open_rows), bool)
        # Ids that nobody knows are not remembered: a file may have millions of them.
        self._asked.update(name for name in unknown if name in self.known)

    def _match_one(
        self, first: FirstUpload, places: _Places, some: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Positions of rows that put a reject of `first` right, and that reject's row number."""
        wanted = _row_numbers(first, places, some)
        where = np.minimum(np.searchsorted(first.open_rows, wanted), max(len(first.open_rows) - 1, 0))
        is_open = np.zeros(len(some), bool)
        if len(first.open_rows):
            taken = self._taken[first.upload_id]
            is_open = (first.open_rows[where] == wanted) & ~taken[where]
            once = np.zeros(len(some), bool)
            candidates = np.flatnonzero(is_open)
            once[candidates[np.unique(wanted[candidates], return_index=True)[1]]] = True
            is_open &= once
            taken[where[is_open]] = True
        return some[is_open], wanted[is_open]


def _row_numbers(first: FirstUpload, places: _Places, some: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The row numbers that rows name in a first upload; -1 where there is no such sheet."""
    rows = places.rows[some]
    sheet_of = {name: position for position, name in enumerate(first.sheets)} | {"": 0}
    by_code = np.array([sheet_of.get(name, -1) for name in places.sheets.dictionary.to_pylist()], np.int64)
    codes = places.sheets.indices.to_numpy()[some]
    sheets = by_code[codes] if len(by_code) else np.empty(0, np.int64)
    fits = (sheets >= 0) & (rows < ROWS_OF_A_SHEET) if first.sheets else sheets == 0
    return np.where(fits, sheets * ROWS_OF_A_SHEET + rows, -1)


def _places(store: Store, batch: Batch, file: InspectedFile) -> _Places:
    row, upload = (f"c{position}" for position in _positions(file)[:2])
    table = store.get_table(batch.key, ["_row_number", "_problem", row, upload]).combine_chunks()
    rows, uploads = (pc.utf8_trim(pc.fill_null(_one(table[name]), ""), WHITE_SPACE) for name in (row, upload))
    parts = pc.extract_regex(rows, _ROW)
    is_upload = pc.match_substring_regex(uploads, _UPLOAD_ID)
    broken = pc.is_valid(_one(table["_problem"]))
    numbers = pc.fill_null(pc.struct_field(parts, "row"), "0").cast(pa.int64())
    return _Places(
        numbers=table["_row_number"].to_numpy(),
        uploads=pc.if_else(is_upload, uploads, None).dictionary_encode(),
        sheets=pc.fill_null(pc.struct_field(parts, "sheet"), "").dictionary_encode(),
        rows=numbers.to_numpy(),
        named=_mask(pc.and_not(pc.and_(pc.is_valid(parts), is_upload), broken)),
        broken=_mask(broken),
        blank=_mask(pc.and_(pc.equal(rows, ""), pc.equal(uploads, ""))),
    )


def _with_problems(table: pa.Table, matched: pa.Array) -> pa.Table | None:
    """The batch with `_problem` for rows that put nothing right; None if there are none."""
    lost = pc.and_(
        pc.invert(pc.is_in(table["_row_number"], value_set=matched)), pc.is_null(table["_problem"])
    )
    if not pc.any(lost).as_py():
        return None
    problems = pc.if_else(lost, "not_a_reject", table["_problem"])
    return table.set_column(table.column_names.index("_problem"), "_problem", problems)


def _without_places(table: pa.Table, file: InspectedFile) -> pa.Table:
    """The batch of a plain file without what it says of another upload: its rejects are its own."""
    for position in _positions(file):
        name = f"c{position}"
        table = table.set_column(table.column_names.index(name), name, pa.nulls(table.num_rows, pa.string()))
    return table


def _write_again(
    store: Store, batches: Sequence[Batch], change: Callable[[Batch, pa.Table], pa.Table | None]
) -> None:
    for batch in batches:
        changed = change(batch, store.get_table(batch.key))
        if changed is not None:
            store.put_table(batch.key, changed)


def _positions(file: InspectedFile) -> range:
    """Positions of our three columns in the header."""
    return range(len(file.header) - len(OUR_COLUMNS), len(file.header))


def _plain(file_name: str) -> Notice:
    return Notice(
        "not_a_correction",
        told(
            "{file} has our columns {columns}, but no row names an import of this dataset and workspace: "
            "its rows were taken as new ones.",
            file=file_name,
            columns=", ".join(OUR_COLUMNS),
        ),
    )


def _one(column: "pa.ChunkedArray | pa.Array") -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _mask(answer: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(answer.to_numpy(zero_copy_only=False), dtype=bool)
