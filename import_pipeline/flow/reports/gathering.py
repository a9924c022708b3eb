"""The errors of an upload, batch by batch: errors.csv as it grows, and what is counted and kept on the way.

errors.csv has every error, warning and duplicate, never capped. What others than the sender see is masked.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.reports.csv_lines import BYTE_ORDER_MARK, csv_line, csv_lines, kinds_by_column
from import_pipeline.flow.reports.masking import masked
from import_pipeline.flow.reports.row_places import in_sheets, sheet_names
from import_pipeline.flow.reports.samples import Samples
from import_pipeline.formula_guard import ColumnKind, guard
from import_pipeline.ledger.rows import RowError
from import_pipeline.records import OpenedUpload
from import_pipeline.row_numbers import sheet_and_row

ERROR_COLUMNS = ("row", "column", "value", "code", "severity", "message", "remedy")
FIRST_ERRORS = 20


class GatheredErrors:
    """Writes errors.csv and counts.

    Attributes:
        total: errors and warnings; duplicates are counted in `codes` alone.
        codes: errors, warnings and duplicates by code.
        first_errors: the first 20 errors, masked, for people.
        row_errors: the first errors and warnings up to the cap, masked, for the ledger.
        samples: what the page shows, for the sender.
    """

    def __init__(self, path: Path, opened: OpenedUpload, dataset: Dataset, cap: int):
        self._dataset, self._cap = dataset, cap
        self._sheets = sheet_names(opened)
        self._delimiter = opened.file.delimiter or ","
        self._kinds = kinds_by_column(dataset)
        self.total = 0
        self.codes: Counter[str] = Counter()
        self.first_errors: list[dict[str, Any]] = []
        self.row_errors: list[RowError] = []
        self.samples = Samples(self._sheets, opened.language)
        header = ("row", "sheet", *ERROR_COLUMNS[1:]) if self._sheets else ERROR_COLUMNS
        self._file = path.open("wb")
        self._file.write(BYTE_ORDER_MARK + csv_line(header, self._delimiter))

    def add(self, errors: pa.Table) -> None:
        """Write, count and keep what one batch gives; columns as in `ERRORS_SCHEMA`."""
        self._file.write(self._lines(errors))
        self.samples.add(errors)
        for entry in pc.value_counts(errors["code"]).to_pylist():
            self.codes[entry["values"]] += entry["counts"]
        listed = errors.filter(pc.not_equal(errors["severity"], "duplicate"))
        self.total += listed.num_rows
        self._keep_first(listed)

    def close(self) -> None:
        """Complete the file."""
        self._file.close()

    def _keep_first(self, listed: pa.Table) -> None:
        """Keep the first errors, masked: Python objects for at most the cap's rows of a whole file."""
        wanted = max(self._cap - len(self.row_errors), 0)
        for row in masked(listed.slice(0, wanted), self._dataset).to_pylist() if wanted else ():
            sheet, number = sheet_and_row(row["row_number"], self._sheets)
            self.row_errors.append(
                RowError(
                    sheet=sheet,
                    row_number=number,
                    column=row["column"] or row["header"] or "",
                    value=row["value"] or "",
                    code=row["code"],
                    severity=row["severity"],
                    message=row["message"],
                )
            )
        more = FIRST_ERRORS - len(self.first_errors)
        if more > 0:
            only = listed.filter(pc.equal(listed["severity"], "error")).slice(0, more)
            self.first_errors += [self._shown(row) for row in masked(only, self._dataset).to_pylist()]

    def _shown(self, row: Mapping[str, Any]) -> dict[str, Any]:
        sheet, number = sheet_and_row(row["row_number"], self._sheets)
        return {
            "row": number,
            **({"sheet": sheet} if self._sheets else {}),
            "column": row["header"] or row["column"],
            "value": row["value"] or "",
            "code": row["code"],
            "severity": row["severity"],
            "message": row["message"],
        }

    def _lines(self, errors: pa.Table) -> bytes:
        header = pc.if_else(pc.equal(errors["header"], ""), errors["column"], errors["header"])
        columns = [
            *self._places(_whole(errors["row_number"])),
            guard(header),
            self._guarded_values(errors),
            errors["code"],
            errors["severity"],
            guard(errors["message"]),
            errors["remedy"],
        ]
        return csv_lines([_whole(column) for column in columns], self._delimiter)

    def _places(self, numbers: Any) -> list[Any]:
        """The row as the sender counts it, and in a workbook its sheet."""
        if not self._sheets:
            return [numbers.cast(pa.string())]
        sheet, rows = in_sheets(numbers)
        return [rows, guard(pa.array(self._sheets, pa.string()).take(sheet))]

    def _guarded_values(self, errors: pa.Table) -> Any:
        values = guard(errors["value"])
        kinds: tuple[ColumnKind, ...] = ("number", "phone")
        for kind in kinds:
            names = [name for name, its in self._kinds.items() if its == kind]
            of_kind = pc.is_in(errors["column"], value_set=pa.array(names, pa.string()))
            values = pc.if_else(of_kind, guard(errors["value"], kind), values)
        return values


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
