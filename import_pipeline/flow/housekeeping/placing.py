"""Retention in the bucket: originals and reports past their days go, stuck originals leave `uploads/`.

Each chunk holds the ledger's rows of its uploads while it looks and deletes or moves; the ledger learns
where a thing is now, or that it is gone, in the same transaction.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Literal

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.arrivals.originals import (
    MovedOriginal,
    archive_original,
    locate_original,
    quarantine_original,
)
from import_pipeline.flow.housekeeping.days import FOR_EVER, is_past
from import_pipeline.flow.housekeeping.due import (
    UNKEPT_STATES,
    HousedUpload,
    Place,
    object_is_due,
    original_is_due,
    place_after,
)
from import_pipeline.flow.housekeeping.house import UPLOADS_A_CHUNK, House, chunks
from import_pipeline.flow.housekeeping.stuck import TROUBLE, Stuck
from import_pipeline.ledger.housekeeping import (
    forget_objects,
    known_short_ids,
    lock_families,
    note_set_aside,
    originals_to_set_aside,
    unkept_originals,
)
from import_pipeline.ledger.rows import UploadRow
from import_pipeline.ledger.uploads import get_upload
from import_pipeline.storage.places import ARCHIVE, QUARANTINE, REPORTS, OwnedPlace, owned_place

UNKEPT_DAYS = 1
PREFIXES: Mapping[Place, str] = {"archive": ARCHIVE, "quarantine": QUARANTINE, "reports": REPORTS}


@dataclass(frozen=True)
class OwnedObjects:
    """All objects of an upload in one of our places."""

    place: OwnedPlace
    keys: tuple[str, ...]
    size: int
    newest: datetime


def delete_past(house: House, place: Place) -> None:
    """Delete what is past its days in a place; what a run may read, or an undo may need, stays."""
    days = getattr(house.days, place)
    if days == FOR_EVER:
        return
    stuck = Stuck(house, "could not be deleted")
    old = (one for one in _owned(house, PREFIXES[place]) if is_past(one.newest, days, house.now))
    for some in chunks(old, UPLOADS_A_CHUNK):
        # The ledger first: killed in between, the objects are still there and are found again.
        with house.conn.transaction():
            gone = {name: one.place.prefix for one, name in _due(house, place, some) if name}
            forget_objects(house.conn, *_noted(place), gone, days)
        with house.conn.transaction():
            _delete(house, [one for one, _ in _due(house, place, some)], stuck)
    stuck.settle()


def set_aside(house: House, datasets: Mapping[str, Dataset]) -> None:
    """Move originals of uploads that did not make it from `uploads/` to their place, after their days.

    Originals that their dataset does not keep and that are there still, a day after the report, are deleted.
    """
    stuck = Stuck(house, "could not be put away")
    _delete_unkept(house, [one.name for one in datasets.values() if not one.keep_original], stuck)
    if house.days.set_aside != FOR_EVER:
        _move_stuck(house, datasets, stuck)
    stuck.settle()


def _move_stuck(house: House, datasets: Mapping[str, Dataset], stuck: Stuck) -> None:
    before, after = house.now - timedelta(days=house.days.set_aside), ""
    while found := originals_to_set_aside(house.conn, before, after, UPLOADS_A_CHUNK):
        for upload_id in found:
            # A large original takes a while to copy, so each has a transaction of its own.
            with stuck.apart(upload_id):
                _set_aside_one(house, upload_id, datasets)
        after = found[-1]


def _delete_unkept(house: House, datasets: Sequence[str], stuck: Stuck) -> None:
    """What a run was to delete after its report, but was killed, or the store refused."""
    before, after = house.now - timedelta(days=UNKEPT_DAYS), ""
    while found := unkept_originals(house.conn, datasets, before, after, UPLOADS_A_CHUNK):
        for upload_id in found:
            with stuck.apart(upload_id):
                _delete_unkept_one(house, upload_id)
        after = found[-1]


def _delete_unkept_one(house: House, upload_id: str) -> None:
    family = lock_families(house.conn, [upload_id])[upload_id]
    row = get_upload(house.conn, upload_id)
    if not family or row is None or row.state not in UNKEPT_STATES or house.active([upload_id]):
        return
    source = locate_original(house.bucket, row)
    if source is None or source.key != row.listed.key or any(one.live for one in family):
        note_set_aside(house.conn, upload_id, None)
        return
    moved = archive_original(house.bucket, row, source, keep=False)
    gone = "Its original was deleted: its dataset keeps none."
    note_set_aside(house.conn, upload_id, None, gone if moved.outcome == "moved" else _told(moved, "", 0))
    house.did.update({"originals deleted": 1, "bytes deleted": source.size})


def _delete(house: House, due: Sequence[OwnedObjects], stuck: Stuck) -> None:
    """Delete many uploads' objects at once; where one of them cannot be, those of each upload apart."""
    try:
        house.bucket.delete_keys([key for one in due for key in one.keys])
    except TROUBLE:
        for one in due:
            with stuck.apart(one.place.prefix):
                house.bucket.delete_keys(one.keys)
                _count(house, one)
    else:
        for one in due:
            _count(house, one)


