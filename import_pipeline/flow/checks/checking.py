"""One batch: parse, validate, and part its rows into clean rows and rejects, with an error for each fault.

Knows neither Dagster nor where the file came from. The steps are in the other modules of this
folder; the words of the errors in `codes.py`.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.arrays import as_mask, rows_where, whole
from import_pipeline.catalog.dataset import EXTRA_COLUMN, Dataset, SenderOptions
from import_pipeline.catalog.types import storage_type
from import_pipeline.flow.batches.columns.evidence import WHITE_SPACE, Readings, null_tokens
from import_pipeline.flow.checks.extra import build_extra
from import_pipeline.flow.checks.messages import Problem, errors_table
from import_pipeline.flow.checks.parsers import parse_cells
from import_pipeline.flow.checks.parsing import Fault, How
from import_pipeline.flow.checks.text import LONGEST_KEY
from import_pipeline.flow.checks.validation import Finding, validate
from import_pipeline.language import Language
from import_pipeline.records import Batch, CheckedBatch, ColumnVerdict, Sheet
from import_pipeline.storage.store import Store

NO_OPTIONS = SenderOptions()
NO_READINGS: Mapping[str, Readings] = {}


class HeaderFacts(Protocol):
    """What checking needs to know of the file; `OpenedUpload` and `InspectedFile` have it."""

    @property
    def header(self) -> Sequence[str]:
        """The header cells as written."""

    @property
    def mapping(self) -> dict[str, int]:
        """Declared column to position in the header."""

    @property
    def unknown(self) -> Sequence[int]:
        """Positions of headers that the dataset does not declare."""

    @property
    def sheets(self) -> Sequence[Sheet]:
        """Of a workbook, the sheets that are read."""


@dataclass(frozen=True, eq=False)
class CheckedTable:
    """The rows of a batch, parted.

    Attributes:
        clean: `_row_number`, the declared columns typed and in the model's order, and `extra`
            (JSON or null) for a dataset that keeps unknown columns.
        rejects: rows of the batch, as they came.
        errors: see `messages.ERRORS_SCHEMA`; every reject has at least one of severity `error`.
    """

    clean: pa.Table
    rejects: pa.Table
    errors: pa.Table


@dataclass(frozen=True, eq=False)
class _Rows:
    """The sound rows of a batch while they are looked at.

    Attributes:
        bad: rows with an error, by position.
        faulty: by declared column, the rows whose cell could not be read.
    """

    table: pa.Table
    row_numbers: pa.Array
    file: HeaderFacts
    problems: list[Problem]
    bad: np.ndarray
    faulty: dict[str, np.ndarray]


def check_batch(
    batch: Batch,
    file: HeaderFacts,
    verdicts: Collection[ColumnVerdict],
    dataset: Dataset,
    *,
    options: SenderOptions = NO_OPTIONS,
    language: Language = "en",
    readings: Mapping[str, Readings] = NO_READINGS,
    store: Store,
    staging: str,
) -> CheckedBatch:
    """Check one batch and leave clean rows, keys, rejects and errors as Parquet under `staging`.

    A second try writes the same objects again, so it may be killed and repeated at any point.

    Args:
        language: of the messages to the sender.
        readings: of the batch's columns, as far as the split has found them.
    """
    started = time.monotonic()
    table = store.get_table(batch.key)
    checked = check_table(
        table, file, verdicts, dataset, options=options, language=language, readings=readings
    )
    name = f"{batch.number:04d}.parquet"
    keys = {part: f"{staging}{part}/{name}" for part in ("clean", "keys", "rejects", "errors")}
    store.put_table(keys["clean"], checked.clean)
    store.put_table(keys["rejects"], checked.rejects)
    store.put_table(keys["errors"], checked.errors)
    if dataset.key:
        store.put_table(keys["keys"], checked.clean.select(["_row_number", *dataset.key]))
    return CheckedBatch(
        number=batch.number,
        batch_key=batch.key,
        read=table.num_rows,
        valid=checked.clean.num_rows,
        rejected=checked.rejects.num_rows,
        clean_key=keys["clean"],
        keys_key=keys["keys"] if dataset.key else "",
        rejects_key=keys["rejects"],
        errors_key=keys["errors"],
        codes=_count_codes(checked.errors),
        seconds=time.monotonic() - started,
    )


def check_table(
    table: pa.Table,
    file: HeaderFacts,
    verdicts: Collection[ColumnVerdict],
    dataset: Dataset,
    *,
    options: SenderOptions = NO_OPTIONS,
    language: Language = "en",
    readings: Mapping[str, Readings] = NO_READINGS,
) -> CheckedTable:
    """Part the rows of a batch into clean rows and rejects.

    Args:
        table: columns as in a batch, see docs/architecture.md; row numbers ascending.
        options: what the sender stated; used for a column without a verdict.
        language: of the messages to the sender.
        readings: by column, those of the cells of the rows without a problem; the others are looked for.
    """
    broken = as_mask(pc.is_valid(whole(table["_problem"])))
    sound = rows_where(table, ~broken)
    rows = _Rows(
        sound, whole(sound["_row_number"]), file, [], np.zeros(sound.num_rows, dtype=bool), {}
    )  # fmt: skip
    chosen = _chosen_readings(verdicts, dataset, options)
    hows = [How(c, chosen.get(c.name), dataset.timezone, readings.get(c.name)) for c in dataset.columns]
    parsed = {how.column.name: _parse(rows, how, dataset) for how in hows}
    _add_long_keys(rows, parsed, dataset)
    clean = pa.table(parsed, schema=_stored_schema(dataset))
    for finding in validate(clean, rows.row_numbers.to_numpy(), dataset):
        _add_finding(rows, finding)
    if dataset.unknown_columns == "keep":
        extra, faults = build_extra(sound, file.header, file.unknown)
        for position, fault in faults:
            _add_fault(rows, file.header[position], position, fault)
        clean = clean.append_column(EXTRA_COLUMN, extra)
    elif dataset.unknown_columns == "refuse":
        _add_cells_without_header(rows)
    clean = _as_declared(clean, dataset)
    clean = clean.add_column(0, "_row_number", rows.row_numbers)
    rejected = broken.copy()
    rejected[~broken] = rows.bad
    problems = [*_broken_rows(table, broken), *rows.problems]
    return CheckedTable(
        rows_where(clean, ~rows.bad),
        rows_where(table, rejected),
        errors_table(problems, language, [sheet.name for sheet in file.sheets]),
    )


def _parse(rows: _Rows, how: How, dataset: Dataset) -> pa.Array:
    column = how.column
    position = rows.file.mapping.get(column.name)
    if position is None:
        rows.faulty[column.name] = np.zeros(rows.table.num_rows, dtype=bool)
        return pa.nulls(rows.table.num_rows, storage_type(column.arrow_type))
    kinds = f"k{position}"
    parsed = parse_cells(
        whole(rows.table[f"c{position}"]),
        whole(rows.table[kinds]) if kinds in rows.table.column_names else None,
        how,
        null_tokens(column, dataset),
    )
    faulty = np.zeros(rows.table.num_rows, dtype=bool)
    for fault in parsed.faults:
        faulty[fault.positions] = True
        _add_fault(rows, column.name, position, fault)
    rows.faulty[column.name] = faulty
    return parsed.values


def _stored_schema(dataset: Dataset) -> pa.Schema:
    return pa.schema([(c.name, storage_type(c.arrow_type)) for c in dataset.columns])


def _as_declared(clean: pa.Table, dataset: Dataset) -> pa.Table:
    """JSON columns in their declared type: until here, and for pandera, they are plain text."""
    for column in dataset.columns:
        if isinstance(column.arrow_type, pa.BaseExtensionType):
            values = pa.ExtensionArray.from_storage(column.arrow_type, whole(clean[column.name]))
            clean = clean.set_column(clean.column_names.index(column.name), column.name, values)
    return clean


def _chosen_readings(
    verdicts: Collection[ColumnVerdict], dataset: Dataset, options: SenderOptions
) -> dict[str, str | None]:
    """How each number or date column is read: the file's verdict, else stated, else the default."""
    chosen: dict[str, str | None] = {}
    for column in dataset.columns:
        kind = column.type.evidence
        if kind == "decimal":
            chosen[column.name] = options.decimal or dataset.defaults.decimal
        elif kind == "date":
            chosen[column.name] = options.date_order or dataset.defaults.date_order
    return chosen | {verdict.column: verdict.reading for verdict in verdicts}


