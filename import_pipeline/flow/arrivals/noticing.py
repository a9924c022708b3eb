"""Notice what arrived by listing the bucket: a slice a tick; what is new goes to the ledger.

When that is done is `pace.py`'s, what is launched then `decision.py`'s; the other way to notice is
`receiving.py`'s.
"""

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import psycopg
import pyarrow as pa

from import_pipeline.flow.arrivals.decision import classify, identify
from import_pipeline.flow.arrivals.pace import Pace
from import_pipeline.ledger.arrivals import record_arrivals, unknown_identities, unrecorded
from import_pipeline.records import ListedObject
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.places import UPLOADS

# A slice of a listing: the tick that holds it stays under 20 s and 300 MB.
LISTED_OBJECTS = 15_000
PAGE = 1_000
LISTING_SECONDS = 5.0
NOTICING_SECONDS = 10.0  # with the recording of what is new


@dataclass(frozen=True)
class Importable:
    """What may be imported: names of all datasets; workspaces, None: every valid name."""

    datasets: Collection[str]
    workspaces: Collection[str] | None


@dataclass(frozen=True)
class Recorded:
    """New objects that are in the ledger, and those that cannot be.

    Attributes:
        new: uploads that the ledger did not know.
        clashing: keys of objects whose short id is another upload's.
    """

    new: int
    clashing: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoticedSlice:
    """A slice of a listing that is in the ledger.

    Attributes:
        new: uploads that the ledger did not know; `listed`: objects seen.
        seconds: of listing them and asking about them. Recording what is new is not in it: it happens once
            and says nothing of how long the next listing will take.
        pace: with this slice.
        clashing: keys of objects that cannot be recorded, see `Recorded`.
    """

    new: int
    listed: int
    seconds: float
    pace: Pace
    clashing: tuple[str, ...] = ()


def notice_listed(
    conn: psycopg.Connection, bucket: Bucket, importable: Importable, pace: Pace
) -> NoticedSlice:
    """List the next slice of the bucket and record what is new. Commits nothing.

    Raises:
        StorageUnavailable: the listing failed, which is never "nothing new".
    """
    began = time.monotonic()
    listing = _list_slice(bucket, pace.after, began + LISTING_SECONDS)
    unknown = set(unknown_identities(conn, [one for page in listing.pages for one in page.identities]))
    seconds = time.monotonic() - began
    new, after, clashing = 0, listing.after, list[str]()
    for page in listing.pages:
        recorded = record_new(conn, list(page.of(unknown)), importable)
        new += recorded.new
        clashing += recorded.clashing
        if time.monotonic() > began + NOTICING_SECONDS and page is not listing.pages[-1]:
            after = page.last  # what follows is listed again by the next tick
            break
    pace = pace.listed(time.time(), seconds, after)
    return NoticedSlice(new, listing.count, seconds, pace, tuple(clashing))


def record_new(conn: psycopg.Connection, objects: Iterable[ListedObject], importable: Importable) -> Recorded:
    """Record objects that the ledger does not know."""
    arrivals = classify(
        objects, datasets=importable.datasets, workspaces=importable.workspaces, known=frozenset()
    )
    new = record_arrivals(conn, arrivals)
    left = unrecorded(conn, arrivals) if new < len(arrivals) else []
    return Recorded(new, tuple(one.listed.key for one in left))


@dataclass(frozen=True)
class _Page:
    """Listed objects that may be imports.

    Attributes:
        last: the last key listed; the next page begins after it.
        rows: an object each, as Arrow holds them: a quarter of what Python's objects take.
    """

    identities: list[str]
    last: str
    rows: pa.Table

    def of(self, wanted: set[str]) -> Iterator[ListedObject]:
        """The objects whose identity is `wanted`."""
        places = [place for place, one in enumerate(self.identities) if one in wanted]
        for row in self.rows.take(pa.array(places, pa.int64())).to_pylist():
            yield ListedObject(**row)


@dataclass(frozen=True)
class _Slice:
    """Part of a listing; `after`: the key at which the next part begins, None: there is none."""

    pages: list[_Page]
    count: int
    after: str | None


def _list_slice(bucket: Bucket, after: str | None, until: float) -> _Slice:
    pages, count = list[_Page](), 0
    objects = bucket.list_objects(UPLOADS, after=after)
    while page := list(islice(objects, PAGE)):
        count += len(page)
        found = identify(page)
        if found:
            rows = pa.Table.from_pylist([vars(listed) for listed in found.values()])
            pages.append(_Page(list(found), page[-1].key, rows))
        if count >= LISTED_OBJECTS or time.monotonic() > until:
            return _Slice(pages, count, page[-1].key)
    return _Slice(pages, count, None)