def _count(house: House, deleted: OwnedObjects) -> None:
    house.did["objects deleted"] += len(deleted.keys)
    house.did["bytes deleted"] += deleted.size


def _set_aside_one(house: House, upload_id: str, datasets: Mapping[str, Dataset]) -> None:
    family = lock_families(house.conn, [upload_id])[upload_id]
    row = get_upload(house.conn, upload_id)
    if not family or row is None or house.active([one.upload_id for one in family]):
        return
    dataset = datasets.get(row.dataset or "")
    place = _place_of(row, family, house, keep=dataset is None or dataset.keep_original)
    if place == "stays":
        return
    source = locate_original(house.bucket, row)
    if source is None:
        note_set_aside(house.conn, upload_id, None, "Housekeeping found no original of it any more.")
        house.did["originals already gone"] += 1
        return
    if place == "quarantine":
        moved: MovedOriginal = quarantine_original(house.bucket, row, source)
    else:
        moved = archive_original(house.bucket, row, source, keep=place == "archive")
    note_set_aside(house.conn, upload_id, moved.key, _told(moved, place, house.days.set_aside))
    house.did.update({"originals put away": 1, "bytes put away": source.size})


def _noted(place: Place) -> tuple[Literal["original_key", "report_prefix"], str]:
    """The ledger's column that names a place's objects, and what people call them."""
    return ("report_prefix", "report") if place == "reports" else ("original_key", "original")


def _place_of(
    row: UploadRow, family: Sequence[HousedUpload], house: House, *, keep: bool
) -> Literal["stays", "archive", "quarantine", "deleted"]:
    if row.state != "expanded":
        own = next(one for one in family if one.upload_id == row.upload_id)
        return "quarantine" if original_is_due(own, house.now, house.days) else "stays"
    members = [one for one in family if one.parent == row.upload_id]
    place = place_after(members, house.now, house.days, keep=keep)
    # A report of one of its files may still have to be written from it.
    unsaid = place == "deleted" and not all(member.reported for member in members)
    return "stays" if unsaid else place


def _told(moved: MovedOriginal, place: str, days: int) -> str:
    if moved.outcome == "newer_arrival":
        return "A newer file has the key of its original."
    if moved.outcome == "kept":
        return "Its original stays in uploads/: the store does not delete on condition."
    if place == "deleted":
        return "Its original was deleted: every file in it has its outcome."
    return f"Its original was put into {place}/, {days} days after nothing came of it any more."


def _due(house: House, place: Place, some: Sequence[OwnedObjects]) -> list[tuple[OwnedObjects, str | None]]:
    """Those whose time is over, with their upload id; its row is locked. None: the ledger knows none."""
    by_short_id = known_short_ids(house.conn, {one.place.short_id for one in some})
    names = {name for found in by_short_id.values() for name in found}
    families = lock_families(house.conn, names)
    busy = house.active([one.upload_id for family in families.values() for one in family or ()])
    due: list[tuple[OwnedObjects, str | None]] = []
    for one in some:
        owner, family = _family_of(one.place, by_short_id[one.place.short_id], families)
        if family is None or any(relative.upload_id in busy for relative in family):
            continue
        if object_is_due(place, one.newest, family, house.now, house.days):
            due.append((one, owner))
    return due


def _family_of(
    place: OwnedPlace, names: Sequence[str], families: Mapping[str, list[HousedUpload] | None]
) -> tuple[str | None, list[HousedUpload] | None]:
    """The upload that a place is of, and its family; no family where a transaction holds one of it."""
    for name in names:
        family = families[name]
        if family is None:
            return None, None
        own = next(one for one in family if one.upload_id == name)
        if (own.workspace, own.dataset) == (place.workspace, place.dataset):
            return name, family
    return None, []


def _owned(house: House, prefix: str) -> Iterator[OwnedObjects]:
    """Objects by upload; the listing's order keeps those of one upload together. Others are left alone."""
    listed = ((owned_place(one.key), one) for one in house.bucket.list_objects(prefix))
    for place, group in groupby(listed, key=lambda pair: pair[0]):
        if place is None:
            continue
        found = [one for _, one in group]
        yield OwnedObjects(
            place,
            tuple(one.key for one in found),
            sum(one.size for one in found),
            max(one.last_modified for one in found),
        )
