"""The sweep: staging of finished and dead attempts, and what was begun in the bucket and never completed.

Each chunk holds the ledger's rows of its uploads while it looks and deletes, so that no run can begin
in between; doing it again after a kill goes on with what is left.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from import_pipeline.flow.housekeeping.days import is_past
from import_pipeline.flow.housekeeping.due import STAGING_TABLE, HousedUpload, staging_is_due
from import_pipeline.flow.housekeeping.house import UPLOADS_A_CHUNK, House, chunks
from import_pipeline.flow.housekeeping.stuck import Stuck
from import_pipeline.ledger.housekeeping import drop_table, lock_by_short_id, staging_tables
from import_pipeline.storage.leftovers import OUR_PLACES, abort_upload, incomplete_uploads
from import_pipeline.storage.places import DOCTOR, PROBES, STAGING, StagedPlace, staged_place

TABLES_A_CHUNK = 20  # each holds a lock until its transaction ends
UNFINISHED_DAYS = 1


@dataclass(frozen=True)
class StagedObjects:
    """All staging objects of one attempt."""

    place: StagedPlace
    objects: int
    size: int
    newest: datetime


def sweep_tables(house: House) -> None:
    """Drop staging tables that no attempt needs any more; any other table of the schema is left alone."""
    ours = [(table, named) for table in staging_tables(house.conn)
            if (named := STAGING_TABLE.fullmatch(table.name))]  # fmt: skip
    stuck = Stuck(house, "could not be dropped")
    for some in chunks(ours, TABLES_A_CHUNK):
        with house.conn.transaction():
            owners = _unused(house, {named[1] for _, named in some})
            for table, named in some:
                found = owners.get(named[1])
                if found is not None and staging_is_due(found, named[2], None, house.now, house.days):
                    with stuck.apart(f"staging.{table.name}"):
                        dropped = drop_table(house.conn, table.name)
                        house.did["tables dropped" if dropped else "tables in use, left"] += 1
                        house.did["bytes of tables"] += table.size if dropped else 0
    stuck.settle()


def sweep_objects(house: House) -> None:
    """Delete staging objects that no attempt needs any more, and probes that a killed process left."""
    stuck = Stuck(house, "could not be deleted")
    _sweep_probes(house, stuck)
    for some in chunks(_staged(house), UPLOADS_A_CHUNK):
        with house.conn.transaction():
            owners = _unused(house, {one.place.short_id for one in some})
            for one in some:
                found = owners.get(one.place.short_id)
                if found is None:
                    continue
                mine = [owner for owner in found if owner.dataset == one.place.dataset]
                if staging_is_due(mine, one.place.attempt, one.newest, house.now, house.days):
                    with stuck.apart(one.place.prefix):
                        house.did["objects deleted"] += house.bucket.delete_prefix(one.place.prefix)
                        house.did["bytes of objects"] += one.size
    stuck.settle()


def abort_unfinished(house: House) -> None:
    """Give up multipart uploads of ours that were begun more than a day ago."""
    stuck = Stuck(house, "could not be given up")
    for prefix in OUR_PLACES:
        # Listed as a whole first: giving one up would move what a listing under way still has to show.
        for one in list(incomplete_uploads(house.bucket, prefix)):
            if is_past(one.begun_at, UNFINISHED_DAYS, house.now):
                with stuck.apart(one.key):
                    house.did["unfinished uploads given up"] += int(abort_upload(house.bucket, one))
    stuck.settle()


def _sweep_probes(house: House, stuck: Stuck) -> None:
    for prefix in (PROBES, DOCTOR):
        for probe in list(house.bucket.list_objects(prefix)):
            if is_past(probe.last_modified, UNFINISHED_DAYS, house.now):
                with stuck.apart(probe.key):
                    house.bucket.delete_keys([probe.key])
                    house.did["objects deleted"] += 1


def _unused(house: House, short_ids: Collection[str]) -> dict[str, list[HousedUpload]]:
    """Uploads by short id, locked; without those that another transaction holds or Dagster has a run of."""
    found = {name: owners for name, owners in lock_by_short_id(house.conn, short_ids).items()
             if owners is not None}  # fmt: skip
    busy = house.active([owner.upload_id for owners in found.values() for owner in owners])
    return {
        name: owners for name, owners in found.items() if not any(owner.upload_id in busy for owner in owners)
    }


def _staged(house: House) -> Iterator[StagedObjects]:
    """Staging objects by attempt; the listing's order keeps those of one attempt together."""
    listed = ((staged_place(one.key), one) for one in house.bucket.list_objects(STAGING))
    for place, group in groupby(listed, key=lambda pair: pair[0]):
        if place is None:
            continue
        objects = size = 0
        newest = None
        for _, one in group:
            objects, size = objects + 1, size + one.size
            newest = one.last_modified if newest is None else max(newest, one.last_modified)
        if newest is not None:
            yield StagedObjects(place, objects, size, newest)
