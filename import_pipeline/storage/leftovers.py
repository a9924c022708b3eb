"""What lies in the bucket: its size by place, and multipart uploads of ours that nobody completed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.faults import answer, storage_errors
from import_pipeline.storage.places import ARCHIVE, DAGSTER, QUARANTINE, REPORTS, STAGING, UPLOADS

OUR_PLACES = (STAGING, REPORTS, ARCHIVE, QUARANTINE, DAGSTER)
EVERY_PLACE = (UPLOADS, *OUR_PLACES)


@dataclass(frozen=True)
class PlaceUse:
    """How much lies in a place."""

    objects: int
    size: int


@dataclass(frozen=True)
class IncompleteUpload:
    """A multipart upload that was begun; `upload_id`: the store's own."""

    key: str
    upload_id: str
    begun_at: datetime


def use_of(bucket: Bucket, places: Sequence[str]) -> dict[str, PlaceUse]:
    """Objects and bytes below each prefix; one listing each."""
    return {place: _use(bucket, place) for place in places}


def incomplete_uploads(bucket: Bucket, prefix: str) -> Iterator[IncompleteUpload]:
    """Multipart uploads below a prefix that were neither completed nor aborted, in key order."""
    with storage_errors(f"list unfinished uploads of {bucket.name}/{prefix}"):
        pages = bucket.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=bucket.name, Prefix=prefix
        )
        for page in pages:
            for one in page.get("Uploads", ()):
                yield IncompleteUpload(one["Key"], one["UploadId"], one["Initiated"].astimezone(UTC))


def abort_upload(bucket: Bucket, upload: IncompleteUpload) -> bool:
    """Give up a multipart upload of ours and free its parts.

    Returns:
        False if it was completed or aborted meanwhile.

    Raises:
        ValueError: it is a sender's.
    """
    if not upload.key.startswith(OUR_PLACES):
        raise ValueError(f"not an upload of ours: {upload.key!r}")
    try:
        with storage_errors(f"give up the unfinished upload of {upload.key}"):
            bucket.client.abort_multipart_upload(
                Bucket=bucket.name, Key=upload.key, UploadId=upload.upload_id
            )
    except ClientError as error:
        if answer(error) != "NoSuchUpload":
            raise
        return False
    return True


def _use(bucket: Bucket, place: str) -> PlaceUse:
    objects = size = 0
    for listed in bucket.list_objects(place):
        objects += 1
        size += listed.size
    return PlaceUse(objects, size)
