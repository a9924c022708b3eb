"""Writing the report of an upload: errors.csv, rejected.<format>, summary.html, and last summary.json.

The presence of summary.json says that the report is complete. Both files go through a local
temporary folder batch by batch, so memory does not grow with the file.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import CountsDoNotBalance, ImportPipelineError
from import_pipeline.flow.reports.csv_lines import CSV_TYPE
from import_pipeline.flow.reports.gathering import GatheredErrors
from import_pipeline.flow.reports.page import PAGE, PAGE_TYPE, summary_page
from import_pipeline.flow.reports.returned.sheet_cells import DoesNotFit
from import_pipeline.flow.reports.returned.writers import CSV, REJECTED_NAMES, ReturnedForm, form_of
from import_pipeline.flow.reports.rows import BatchFindings, findings, gather_outcomes
from import_pipeline.flow.reports.samples import Samples
from import_pipeline.flow.reports.summary import Named, named, refusal_of, summary_of
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

SUMMARY, ERRORS = "summary.json", "errors.csv"
# Whatever its form, the file of rejected rows begins so.
REJECTED = "rejected."
REPORT_FILES = (PAGE, SUMMARY, ERRORS, *REJECTED_NAMES)
JSON_TYPE = "application/json"


@dataclass(frozen=True)
class WrittenReport:
    """A complete report, and what of it others may see.

    Attributes:
        prefix: ends with `/`, or is empty; the keys begin with it.
        page_key: of summary.html, which tells people what summary.json tells programs.
        errors_key: None for a refusal without rows; `rejected_key`: None without rejects.
        first_errors: at most 20 errors (`row`, `column`, `value`, `code`, `severity`, `message`),
            personal values masked.
        row_errors: the first errors and warnings up to the cap, masked, for the ledger.
        total_errors: true number of errors and warnings.
        codes: number of errors, warnings and duplicates by code.
        summary: the content of summary.json; unmasked only where it shows headers and file name.
    """

    prefix: str
    page_key: str
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
    owned: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> WrittenReport:
    """Write the report of an upload whose rows were checked; may be repeated, the last one stands.

    All rows are gathered first: one that stands there already is touched only when that is done.

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
        owned: entered around all that changes the place of the report; it may object by raising.

    Raises:
        CountsDoNotBalance: the file of rejected rows would not have as many rows as were counted.
    """
    target = target or store
    prefix = reports_prefix(opened.workspace, opened.dataset, opened.short_id) if prefix is None else prefix
    told = gather_outcomes(store, duplicates, outcomes)
    with tempfile.TemporaryDirectory(prefix="import_pipeline_report_") as folder:
        report = _write_rows(
            Path(folder),
            lambda: findings(store, split.batches, checked, outcomes=told, opened=opened, dataset=dataset),
            opened,
            dataset,
            cap,
        )
        _compare(report.rejected_rows, published, opened)
        gathered = report.gathered
        summary = summary_of(opened, split, checked, published, duplicates=duplicates, dataset=dataset)
        summary["seconds"] |= {stage: round(took, 3) for stage, took in (seconds or {}).items()}
        rejected_key = prefix + report.form.name if report.rejected_rows else None
        summary |= {
            "codes": dict(sorted(gathered.codes.items())),
            "errors": gathered.total,
            "errors_in_ledger": len(gathered.row_errors),
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
        page = _page(summary, gathered.samples, opened.language)
        with owned():
            _put(target, prefix, report, summary, page)
    return WrittenReport(
        prefix=prefix,
        page_key=prefix + PAGE,
        summary_key=prefix + SUMMARY,
        errors_key=prefix + ERRORS,
        rejected_key=rejected_key,
        rejected_rows=report.rejected_rows,
        first_errors=tuple(gathered.first_errors),
        row_errors=tuple(gathered.row_errors),
        total_errors=gathered.total,
        codes=dict(gathered.codes),
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
    return WrittenReport(prefix, prefix + PAGE, key, None, None, 0, (), (), 0, {}, summary)


@dataclass(frozen=True)
class _WrittenRows:
    """What the batches gave, in files of a local folder."""

    form: ReturnedForm
    errors_path: Path
    rejected_path: Path
    rejected_rows: int
    gathered: GatheredErrors


def _write_rows(
    folder: Path,
    found: Callable[[], Iterator[BatchFindings]],
    opened: OpenedUpload,
    dataset: Dataset,
    cap: int,
) -> _WrittenRows:
    """Write errors and rejected rows batch by batch; what a workbook cannot hold, all again as CSV."""
    try:
        return _write_in(form_of(opened.file), folder, found(), opened, dataset, cap)
    except DoesNotFit:
        return _write_in(CSV, folder, found(), opened, dataset, cap)


def _write_in(
    form: ReturnedForm,
    folder: Path,
    found: Iterator[BatchFindings],
    opened: OpenedUpload,
    dataset: Dataset,
    cap: int,
) -> _WrittenRows:
    errors_path, rejected_path = folder / ERRORS, folder / form.name
    gathered, writer = (
        GatheredErrors(errors_path, opened, dataset, cap),
        form.open(rejected_path, opened, dataset),
    )
    rejected_rows = 0
    with closing(gathered):
        for one in found:
            gathered.add(one.errors)
            writer.add(one.rejected, one.errors)
            rejected_rows += one.rejected.num_rows
    writer.close()
    return _WrittenRows(form, errors_path, rejected_path, rejected_rows, gathered)


def _compare(written: int, published: PublishedUpload | None, opened: OpenedUpload) -> None:
    if published is None or published.state == "duplicate_file" or written == published.counts.rejected:
        return
    raise CountsDoNotBalance(
        f"{opened.file_name}: {published.counts.rejected} rows were counted as rejected, but {written} were "
        "found to hand back.",
        remedy="Launch the import again; nothing is loaded twice.",
        counted=published.counts.rejected,
        written=written,
    )


def _put(target: Store, prefix: str, report: _WrittenRows, summary: Mapping[str, Any], page: bytes) -> None:
    """Replace what stands there; without summary.json meanwhile, so that nobody takes it for complete."""
    target.delete_prefix(prefix + SUMMARY)
    target.put_file(prefix + ERRORS, report.errors_path, CSV_TYPE)
    target.delete_prefix(prefix + REJECTED)
    if report.rejected_rows:
        target.put_file(prefix + report.form.name, report.rejected_path, report.form.content_type)
    target.put_bytes(prefix + PAGE, page, PAGE_TYPE)
    _put_json(target, prefix + SUMMARY, summary)


def _page(summary: Mapping[str, Any], samples: Samples, language: Language) -> bytes:
    return summary_page(summary, samples, language).encode()


def _put_json(target: Store, key: str, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=2, default=str)
    target.put_bytes(key, text.encode() + b"\n", JSON_TYPE)
