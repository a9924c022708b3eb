"""Files of an archive as arrivals of their own, and where the archive goes by what became of them.

Pure decisions. What is in an archive, `flow/batches/archives/` says; moving it is the caller's.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from import_pipeline.flow.arrivals.decision import Arrival
from import_pipeline.flow.arrivals.identity import identity, parse_key, short_id, upload_id
from import_pipeline.records import ListedObject, UploadState

FINAL_STATES: tuple[UploadState, ...] = (
    "completed", "completed_with_rejects", "checked", "duplicate_file", "refused", "undone",
)  # fmt: skip
BETWEEN = " › "
LONGEST_SHOWN = 200
ArchivePlace = Literal["stays", "archive", "quarantine", "deleted"]


@dataclass(frozen=True)
class ArchiveMember:
    """A file in an archive.

    Attributes:
        name: its path in the archive, as the sender named it.
        size: bytes, unpacked, as the archive says; reading holds it to that.
    """

    name: str
    size: int


class Archive(Protocol):
    """What is asked of the ledger's row of an archive."""

    @property
    def upload_id(self) -> str:
        """Dagster's partition key."""

    @property
    def workspace(self) -> str | None:
        """Never None once it runs."""

    @property
    def dataset(self) -> str | None:
        """Never None once it runs."""

    @property
    def file_name(self) -> str:
        """As sent."""

    @property
    def listed(self) -> ListedObject:
        """The archive as it was listed."""


def member_arrivals(archive: Archive, members: Sequence[ArchiveMember]) -> list[Arrival]:
    """One arrival a member: same place and time as the archive, an identity with its own path."""
    return [_arrival(archive, member) for member in members]


def place_of_archive(states: Collection[UploadState], *, keep: bool) -> ArchivePlace:
    """Where an archive belongs: it stays until every member has its outcome.

    Quarantine if every member was refused; and if one was and the dataset keeps no originals, since a
    refused file is never deleted: its sender may ask for another look. A dry run loaded nothing, so an
    archive with a `checked` member is archived whatever the dataset keeps: it is still to be imported.

    Args:
        states: of all its members.
        keep: the dataset's `keep_original`.
    """
    if not states or any(state not in FINAL_STATES for state in states):
        return "stays"
    if "checked" in states:
        return "archive"
    refused = [state == "refused" for state in states]
    if all(refused) or (any(refused) and not keep):
        return "quarantine"
    return "archive" if keep else "deleted"


def shown_name(archive: str, member: str) -> str:
    """An archive and a file in it, as people read them: on one line, the end of a long path."""
    shown = "".join(c if c.isprintable() else "_" for c in member)
    if len(shown) > LONGEST_SHOWN:
        shown = "…" + shown[1 - LONGEST_SHOWN :]
    return f"{archive}{BETWEEN}{shown}"


def _arrival(archive: Archive, member: ArchiveMember) -> Arrival:
    found = identity(archive.listed, member.name)
    parts = [part for part in re.split(r"[/\\]", member.name) if part not in ("", ".")]
    path = "/".join([parse_key(archive.listed.key).path, *parts])
    return Arrival(
        listed=replace(archive.listed, size=member.size),
        workspace=archive.workspace,
        dataset=archive.dataset,
        identity=found,
        short_id=short_id(found),
        upload_id=upload_id(archive.workspace, path, found),
        file_name=shown_name(archive.file_name, member.name),
        parent=archive.upload_id,
        member=member.name,
    )
