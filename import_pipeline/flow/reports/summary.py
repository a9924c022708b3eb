"""The content of summary.json: what happened to an upload, for people and programs, as plain JSON.

Names and codes are English in every language; sentences are in the sender's. Whatever was found out or
assumed about a file stands here with the option that would change it. The page for people is `page.py`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.codes import CODES
from import_pipeline.errors import ImportPipelineError
from import_pipeline.language import Language, Told, say, told
from import_pipeline.records import (
    CheckedBatch,
    ColumnVerdict,
    FoundDuplicates,
    OpenedUpload,
    PublishedUpload,
    SplitUpload,
)
from import_pipeline.row_numbers import sheet_and_row

FORMAT = 1
OPTIONS = {"decimal": "decimal", "date": "date-order"}
ASSUMED = {"decimal": "assumed_decimal", "date": "assumed_date_order"}


class Named(Protocol):
    """What names an upload: an opened upload or a row of the ledger."""

    @property
    def upload_id(self) -> str:
        """Dagster's partition key."""

    @property
    def short_id(self) -> str:
        """12 hex."""

    @property
    def workspace(self) -> str | None:
        """None if it has none."""

    @property
    def dataset(self) -> str | None:
        """None if it has none."""

    @property
    def file_name(self) -> str:
        """As sent."""


def summary_of(
    opened: OpenedUpload,
    split: SplitUpload,
    checked: Sequence[CheckedBatch],
    published: PublishedUpload | None,
    *,
    duplicates: FoundDuplicates,
    dataset: Dataset,
) -> dict[str, Any]:
    """All but what only writing the report can tell (codes, files)."""
    arrived = opened.arrived or opened.source
    return {
        **named(opened, published.state if published else "refused", opened.language),
        "source": {
            "key": arrived.key,
            "size": opened.source.size,
            "last_modified": opened.source_time.isoformat(),
            "etag": arrived.etag,
            "sha256": opened.file.sha256,
        },
        "timezone": dataset.timezone,
        **_counted(split, published),
        "published_at": published.published_at.isoformat() if published and published.published_at else None,
        "duplicate_of": (published.duplicate_of if published else None) or opened.duplicate_of,
        "corrects": list(split.corrects),
        "lines": {
            "physical": opened.file.text.physical_lines if opened.file.text else 0,
            **asdict(split.lines),
        },
        "ignored": _ignored(opened, split),
        "sheets": [{"name": s.name, "header_row": s.header_row} for s in opened.file.sheets],
        "read_as": read_as(opened, split.verdicts),
        "columns": _columns(opened, dataset),
        "stated_options": {
            k: v for k, v in asdict(opened.options).items() if v is not None and v is not False
        },
        "warnings": warnings_of(opened, split, published),
        "batches": len(split.batches),
        "seconds": {
            "split": round(split.seconds, 3),
            "check": round(sum(c.seconds for c in checked), 3),
            "find_duplicates": round(duplicates.seconds, 3),
            "publish": round(published.seconds, 3) if published else None,
        },
    }


def named(upload: Named, state: str, language: Language) -> dict[str, Any]:
    """The beginning of every summary."""
    return {
        "format": FORMAT,
        "language": language,
        "upload_id": upload.upload_id,
        "short_id": upload.short_id,
        "workspace": upload.workspace,
        "dataset": upload.dataset,
        "file_name": upload.file_name,
        "state": state,
    }


def refusal_of(error: ImportPipelineError, language: Language) -> dict[str, Any]:
    """Why a file was refused, and the option that settles it, if one does."""
    option = _written(error.fields.get("option"))
    remedy = error.remedy or (CODES[error.code].remedy if error.code in CODES else "")
    return {
        "code": error.code,
        "message": say(error.message, language),
        "remedy": say(remedy, language),
        "option": option,
        "details": {name: value for name, value in error.fields.items() if name != "option"},
    }


def _written(option: str | None) -> str | None:
    """An option as senders write it."""
    return option.replace("_", "-") if option else None


