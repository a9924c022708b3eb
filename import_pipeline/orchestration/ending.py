"""The two ways an upload ends: reported with what became of its rows, or refused with the reason.

Both may be repeated at any point: a report is overwritten until the ledger has it as written, originals
move once, staging goes last.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from dagster import AssetObservation, Output

from import_pipeline.errors import (
    ConcurrentChange,
    ObjectVanished,
    OverwrittenBeforeRead,
    PermanentImportError,
)
from import_pipeline.flow.arrivals.originals import (
    locate_original,
    quarantine_original,
)
from import_pipeline.flow.loading.counting import count_in_table
from import_pipeline.flow.loading.outcomes import read_outcomes
from import_pipeline.flow.loading.staging import drop_staging, drop_staging_of
from import_pipeline.flow.reports.masking import masked_opened
from import_pipeline.flow.reports.reading import read_report
from import_pipeline.flow.reports.writing import WrittenReport, write_refusal, write_reports
from import_pipeline.ledger.claims import guard, lock_owned
from import_pipeline.ledger.outcomes import mark_moved, mark_reported, note_error, record_refused
from import_pipeline.ledger.row_errors import row_errors, save_row_errors
from import_pipeline.ledger.rows import UploadRow
from import_pipeline.ledger.uploads import recorded_batches
from import_pipeline.orchestration.metadata import (
    check_results,
    imported_metadata,
    rejected_metadata,
    unpublished_metadata,
)
from import_pipeline.orchestration.originals import (
    deletable_original,
    delete_original,
    is_kept,
    put_into_archive,
    settle_archive,
    warn_if_kept,
)
from import_pipeline.orchestration.session import Session
from import_pipeline.orchestration.tags import imported_key
from import_pipeline.records import (
    CheckedBatch,
    FoundDuplicates,
    OpenedUpload,
    PublishedUpload,
    SplitUpload,
)
from import_pipeline.storage.places import staging_prefix

PUBLISHED = ("completed", "completed_with_rejects")


@dataclass(frozen=True)
class ReportedUpload:
    """What `report_upload` tells Dagster before its last step, and where the report lies."""

    events: tuple[Any, ...]
    prefix: str


def report(
    session: Session,
    opened: OpenedUpload,
    split: SplitUpload,
    checked: list[CheckedBatch],
    duplicates: FoundDuplicates,
    published: PublishedUpload,
) -> ReportedUpload:
    """Write the reports, put the original away, and gather what Dagster is to be told.

    Rows are gathered without a lock, which takes long; what is written is written under the row's, so
    that the report of a newer run, or one that was finished, is never written over.

    Raises:
        Superseded: a newer run owns the upload; nothing was written.
        ConcurrentChange: an orphan of this step has just reported.
    """
    with _unreported(session) as conn:
        outcomes = read_outcomes(conn, published.outcomes_table)
        staged = recorded_batches(conn, session.upload_id, opened.attempt)
        in_table = count_in_table(conn, session.dataset, session.upload_id)
    written = write_reports(
        session.bucket,
        opened,
        split,
        checked,
        published,
        duplicates=duplicates,
        dataset=session.dataset,
        outcomes=outcomes,
        cap=session.settings.row_errors_cap,
        seconds={"stage": sum(batch.seconds for batch in staged if batch.state == "staged")},
        facts={"run": session.context.run_id},
        owned=lambda: _unreported(session),
    )
    own = session.claim.row.parent is None and is_kept(session.dataset, published.state)
    with _unreported(session) as conn:
        moved = put_into_archive(session, opened) if own else None
        save_row_errors(
            conn,
            session.upload_id,
            written.row_errors,
            written.total_errors,
            session.settings.row_errors_cap,
        )
        if moved is not None:
            mark_moved(conn, session.upload_id, moved.key)
        settle_archive(session, conn)
    events = _events(session, opened, split, published, written, in_table)
    return ReportedUpload(events=events, prefix=written.prefix)


def reported_before(
    session: Session, opened: OpenedUpload, split: SplitUpload, published: PublishedUpload
) -> ReportedUpload:
    """What Dagster is to be told once more of an upload whose report is written, by an earlier try or run.

    Nothing is written: what the report was made from may be gone already. Of an upload that ended in
    another way since, an undone one say, Dagster was told that.
    """
    row = session.claim.row
    prefix = row.report_prefix or ""
    if (row.state, row.published_at) != (published.state, published.published_at):
        return ReportedUpload(events=(), prefix=prefix)
    session.context.log.info(f"It was reported on {row.reported_at:%Y-%m-%d at %H:%M:%S} UTC already.")
    with session.ledger() as conn:
        kept = row_errors(conn, session.upload_id)
        in_table = count_in_table(conn, session.dataset, session.upload_id)
    written = read_report(session.bucket, prefix, kept)
    return ReportedUpload(_events(session, opened, split, published, written, in_table), prefix)


def finish(session: Session, opened: OpenedUpload, reported: ReportedUpload) -> None:
    """After Dagster has been told: the ledger's last word, then staging goes.

    An original that is not to be kept goes here too: until it is reported, a report may have to be
    written again from it. Done again, also by another run of the upload, it clears up what is left.

    Raises:
        Superseded: it is not reported, and a newer run owns it.
    """
    with session.ledger() as conn:
        row = lock_owned(conn, session.upload_id, None)
        if row.reported_at is None:
            mark_reported(conn, session.upload_id, reported.prefix, session.token)
        deletable = deletable_original(session, conn, row)
    gone = deletable is not None and delete_original(session, row, deletable)
    with session.ledger() as conn:
        now = lock_owned(conn, session.upload_id, None)
        if now.reported_at is None:
            return  # It was begun anew: what is in staging may be the newer run's.
        if gone:
            mark_moved(conn, row.parent or row.upload_id, None)
        drop_staging(conn, replace(opened, token=now.token or session.token))
        drop_staging_of(conn, row.short_id, str(row.attempt))
    _delete_staged(session, row)


@contextmanager
def _unreported(session: Session) -> Iterator[psycopg.Connection]:
    """A transaction of the run that owns the upload, and has yet to report it.

    Raises:
        Superseded: another run owns it.
        ConcurrentChange: a try of this step that was given up did so meanwhile.
    """
    with session.ledger() as conn:
        if lock_owned(conn, session.upload_id, session.token).reported_at is not None:
            raise ConcurrentChange(
                f"{session.upload_id!r} was reported meanwhile.", remedy="The step is tried again."
            )
        yield conn


def refuse(session: Session, error: PermanentImportError) -> None:
    """The file's fault: write the refusal's report, put the original into quarantine, tell the ledger.

    An upload that has its outcome keeps it, and its report: of that one only a line in the timeline says
    what stands in the way. All is done under the row's lock, so that no newer run's report is written
    over, and no original moved that a newer run has found.

    Raises:
        Superseded: a newer run owns the upload; nothing was written.
    """
    with session.ledger() as conn:
        row = guard(conn, session.upload_id, session.token)
        if row.state != "running":
            note_error(conn, session.upload_id, session.token, error)
            return
        written = _write_refusal(session, row, error)
        key = _put_into_quarantine(session, row, error)
        record_refused(conn, session.upload_id, error, session.token)
        mark_moved(conn, session.upload_id, key)
        settle_archive(session, conn)
        mark_reported(conn, session.upload_id, written.prefix, session.token)
    session.context.log.info(f"Refused; the report is at {session.bucket.name}/{written.prefix}summary.html")
    _delete_staged(session, row)


def _put_into_quarantine(session: Session, row: UploadRow, error: PermanentImportError) -> str | None:
    """Move the original there; its key, None where there is none or an archive holds it."""
    if row.parent is not None or isinstance(error, ObjectVanished | OverwrittenBeforeRead):
        return None
    source = locate_original(session.bucket, row)
    if source is None:
        return None
    moved = quarantine_original(session.bucket, row, source)
    warn_if_kept(session, moved)
    return moved.key


def _delete_staged(session: Session, row: UploadRow) -> None:
    """Delete what this attempt staged, and the one that published; a newer one may be at work already.

    What other attempts left, the sweep takes.

    Args:
        row: as it was when this run still owned the upload.
    """
    for attempt in {session.attempt, str(row.attempt)}:
        session.bucket.delete_prefix(staging_prefix(session.dataset.name, row.short_id, attempt))


def _write_refusal(session: Session, row: UploadRow, error: PermanentImportError) -> WrittenReport:
    """The refusal's report, with the list of bad rows where the rows were checked."""
    facts = {"run": session.context.run_id}
    if session.rows is None:
        return write_refusal(session.bucket, row, error, language=session.language, facts=facts)
    rows = session.rows
    return write_reports(
        session.bucket,
        rows.opened,
        rows.split,
        rows.checked,
        None,
        duplicates=rows.duplicates,
        dataset=session.dataset,
        refusal=error,
        facts=facts,
    )


def _events(
    session: Session,
    opened: OpenedUpload,
    split: SplitUpload,
    published: PublishedUpload,
    written: WrittenReport,
    in_table: int,
) -> tuple[Any, ...]:
    """Materializations and checks of a published upload; an observation for a dry run or duplicate file."""
    if published.state not in PUBLISHED:
        return (
            AssetObservation(
                asset_key=imported_key(session.dataset),
                partition=session.upload_id,
                metadata=unpublished_metadata(session.bucket, published, written),
            ),
        )
    shown = masked_opened(opened, session.dataset)
    return (
        Output(
            None,
            "imported",
            metadata=imported_metadata(session.bucket, shown, split, published, written),
        ),
        Output(None, "rejected", metadata=rejected_metadata(session.bucket, published, written)),
        *check_results(session.dataset, published, in_table),
    )
