"""Writing the report of an upload: errors.csv, rejected.csv, summary.html, and last summary.json.

The presence of summary.json says that the report is complete. Both files go through a local
temporary folder batch by batch, so memory does not grow with the file.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import CountsDoNotBalance, ImportPipelineError
from import_pipeline.flow.reports.csv_lines import (
    BYTE_ORDER_MARK,
    IMPORT_COLUMNS,
    csv_line,
    csv_lines,
    kinds_by_column,
    kinds_by_position,
)
from import_pipeline.flow.reports.masking import masked
from import_pipeline.flow.reports.page import summary_page
from import_pipeline.flow.reports.rows import BatchFindings, findings, gather_outcomes, messages_of
from import_pipeline.flow.reports.samples import Samples
from import_pipeline.flow.reports.summary import Named, named, refusal_of, summary_of
from import_pipeline.formula_guard import ColumnKind, guard, unguard
from import_pipeline.language import Language
from import_pipeline.ledger.rows import RowError
from import_pipeline.records import (
    CheckedBatch,
    FoundDuplicates,
    OpenedUpload,
    PublishedUpload,
    SplitUpload,
)
from import_pipeline.storage.places import reports_prefix
from import_pipeline.storage.store import Store

SUMMARY, ERRORS, REJECTED = "summary.json", "errors.csv", "rejected.csv"
PAGE = "summary.html"
PAGE_TYPE = "text/html; charset=utf-8"
ERROR_COLUMNS = ("row", "column", "value", "code", "severity", "message", "remedy")
FIRST_ERRORS = 20
JSON_TYPE = "application/json"
CSV_TYPE = "text/csv; charset=utf-8"


@dataclass(frozen=True)
class WrittenReport:
    """A complete report, and what of it others may see.

    Attributes:
        prefix: ends with `/`, or is empty; the keys begin with it.
        errors_key: None for a refusal without rows; `rejected_key`: None without rejects.
        first_errors: at most 20 errors (`row`, `column`, `value`, `code`, `severity`, `message`),
            personal values masked.
        row_errors: the first errors and warnings up to the cap, masked, for the ledger.
        total_errors: true number of errors and warnings.
        codes: number of errors, warnings and duplicates by code.
        summary: the content of summary.json; unmasked only where it shows headers and file name.
    """

    prefix: str
    summary_key: str
    errors_key: str | None
    rejected_key: str | None
    rejected_rows: int
    first_errors: tuple[dict[str, Any], ...]
    row_errors: tuple[RowError, ...]
    total_errors: int
    codes: dict[str, int]
    summary: dict[str, Any]


def write_reports(
    store: Store,
    opened: OpenedUpload,
    split: SplitUpload,
    checked: Sequence[CheckedBatch],
    published: PublishedUpload | None,
    *,
    duplicates: FoundDuplicates,
    dataset: Dataset,
    outcomes: pa.Table | None = None,
    refusal: ImportPipelineError | None = None,
    target: Store | None = None,
    prefix: str | None = None,
    cap: int = 1000,
    seconds: Mapping[str, float] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> WrittenReport:
    """Write the report of an upload whose rows were checked; may be repeated, the last one stands.

    Args:
        store: holds the staging objects.
        published: None if the file was refused after its rows were checked; then `refusal` says why.
        outcomes: `_row_number`, `outcome`, `code` of valid rows that were neither inserted nor
            updated (`read_outcomes`); None if nothing was compared with a table.
        target: where the report goes; default: `store`.
        prefix: default: the upload's place under `reports/`.
        cap: most row errors handed on for the ledger; errors.csv is never capped.
        seconds: of stages that no record tells, such as `stage`.
        facts: further entries of summary.json, such as the run's id.

    Raises:
        CountsDoNotBalance: rejected.csv would not have as many rows as were counted.
    """
    target = target or store
    prefix = reports_prefix(opened.workspace, opened.dataset, opened.short_id) if prefix is None else prefix
    target.delete_prefix(prefix + SUMMARY)
    told = gather_outcomes(store, duplicates, outcomes)
    with tempfile.TemporaryDirectory(prefix="import_pipeline_report_") as folder, ExitStack() as files:
        report = _Files(opened, dataset, cap, Path(folder), files)
        for found in findings(store, split.batches, checked, outcomes=told, opened=opened, dataset=dataset):
            report.add(found)
        files.close()
        _compare(report.rejected_rows, published, opened)
        target.put_file(prefix + ERRORS, report.errors_path, CSV_TYPE)
        if report.rejected_rows:
            target.put_file(prefix + REJECTED, report.rejected_path, CSV_TYPE)
        else:
            target.delete_prefix(prefix + REJECTED)
    summary = summary_of(opened, split, checked, published, duplicates=duplicates, dataset=dataset)
    summary["seconds"] |= {stage: round(took, 3) for stage, took in (seconds or {}).items()}
    rejected_key = prefix + REJECTED if report.rejected_rows else None
    summary |= {
        "codes": dict(sorted(report.codes.items())),
        "errors": report.total_errors,
        "errors_in_ledger": len(report.row_errors),
        "rejected_rows": report.rejected_rows,
        "files": {
            "summary": prefix + SUMMARY,
            "page": prefix + PAGE,
            "errors": prefix + ERRORS,
            "rejected": rejected_key,
        },
    }
    if refusal is not None:
        summary["error"] = refusal_of(refusal, opened.language)
    summary |= dict(facts or {})
    target.put_bytes(prefix + PAGE, _page(summary, report.samples, opened.language), PAGE_TYPE)
    _put_json(target, prefix + SUMMARY, summary)
    return WrittenReport(
        prefix=prefix,
        summary_key=prefix + SUMMARY,
        errors_key=prefix + ERRORS,
        rejected_key=rejected_key,
        rejected_rows=report.rejected_rows,
        first_errors=tuple(report.first_errors),
        row_errors=tuple(report.row_errors),
        total_errors=report.total_errors,
        codes=dict(report.codes),
        summary=summary,
    )


def write_refusal(
    target: Store,
    upload: Named,
    error: ImportPipelineError,
    *,
    language: Language = "en",
    prefix: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> WrittenReport:
    """Write the report of a file that was refused as a whole: the page and summary.json alone."""
    prefix = reports_prefix(upload.workspace, upload.dataset, upload.short_id) if prefix is None else prefix
    key = prefix + SUMMARY
    for stale in (SUMMARY, PAGE, ERRORS, REJECTED):
        target.delete_prefix(prefix + stale)
    files = {"summary": key, "page": prefix + PAGE, "errors": None, "rejected": None}
    summary = {
        **named(upload, "refused", language),
        "error": refusal_of(error, language),
        "files": files,
        **(facts or {}),
    }
    target.put_bytes(prefix + PAGE, _page(summary, Samples(), language), PAGE_TYPE)
    _put_json(target, key, summary)
    return WrittenReport(prefix, key, None, None, 0, (), (), 0, {}, summary)


@dataclass
class _Files:
    """errors.csv and rejected.csv while they grow, and what is counted on the way."""

    opened: OpenedUpload
    dataset: Dataset
    cap: int
    folder: Path
    files: ExitStack
    rejected_rows: int = 0
    total_errors: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    first_errors: list[dict[str, Any]] = field(default_factory=list)
    row_errors: list[RowError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.delimiter = self.opened.file.delimiter or ","
        self.headers = _own_headers(self.opened)
        self.samples = Samples([sheet.name for sheet in self.opened.file.sheets])
        self.kinds = kinds_by_position(self.opened.file.mapping, self.dataset)
        self.kinds_by_column = kinds_by_column(self.dataset)
        self.errors_path, self.rejected_path = self.folder / ERRORS, self.folder / REJECTED
        self.errors_file = self._opened(self.errors_path, ERROR_COLUMNS)
        self.rejected_file = self._opened(self.rejected_path, (*self.headers, *IMPORT_COLUMNS))

    def _opened(self, path: Path, header: Sequence[str]) -> BinaryIO:
        file = self.files.enter_context(path.open("wb"))
        file.write(BYTE_ORDER_MARK + csv_line(header, self.delimiter))
        return file

    def add(self, found: BatchFindings) -> None:
        """Write and count what one batch gives."""
        errors = found.errors
        self.errors_file.write(self._error_lines(errors))
        self.rejected_file.write(self._rejected_lines(found.rejected, errors))
        self.rejected_rows += found.rejected.num_rows
        self.samples.add(errors)
        for entry in pc.value_counts(errors["code"]).to_pylist():
            self.codes[entry["values"]] += entry["counts"]
        listed = errors.filter(pc.not_equal(errors["severity"], "duplicate"))
        self.total_errors += listed.num_rows
        self._keep_first(listed)

    def _keep_first(self, listed: pa.Table) -> None:
        """Keep the first errors, masked: Python objects for at most the cap's rows of a whole file."""
        wanted = max(self.cap - len(self.row_errors), 0)
        for row in masked(listed.slice(0, wanted), self.dataset).to_pylist():
            self.row_errors.append(
                RowError(
                    row_number=row["row_number"],
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
            self.first_errors += [_shown(row) for row in masked(only, self.dataset).to_pylist()]

    def _error_lines(self, errors: pa.Table) -> bytes:
        header = pc.if_else(pc.equal(errors["header"], ""), errors["column"], errors["header"])
        columns = [
            errors["row_number"].cast(pa.string()),
            guard(header),
            self._guarded_values(errors),
            errors["code"],
            errors["severity"],
            guard(errors["message"]),
            errors["remedy"],
        ]
        return csv_lines([_whole(column) for column in columns], self.delimiter)

    def _guarded_values(self, errors: pa.Table) -> Any:
        values = guard(errors["value"])
        kinds: tuple[ColumnKind, ...] = ("number", "phone")
        for kind in kinds:
            names = [name for name, its in self.kinds_by_column.items() if its == kind]
            of_kind = pc.is_in(errors["column"], value_set=pa.array(names, pa.string()))
            values = pc.if_else(of_kind, guard(errors["value"], kind), values)
        return values

    def _rejected_lines(self, rejected: pa.Table, errors: pa.Table) -> bytes:
        """The sender's cells, then ours, then what a row had too much: read again, it is too much again."""
        if rejected.num_rows == 0:
            return b""
        rows = _whole(rejected["_row_number"])
        cells = [
            guard(_whole(rejected[f"c{position}"]), self.kinds.get(position, "text"))
            for position in range(len(self.headers))
        ]
        upload = pa.repeat(pa.scalar(self.opened.upload_id), len(rows))
        ours = [rows.cast(pa.string()), guard(upload), guard(_whole(messages_of(rows, errors)))]
        return csv_lines([*cells, *ours], self.delimiter, self._beyond(_whole(rejected["_overflow"])))

    def _beyond(self, overflow: Any) -> Any:
        """The cells too many of each row as one cell; the same cell again if the row comes back as it was."""
        if overflow.null_count == len(overflow):
            return overflow
        whole = pc.match_substring_regex(overflow, r'\A"(?:[^"]|"")*"\z')
        inner = pc.replace_substring(pc.utf8_slice_codeunits(overflow, 1, -1), '""', '"')
        plain = pc.if_else(whole, inner, overflow)
        return guard(unguard(plain) if self.opened.file.ours else plain)


def _own_headers(opened: OpenedUpload) -> tuple[str, ...]:
    """The sender's headers: in a `rejected.csv` that came back, without our three."""
    return opened.file.header[: -len(IMPORT_COLUMNS)] if opened.file.ours else opened.file.header


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "row": row["row_number"],
        "column": row["header"] or row["column"],
        "value": row["value"] or "",
        "code": row["code"],
        "severity": row["severity"],
        "message": row["message"],
    }


def _compare(written: int, published: PublishedUpload | None, opened: OpenedUpload) -> None:
    if published is None or published.state == "duplicate_file" or written == published.counts.rejected:
        return
    raise CountsDoNotBalance(
        f"{opened.file_name}: {published.counts.rejected} rows were counted as rejected, but {written} were "
        "found for rejected.csv.",
        remedy="Launch the import again; nothing is loaded twice.",
        counted=published.counts.rejected,
        written=written,
    )


def _page(summary: Mapping[str, Any], samples: Samples, language: Language) -> bytes:
    return summary_page(summary, samples, language).encode()


def _put_json(target: Store, key: str, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=2, default=str)
    target.put_bytes(key, text.encode() + b"\n", JSON_TYPE)
