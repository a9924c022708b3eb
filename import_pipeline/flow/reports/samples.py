"""What the page shows of a file's errors: how often each code came, an example of each, the first rows.

Gathered from the error tables of the batches, in the order of the file; values are as the sender wrote
them, because the page goes back to the sender. What is masked for others is `masking.py`'s.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.flow.reports.row_places import message_openings
from import_pipeline.language import Language
from import_pipeline.row_numbers import sheet_and_row

FIRST_ROWS = 25
LONGEST_VALUE = 160


@dataclass(frozen=True)
class Sample:
    """One error, warning or duplicate as the page shows it.

    Attributes:
        sheet: empty for a file without sheets.
        message: without the row and the column, which stand beside it.
    """

    sheet: str
    row: int
    column: str
    value: str
    code: str
    message: str
    remedy: str


@dataclass(frozen=True)
class CodeSample:
    """How often a code came, in which columns, and its first row.

    Attributes:
        columns: the sender's headers with the number of times in each, the most frequent first.
    """

    code: str
    severity: str
    count: int
    columns: tuple[tuple[str, int], ...]
    example: Sample


@dataclass
class Samples:
    """Gathers them batch by batch; Python objects for a bounded number of rows only.

    Attributes:
        sheets: names of the sheets that are read, in their order.
        language: of the messages.
        first: the first rows by severity (`error`, `warning`, `duplicate`), at most 25 each.
    """

    sheets: Sequence[str] = ()
    language: Language = "en"
    first: dict[str, list[Sample]] = field(default_factory=dict)
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _columns: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    _examples: dict[tuple[str, str], Sample] = field(default_factory=dict)

    def add(self, errors: pa.Table) -> None:
        """Take what one batch gives (`ERRORS_SCHEMA`, by row number)."""
        if errors.num_rows == 0:
            return
        for severity in pc.unique(errors["severity"]).to_pylist():
            kept = self.first.setdefault(severity, [])
            more = FIRST_ROWS - len(kept)
            if more > 0:
                of_it = errors.filter(pc.equal(errors["severity"], severity)).slice(0, more)
                kept += [self._sample(row) for row in _shown(of_it)]
        header = pc.if_else(pc.equal(errors["header"], ""), errors["column"], errors["header"])
        numbered = pa.table(
            [errors["severity"], errors["code"], header, pa.array(np.arange(errors.num_rows))],
            ["severity", "code", "header", "at"],
        )
        grouped = numbered.group_by(["severity", "code", "header"]).aggregate(
            [("at", "count"), ("at", "min")]
        )
        for group in grouped.sort_by("at_min").to_pylist():
            name = group["severity"], group["code"]
            self._counts[name] += group["at_count"]
            self._columns.setdefault(name, Counter())[group["header"]] += group["at_count"]
            if name not in self._examples:
                self._examples[name] = self._sample(_shown(errors.slice(group["at_min"], 1))[0])

    def by_code(self, severity: str) -> list[CodeSample]:
        """The codes of a severity, the most frequent first."""
        return [
            CodeSample(
                code=code,
                severity=severity,
                count=count,
                columns=tuple(self._columns[severity, code].most_common()),
                example=self._examples[severity, code],
            )
            for (its, code), count in self._counts.most_common()
            if its == severity
        ]

    def _sample(self, row: Mapping[str, Any]) -> Sample:
        sheet, number = sheet_and_row(row["row_number"], self.sheets)
        numbers = pa.array([row["row_number"]], pa.int64())
        opening = message_openings(numbers, row["header"] or "", self.sheets, self.language)[0].as_py()
        return Sample(
            sheet=sheet,
            row=number,
            column=row["header"] or row["column"] or "",
            value=row["value"] or "",
            code=row["code"],
            message=_sentence(row["message"].removeprefix(opening)),
            remedy=row["remedy"],
        )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _shown(errors: pa.Table) -> list[dict[str, Any]]:
    """Rows as Python objects, long values cut: a cell may have megabytes."""
    value = errors["value"]
    cut = pc.binary_join_element_wise(pc.utf8_slice_codeunits(value, 0, LONGEST_VALUE), "…", "")
    short = pc.if_else(pc.greater(pc.utf8_length(value), LONGEST_VALUE), cut, value)
    return errors.set_column(errors.schema.get_field_index("value"), "value", short).to_pylist()
