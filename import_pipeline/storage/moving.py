"""Copying and moving one original inside the bucket without ever losing a newer one at its key.

Copy pinned to the ETag, verify the copy, delete pinned: a kill between any two of them is mended
by doing it again.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from typing import Any, Literal

from botocore.exceptions import ClientError

from import_pipeline.records import ListedObject
from import_pipeline.storage.conditions import deletes_on_condition
from import_pipeline.storage.faults import answer, status, storage_errors, unavailable
from import_pipeline.storage.metadata import with_origin, with_reimport

Moved = Literal["moved", "gone", "newer_arrival", "kept"]
Copied = Literal["copied", "gone", "newer_arrival"]
MAXIMUM_PARTS = 10_000
PARALLEL_PARTS = 4
KEPT_HEADERS = (
    "ContentType", "ContentEncoding", "ContentDisposition", "ContentLanguage", "CacheControl", "Metadata",
)  # fmt: skip


def move_object(client: Any, source: ListedObject, target_key: str, *, part_bytes: int) -> Moved:
    """Copy, verify, delete.

    Args:
        part_bytes: an object above four of these is copied in parts of at least this size.

    Returns:
        `moved`; `gone` if the original is not there (moved before, or deleted); `newer_arrival` if
        another object has its key by now, which stays untouched; `kept`: copied, but the original
        stays, see `delete_object`.

    Raises:
        StorageUnavailable: the store does not answer, or the copy is not like the original.
    """
    copied = copy_object(client, source, target_key, part_bytes=part_bytes)
    return delete_object(client, source) if copied == "copied" else copied


def copy_object(
    client: Any,
    source: ListedObject,
    target_key: str,
    *,
    part_bytes: int,
    reimport: tuple[str, int] | None = None,
) -> Copied:
    """Copy exactly this object with its metadata, and verify the copy; see `move_object`.

    The copy of one that was dropped also says what it was there: `metadata.with_origin`.

    Args:
        reimport: upload id and number, of a copy that brings one in again: `metadata.with_reimport`.
    """
    try:
        with storage_errors(f"copy {source.key}"):
            original = _head_pinned(client, source)
            kept = {name: original[name] for name in KEPT_HEADERS if original.get(name)}
            kept["Metadata"] = with_origin(original.get("Metadata", {}), source)
            if reimport is not None:
                kept["Metadata"] = with_reimport(kept["Metadata"], *reimport)
            if source.size > 4 * part_bytes:
                _copy_in_parts(client, source, target_key, part_bytes, kept)
            else:
                client.copy_object(
                    Bucket=source.bucket,
                    Key=target_key,
                    CopySource=_copy_source(source),
                    CopySourceIfMatch=f'"{source.etag}"',
                    MetadataDirective="REPLACE",
                    **kept,
                )
    except ClientError as error:
        return _without_original(error)
    with storage_errors(f"verify {target_key}"):
        _verify(client, original, source, target_key)
    return "copied"


def delete_object(client: Any, source: ListedObject) -> Moved:
    """Delete exactly this object, on condition of its ETag; where there are versions, its version.

    The same bytes dropped again have the same ETag, so LastModified is compared first. In a store that
    does not delete on condition the original stays (`kept`): an object written between that look and a
    plain delete would be lost. The sensor knows it, and does not import it again.
    """
    with storage_errors(f"delete {source.key}"):
        left = _delete_current(client, source)
        if source.version_id is None or left == "kept":
            return left
        # Not the current version by now, so none that it had replaced comes back in its place.
        client.delete_object(Bucket=source.bucket, Key=source.key, VersionId=source.version_id)
    return "moved"


def _delete_current(client: Any, source: ListedObject) -> Moved:
    """Delete what has the key if that is this object; a bucket with versions covers them with a marker."""
    try:
        conditional = deletes_on_condition(client, source.bucket)
        if not _is_current(client, source):
            return "newer_arrival"
        if not conditional:
            return "kept"
        client.delete_object(Bucket=source.bucket, Key=source.key, IfMatch=f'"{source.etag}"')
    except ClientError as error:
        return _without_original(error)
    return "moved"


def _is_current(client: Any, source: ListedObject) -> bool:
    found = client.head_object(Bucket=source.bucket, Key=source.key)
    if source.version_id:
        return bool(found.get("VersionId") == source.version_id)
    modified = found["LastModified"].astimezone(UTC).replace(microsecond=0)
    return bool(found["ETag"].strip('"') == source.etag and modified == source.last_modified)


def _without_original(error: ClientError) -> Literal["gone", "newer_arrival"]:
    """What an answer says about the original.

    Raises:
        ClientError: it says something else.
    """
    if status(error) == 404 and answer(error) in ("NoSuchKey", "NoSuchVersion", "404"):
        return "gone"
    if status(error) == 412:
        return "newer_arrival"
    raise error


def _copy_source(source: ListedObject) -> dict[str, str]:
    version = {"VersionId": source.version_id} if source.version_id else {}
    return {"Bucket": source.bucket, "Key": source.key, **version}


def _copy_in_parts(
    client: Any, source: ListedObject, target_key: str, part_bytes: int, kept: dict[str, Any]
) -> None:
    """Copy inside the store, part by part, each pinned; an incomplete upload is aborted.

    Args:
        kept: headers and metadata of the copy.
    """
    place = {"Bucket": source.bucket, "Key": target_key}
    place["UploadId"] = client.create_multipart_upload(**place, **kept)["UploadId"]
    step = max(part_bytes, -(-source.size // MAXIMUM_PARTS))

    def copy(number: int) -> dict[str, Any]:
        start = (number - 1) * step
        end = min(start + step, source.size) - 1
        result = client.upload_part_copy(
            **place,
            PartNumber=number,
            CopySource=_copy_source(source),
            CopySourceIfMatch=f'"{source.etag}"',
            CopySourceRange=f"bytes={start}-{end}",
        )
        return {"PartNumber": number, "ETag": result["CopyPartResult"]["ETag"]}

    try:
        with ThreadPoolExecutor(PARALLEL_PARTS) as pool:
            parts = list(pool.map(copy, range(1, -(-source.size // step) + 1)))
        client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    except BaseException:
        client.abort_multipart_upload(**place)
        raise


def _head_pinned(client: Any, source: ListedObject) -> dict[str, Any]:
    version = {"VersionId": source.version_id} if source.version_id else {}
    pin = f'"{source.etag}"'
    found = client.head_object(
        Bucket=source.bucket, Key=source.key, IfMatch=pin, ChecksumMode="ENABLED", **version
    )
    return dict(found)


def _verify(client: Any, original: dict[str, Any], source: ListedObject, target_key: str) -> None:
    """Compare copy and original: size always, checksum and ETag where both say the same thing."""
    copy = client.head_object(Bucket=source.bucket, Key=target_key, ChecksumMode="ENABLED")
    if copy["ContentLength"] != source.size or not _alike(original, copy):
        client.delete_object(Bucket=source.bucket, Key=target_key)
        raise unavailable(f"copy {source.key}", "the copy is not like the original")


def _alike(original: dict[str, Any], copy: dict[str, Any]) -> bool:
    """Whether every checksum over the whole object that both have is the same."""
    whole = original.get("ChecksumType") == copy.get("ChecksumType") == "FULL_OBJECT"
    names = [n for n in original if n.startswith("Checksum") and n != "ChecksumType" and n in copy]
    if whole and any(original[n] != copy[n] for n in names):
        return False
    etags = [original["ETag"].strip('"'), copy["ETag"].strip('"')]
    both_md5 = all("-" not in e for e in etags) and not any(
        str(h.get("ServerSideEncryption", "")).startswith("aws:kms") for h in (original, copy)
    )
    return not both_md5 or etags[0] == etags[1]
