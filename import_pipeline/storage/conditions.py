"""Whether a store deletes on condition: asked once by a process for all that it forks, by deleting an object.

Some stores refuse `If-Match` on a delete, others ignore it and delete whatever is there. In either, an
original cannot be told from a newer one at its key at the moment it goes, so it stays.
"""

from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError

from import_pipeline.storage.faults import answer, status, storage_errors
from import_pipeline.storage.places import PROBES

OTHER_ETAG = '"00000000000000000000000000000000"'
REFUSALS = frozenset(
    {"NotImplemented", "InvalidArgument", "InvalidRequest", "MethodNotAllowed", "400", "501"}
)
_KNOWN: dict[str, bool] = {}


def deletes_on_condition(client: Any, bucket: str) -> bool:
    """Whether the client's store honours `If-Match` on a delete; the answer is kept for its endpoint.

    Raises:
        StorageUnavailable, ConfigurationError: it could not be asked; the next call asks again.
    """
    endpoint = client.meta.endpoint_url
    if endpoint not in _KNOWN:
        _KNOWN[endpoint] = probe(client, bucket)
    return _KNOWN[endpoint]


def probe(client: Any, bucket: str) -> bool:
    """Write an object; a delete with another ETag must fail, one with its own must delete it."""
    place = {"Bucket": bucket, "Key": f"{PROBES}{uuid4().hex}"}
    with storage_errors(f"probe {place['Key']}"):
        etag = client.put_object(**place, Body=b"probe")["ETag"]
        try:
            honours = _delete(client, place, OTHER_ETAG) == 412 and _delete(client, place, etag) < 300
        finally:
            client.delete_object(**place)
    return honours


def _delete(client: Any, place: dict[str, str], etag: str) -> int:
    """Delete on condition; the status of the answer.

    Raises:
        ClientError: an answer that says nothing about conditions.
    """
    try:
        result = client.delete_object(**place, IfMatch=etag)
    except ClientError as error:
        if status(error) in (412, 501) or answer(error) in REFUSALS:
            return status(error)
        raise
    return int(result["ResponseMetadata"]["HTTPStatusCode"])
