"""Rows of the ledger as frozen records: what its queries return.

The field names are the column names, so a select is derived from the record.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from psycopg import sql

from import_pipeline.records import ListedObject, Token, UploadState

Action = Literal["import", "report", "nothing"]
BatchState = Literal["split", "checked", "staged", "failed"]


@dataclass(frozen=True)
class UploadRow:
    """One row of `imports.uploads`.

    Attributes:
        key: where the original was dropped; `original_key`: where it was moved to, if it was.
        options: what the sender stated; `details`: facts of the stages, by stage.
        launch_number: part of the run key, from 1; `attempts`: attempts started so far.
        corrected_rows: rejects that corrections, uploads of their own, put right since.
        row_errors: true number of row errors; at most `row_errors_cap` of them are kept.
        publish_number: place of its publish among those of its workspace and dataset.
        undo_removed: rows that its undo took out; `undo_restored`: put back; `undo_left`: let be.
        reimport_of: upload id of the one that this one brings in again.
    """

    upload_id: str
    identity: str
    short_id: str
    parent: str | None
    member: str
    workspace: str | None
    dataset: str | None
    bucket: str
    key: str
    etag: str
    version_id: str | None
    size: int
    last_modified: datetime
    file_name: str
    human_name: str | None
    uploaded_by: str | None
    state: UploadState
    ignored_reason: str | None
    launch_number: int
    token_created: float | None
    token_run_id: str | None
    run_id: str | None
    attempt: str | None
    attempts: int
    sha256: str | None
    format: str | None
    encoding: str | None
    delimiter: str | None
    options: dict[str, Any]
    fingerprint: str | None
    batches: int | None
    ignored_lines: int | None
    details: dict[str, Any]
    read: int | None
    inserted: int | None
    updated: int | None
    unchanged: int | None
    duplicate: int | None
    rejected: int | None
    corrected_rows: int
    duplicate_of: str | None
    error_code: str | None
    error_message: str | None
    error_remedy: str | None
    row_errors: int | None
    row_errors_cap: int | None
    report_prefix: str | None
    original_key: str | None
    detected_at: datetime
    queued_at: datetime | None
    running_at: datetime | None
    finished_at: datetime | None
    published_at: datetime | None
    reported_at: datetime | None
    undone_at: datetime | None
    publish_number: int | None
    undo_removed: int | None
    undo_restored: int | None
    undo_left: int | None
    reimport_of: str | None

    @property
    def token(self) -> Token | None:
        """The current token; None before the first run."""
        if self.token_created is None or self.token_run_id is None:
            return None
        return Token(self.token_created, self.token_run_id)

    @property
    def listed(self) -> ListedObject:
        """The original as it was listed, wherever it is now."""
        return ListedObject(self.bucket, self.key, self.etag, self.size, self.last_modified, self.version_id)


@dataclass(frozen=True)
class Claim:
    """What a run is to do with the upload it claimed, and the row as it is now.

    Attributes:
        action: `import` (start, or go on with) it; `report`: it is published, only its report is
            missing; `nothing` is left to do.
        taken_over_from: id of the older run that was still at it, if there was one.
    """

    row: UploadRow
    action: Action
    taken_over_from: str | None = None


@dataclass(frozen=True)
class InFlightUpload:
    """An upload whose run is to be compared with Dagster's.

    Attributes:
        run_id: the run that claimed it; None while queued.
        queued_seconds: seconds since it was queued, by the database's clock.
        error_code: what its run noted before it ended, if anything.
        attempt: the one that runs; `running_seconds`: since when it does, by the database's clock.
    """

    upload_id: str
    workspace: str
    dataset: str
    size: int
    last_modified: datetime
    state: Literal["queued", "running"]
    run_id: str | None
    token_created: float | None
    token_run_id: str | None
    launch_number: int
    queued_at: datetime | None
    queued_seconds: float | None
    error_code: str | None
    attempt: str | None
    running_seconds: float | None


@dataclass(frozen=True)
class RecordedBatch:
    """What the ledger knows of one batch of an attempt; `load_id` and `rows` count once staged."""

    batch: int
    state: BatchState
    load_id: str | None
    rows: int
    seconds: float


@dataclass(frozen=True)
class RowError:
    """One error or warning of one row; personal values are masked before they come here."""

    row_number: int
    column: str
    value: str
    code: str
    severity: Literal["error", "warning"]
    message: str
    sheet: str = ""


@dataclass(frozen=True)
class Event:
    """One line of an upload's timeline."""

    at: datetime
    state: UploadState
    message: str
    percent: float | None


@dataclass(frozen=True)
class UploadSummary:
    """One row of `imports.uploads_view`: an upload as people look at it."""

    upload_id: str
    short_id: str
    workspace: str | None
    dataset: str | None
    file_name: str
    human_name: str | None
    uploaded_by: str | None
    size: int
    state: UploadState
    percent: float | None
    queue_place: int | None
    read: int | None
    inserted: int | None
    updated: int | None
    unchanged: int | None
    duplicate: int | None
    rejected: int | None
    corrected_rows: int
    share_rejected: float | None
    seconds: float | None
    attempts: int
    run_id: str | None
    duplicate_of: str | None
    error_code: str | None
    error_message: str | None
    error_remedy: str | None
    ignored_reason: str | None
    report: str | None
    detected_at: datetime
    queued_at: datetime | None
    running_at: datetime | None
    finished_at: datetime | None
    published_at: datetime | None
    reported_at: datetime | None
    undone_at: datetime | None
    parent: str | None
    member: str
    undo_removed: int | None
    undo_restored: int | None
    undo_left: int | None


@dataclass(frozen=True)
class StuckUpload:
    """An upload that does not move by itself, and why, in words for `doctor`."""

    upload_id: str
    state: UploadState
    seconds: float
    why: str


def columns_of(record: type, table: str = "") -> sql.Composed:
    """The select list for `record`, each column qualified by `table` (an alias) if given."""
    names = [field.name for field in fields(record)]
    return sql.SQL(", ").join(sql.Identifier(*([table] if table else []), name) for name in names)
