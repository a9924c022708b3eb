"""Object metadata as S3 carries it: ASCII only, so other text travels as RFC 2047 words.

S3 itself answers so for text that came in as UTF-8; `=?UTF-8?B?Sm/Do28=?=` is `João`. What the
names mean is `flow/arrivals/options.py`'s. A moved original carries what it was where it was dropped, so
that it can be told again after the ledger was restored from a backup.
"""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import Header, decode_header, make_header

from import_pipeline.records import ListedObject
from import_pipeline.storage.places import UPLOADS

ORIGIN_KEY, ORIGIN_ETAG, ORIGIN_MODIFIED = "original-key", "original-etag", "original-modified"
# For a key that no header carries unchanged: base64 of its UTF-8.
ORIGIN_KEY_BASE64 = "original-key-base64"
# Of a copy that brings an upload in again: which one, for people, and how often it was before.
REIMPORT_NUMBER, REIMPORT_OF = "reimport-number", "reimport-of"
LONGEST_NUMBER = 9
MAXIMUM_METADATA_BYTES = 2048  # S3: names and values together


def encode_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata as it is sent; control characters (a line break would end the header) become spaces."""
    return {name: _encoded(value) for name, value in metadata.items()}


def decode_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata as it was meant, names in lower case; text that cannot be decoded stays as it is."""
    return {name.lower(): _decoded(value) for name, value in metadata.items()}


def with_origin(metadata: Mapping[str, str], source: ListedObject) -> dict[str, str]:
    """Metadata, as they are stored, of a copy of an original; what it was where it was dropped is added.

    Where there is no room for that beside what the sender stated, the sender's stay alone.
    """
    if not source.key.startswith(UPLOADS):
        return dict(metadata)
    origin = {
        ORIGIN_ETAG: source.etag,
        ORIGIN_MODIFIED: source.last_modified.astimezone(UTC).isoformat(timespec="microseconds"),
    }
    key = source.key
    if key.isascii() and key.isprintable() and key == key.strip() and "=?" not in key:
        origin[ORIGIN_KEY] = key
    else:
        origin[ORIGIN_KEY_BASE64] = base64.b64encode(key.encode("utf-8", "surrogatepass")).decode()
    names = {ORIGIN_KEY, ORIGIN_KEY_BASE64, ORIGIN_ETAG, ORIGIN_MODIFIED}
    stated = {
        name: value if value.isascii() else _encoded(value)
        for name, value in metadata.items()
        if name.lower() not in names
    }
    both = {**stated, **origin}
    return both if _fits(both) else stated


def with_reimport(metadata: Mapping[str, str], upload_id: str, number: int) -> dict[str, str]:
    """Metadata, as they are stored, of a copy that brings `upload_id` in again; as far as there is room.

    Args:
        number: 1 for its first reimport.
    """
    added = dict(metadata)
    for name, value in {REIMPORT_NUMBER: str(number), REIMPORT_OF: _encoded(upload_id)}.items():
        if _fits({**added, name: value}):
            added[name] = value
    return added


def reimport_number(metadata: Mapping[str, str]) -> int | None:
    """The number of the reimport that a copy was made for, as its decoded metadata say."""
    number = metadata.get(REIMPORT_NUMBER, "")
    return int(number) if number.isascii() and number.isdigit() and len(number) <= LONGEST_NUMBER else None


def origin_of(metadata: Mapping[str, str], copy: ListedObject) -> ListedObject | None:
    """The original as it was listed where it was dropped; None if its copy does not say.

    Whoever drops a file states metadata, so the caller holds the answer against the copy's place.

    Args:
        metadata: of the copy, decoded.
        copy: as it is listed in its place of ours.
    """
    key, encoded = metadata.get(ORIGIN_KEY), metadata.get(ORIGIN_KEY_BASE64)
    etag, modified = metadata.get(ORIGIN_ETAG), metadata.get(ORIGIN_MODIFIED)
    if etag is None or modified is None or (key is None and encoded is None):
        return None
    try:
        found = key if key is not None else base64.b64decode(encoded or "", validate=True).decode()
        moment = datetime.fromisoformat(modified)
    except (binascii.Error, ValueError):
        return None
    if not found.startswith(UPLOADS) or moment.tzinfo is None:
        return None
    return ListedObject(copy.bucket, found, etag, copy.size, moment.astimezone(UTC), None)


def _fits(metadata: Mapping[str, str]) -> bool:
    return sum(len(name) + len(value.encode()) for name, value in metadata.items()) <= MAXIMUM_METADATA_BYTES


def _encoded(value: str) -> str:
    plain = "".join(c if c.isprintable() else " " for c in value).strip()
    return plain if plain.isascii() and "=?" not in plain else Header(plain, "utf-8").encode(maxlinelen=0)


def _decoded(value: str) -> str:
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, ValueError, LookupError):
        return value  # whoever drops a file names the encoding, and `undefined` is one