def _add_fault(rows: _Rows, column: str, position: int, fault: Fault) -> None:
    _add(rows, Finding(column, fault.code, fault.positions, fault.detail), position)


def _add_finding(rows: _Rows, finding: Finding) -> None:
    """Note a broken rule, but not for cells that could not be read: they have their error."""
    if finding.column:
        unreadable = rows.faulty[finding.column]
    else:
        unreadable = np.logical_or.reduce(list(rows.faulty.values()))
    positions = finding.positions[~unreadable[finding.positions]]
    _add(rows, replace(finding, positions=positions), rows.file.mapping.get(finding.column))


def _add(rows: _Rows, finding: Finding, position: int | None) -> None:
    """Note a finding about the cells at `position` of the header; None: about no cell of the file."""
    taken = pa.array(finding.positions)
    if position is None:
        header, values = finding.column, pa.nulls(len(taken), pa.string())
    else:
        header, values = rows.file.header[position], whole(rows.table[f"c{position}"]).take(taken)
    rows.problems.append(
        Problem(
            column=finding.column,
            header=header,
            position=len(rows.file.header) if position is None else position,
            code=finding.code,
            detail=finding.detail,
            severity=finding.severity,
            row_numbers=rows.row_numbers.take(taken),
            values=values,
        )
    )
    if finding.severity == "error":
        rows.bad[finding.positions] = True


