"""After a database was restored: originals that the ledger does not know, wherever they lie by now.

An original in `archive/` or `quarantine/` says itself what it was in `uploads/`, so it gets the identity,
upload id and places it had. Launching what is recorded is the sensor's.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import groupby

import psycopg

from import_pipeline.flow.arrivals.decision import Arrival, classify
from import_pipeline.flow.arrivals.identity import identity, parse_key, short_id
from import_pipeline.flow.arrivals.reimports import reimport_arrival
from import_pipeline.flow.housekeeping.house import UPLOADS_A_CHUNK, chunks
from import_pipeline.ledger.arrivals import record_arrivals, unknown_identities
from import_pipeline.ledger.housekeeping import known_short_ids, note_recovered, set_launch_numbers
from import_pipeline.records import ListedObject
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.metadata import origin_of, reimport_number
from import_pipeline.storage.places import ARCHIVE, QUARANTINE, UPLOADS, OwnedPlace, owned_place


@dataclass(frozen=True)
class FoundOriginal:
    """An original that the ledger does not know.

    Attributes:
        kept_at: its place of ours; None while it is in `uploads/`.
        reimport_of: upload id of the one that it brings in again; None: it is none such.
    """

    arrival: Arrival
    kept_at: str | None
    reimport_of: str | None = None


@dataclass(frozen=True)
class FoundOriginals:
    """What lies in the bucket and is not in the ledger.

    Attributes:
        originals: oldest first, then those that bring one in again.
        nameless: keys of originals in a place of ours that do not say what they were.
    """

    originals: tuple[FoundOriginal, ...]
    nameless: tuple[str, ...]


def find_unknown(
    conn: psycopg.Connection,
    bucket: Bucket,
    *,
    datasets: Collection[str],
    workspaces: Collection[str] | None,
    since: datetime | None = None,
) -> FoundOriginals:
    """Originals below `uploads/`, `archive/` and `quarantine/` that the ledger does not know.

    Args:
        workspaces: those that may import; None: every valid name.
        since: only objects that came to their place in its second or later.

    Raises:
        StorageUnavailable: a listing failed, which is never "nothing there".
    """
    kept: dict[str, str] = {}
    nameless: list[str] = []
    unknown: list[ListedObject] = []
    again: list[FoundOriginal] = []
    arrivals_of = partial(classify, datasets=datasets, workspaces=workspaces, known=())
    for some in chunks(_since(bucket.list_objects(UPLOADS), since), 1000):
        unknown += _unknown(conn, some)
    for place in (ARCHIVE, QUARANTINE):
        for owned, copy in _unknown_copies(conn, _since(bucket.list_objects(place), since)):
            original, number = _told_by(bucket, copy)
            repeated = number and original and _repeated(arrivals_of([original]), number, owned)
            if repeated:
                again.append(replace(repeated, kept_at=copy.key))
            elif original is None or not is_of(owned, original):
                nameless.append(copy.key)
            elif _unknown(conn, [original]):
                unknown.append(original)
                kept[identity(original)] = copy.key
    arrivals = arrivals_of(unknown)
    found = [FoundOriginal(arrival, kept.get(arrival.identity)) for arrival in arrivals]
    return FoundOriginals((*found, *again), tuple(nameless))


def record_found(
    conn: psycopg.Connection, found: Iterable[FoundOriginal], launches: Mapping[str, int]
) -> int:
    """Record originals as new uploads, for the sensor to launch. Commits nothing.

    Args:
        launches: the launch number of an upload that Dagster remembers runs of: one that it has none of.

    Returns:
        Number of uploads that were new.
    """
    originals = list(found)
    new = record_arrivals(conn, [one.arrival for one in originals])
    note_recovered(conn, {one.arrival.upload_id: (one.kept_at, one.reimport_of) for one in originals})
    set_launch_numbers(conn, launches)
    return new


def is_of(place: OwnedPlace, original: ListedObject) -> bool:
    """Whether an original is the one that a place was made for; what it says of itself may be made up."""
    parts = parse_key(original.key)
    same_dataset = place.dataset is None or place.dataset == parts.dataset
    return (
        short_id(identity(original)) == place.short_id and parts.workspace == place.workspace and same_dataset
    )


def _since(listed: Iterable[ListedObject], since: datetime | None) -> Iterator[ListedObject]:
    # A listing tells whole seconds: what came later within the second of `since` would be before it.
    second = None if since is None else since.replace(microsecond=0)
    return (one for one in listed if second is None or one.last_modified >= second)


def _unknown(conn: psycopg.Connection, listed: Iterable[ListedObject]) -> list[ListedObject]:
    by_identity = {identity(one): one for one in listed}
    return [by_identity[found] for found in unknown_identities(conn, list(by_identity))]


def _unknown_copies(
    conn: psycopg.Connection, listed: Iterable[ListedObject]
) -> Iterator[tuple[OwnedPlace, ListedObject]]:
    """The first object of each place whose short id the ledger does not know."""
    owned = ((owned_place(one.key), one) for one in listed)
    firsts = ((place, next(group)[1]) for place, group in groupby(owned, key=lambda pair: pair[0]))
    ours = ((place, one) for place, one in firsts if place is not None)
    for some in chunks(ours, UPLOADS_A_CHUNK):
        known = known_short_ids(conn, {place.short_id for place, _ in some})
        yield from ((place, one) for place, one in some if not known[place.short_id])


def _told_by(bucket: Bucket, copy: ListedObject) -> tuple[ListedObject | None, int | None]:
    """The original that a copy was, as it says itself, and the number of its reimport if it is one."""
    found = bucket.head(copy.key)
    return (None, None) if found is None else (origin_of(found[1], copy), reimport_number(found[1]))


def _repeated(of: Sequence[Arrival], number: int, place: OwnedPlace) -> FoundOriginal | None:
    """The reimport of an arrival that a place was made for; None if it was made for something else."""
    for arrival in of:
        again = reimport_arrival(arrival, number)
        same = (again.short_id, again.workspace, again.dataset)
        if same == (place.short_id, place.workspace, place.dataset):
            reason = arrival.ignored_reason
            return FoundOriginal(replace(again, ignored_reason=reason), None, arrival.upload_id)
    return None
