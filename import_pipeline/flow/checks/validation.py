"""Runs a dataset's pandera model, lazily, over parsed columns; failures become findings by row.

The model is the only place of a rule. A check that raises, or judges a batch instead of its rows, is
the engineer's mistake and stops the import; it never turns into rejects or silence.
"""

import copy
import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc
from pandera.config import ValidationDepth, config_context
from pandera.errors import FailureCaseMetadata, SchemaError, SchemaErrorReason, SchemaErrors

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.catalog.rules import RULES, describe_check
from import_pipeline.errors import ImportFailed

Severity = Literal["error", "warning"]

_ERROR_NAME = re.compile(r"\w*")


@dataclass(frozen=True, eq=False)
class Finding:
    """One rule that some rows break.

    Attributes:
        column: declared column; empty for a rule over several columns.
        positions: rows by position in the table, ascending.
        detail: the `{detail}` of the code's message.
    """

    column: str
    code: str
    positions: np.ndarray
    detail: str = ""
    severity: Severity = "error"


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A model's schema made safe for batches, and the checks that only warn.

    Attributes:
        schema: without the columns that no rule looks at, and with one failure case for each check of a
            column: its answer says which rows fail, and pandera takes long to describe each of them.
        required: columns that may not be empty; looked at here, not by pandera, for the same reason.
        warns: ids of checks.
    """

    schema: pandera.DataFrameSchema
    required: tuple[str, ...]
    warns: frozenset[int]


def validate(parsed: pa.Table, row_numbers: np.ndarray, dataset: Dataset) -> list[Finding]:
    """Every rule that a row of `parsed` breaks.

    Args:
        parsed: the declared columns, typed, in the model's order.
        row_numbers: ascending; the index that the checks see.

    Raises:
        ImportFailed: a check raised or did not judge row by row.
    """
    if not parsed.num_rows:
        return []
    prepared = _prepare(dataset)
    missing = [finding for name in prepared.required if (finding := _missing(name, parsed[name]))]
    if not prepared.schema.columns:
        return missing
    frame = parsed.select(list(prepared.schema.columns)).to_pandas(types_mapper=pd.ArrowDtype)
    frame.index = pd.Index(row_numbers)
    try:
        # Whatever pandera's environment variables say, a row is loaded only after its checks.
        with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            prepared.schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        broken = [f for e in errors.schema_errors for f in _findings(e, frame.index, prepared, dataset)]
        return [*missing, *broken]
    return missing


def _missing(name: str, values: pa.ChunkedArray) -> Finding | None:
    """The rows in which a required cell is empty."""
    if not values.null_count:
        return None
    return Finding(name, "missing_value", np.flatnonzero(pc.is_null(values).to_numpy()))


def _findings(error: SchemaError, rows: pd.Index, prepared: _Prepared, dataset: Dataset) -> list[Finding]:
    column = str(error.column_name or "")
    if error.reason_code is not SchemaErrorReason.DATAFRAME_CHECK:
        raise _broken(dataset, column, error)
    code, detail = describe_check(error.check)
    severity: Severity = "warning" if id(error.check) in prepared.warns else "error"
    return [
        Finding(name, code, positions, detail, severity)
        for name, positions in _failed_rows(error, column, rows, dataset).items()
    ]


def _failed_rows(
    error: SchemaError, column: str, rows: pd.Index, dataset: Dataset
) -> Mapping[str, np.ndarray]:
    """Positions of the rows that fail, by column; a check over the frame may answer cell by cell."""
    output = error.check_output
    if isinstance(output, pd.Series) and (output.index.equals(rows) or output.index.isin(rows).all()):
        return {column: _failing(output, rows)}
    if isinstance(output, pd.DataFrame) and output.index.equals(rows):
        return {str(n): _failing(output[n], rows) for n in output if not output[n].all()}
    raise _broken(dataset, column, error)


def _failing(passed: pd.Series, rows: pd.Index) -> np.ndarray:
    failed = ~passed.to_numpy(dtype=bool, na_value=True)
    if passed.index.equals(rows):
        return np.flatnonzero(failed)
    return np.sort(rows.get_indexer(passed.index[failed]))


def _broken(dataset: Dataset, column: str, error: SchemaError) -> ImportFailed:
    """What is wrong with the model; what was raised may quote values, which only `check` shows."""
    place = f"column {column!r}" if column else "the model"
    said = ""
    if error.reason_code is SchemaErrorReason.CHECK_ERROR:
        what = f"check {getattr(error.check, 'name', None)!r} raised "
        said = str(error.failure_cases)
    elif error.reason_code is SchemaErrorReason.DATAFRAME_CHECK:
        what = f"check {error.check.name!r} does not answer with one boolean a row"
    else:
        what, said = f"pandera reports {error.reason_code}: ", str(error)
    opening = f"Dataset {dataset.name!r} ({dataset.where}), {place}: {what}"
    personal = dataset.has_personal
    return ImportFailed(
        f"{opening}{said}.",
        masked=f"{opening}{_ERROR_NAME.match(said)[0]}…" if said and personal else "",  # type: ignore[index]
        remedy="Correct the model; then launch the upload again.",
        dataset=dataset.name,
        column=column,
    )


@functools.lru_cache(maxsize=64)
def _prepare(dataset: Dataset) -> _Prepared:
    schema = copy.deepcopy(dataset.schema)
    required = tuple(name for name, declared in schema.columns.items() if not declared.nullable)
    if not schema.checks:
        schema = schema.remove_columns([name for name, c in schema.columns.items() if not c.checks])
    for declared in schema.columns.values():
        declared.nullable = True
        for check in declared.checks:
            check.n_failure_cases = 1
    for part in (schema, *schema.columns.values()):
        vars(part)["get_backend"] = _without_description(part.get_backend)
    warns: set[int] = set()
    for check in [*schema.checks, *(k for c in schema.columns.values() for k in c.checks)]:
        if check.raise_warning:
            check.raise_warning = False
            warns.add(id(check))
        if check.name not in RULES:
            # An answer of NA, as Arrow gives for a comparison with an empty cell, makes pandera raise.
            check._check_fn = _without_na(check._check_fn, passes=check.ignore_na)
    return _Prepared(schema, required, frozenset(warns))


def _without_description(get_backend: Callable[..., Any]) -> Callable[..., Any]:
    """Backends that do not describe failures in tables and words: a tenth of the time of all checks.

    Only the answers of the checks are used, which each error has.
    """

    def silent(*arguments: Any, **named: Any) -> Any:
        backend = get_backend(*arguments, **named)
        backend.failure_cases_metadata = lambda name, errors: FailureCaseMetadata(None, {}, {})
        return backend

    return silent


def _without_na(judge: Callable[..., Any], *, passes: bool) -> Callable[..., Any]:
    @functools.wraps(judge)
    def judged(values: Any, **arguments: Any) -> Any:
        answer = judge(values, **arguments)
        if answer is pd.NA:
            return passes
        if isinstance(answer, (pd.Series, pd.DataFrame)):
            return answer.fillna(passes).astype(bool)
        return answer

    return judged
