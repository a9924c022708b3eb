"""A report that was written before, read back from its place, for those who have to be told once more."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from import_pipeline.errors import StoredObjectMissing
from import_pipeline.flow.reports.gathering import FIRST_ERRORS
from import_pipeline.flow.reports.writing import SUMMARY, WrittenReport
from import_pipeline.ledger.rows import RowError
from import_pipeline.storage.store import Store


def read_report(store: Store, prefix: str, kept: Sequence[RowError]) -> WrittenReport:
    """What `write_reports` said of the report at `prefix`; one whose days are over has nothing in it.

    Args:
        prefix: ends with `/`.
        kept: the upload's row errors in the ledger, the first of them at least.
    """
    try:
        summary: dict[str, Any] = json.loads(store.get_bytes(prefix + SUMMARY))
    except StoredObjectMissing:
        summary = {"seconds": {}, "files": {}}
    files = summary["files"]
    return WrittenReport(
        prefix=prefix,
        page_key=files.get("page", ""),
        summary_key=files.get("summary", ""),
        errors_key=files.get("errors"),
        rejected_key=files.get("rejected"),
        rejected_rows=summary.get("rejected_rows", 0),
        first_errors=tuple(_shown(error) for error in kept if error.severity == "error")[:FIRST_ERRORS],
        row_errors=tuple(kept),
        total_errors=summary.get("errors", 0),
        codes=summary.get("codes", {}),
        summary=summary,
    )


def _shown(error: RowError) -> dict[str, Any]:
    """As `GatheredErrors.first_errors` has it."""
    shown = asdict(error)
    row, sheet = shown.pop("row_number"), shown.pop("sheet")
    return {"row": row, **({"sheet": sheet} if sheet else {}), **shown}
