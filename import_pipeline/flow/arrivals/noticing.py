"""Notice what arrived by listing the bucket: a slice a tick; what is new goes to the ledger.

When that is done is `pace.py`'s, what is launched then `decision.py`'s; the other way to notice is
`receiving.py`'s.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import psycopg

from import_pipeline.flow.arrivals.decision import classify, identify
from import_pipeline.flow.arrivals.pace import Pace
from import_pipeline.ledger.arrivals import record_arrivals, unknown_identities
from import_pipeline.records import ListedObject
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.places import UPLOADS

# A slice of a listing: the tick that holds it stays under 20 s and 300 MB.
LISTED_OBJECTS = 100_000
LISTING_SECONDS = 10.0


@dataclass(frozen=True)
class Importable:
    """What may be imported: names of all datasets; workspaces, None: every valid name."""

    datasets: Collection[str]
    workspaces: Collection[str] | None


@dataclass(frozen=True)
class NoticedSlice:
    """A slice of a listing that is in the ledger.

    Attributes:
        new: uploads that the ledger did not know; `listed`: objects seen.
        pace: with this slice.
    """

    new: int
    listed: int
    seconds: float
    pace: Pace


def notice_listed(
    conn: psycopg.Connection, bucket: Bucket, importable: Importable, pace: Pace
) -> NoticedSlice:
    """List the next slice of the bucket and record what is new. Commits nothing.

    Raises:
        StorageUnavailable: the listing failed, which is never "nothing new".
    """
    began = time.monotonic()
    slice_, count, after = _list_slice(bucket, pace.after, began + LISTING_SECONDS)
    new = record_new(conn, slice_, importable)
    seconds = time.monotonic() - began
    return NoticedSlice(new, count, seconds, pace.listed(time.time(), seconds, after))


def record_new(conn: psycopg.Connection, found: Mapping[str, ListedObject], importable: Importable) -> int:
    """Record those objects that the ledger does not know: one question about all. Returns their number."""
    unknown = unknown_identities(conn, list(found))
    new = classify(
        [found[identity] for identity in unknown],
        datasets=importable.datasets,
        workspaces=importable.workspaces,
        known=(),
    )
    return record_arrivals(conn, new)


def _list_slice(
    bucket: Bucket, after: str | None, until: float
) -> tuple[dict[str, ListedObject], int, str | None]:
    """Objects that may be imports, by identity; the number listed; the key to go on after."""
    found: dict[str, ListedObject] = {}
    count = 0
    for listed in bucket.list_objects(UPLOADS, after=after):
        found.update(identify([listed]))
        count += 1
        if count >= LISTED_OBJECTS or (count % 1000 == 0 and time.monotonic() > until):
            return found, count, listed.key
    return found, count, None
