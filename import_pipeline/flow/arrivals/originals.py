"""Where an upload's original is, and where it goes when the upload is finished.

How an object is moved without losing a newer one is `storage/moving.py`'s; when, the caller's.
"""

from dataclasses import dataclass
from typing import Protocol

from import_pipeline.errors import ObjectVanished, OverwrittenBeforeRead
from import_pipeline.flow.arrivals.identity import identity, parse_key, upload_id
from import_pipeline.language import told
from import_pipeline.records import ListedObject
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.moving import Moved
from import_pipeline.storage.places import archive_key, quarantine_key


class Owned(Protocol):
    """What names an upload's places: an opened upload or a row of the ledger."""

    @property
    def workspace(self) -> str | None:
        """None if it is ignored and has none."""

    @property
    def dataset(self) -> str | None:
        """None if it is ignored and has none."""

    @property
    def short_id(self) -> str:
        """12 hex."""

    @property
    def file_name(self) -> str:
        """As sent."""


class Recorded(Owned, Protocol):
    """A row of the ledger: an upload and its original as it was listed."""

    @property
    def listed(self) -> ListedObject:
        """The original, where it was dropped."""

    @property
    def original_key(self) -> str | None:
        """Where it was moved to, if the ledger knows."""


@dataclass(frozen=True)
class MovedOriginal:
    """What became of an original.

    Attributes:
        outcome: see `storage/moving.py`; `moved` too if it was in its place already.
        key: where it is now; None if it was deleted or is not known to be anywhere.
    """

    outcome: Moved
    key: str | None


def archive_original(
    bucket: Bucket, upload: Owned, source: ListedObject, *, keep: bool = True
) -> MovedOriginal:
    """Put the original of a finished upload into the archive, or delete it.

    Args:
        source: the object as it was read, wherever that was.
        keep: the dataset's `keep_original`.
    """
    if not keep:
        return MovedOriginal(bucket.delete_pinned(source), None)
    if upload.workspace is None or upload.dataset is None:
        raise ValueError("an upload without workspace or dataset is never archived")
    key = archive_key(upload.workspace, upload.dataset, upload.short_id, upload.file_name)
    return _moved(bucket, source, key)


def quarantine_original(bucket: Bucket, upload: Owned, source: ListedObject) -> MovedOriginal:
    """Put the original of a refused (or long failed, cancelled, ignored) upload into quarantine."""
    key = quarantine_key(upload.workspace, upload.dataset, upload.short_id, upload.file_name)
    return _moved(bucket, source, key)


def locate_original(bucket: Bucket, upload: Recorded) -> ListedObject | None:
    """The original: where it was dropped, else in the archive, else in quarantine; None if nowhere.

    Another object at its key is not it: ETag, size and LastModified must be those of the listing.
    A copy of ours is known by its place and its size.
    """
    dropped = upload.listed
    found = bucket.head(dropped.key, dropped.version_id)
    if found is not None and identity(found[0]) == identity(dropped):
        return found[0]
    for key in _places(upload):
        kept = bucket.head(key)
        if kept is not None and kept[0].size == dropped.size:
            return kept[0]
    return None


def require_original(bucket: Bucket, upload: Recorded) -> ListedObject:
    """The original, wherever it is.

    Raises:
        OverwrittenBeforeRead: nowhere, and another object has its key; field `successor`: its upload id.
        ObjectVanished: nowhere, and nothing has its key.
    """
    found = locate_original(bucket, upload)
    if found is not None:
        return found
    dropped = upload.listed
    newer = bucket.head(dropped.key)
    if newer is None:
        raise ObjectVanished(
            told("{file} was deleted before it could be read.", file=dropped.key),
            remedy=told("Drop the file again, and leave it there until its report has come."),
            key=dropped.key,
        )
    parts = parse_key(dropped.key)
    successor = upload_id(parts.workspace, parts.path, identity(newer[0]))
    raise OverwrittenBeforeRead(
        told(
            "{file} was overwritten before it could be read: {successor} took its place.",
            file=dropped.key,
            successor=successor,
        ),
        remedy=told("Nothing, if the newer file is meant; else drop the older one again under another name."),
        key=dropped.key,
        successor=successor,
    )


def _places(upload: Recorded) -> list[str]:
    keys = [upload.original_key] if upload.original_key else []
    if upload.workspace is not None and upload.dataset is not None:
        keys.append(archive_key(upload.workspace, upload.dataset, upload.short_id, upload.file_name))
    keys.append(quarantine_key(upload.workspace, upload.dataset, upload.short_id, upload.file_name))
    return list(dict.fromkeys(keys))


def _moved(bucket: Bucket, source: ListedObject, key: str) -> MovedOriginal:
    if source.key == key:
        return MovedOriginal("moved", key)
    outcome = bucket.move(source, key)
    at_key = outcome == "moved" or bucket.exists(key)
    return MovedOriginal(outcome, key if at_key else None)
