"""What one batch gives to the report: its errors, its duplicates, its rejected rows, in row order.

Errors come from `flow/checks/`; rows that met their key in the table or the file come from
publishing. Nothing is written here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.codes import CODES
from import_pipeline.flow.checks.messages import ERRORS_SCHEMA
from import_pipeline.flow.reports.row_places import (
    message_openings,
    row_places,
    sheet_names,
)
from import_pipeline.language import say
from import_pipeline.records import Batch, CheckedBatch, FoundDuplicates, OpenedUpload
from import_pipeline.storage.store import Store

KEY_SEPARATOR = " | "
ROW_COLUMN = "_row_number"


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Valid rows that were not loaded: the same rows in each array, by row number.

    Attributes:
        rows: int64, ascending.
        outcomes: `duplicate` or `rejected`; `codes`: why.
        winners: the row of the file that counts instead; 0 where none does.
    """

    rows: Any
    outcomes: Any
    codes: Any
    winners: Any

    def between(self, first: int, last: int) -> "Outcomes":
        """Those of rows `first` to `last`."""
        start, end = np.searchsorted(self.rows, [first, last + 1])
        return Outcomes(
            self.rows[start:end], self.outcomes[start:end], self.codes[start:end], self.winners[start:end]
        )


@dataclass(frozen=True, eq=False)
class BatchFindings:
    """What one batch gives to the report.

    Attributes:
        errors: error rows (`ERRORS_SCHEMA`), duplicates among them, by row number.
        rejected: rejected rows as in the batch, by row number.
    """

    errors: pa.Table
    rejected: pa.Table


def gather_outcomes(store: Store, duplicates: FoundDuplicates, outcomes: pa.Table | None) -> Outcomes:
    """What became of valid rows: the verdicts of publishing, else the repeats inside the file.

    A row that repeats another and whose key is in the table has one verdict, that of publishing.

    Args:
        outcomes: `_row_number`, `outcome`, `code`; None if nothing was compared with a table.
    """
    repeated = winner_of = np.empty(0, np.int64)
    if duplicates.key:
        repeats = _by_row(store.get_table(duplicates.key), ROW_COLUMN)
        repeated, winner_of = repeats[ROW_COLUMN].to_numpy(), repeats["_winner_row_number"].to_numpy()
    told, kinds, codes = np.empty(0, np.int64), np.empty(0, object), np.empty(0, object)
    untold = np.ones(len(repeated), bool)
    if outcomes is not None:
        decided = outcomes.filter(
            pc.is_in(outcomes["outcome"], value_set=pa.array(["duplicate", "rejected"]))
        )
        told = decided[ROW_COLUMN].to_numpy()
        kinds = decided["outcome"].to_numpy(zero_copy_only=False)
        codes = decided["code"].to_numpy(zero_copy_only=False)
        untold = ~np.isin(repeated, outcomes[ROW_COLUMN].to_numpy())
    count = int(untold.sum())
    rows = np.concatenate([told, repeated[untold]])
    kinds = np.concatenate([kinds, np.full(count, "duplicate", object)])
    codes = np.concatenate([codes, np.full(count, "repeated_in_file", object)])
    order = np.argsort(rows, kind="stable")
    rows, kinds, codes = rows[order], kinds[order], codes[order]
    return Outcomes(rows, kinds, codes, _winners(rows, codes, repeated, winner_of))


def findings(
    store: Store,
    batches: Sequence[Batch],
    checked: Sequence[CheckedBatch],
    *,
    outcomes: Outcomes,
    opened: OpenedUpload,
    dataset: Dataset,
) -> Iterator[BatchFindings]:
    """The findings of each batch, in the order of the file, one batch in memory at a time."""
    ranges = {batch.number: batch for batch in batches}
    for one in sorted(checked, key=lambda c: c.number):
        batch = ranges[one.number]
        told = outcomes.between(batch.first_row, batch.last_row)
        errors, rejected = _of_checks(store, one)
        if len(told.rows):
            errors = _by_row(
                pa.concat_tables([errors, _told(store, one, told, opened, dataset)]), "row_number"
            )
            in_table = told.rows[told.outcomes == "rejected"]
            if len(in_table):
                rows = store.get_table(one.batch_key)
                rows = rows.filter(pc.is_in(rows[ROW_COLUMN], value_set=pa.array(in_table)))
                rejected = _by_row(_together(rejected, rows), ROW_COLUMN)
        yield BatchFindings(errors, rejected)


