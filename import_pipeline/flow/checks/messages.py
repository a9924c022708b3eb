"""Error rows for people: row, column, value, what is wrong and what to do, made a column at a time.

The words stand in `codes.py`; here they are said in the sender's language and joined with the cells.
Masking personal values for ledger, logs and Dagster is here too (`mask_errors`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.codes import CODES
from import_pipeline.flow.checks.validation import Severity
from import_pipeline.language import Language, say, told
from import_pipeline.row_numbers import ROWS_OF_A_SHEET

ERRORS_SCHEMA = pa.schema(
    [
        ("row_number", pa.int64()),
        ("column", pa.string()),
        ("header", pa.string()),
        ("value", pa.string()),
        ("code", pa.string()),
        ("severity", pa.string()),
        ("message", pa.string()),
        ("remedy", pa.string()),
    ]
)
SHOWN_CHARACTERS = 80
MASK = "***"
# Places are filled in after the translation, a column of rows at a time: each stands for itself until then.
_WHOLE_ROW = {"check_failed": told("the row fails the check: {detail}.", detail="{detail}")}
_OPENINGS = {  # by: several sheets, a column
    (False, False): told("Row {row}: ", row="{row}"),
    (False, True): told('Row {row}, column "{column}": ', row="{row}", column="{column}"),
    (True, False): told('Sheet "{sheet}", row {row}: ', sheet="{sheet}", row="{row}"),
    (True, True): told(
        'Sheet "{sheet}", row {row}, column "{column}": ', sheet="{sheet}", row="{row}", column="{column}"
    ),
}


@dataclass(frozen=True, eq=False)
class Problem:
    """One fault of one column in some rows, ready to be told.

    Attributes:
        column: declared column, or the header of an undeclared one; empty: the whole row.
        header: as the sender wrote it.
        position: of the column in the header, from 0; what orders the errors of a row.
        row_numbers: int64, one an error.
        values: the cells as the sender wrote them, null where there is none.
    """

    column: str
    header: str
    position: int
    code: str
    detail: str
    severity: Severity
    row_numbers: pa.Array
    values: pa.Array


def errors_table(
    problems: Sequence[Problem], language: Language = "en", sheets: Sequence[str] = ()
) -> pa.Table:
    """All problems as error rows, by row number, then by the sender's columns.

    Args:
        language: of messages and remedies.
        sheets: names of the sheets that row numbers go through; messages name them if there are several.
    """
    ordered = sorted(problems, key=lambda p: p.position)
    tables = [_rows(p, language, sheets) for p in ordered if len(p.row_numbers)]
    if not tables:
        return ERRORS_SCHEMA.empty_table()
    order = np.repeat(np.arange(len(tables)), [t.num_rows for t in tables])
    together = pa.concat_tables(tables).append_column("order", pa.array(order))
    together = together.sort_by([("row_number", "ascending"), ("order", "ascending")])
    return together.drop_columns(["order"]).combine_chunks()


def mask_errors(errors: pa.Table, dataset: Dataset) -> pa.Table:
    """The same error rows with values of personal columns masked, in `value` and `message`.

    What belongs to no declared column (the overflow of a row, an unknown column and its header) is
    masked too where the dataset has anything personal.
    """
    if not dataset.has_personal:
        return errors
    public = pa.array([c.name for c in dataset.columns if not c.personal], pa.string())
    hide = pc.and_(pc.invert(pc.is_in(errors["column"], value_set=public)), pc.is_valid(errors["value"]))
    # Arrow replaces one text everywhere, not each row's own; these are at most the rows of the ledger's cap.
    rows = zip(
        errors["message"].to_pylist(), _shown(errors["value"]).to_pylist(), hide.to_pylist(), strict=True
    )
    message = pa.array([text.replace(shown, f'"{MASK}"') if hidden else text for text, shown, hidden in rows],
                       pa.string())  # fmt: skip
    value = pc.if_else(hide, MASK, errors["value"])
    hidden = errors.set_column(3, "value", value).set_column(6, "message", message)
    return _without_unknown_headers(hidden, dataset).cast(ERRORS_SCHEMA)


def _without_unknown_headers(errors: pa.Table, dataset: Dataset) -> pa.Table:
    declared = pa.array([c.name for c in dataset.columns], pa.string())
    foreign = pc.and_(
        pc.invert(pc.is_in(errors["column"], value_set=declared)), pc.not_equal(errors["header"], "")
    )
    rows = zip(errors["message"].to_pylist(), errors["header"].to_pylist(), foreign.to_pylist(), strict=True)
    message = pa.array([text.replace(f'"{header}"', f'"{MASK}"', 1) if hidden else text
                        for text, header, hidden in rows], pa.string())  # fmt: skip
    named = pc.and_(foreign, pc.not_equal(errors["column"], ""))
    column, header = pc.if_else(named, MASK, errors["column"]), pc.if_else(foreign, MASK, errors["header"])
    masked = errors.set_column(1, "column", column).set_column(2, "header", header)
    return masked.set_column(6, "message", message)


def _rows(problem: Problem, language: Language, sheets: Sequence[str]) -> pa.Table:
    count = len(problem.row_numbers)
    code = CODES[problem.code]
    several = len(sheets) > 1
    said = code.message if problem.column else _WHOLE_ROW.get(problem.code, code.message)
    template = say(_OPENINGS[several, bool(problem.header)], language) + say(said, language)
    values = pc.replace_substring(problem.values, "\0", "\u2400")
    facts = {
        **_places(problem.row_numbers, sheets if several else ()),
        "column": problem.header,
        "value": _shown(values),
        "detail": say(problem.detail, language),
    }
    return pa.table(
        [
            problem.row_numbers,
            _constant(problem.column, count),
            _constant(problem.header, count),
            values,
            _constant(problem.code, count),
            _constant(problem.severity, count),
            _filled(template, facts),
            _constant(say(code.remedy, language).replace("{detail}", facts["detail"]), count),
        ],
        schema=ERRORS_SCHEMA,
    )


def _places(row_numbers: pa.Array, sheets: Sequence[str]) -> dict[str, pa.Array]:
    """Row, and sheet if there are several, as the sender counts."""
    if not sheets:
        return {"row": pc.cast(row_numbers, pa.string())}
    sheet = pc.divide(row_numbers, ROWS_OF_A_SHEET)
    row = pc.subtract(row_numbers, pc.multiply(sheet, ROWS_OF_A_SHEET))
    return {"row": pc.cast(row, pa.string()), "sheet": pa.array(list(sheets), pa.string()).take(sheet)}


def _filled(template: str, facts: Mapping[str, "pa.Array | str"]) -> pa.Array:
    """The template with its places filled, once a row."""
    parts = re.split(r"\{(\w+)\}", template)
    pieces = [facts[part] if place % 2 else part for place, part in enumerate(parts)]
    return pc.binary_join_element_wise(*pieces, "")


def _shown(values: pa.Array) -> pa.Array:
    """Values in quotes, on one line, shortened."""
    line = pc.replace_substring_regex(pc.fill_null(values, ""), r"[\r\n\t]+", " ")
    short = pc.utf8_slice_codeunits(line, 0, SHOWN_CHARACTERS)
    cut = pc.binary_join_element_wise(short, "…", "")
    shown = pc.if_else(pc.greater(pc.utf8_length(line), SHOWN_CHARACTERS), cut, short)
    return pc.binary_join_element_wise('"', shown, '"', "")


def _constant(text: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), count)