def read_as(opened: OpenedUpload, verdicts: Sequence[ColumnVerdict]) -> list[dict[str, Any]]:
    """What was found out or assumed: the thing, its value, why, and the option that changes it."""
    found: list[dict[str, Any]] = [
        asdict(thing) | {"why": say(thing.why, opened.language), "option": _written(thing.option)}
        for thing in opened.file.detected
    ]
    for verdict in verdicts:
        found.append(
            {
                "what": "decimal mark" if verdict.kind == "decimal" else "date order",
                "column": verdict.column,
                "header": _header(opened, verdict.column),
                "value": verdict.reading,
                "source": verdict.source,
                "why": say(why(verdict), opened.language),
                "option": OPTIONS[verdict.kind],
                "assumed": _is_assumed(verdict),
                "proofs": verdict.proofs,
                "ambiguous": verdict.ambiguous,
            }
        )
    return found


def why(verdict: ColumnVerdict) -> Told:
    """One sentence on how a column of decimals or dates is read."""
    proofs = [
        told("{n:,} only as `{reading}`", n=n, reading=reading)
        for reading, n in sorted(verdict.proofs.items())
        if n
    ]
    facts = {"proofs": proofs, "n": verdict.ambiguous, "option": OPTIONS[verdict.kind]}
    if verdict.source == "stated":
        return told("The sender stated it.")
    if verdict.source == "not_needed":
        return told("Every value has one reading only.")
    if verdict.reading == "mixed":
        return told(
            "The column has both: {proofs}. The {n:,} values readable both ways are rejects.", **facts
        )
    if verdict.source == "evidence":
        return told("Proved by the column: {proofs}.", **facts)
    if verdict.source == "default":
        return told(
            "The dataset's default: nothing in the column settles its {n:,} values that can be read both "
            "ways. State the option `{option}` if it is wrong.",
            **facts,
        )
    return told(
        "Nothing settles it, so its {n:,} values that can be read both ways are rejects. State the option "
        "`{option}`.",
        **facts,
    )


def warnings_of(
    opened: OpenedUpload, split: SplitUpload, published: PublishedUpload | None
) -> list[dict[str, Any]]:
    """What the sender should look at though nothing was refused."""
    language = opened.language
    warnings = [
        _warning(notice.code, notice.message, language) for notice in (*opened.file.notices, *split.notices)
    ]
    finished = published is not None and published.state in ("completed", "completed_with_rejects", "checked")
    if finished and split.read == 0:
        warnings.append(_warning("no_rows", CODES["no_rows"].meaning, language))
    for verdict in split.verdicts:
        if _is_assumed(verdict):
            message = told(
                'Column "{header}": {why}', header=_header(opened, verdict.column), why=why(verdict)
            )
            option = {"option": OPTIONS[verdict.kind]}
            warnings.append(_warning(ASSUMED[verdict.kind], message, language) | option)
    return warnings


def _is_assumed(verdict: ColumnVerdict) -> bool:
    return verdict.source == "default" and verdict.ambiguous > 0


def _warning(code: str, message: str, language: Language) -> dict[str, Any]:
    return {"code": code, "message": say(message, language), "remedy": say(CODES[code].remedy, language)}


def _ignored(opened: OpenedUpload, split: SplitUpload) -> dict[str, Any]:
    """Rows that are no data: their number, and the first of them as the sender finds them."""
    sheets = [sheet.name for sheet in opened.file.sheets]
    first = []
    for row in split.ignored:
        sheet, number = sheet_and_row(row.row_number, sheets)
        first.append({"sheet": sheet, "row": number, "why": row.why, "text": row.text})
    return {"rows": split.ignored_rows, "first": first}


def _counted(split: SplitUpload, published: PublishedUpload | None) -> dict[str, Any]:
    if published is None:
        return {"counts": {"read": split.read}, "duplicates": {}, "share_rejected": None}
    counts = published.counts
    share = round(counts.rejected / counts.read, 6) if counts.read else 0.0
    return {"counts": asdict(counts), "duplicates": dict(published.duplicates), "share_rejected": share}


def _columns(opened: OpenedUpload, dataset: Dataset) -> dict[str, Any]:
    unknown: Mapping[str, Any] = {
        "headers": [opened.file.header[position] for position in opened.file.unknown],
        "treatment": dataset.unknown_columns,
    }
    return {
        "read": {name: opened.file.header[position] for name, position in opened.file.mapping.items()},
        "not_in_file": [c.name for c in dataset.columns if c.name not in opened.file.mapping],
        "unknown": unknown,
    }


def _header(opened: OpenedUpload, column: str) -> str:
    position = opened.file.mapping.get(column)
    return column if position is None else opened.file.header[position]
