"""Retention over real objects and a real ledger: originals and reports go when it is time, not before."""

from dataclasses import replace
from typing import Any, get_args

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.errors import NotAllDone, StorageUnavailable
from import_pipeline.flow.housekeeping.due import Place
from import_pipeline.flow.housekeeping.house import House
from import_pipeline.flow.housekeeping.placing import delete_past, set_aside
from import_pipeline.ledger.housekeeping import delete_events
from import_pipeline.ledger.members import record_expanded
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.places import archive_key, quarantine_key
from import_pipeline_tests.flow.housekeeping.conftest import Yard
from import_pipeline_tests.ledger.conftest import inside, move

DAYS = {"archive_days": 1, "quarantine_days": 30, "report_days": 30}


@pytest.fixture(scope="module")
def datasets() -> Any:
    return load_datasets("")


def delete_all(house: House) -> None:
    for place in get_args(Place):
        delete_past(house, place)


def test_originals_and_reports_go_after_their_days_and_the_ledger_knows(yard: Yard) -> None:
    done, bad = yard.reported("a.csv"), yard.reported("bad.csv", "refused")
    foreign = yard.put("archive/readme.txt")
    everything = yard.keys()

    for_ever = yard.house(days=4000, archive_days=0, quarantine_days=0, report_days=0)
    early, late = yard.house(days=29, **DAYS), yard.house(days=40, **DAYS)
    delete_all(for_ever)
    delete_all(early)
    assert yard.keys() == everything, "an undo is possible for 30 days, whatever the settings say"
    assert not for_ever.did
    assert not early.did["objects deleted"]
    delete_all(late)
    delete_all(late)

    assert yard.keys() == [foreign]
    assert late.did["objects deleted"] == 4
    after = [yard.row(row["upload_id"]) for row in (done, bad)]
    assert [(row["original_key"], row["report_prefix"]) for row in after] == [(None, None)] * 2
    told = yard.sql(
        "SELECT message FROM imports.events WHERE message ~ 'was kept for .* days and is deleted'"
    )
    assert len(told) == 4


def test_retention_that_stops_between_ledger_and_bucket_ends_the_same(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = yard.reported("a.csv")
    then = yard.house(days=400)

    def broken(bucket: Bucket, keys: Any) -> None:
        raise StorageUnavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "delete_keys", broken)
        with pytest.raises(NotAllDone):
            delete_past(then, "archive")
    assert yard.keys("archive/") == [done["original_key"]]
    delete_past(then, "archive")

    assert yard.keys("archive/") == []
    assert yard.row(done["upload_id"])["original_key"] is None


def test_what_a_run_is_to_read_stays_however_old(yard: Yard) -> None:
    bad = yard.reported("bad.csv", "refused")
    again = yard.reported("again.csv", "refused")
    move(yard.conn, bad["upload_id"], "detected")
    yard.active = {again["upload_id"]}

    delete_past(yard.house(days=400), "quarantine")

    assert set(yard.keys("quarantine/")) == {bad["original_key"], again["original_key"]}


def test_what_did_not_make_it_leaves_uploads_once(yard: Yard, datasets: Any) -> None:
    stuck, ignored = yard.upload("f.csv", "failed"), yard.upload("x.csv", "ignored", dataset="nothing")
    busy, gone = yard.upload("busy.csv", "failed"), yard.upload("gone.csv", "cancelled")
    yard.bucket.client.put_object(Bucket=yard.bucket.name, Key=gone["key"], Body=b"a newer file")
    yard.active = {busy["upload_id"]}

    set_aside(yard.house(days=13), datasets)
    assert len(yard.keys("uploads/")) == 4
    set_aside(yard.house(days=400, set_aside_days=0), datasets)
    assert len(yard.keys("uploads/")) == 4
    then = yard.house(days=15)
    set_aside(then, datasets)
    set_aside(then, datasets)

    assert (then.did["originals put away"], then.did["originals already gone"]) == (2, 1)
    assert yard.keys("uploads/") == [busy["key"], gone["key"]]
    assert [yard.row(row["upload_id"])["original_key"] for row in (stuck, ignored)] == [
        quarantine_key("acme", "leads", stuck["short_id"], "f.csv"),
        quarantine_key("acme", "nothing", ignored["short_id"], "x.csv"),
    ]


def test_an_original_that_no_report_put_away_does_not_stay_for_ever(yard: Yard, datasets: Any) -> None:
    left = [yard.upload("bad.csv", "refused"), yard.upload("undone.csv")]
    move(yard.conn, left[1]["upload_id"], "undone")
    waits = yard.upload("waits.csv", "completed")

    set_aside(yard.house(days=13), datasets)
    assert len(yard.keys("uploads/")) == 3
    set_aside(yard.house(days=15), datasets)

    assert yard.keys("uploads/") == [waits["key"]]
    assert [yard.row(row["upload_id"])["original_key"] for row in left] == [
        quarantine_key("acme", "leads", row["short_id"], row["file_name"]) for row in left
    ]


