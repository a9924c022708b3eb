"""An upload brought in again: an arrival of its own, with the place and time of the one it repeats.

Pure decisions; copying the original and telling the ledger is `import_pipeline/reimporting.py`'s. Why it is
no second run of the same upload stands in docs/adr/0013-a-reimport-is-an-upload-of-its-own.md.
"""

from dataclasses import replace
from typing import Protocol

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.flow.arrivals.decision import Arrival
from import_pipeline.flow.arrivals.identity import identity, short_id, upload_id
from import_pipeline.records import ListedObject


class Repeated(Protocol):
    """What is asked of the ledger's row of an upload that is brought in again."""

    @property
    def upload_id(self) -> str:
        """Dagster's partition key."""

    @property
    def workspace(self) -> str | None:
        """Never None once it was published."""

    @property
    def dataset(self) -> str | None:
        """Never None once it was published."""

    @property
    def file_name(self) -> str:
        """As sent."""

    @property
    def listed(self) -> ListedObject:
        """The original as it was listed."""

    @property
    def parent(self) -> str | None:
        """Of a file in an archive, the archive's upload id."""

    @property
    def member(self) -> str:
        """Of a file in an archive, its path there."""


def reimport_arrival(upload: Repeated, number: int) -> Arrival:
    """The arrival that brings `upload` in again.

    LastModified stays that of the original: the file is no newer for being read again, so a dataset that
    updates keeps what newer files brought.

    Args:
        number: 1 for the file's first reimport, whichever upload of that file is brought in again; part of
            the identity, so that asking twice gives one upload.
    """
    # No path in an archive has a NUL, so no arrival of an object has this identity.
    found = identity(upload.listed, f"{upload.member}\0reimport {number}")
    path = upload.upload_id.split("/", 1)[-1].rsplit("@", 1)[0]
    return Arrival(
        listed=upload.listed,
        workspace=upload.workspace,
        dataset=upload.dataset,
        identity=found,
        short_id=short_id(found),
        upload_id=upload_id(upload.workspace, path, found),
        file_name=upload.file_name,
        parent=upload.parent,
        member=upload.member,
    )


def reimport_options(options: SenderOptions, dataset: Dataset) -> SenderOptions:
    """How a file is brought in again: never a duplicate of the upload that it repeats.

    Rows that the table has are that upload's own, for the most part: where the dataset would reject them,
    they are skipped.
    """
    rejects = dataset.existing_for(options) == "reject"
    return replace(options, force=True, on_existing="skip" if rejects else options.on_existing)