def _add_cells_without_header(rows: _Rows) -> None:
    """Note what stands in columns without a name: the only unknown ones that a strict dataset lets pass."""
    for position in rows.file.unknown:
        cells = pc.fill_null(whole(rows.table[f"c{position}"]), "")
        filled = as_mask(pc.not_equal(pc.utf8_trim(cells, WHITE_SPACE), ""))
        _add_fault(rows, "", position, Fault("cell_without_header", np.flatnonzero(filled)))


def _add_long_keys(rows: _Rows, parsed: dict[str, pa.Array], dataset: Dataset) -> None:
    """Note keys that PostgreSQL's index could not hold; the first text column of the key bears it."""
    texts = [name for name in dataset.key if pa.types.is_string(parsed[name].type)]
    if not texts:
        return
    size = np.zeros(rows.table.num_rows, dtype=np.int64)
    for name in texts:
        size += pc.fill_null(pc.binary_length(parsed[name]), 0).to_numpy(zero_copy_only=False)
    long = size > LONGEST_KEY
    if long.any():
        fault = Fault("key_too_long", np.flatnonzero(long), f"{LONGEST_KEY:,}")
        _add_fault(rows, texts[0], rows.file.mapping[texts[0]], fault)


def _broken_rows(table: pa.Table, broken: np.ndarray) -> list[Problem]:
    """Rows whose cells cannot be told apart: one error each, and no further look at their cells."""
    if not broken.any():
        return []
    rows = rows_where(table.select(["_row_number", "_line", "_problem", "_overflow"]), broken)
    problems = []
    for code in pc.unique(rows["_problem"]).to_pylist():
        some = rows.filter(pc.equal(rows["_problem"], code))
        numbers, values = whole(some["_row_number"]), whole(some["_overflow"])
        if code != "unclosed_quote":
            problems.append(Problem("", "", -1, code, "", "error", numbers, values))
            continue
        # Each names the line where its quote opens; a file has at most 1,000 of them.
        for at, line in enumerate(some["_line"].to_pylist()):
            one, value = numbers.slice(at, 1), values.slice(at, 1)
            problems.append(Problem("", "", -1, code, str(line), "error", one, value))
    return problems


def _count_codes(errors: pa.Table) -> dict[str, int]:
    counted = pc.value_counts(whole(errors["code"])).to_pylist()
    return dict(sorted((entry["values"], entry["counts"]) for entry in counted))