def messages_of(rows: Any, errors: pa.Table) -> Any:
    """All error messages of each row, joined by ` | `; empty for a row without one."""
    told = errors.filter(pc.equal(errors["severity"], "error"))
    if told.num_rows == 0:
        return pa.array([""] * len(rows), pa.string())
    grouped = told.group_by("row_number", use_threads=False).aggregate([("message", "list")])
    joined = pc.binary_join(grouped["message_list"].combine_chunks(), KEY_SEPARATOR)
    where = pc.index_in(rows, value_set=grouped["row_number"].combine_chunks())
    return pc.fill_null(joined.take(where), "")


def _of_checks(store: Store, one: CheckedBatch) -> tuple[pa.Table, pa.Table]:
    errors = store.get_table(one.errors_key) if one.errors_key else ERRORS_SCHEMA.empty_table()
    errors = errors.select(ERRORS_SCHEMA.names).cast(ERRORS_SCHEMA)
    rejected = store.get_table(one.rejects_key) if one.rejected else None
    if rejected is None:
        rejected = pa.table({ROW_COLUMN: pa.array([], pa.int64())})
    return _by_row(errors, "row_number"), _by_row(rejected, ROW_COLUMN)


def _together(one: pa.Table, two: pa.Table) -> pa.Table:
    return pa.concat_tables([one, two]) if one.num_rows else two


def _by_row(table: pa.Table, column: str) -> pa.Table:
    """The table by row number; errors of one row keep their order."""
    order = np.argsort(table[column].to_numpy(), kind="stable")
    return table.take(pa.array(order)).combine_chunks()


def _winners(rows: Any, codes: Any, repeated: Any, winner_of: Any) -> Any:
    """The winning row of each row that loses inside the file, 0 for the others."""
    if not len(repeated):
        return np.zeros(len(rows), np.int64)
    where = np.minimum(np.searchsorted(repeated, rows), len(repeated) - 1)
    lost = (repeated[where] == rows) & (codes == "repeated_in_file")
    return np.where(lost, winner_of[where], 0)


def _told(
    store: Store, one: CheckedBatch, told: Outcomes, opened: OpenedUpload, dataset: Dataset
) -> pa.Table:
    """Error rows for valid rows that were not loaded; their messages hold no value.

    All but a correction that came too late are about the key.
    """
    rows = pa.array(told.rows, pa.int64())
    codes = pa.array(told.codes, pa.string())
    header = ", ".join(_header(opened, name) for name in dataset.key)
    by_key = pc.not_equal(codes, "not_a_reject")
    opening, opening_of_row = (
        message_openings(rows, column, sheet_names(opened), opened.language) for column in (header, "")
    )
    winners = row_places(pa.array(told.winners, pa.int64()), sheet_names(opened))
    body, remedy = pa.array([""] * len(rows)), pa.array([""] * len(rows))
    for code in pc.unique(codes).to_pylist():
        before, found, after = say(CODES[code].message, opened.language).partition("{detail}")
        text = pc.binary_join_element_wise(before, winners, after, "") if found else before
        body = pc.if_else(pc.equal(codes, code), text, body)
        remedy = pc.if_else(pc.equal(codes, code), say(CODES[code].remedy, opened.language), remedy)
    rejected = pa.array(told.outcomes == "rejected")
    return pa.table(
        [
            rows,
            pc.if_else(by_key, ", ".join(dataset.key), ""),
            pc.if_else(by_key, header, ""),
            pc.if_else(by_key, _key_values(store, one, rows, dataset), None),
            codes,
            pc.if_else(rejected, "error", "duplicate"),
            pc.binary_join_element_wise(pc.if_else(by_key, opening, opening_of_row), body, ""),
            remedy,
        ],
        schema=ERRORS_SCHEMA,
    )


def _key_values(store: Store, one: CheckedBatch, rows: Any, dataset: Dataset) -> Any:
    """The keys of rows as they are stored, several columns joined by ` | `."""
    if not one.keys_key:
        return pa.array([""] * len(rows), pa.string())
    keys = store.get_table(one.keys_key)
    texts = [keys[name].combine_chunks().cast(pa.string()) for name in dataset.key]
    joined = pc.binary_join_element_wise(*texts, KEY_SEPARATOR) if len(texts) > 1 else texts[0]
    places = np.searchsorted(keys[ROW_COLUMN].to_numpy(), rows.to_numpy())  # both are valid rows, ascending
    return joined.take(pa.array(places))


def _header(opened: OpenedUpload, name: str) -> str:
    position = opened.file.mapping.get(name)
    return name if position is None else opened.file.header[position]
