"""An archive's run: its files become uploads that the sensor launches, and it is done."""

from dataclasses import asdict

from dagster import AssetObservation, MetadataValue

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.errors import DuplicateMember
from import_pipeline.flow.arrivals.decision import Arrival
from import_pipeline.flow.arrivals.members import member_arrivals
from import_pipeline.flow.batches.archives.listing import list_members
from import_pipeline.flow.batches.sources.source import HashingSource
from import_pipeline.flow.reports.expansion import write_expansion
from import_pipeline.language import told
from import_pipeline.ledger.arrivals import unknown_identities, unrecorded
from import_pipeline.ledger.claims import guard
from import_pipeline.ledger.housekeeping import set_launch_numbers
from import_pipeline.ledger.members import record_expanded
from import_pipeline.ledger.outcomes import mark_reported
from import_pipeline.ledger.rows import UploadRow
from import_pipeline.orchestration.originals import FoundOriginal, require_checksum
from import_pipeline.orchestration.recovering import next_launches
from import_pipeline.orchestration.session import Session
from import_pipeline.orchestration.tags import imported_key


def expand(
    session: Session,
    row: UploadRow,
    original: FoundOriginal,
    options: SenderOptions,
    stated_sha256: str | None,
) -> None:
    """List what is in the archive, and record each file as an upload in the state `detected`.

    Members and the state `expanded` are one transaction, so that none is lost and none is twice. The
    archive stays where it is, until its members are done with it.

    Raises:
        PermanentImportError: the archive, or what is in it, is refused; see `list_members`.
    """
    found = list_members(original.source, session.dataset.maximum_size)
    sha256 = HashingSource(original.source).sha256()
    require_checksum(row.file_name, stated_sha256, sha256)
    members = member_arrivals(row, found.members)
    prefix = write_expansion(
        session.bucket,
        row,
        members,
        found.skipped,
        language=session.language,
        facts={
            "source": {"key": row.key, "size": row.size, "etag": row.etag, "sha256": sha256},
            "stated_options": {k: v for k, v in asdict(options).items() if v not in (None, False)},
            "run": session.context.run_id,
        },
    )
    with session.ledger() as conn:
        unknown = set(unknown_identities(conn, [member.identity for member in members]))
    fresh = [member.upload_id for member in members if member.identity in unknown]
    launches = next_launches(session.context.instance, fresh)
    with session.ledger() as conn:
        guard(conn, session.upload_id, session.token)
        new = record_expanded(
            conn,
            row.upload_id,
            members,
            source=original.listed,
            skipped=len(found.skipped),
            sha256=sha256,
            options=options,
        )
        if left := unrecorded(conn, members):
            raise _clash(row, left[0])
        set_launch_numbers(conn, launches)
        mark_reported(conn, row.upload_id, prefix, session.token)
    session.context.log.info(
        f"{row.file_name} is an archive: its {len(members)} files are uploads now ({new} new), and the "
        f"sensor launches each; {len(found.skipped)} hidden or temporary files were skipped."
    )
    session.context.log_event(
        AssetObservation(
            asset_key=imported_key(session.dataset),
            partition=session.upload_id,
            metadata={
                "state": MetadataValue.text("expanded"),
                "members": MetadataValue.int(len(members)),
                "skipped": MetadataValue.int(len(found.skipped)),
                "report": MetadataValue.path(f"s3://{session.bucket.name}/{prefix}"),
            },
        )
    )


def _clash(archive: UploadRow, member: Arrival) -> DuplicateMember:
    return DuplicateMember(
        told(
            "{file} has a file that would take another upload's short id: {member}.",
            file=archive.file_name,
            member=member.member,
        ),
        remedy=told("Rename or remove one of them and pack the archive again."),
        member=member.member,
    )
