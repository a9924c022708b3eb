"""The S3 bucket: listing, pinned reads, staging objects, links. Moving originals is `moving.py`'s.

Every trouble of the network or the store is raised as `StorageUnavailable` (`faults.py`).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from import_pipeline.errors import ObjectVanished, OverwrittenBeforeRead
from import_pipeline.language import told
from import_pipeline.records import ListedObject
from import_pipeline.settings import Settings
from import_pipeline.storage.faults import status, storage_errors, unavailable
from import_pipeline.storage.metadata import decode_metadata, encode_metadata
from import_pipeline.storage.moving import Copied, Moved, copy_object, delete_object, move_object
from import_pipeline.storage.places import UPLOADS
from import_pipeline.storage.recent import Recent
from import_pipeline.storage.store import LEAN_PARQUET, OCTETS, missing

MIB = 1024**2
CHUNK_BYTES = 8 * MIB
ATTEMPTS = 5
RESUMES = 4
BROKEN_BODY = (IncompleteReadError, ResponseStreamingError, ReadTimeoutError)
PARQUET = "application/vnd.apache.parquet"
WRITES = ("PutObject", "CopyObject", "CreateMultipartUpload")
NOT_THERE = (404, 405)  # 405: the version is a delete marker
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def s3_client(settings: Settings, *, attempts: int = ATTEMPTS) -> Any:
    """A boto3 client for the store of `settings`: signature v4, short time-outs, standard retries.

    Whatever it writes has a checksum, which the store compares, and is encrypted with the settings' key.
    """
    secret, token = settings.aws_secret_access_key, settings.aws_session_token
    client = boto3.Session().client(
        "s3",
        endpoint_url=settings.aws_endpoint_url,
        region_name=settings.aws_region,
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        aws_session_token=token.get_secret_value() if token else None,
        config=Config(
            signature_version="s3v4",
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": attempts},
            max_pool_connections=16,
            request_checksum_calculation="when_supported",
            s3={"addressing_style": "path"} if settings.aws_endpoint_url else {},
        ),
    )
    if settings.kms_key_id:
        encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": settings.kms_key_id}
        for operation in WRITES:
            client.meta.events.register(
                f"before-parameter-build.s3.{operation}", lambda params, **_: params.update(encrypted)
            )
    return client


class Bucket:
    """One bucket; implements `Store`.

    Args:
        client: boto3 S3 client.
        copy_part_bytes: objects above four of these are copied in parts of at least this size.
        recent: keeps what was written or read here until it is read again, so that it need not come back.
    """

    def __init__(
        self,
        client: Any,
        name: str,
        *,
        copy_part_bytes: int = 256 * MIB,
        recent: Recent | None = None,
    ):
        self.client = client
        self.recent = recent or Recent()
        self.name = name
        self.copy_part_bytes = copy_part_bytes

    # -- originals ---------------------------------------------------------------------------------

    def list_objects(self, prefix: str = UPLOADS, *, after: str | None = None) -> Iterator[ListedObject]:
        """All objects below a prefix, in key order.

        Args:
            after: only those whose key comes after this one.

        Raises:
            StorageUnavailable: the listing failed, at its start or in the middle; never "nothing there".
        """
        begin = {"StartAfter": after} if after else {}
        with storage_errors(f"list {self.name}/{prefix}"):
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.name, Prefix=prefix, **begin):
                for entry in page.get("Contents", ()):
                    yield self._listed(entry["Key"], entry["Size"], entry)

    def head(self, key: str, version_id: str | None = None) -> tuple[ListedObject, dict[str, str]] | None:
        """An object's facts, equal to those of a listing, and its metadata; None if it is not there."""
        pin = {"VersionId": version_id} if version_id else {}
        try:
            with storage_errors(f"look at {key}"):
                found = self.client.head_object(Bucket=self.name, Key=key, **pin)
        except ClientError as error:
            if status(error) in NOT_THERE:
                return None
            raise
        return self._listed(key, found["ContentLength"], found), decode_metadata(found["Metadata"])

    def read_pinned(self, source: ListedObject, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
        """The bytes of exactly this object, in pieces of at most `chunk_bytes`.

        A body that breaks off is resumed where it broke, still pinned, so the bytes of two objects
        are never mixed.

        Raises:
            ObjectVanished: it was deleted.
            OverwrittenBeforeRead: another object took its key; field `successor`.
            StorageUnavailable: the store does not answer, or the body broke off too often.
        """
        return self.recent.original.chunks(source, self._fetch_pinned(source, chunk_bytes))

    def _fetch_pinned(self, source: ListedObject, chunk_bytes: int) -> Iterator[bytes]:
        done, resumes = 0, 0
        while done < source.size:
            before = done
            try:
                with closing(self._open_pinned(source, done)) as body:
                    while piece := body.read(chunk_bytes):
                        done += len(piece)
                        yield piece
                if done < source.size:
                    raise IncompleteReadError(actual_bytes=done, expected_bytes=source.size)
            except BROKEN_BODY as error:
                resumes = 0 if done > before else resumes + 1
                if resumes > RESUMES:
                    raise unavailable(f"read {source.key}", error) from error
        if done > source.size:
            raise unavailable(f"read {source.key}", f"{done} bytes came, {source.size} were listed")

    def read_range(self, source: ListedObject, start: int, length: int) -> bytes:
        """Some bytes of exactly this object, from `start` on; fewer than `length` only at its end.

        Raises:
            ObjectVanished: it was deleted.
            OverwrittenBeforeRead: another object took its key; field `successor`.
            StorageUnavailable: the store does not answer, or the body broke off too often.
        """
        end = min(start + length, source.size)
        got, resumes = bytearray(), 0
        while start + len(got) < end:
            before = len(got)
            try:
                with closing(self._open_pinned(source, start + before, end)) as body:
                    while piece := body.read(end - start - len(got)):
                        got += piece
                if start + len(got) < end:
                    raise IncompleteReadError(actual_bytes=len(got), expected_bytes=end - start)
            except BROKEN_BODY as error:
                resumes = 0 if len(got) > before else resumes + 1
                if resumes > RESUMES:
                    raise unavailable(f"read {source.key}", error) from error
        return bytes(got)

    def move(self, source: ListedObject, target_key: str) -> Moved:
        """Move an original to its place in archive or quarantine: `moving.move_object`."""
        return move_object(self.client, source, target_key, part_bytes=self.copy_part_bytes)

    def copy(
        self, source: ListedObject, target_key: str, *, reimport: tuple[str, int] | None = None
    ) -> Copied:
        """Copy exactly this object, metadata included: `moving.copy_object`."""
        return copy_object(
            self.client, source, target_key, part_bytes=self.copy_part_bytes, reimport=reimport
        )

    def delete_pinned(self, source: ListedObject) -> Moved:
        """Delete exactly this object, keeping a newer one at its key: `moving.delete_object`."""
        return delete_object(self.client, source)

    def upload_file(
        self,
        path: Path,
        key: str,
        metadata: Mapping[str, str],
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Upload a file of any size in parts.

        Args:
            progress: called with the number of bytes sent since the last call.
        """
        with storage_errors(f"write {key}"), path.open("rb") as file:
            self.client.upload_fileobj(
                file,
                self.name,
                key,
                ExtraArgs={"Metadata": encode_metadata(metadata)},
                Callback=progress,
                Config=TransferConfig(multipart_threshold=16 * MIB, multipart_chunksize=16 * MIB),
            )

    # -- objects of ours ---------------------------------------------------------------------------

    def put_bytes(self, key: str, data: bytes, content_type: str = OCTETS) -> None:
        """Write an object."""
        with storage_errors(f"write {key}"):
            self.client.put_object(Bucket=self.name, Key=key, Body=data, ContentType=content_type)

    def get_bytes(self, key: str) -> bytes:
        """Read a whole object.

        Raises:
            StoredObjectMissing: it is not there.
        """
        for _ in range(RESUMES):
            try:
                with closing(self._open(key)) as body:
                    return bytes(body.read())
            except BROKEN_BODY as error:
                broken = error
        raise unavailable(f"read {key}", broken) from broken

    def put_table(self, key: str, table: pa.Table) -> None:
        """Write a table of at most one batch (64 MB) as Parquet, zstd level 1."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", compression_level=1, **LEAN_PARQUET)
        self.put_bytes(key, sink.getvalue().to_pybytes(), PARQUET)
        self.recent.tables.keep(key, table)

    def get_table(self, key: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a table, all columns or those named; one that is kept is handed out once.

        Raises:
            StoredObjectMissing: there is no such object.
        """
        kept = self.recent.tables.take(key)
        if kept is not None:
            return kept if columns is None else kept.select(list(columns))
        data = pa.BufferReader(self.get_bytes(key))
        return pq.read_table(data, columns=None if columns is None else list(columns))

    def put_file(self, key: str, path: Path, content_type: str = OCTETS) -> None:
        """Write an object from a file of any size."""
        with storage_errors(f"write {key}"), path.open("rb") as file:
            self.client.upload_fileobj(file, self.name, key, ExtraArgs={"ContentType": content_type})

    def get_file(self, key: str, path: Path) -> None:
        """Read an object of any size into a file.

        Raises:
            StoredObjectMissing: it is not there.
        """
        try:
            with storage_errors(f"read {key}"):
                self.client.download_file(self.name, key, str(path))
        except ClientError as error:
            if status(error) in NOT_THERE:
                raise missing(key) from error
            raise

    def list_keys(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix`, sorted."""
        return sorted(listed.key for listed in self.list_objects(prefix))

    def delete_prefix(self, prefix: str) -> int:
        """Delete all objects whose key begins with `prefix`; the number deleted.

        Raises:
            ValueError: the prefix would reach originals that people dropped.
        """
        if not prefix or UPLOADS.startswith(prefix) or prefix.startswith(UPLOADS):
            raise ValueError(f"originals are never deleted by prefix: {prefix!r}")
        keys = self.list_keys(prefix)
        self.delete_keys(keys)
        return len(keys)

    def delete_keys(self, keys: Sequence[str]) -> None:
        """Delete objects of ours, 1,000 at a time; one that is gone already is as good as deleted.

        A key that XML cannot name in such a list is deleted on its own.

        Raises:
            ValueError: a key is an original that people dropped.
        """
        if originals := [key for key in keys if key.startswith(UPLOADS)]:
            raise ValueError(f"originals are never deleted by key: {originals[0]!r}")
        nameless = {key for key in keys if NOT_IN_XML.search(key)}
        for key in nameless:
            with storage_errors(f"delete {key}"):
                self.client.delete_object(Bucket=self.name, Key=key)
        named = [key for key in keys if key not in nameless]
        for start in range(0, len(named), 1000):
            some = [{"Key": key} for key in named[start : start + 1000]]
            with storage_errors(f"delete {some[0]['Key']}"):
                result = self.client.delete_objects(Bucket=self.name, Delete={"Objects": some, "Quiet": True})
            if failed := result.get("Errors"):
                raise unavailable(f"delete {failed[0]['Key']}", failed[0].get("Message", ""))

    def exists(self, key: str) -> bool:
        """Whether there is an object at `key`."""
        return self.head(key) is not None

    def url(self, key: str, seconds: int) -> str:
        """A link that gives the object to whoever has it, for `seconds` (at most 7 days)."""
        return str(
            self.client.generate_presigned_url(
                "get_object", Params={"Bucket": self.name, "Key": key}, ExpiresIn=seconds
            )
        )

    # -- helpers -----------------------------------------------------------------------------------

    def _listed(self, key: str, size: int, facts: Mapping[str, Any]) -> ListedObject:
        """One object, from a listing or a HEAD: the same record from either.

        LastModified is cut to whole seconds, since a HEAD tells no more and some stores list more.
        """
        modified: datetime = facts["LastModified"]
        version = facts.get("VersionId")
        return ListedObject(
            bucket=self.name,
            key=key,
            etag=str(facts["ETag"]).strip('"'),
            size=int(size),
            last_modified=modified.astimezone(UTC).replace(microsecond=0),
            version_id=None if version == "null" else version,
        )

    def _open(self, key: str) -> Any:
        try:
            with storage_errors(f"read {key}"):
                return self.client.get_object(Bucket=self.name, Key=key)["Body"]
        except ClientError as error:
            if status(error) in NOT_THERE:
                raise missing(key) from error
            raise

    def _open_pinned(self, source: ListedObject, start: int, end: int | None = None) -> Any:
        """The body of the pinned object from byte `start` on, up to its end or before byte `end`."""
        pin = {"IfMatch": f'"{source.etag}"'}
        if source.version_id:
            pin["VersionId"] = source.version_id
        partial = start > 0 or end is not None
        if partial:
            pin["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        try:
            with storage_errors(f"read {source.key}"):
                found = self.client.get_object(Bucket=source.bucket, Key=source.key, **pin)
        except ClientError as error:
            if status(error) in NOT_THERE:
                raise self._vanished(source) from error
            if status(error) in (412, 416):
                raise self._overwritten(source) from error
            raise
        if partial and not str(found.get("ContentRange", "")).startswith(f"bytes {start}-"):
            found["Body"].close()
            raise unavailable(f"read {source.key}", "the store does not honour byte ranges")
        return found["Body"]

    def _vanished(self, source: ListedObject) -> ObjectVanished:
        return ObjectVanished(
            told("{file} was deleted before it could be read.", file=source.key),
            remedy=told("Drop the file again, and leave it there until its report has come."),
            key=source.key,
        )

    def _overwritten(self, source: ListedObject) -> ObjectVanished | OverwrittenBeforeRead:
        successor = self.head(source.key)
        if successor is None:
            return self._vanished(source)
        newer = successor[0]
        return OverwrittenBeforeRead(
            told(
                "{file} was overwritten before it could be read: the file of {moment} UTC took its place and "
                "is imported on its own.",
                file=source.key,
                moment=f"{newer.last_modified:%Y-%m-%d %H:%M:%S}",
            ),
            remedy=told("If the older file matters too, drop it again under another name."),
            key=source.key,
            successor={
                "etag": newer.etag,
                "size": newer.size,
                "last_modified": newer.last_modified.isoformat(),
            },
        )
