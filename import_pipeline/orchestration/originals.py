"""Where an upload's bytes are read, and where its original goes: one of its own, or the archive it is in.

An archive belongs to all its members, so one place decides for it, under the lock of its row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import ChecksumMismatch, ConcurrentChange, ObjectVanished, OverwrittenBeforeRead
from import_pipeline.flow.arrivals.members import place_of_archive
from import_pipeline.flow.arrivals.originals import (
    MovedOriginal,
    archive_original,
    locate_original,
    quarantine_original,
    require_original,
)
from import_pipeline.flow.batches.archives.member_source import MemberSource
from import_pipeline.flow.batches.sources.source import ObjectSource, Source
from import_pipeline.language import told
from import_pipeline.ledger.members import archive_of, lock_archive, member_states
from import_pipeline.ledger.outcomes import mark_moved
from import_pipeline.ledger.rows import UploadRow
from import_pipeline.ledger.states import PUBLISHED_STATES
from import_pipeline.orchestration.session import Session
from import_pipeline.records import ListedObject, OpenedUpload, UploadState


@dataclass(frozen=True)
class FoundOriginal:
    """An upload's bytes.

    Attributes:
        listed: the object that holds them, wherever it lies now; of a member the archive.
    """

    listed: ListedObject
    source: Source


@contextmanager
def original_of(session: Session, opened: OpenedUpload | None = None) -> Iterator[FoundOriginal]:
    """The session's upload, to be read inside the `with`.

    It is looked for anew: another run of the upload, or the last sibling of a member, may have moved it.

    Args:
        opened: what an earlier step pinned.

    Raises:
        ObjectVanished, OverwrittenBeforeRead: it is gone.
        ConcurrentChange: the archive was moved while it was read; reading again finds it.
    """
    row = session.claim.row
    holder = row
    if row.parent is not None:
        with session.ledger() as conn:
            holder = archive_of(conn, row)
    listed = _where_it_is(session, holder, opened)
    source: Source = ObjectSource(session.bucket, listed)
    try:
        yield FoundOriginal(listed, source if row.parent is None else MemberSource(source, row.member))
    except (ObjectVanished, OverwrittenBeforeRead) as error:
        if locate_original(session.bucket, holder) is None:
            raise
        raise ConcurrentChange(
            told("{file} was moved while it was read.", file=holder.file_name),
            remedy=told("It is read again where it is now."),
        ) from error


def _where_it_is(session: Session, holder: UploadRow, opened: OpenedUpload | None) -> ListedObject:
    """The object to read now: what was pinned, as long as it lies where it was."""
    if opened is None or opened.member:
        return require_original(session.bucket, holder)
    found = locate_original(session.bucket, holder)
    return opened.source if found is None or found.key == opened.source.key else found


def require_checksum(file_name: str, stated: str | None, found: str) -> None:
    """Hold a file's bytes against the sha256 that its sender stated, if one was.

    Raises:
        ChecksumMismatch: they are others.
    """
    if stated is not None and stated != found:
        raise ChecksumMismatch(
            told(
                "The bytes of {file} are not those that were sent: their sha256 is {found}, the sender "
                "stated {stated}.",
                file=file_name, found=found, stated=stated,
            ),
            remedy=told("Send the file again."),
            stated=stated, found=found,
        )  # fmt: skip


def settle_archive(session: Session, conn: psycopg.Connection) -> None:
    """Move a member's archive to where the outcomes of all members put it; nothing for other uploads.

    The member's own outcome is written, in this transaction or before, and its row is locked. Members
    that finish side by side decide one after the other, so that the last one sees all outcomes; the
    archive is moved before the lock goes.
    """
    row = session.claim.row
    archive = None if row.parent is None else lock_archive(conn, row.parent)
    if archive is None:
        return
    place = _place(session, conn, archive)
    source = locate_original(session.bucket, archive) if place in ("archive", "quarantine") else None
    if source is None:
        return
    put = archive_original if place == "archive" else quarantine_original
    moved = put(session.bucket, archive, source)
    warn_if_kept(session, moved)
    mark_moved(conn, archive.upload_id, moved.key)


def warn_if_kept(session: Session, moved: MovedOriginal | None) -> None:
    """Say that an original stays, in a store where nobody can delete exactly it."""
    if moved is not None and moved.outcome == "kept":
        session.context.log.warning(
            "The original stays in uploads/: this store does not delete on condition, so a newer file at its "
            "key could be lost. Type `import-pipeline doctor`."
        )


def is_kept(dataset: Dataset, state: UploadState) -> bool:
    """Whether the original of an upload that ended in `state` goes to the archive.

    After a dry run it does whatever the dataset says: nothing was loaded, and it may be all there is.
    """
    return dataset.keep_original or state == "checked"


def put_into_archive(session: Session, opened: OpenedUpload) -> MovedOriginal:
    """Put the original of an upload of its own into the archive; the caller holds the upload's row.

    It is looked for anew where it is no longer what was opened: housekeeping may have set it aside
    between a failure and its re-execution.
    """
    moved = archive_original(session.bucket, opened, opened.source)
    found = None if moved.key is not None else locate_original(session.bucket, session.claim.row)
    if found is not None:
        moved = archive_original(session.bucket, opened, found)
    warn_if_kept(session, moved)
    return moved


def deletable_original(session: Session, conn: psycopg.Connection, row: UploadRow) -> ListedObject | None:
    """The original, if its dataset keeps none and nobody needs it any more; the caller marked its report.

    Its rows are in the table, or those of the same bytes are. An archive is needed until every member is
    reported: a report may have to be written again from it.

    Args:
        row: of the upload, as it is under the caller's lock.
    """
    if session.dataset.keep_original or row.state not in (*PUBLISHED_STATES, "duplicate_file"):
        return None
    if row.parent is None:
        return locate_original(session.bucket, row)
    archive = lock_archive(conn, row.parent)
    if archive is None or _place(session, conn, archive) != "deleted":
        return None
    if not all(member.reported for member in member_states(conn, archive.upload_id)):
        return None
    return locate_original(session.bucket, archive)


def delete_original(session: Session, row: UploadRow, original: ListedObject) -> bool:
    """Delete what `deletable_original` found; whether it is gone."""
    moved = archive_original(session.bucket, row, original, keep=False)
    warn_if_kept(session, moved)
    return moved.outcome != "kept"


def _place(session: Session, conn: psycopg.Connection, archive: UploadRow) -> str:
    states = [member.state for member in member_states(conn, archive.upload_id)]
    return place_of_archive(states, keep=session.dataset.keep_original)