@pytest.mark.parametrize(
    ("states", "place"),
    [(("completed", "failed"), archive_key), (("failed", "refused"), quarantine_key), (("running",), None)],
)
def test_an_archive_goes_when_its_stuck_files_have_had_their_days(
    yard: Yard, datasets: Any, states: tuple[str, ...], place: Any
) -> None:
    archive = yard.upload("leads.zip", "running")
    arrivals = [inside(archive["upload_id"], f"{number}.csv") for number, _ in enumerate(states)]
    listed = yard.bucket.head(archive["key"])
    assert listed is not None
    record_expanded(
        yard.conn, archive["upload_id"], arrivals,
        source=listed[0], skipped=0, sha256="0" * 64, options=SenderOptions(),
    )  # fmt: skip
    for one, state in zip(arrivals, states, strict=True):
        move(yard.conn, one.upload_id, "running")
        if state != "running":
            move(yard.conn, one.upload_id, state)
    yard.sql("UPDATE imports.uploads SET reported_at = clock_timestamp() WHERE published_at IS NOT NULL")

    set_aside(yard.house(days=13), datasets)
    assert yard.keys("uploads/") == ([] if "failed" not in states and place else [archive["key"]])
    set_aside(yard.house(days=15), datasets)

    target = place("acme", "leads", archive["short_id"], "leads.zip") if place else archive["key"]
    assert yard.keys() == [target]


@pytest.mark.parametrize("set_aside_days", [0, 14])
def test_an_original_that_its_dataset_does_not_keep_goes_though_its_run_did_not_delete_it(
    yard: Yard, datasets: Any, set_aside_days: int
) -> None:
    """Its run was killed between its report and the delete, or the store refused: it stayed for ever."""
    forgetful = {**datasets, "leads": replace(datasets["leads"], keep_original=False)}
    done, bad, unreported = yard.upload("a.csv"), yard.upload("bad.csv", "refused"), yard.upload("c.csv")
    yard.sql(
        "UPDATE imports.uploads SET reported_at = clock_timestamp() WHERE upload_id = ANY(%s)",
        [done["upload_id"], bad["upload_id"]],
    )
    newer = yard.put("uploads/acme/leads/later.csv")
    all_of_them = sorted([done["key"], bad["key"], unreported["key"], newer])

    set_aside(yard.house(days=0.5, set_aside_days=set_aside_days), forgetful)
    set_aside(yard.house(days=1.1, set_aside_days=set_aside_days), datasets)
    assert yard.keys("uploads/") == all_of_them
    for days in (1.1, 1.2):
        house = yard.house(days=days, set_aside_days=set_aside_days)
        set_aside(house, forgetful)
        assert house.did["originals deleted"] == (1 if days < 1.2 else 0)
    assert yard.keys("uploads/") == [key for key in all_of_them if key != done["key"]]


def test_an_original_that_cannot_be_moved_keeps_no_other_in_uploads(
    yard: Yard, datasets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a lock of the bucket's one object ended the part each day, and all behind it stayed."""
    stuck = yard.upload("a.csv", "failed")
    yard.upload("b.csv", "failed")
    whole = yard.bucket.move

    def move(source: Any, target: str) -> Any:
        if source.key == stuck["key"]:
            locked = {"Error": {"Code": "InvalidObjectState"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
            raise ClientError(locked, "CopyObject")
        return whole(source, target)

    monkeypatch.setattr(yard.bucket, "move", move)
    house = yard.house(days=15)
    with pytest.raises(
        NotAllDone, match=f"1 could not be put away, all others are done; the first: {stuck['upload_id']}: "
    ) as told:
        set_aside(house, datasets)
    assert "InvalidObjectState" in str(told.value)
    assert yard.keys("uploads/") == [stuck["key"]]
    assert (house.did["could not be put away"], house.did["originals put away"]) == (1, 1)


def test_an_object_that_cannot_be_deleted_keeps_no_other(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, done = yard.reported("a.csv"), yard.reported("b.csv")
    whole = yard.bucket.delete_keys

    def delete(keys: Any) -> None:
        whole([key for key in keys if key != stuck["original_key"]])
        if stuck["original_key"] in keys:
            raise StorageUnavailable("held by a lock")

    monkeypatch.setattr(yard.bucket, "delete_keys", delete)
    house = yard.house(days=400)
    with pytest.raises(
        NotAllDone,
        match=f"1 could not be deleted, all others are done; the first: archive/.*{stuck['short_id']}/",
    ):
        delete_past(house, "archive")
    assert yard.keys("archive/") == [stuck["original_key"]]
    assert house.did["objects deleted"] == 1 and done["original_key"]


def test_a_store_that_is_away_is_not_asked_for_each_object(
    yard: Yard, datasets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcde":
        yard.upload(f"{name}.csv", "failed")
    asked = []

    def away(source: Any, target: str) -> None:
        asked.append(source.key)
        raise StorageUnavailable("no answer") from EndpointConnectionError(endpoint_url="http://nowhere")

    monkeypatch.setattr(yard.bucket, "move", away)
    with pytest.raises(StorageUnavailable):
        set_aside(yard.house(days=15), datasets)
    assert len(asked) == 3


def test_timelines_of_what_is_not_finished_are_kept(yard: Yard) -> None:
    done, live = yard.reported("a.csv"), yard.upload("r.csv", "running")
    before = yard.house(days=1).now

    assert delete_events(yard.conn, before, 2) == 2
    assert delete_events(yard.conn, before, 100) == 1
    assert delete_events(yard.conn, before, 100) == 0

    left = yard.sql("SELECT DISTINCT upload_id FROM imports.events")
    assert [row["upload_id"] for row in left] == [live["upload_id"]]
    assert done["upload_id"] != live["upload_id"]
