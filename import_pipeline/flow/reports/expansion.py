"""The report of an archive: which uploads its files became, and which were skipped."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from import_pipeline.catalog.dataset import Language
from import_pipeline.flow.arrivals.decision import Arrival
from import_pipeline.flow.reports.page import PAGE, PAGE_TYPE, summary_page
from import_pipeline.flow.reports.samples import Samples
from import_pipeline.flow.reports.summary import Named, named
from import_pipeline.storage.places import reports_prefix
from import_pipeline.storage.store import Store

SUMMARY = "summary.json"
LISTED_SKIPPED = 100


def write_expansion(
    target: Store,
    archive: Named,
    members: Sequence[Arrival],
    skipped: Sequence[str],
    *,
    language: Language = "en",
    facts: Mapping[str, Any] | None = None,
) -> str:
    """Write the report of an archive whose files became uploads, each with a report of its own.

    Args:
        skipped: paths of files in it that are never imports; the first 100 are listed.
        facts: further entries, such as the archive's sha256.

    Returns:
        The report's key prefix.
    """
    prefix = reports_prefix(archive.workspace, archive.dataset, archive.short_id)
    summary = {
        **named(archive, "expanded", language),
        "members": [
            {
                "member": member.member,
                "upload_id": member.upload_id,
                "size": member.listed.size,
                "report": reports_prefix(archive.workspace, archive.dataset, member.short_id),
            }
            for member in members
        ],
        "skipped": {"files": len(skipped), "names": list(skipped[:LISTED_SKIPPED])},
        "files": {"summary": prefix + SUMMARY, "page": prefix + PAGE, "errors": None, "rejected": None},
        **(facts or {}),
    }
    target.put_bytes(prefix + PAGE, summary_page(summary, Samples(), language).encode(), PAGE_TYPE)
    text = json.dumps(summary, ensure_ascii=False, indent=2, default=str)
    target.put_bytes(prefix + SUMMARY, text.encode(errors="replace") + b"\n", "application/json")
    return prefix
