"""What housekeeping may take away, over arbitrary uploads, runs and moments."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from import_pipeline.flow.housekeeping.days import FOR_EVER, KeptDays, kept_days, safety_net_days
from import_pipeline.flow.housekeeping.due import (
    LIVE_STATES,
    OUTCOMES,
    SET_ASIDE_STATES,
    STAGING_TABLE,
    HousedUpload,
    KeptRun,
    attempt_part,
    object_is_due,
    original_is_due,
    partition_is_due,
    place_after,
    records_due,
    report_is_due,
    runs_due,
    staging_is_due,
)
from import_pipeline.flow.loading.tables import outcomes_table, staging_table
from import_pipeline.ledger.states import PUBLISHED_STATES, STATES
from import_pipeline.settings import Settings

unhurried = settings(deadline=None)
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=4000)
ATTEMPT, OTHER = "0a1b2c3d-aaaa", "ffffffff-bbbb"

moments = st.integers(0, 500 * 24).map(lambda hours: NOW - timedelta(hours=hours))
days_of, some_days = st.integers(0, 400), st.integers(1, 400)
kept = st.builds(
    KeptDays,
    history=some_days, staging=some_days, records=some_days,
    set_aside=days_of, archive=days_of, quarantine=days_of, reports=days_of, partitions=days_of,
    runs=days_of, events=days_of,
)  # fmt: skip


@st.composite
def housed(draw: st.DrawFn) -> HousedUpload:
    state = draw(st.sampled_from(STATES))
    published = draw(moments) if state in (*PUBLISHED_STATES, "undone") else None
    return HousedUpload(
        upload_id=f"acme/a.csv@{draw(st.integers(0, 2**48 - 1)):012x}",
        short_id="0123456789ab",
        parent=None,
        workspace="acme",
        dataset="leads",
        state=state,
        attempt=draw(st.sampled_from([None, ATTEMPT])),
        changed_at=draw(moments),
        published_at=published,
        reported=draw(st.booleans()),
    )


families = st.lists(housed(), min_size=1, max_size=4)


@unhurried
@given(housed(), kept, moments)
def test_staging_of_a_live_attempt_stays_for_ever(upload, days, newest):
    live = replace(upload, attempt=ATTEMPT, state="running")

    for part in (ATTEMPT[:8], OUTCOMES):
        assert not staging_is_due([live], part, newest, LATER, days)
        assert not staging_is_due([upload, live], part, newest, LATER, days)


@unhurried
@given(housed(), kept)
def test_a_published_upload_keeps_what_its_report_is_written_from(upload, days):
    waits = replace(upload, state="completed", published_at=NOW, reported=False, attempt=ATTEMPT)

    assert not staging_is_due([waits], ATTEMPT[:8], NOW, LATER, days)
    assert not staging_is_due([waits], OUTCOMES, None, LATER, days)
    assert staging_is_due([replace(waits, reported=True)], ATTEMPT[:8], NOW, NOW, days)


@unhurried
@given(housed(), kept)
def test_what_another_attempt_left_is_dead_at_once(upload, days):
    assert staging_is_due([replace(upload, attempt=ATTEMPT)], OTHER[:8], NOW, NOW, days)


def test_an_upload_that_was_undone_before_its_report_is_not_waited_for():
    undone = HousedUpload("a", "s", None, "acme", "leads", "undone", ATTEMPT, NOW, NOW, False)

    assert not undone.live
    assert replace(undone, state="completed").live


@unhurried
@given(kept)
def test_a_failed_upload_can_go_on_for_its_days_and_no_longer(days):
    failed = HousedUpload("a", "s", None, "acme", "leads", "failed", ATTEMPT, NOW, None, False)
    last = NOW + timedelta(days=days.staging)

    assert not staging_is_due([failed], ATTEMPT[:8], NOW, last - timedelta(seconds=1), days)
    assert staging_is_due([failed], ATTEMPT[:8], NOW, last, days)


@unhurried
@given(families, kept, moments, st.sampled_from(["archive", "quarantine", "reports"]))
def test_no_object_goes_while_its_upload_or_a_file_in_it_is_live(family, days, newest, place):
    due = object_is_due(place, newest, family, LATER, days)

    assert due == (getattr(days, place) != FOR_EVER and not any(one.live for one in family))
    for state in LIVE_STATES:
        assert not object_is_due(place, newest, [*family, replace(family[0], state=state)], LATER, days)


@unhurried
@given(families, st.integers(1, 400), st.integers(0, 20), st.integers(0, 20), moments)
def test_archive_and_partition_outlive_every_undo(family, undo, archive, partition, now):
    chosen = Settings(undo_days=undo, archive_days=archive, partition_days=partition)
    days = kept_days(chosen)
    undoable = [one for one in family if one.published_at and now - one.published_at <= timedelta(days=undo)]

    if object_is_due("archive", now - timedelta(days=9999), family, now, days):
        assert not undoable
    if partition_is_due(family, now, days):
        assert not undoable


@unhurried
@given(housed(), st.integers(1, 400), st.integers(1, 400), st.integers(0, 400 * 24))
def test_the_buckets_rule_never_takes_an_original_that_could_still_be_undone(upload, undo, archive, hours):
    """Launched again while its original was there, an upload can be undone for all its days once more."""
    days = kept_days(Settings(undo_days=undo, archive_days=archive))
    written = NOW - timedelta(days=safety_net_days(days)["archive/"])
    last = written + timedelta(days=days.archive)
    published = replace(upload, state="completed", published_at=last - timedelta(hours=hours), reported=True)

    assert object_is_due("archive", written, [published], NOW, days)


@unhurried
@given(families, kept, moments, st.timedeltas(timedelta(0), timedelta(days=900)))
def test_what_is_due_stays_due_and_0_keeps_for_ever(family, days, now, later):
    if partition_is_due(family, now, days):
        assert partition_is_due(family, now + later, days)
    if object_is_due("archive", now, family, now, days):
        assert object_is_due("archive", now, family, now + later, days)
    for_ever = replace(days, archive=FOR_EVER, partitions=FOR_EVER, set_aside=FOR_EVER)
    assert not object_is_due("archive", now, family, LATER, for_ever)
    assert not partition_is_due(family, LATER, for_ever)
    assert not any(original_is_due(one, LATER, for_ever) for one in family)


def test_an_archive_with_an_ignored_file_leaves_uploads_after_its_days():
    """It stayed for ever: such a file has no outcome, and did not count as one that failed."""
    days = kept_days(Settings(_env_file=None))
    long_ago = NOW - timedelta(days=300)
    done = HousedUpload("a", "s", "z", "acme", "leads", "completed", ATTEMPT, long_ago, long_ago, True)
    ignored = replace(done, upload_id="b", state="ignored", published_at=None, reported=False)

    assert place_after([done, ignored], NOW, days, keep=True) == "archive"
    assert place_after([ignored], NOW, days, keep=True) == "quarantine"
    assert place_after([done, replace(ignored, changed_at=NOW)], NOW, days, keep=True) == "stays"


@unhurried
@given(housed(), kept, moments)
def test_only_what_did_not_make_it_leaves_uploads_after_its_days(upload, days, now):
    due = original_is_due(upload, now, days)

    without_report = upload.state in ("refused", "duplicate_file", "undone") and not upload.reported
    assert due == (
        (upload.state in SET_ASIDE_STATES or without_report)
        and days.set_aside != FOR_EVER
        and now - upload.changed_at >= timedelta(days=days.set_aside)
    )
    assert not original_is_due(replace(upload, parent="acme/a.zip@0"), now, days)


@unhurried
@given(st.lists(housed(), max_size=4), kept, moments, st.booleans())
def test_an_archive_stays_while_a_file_in_it_may_still_be_read(members, days, now, keep):
    place = place_after(members, now, days, keep=keep)

    waiting = any(one.live or (one.state in SET_ASIDE_STATES
                               and not original_is_due(one, now, days)) for one in members)  # fmt: skip
    if waiting or not members:
        assert place == "stays"
    if place == "deleted":
        assert not keep
        assert not any(one.state in ("refused", *SET_ASIDE_STATES) for one in members)


runs = st.lists(
    st.builds(KeptRun, st.uuids().map(str), st.sampled_from("abc"), st.none() | moments), max_size=8
)


@unhurried
@given(runs, st.integers(1, 400), moments)
def test_a_run_goes_only_with_its_whole_chain(found, days, now):
    due = runs_due(found, days, now)

    for run in found:
        chain = [one for one in found if one.chain == run.chain]
        over = all(one.ended_at and now - one.ended_at >= timedelta(days=days) for one in chain)
        assert (run.run_id in due) == over
    assert not runs_due(found, FOR_EVER, LATER)


@unhurried
@given(runs, st.dictionaries(st.uuids().map(str), moments, max_size=4), st.integers(1, 400))
def test_records_of_a_run_that_is_not_over_stay_and_those_of_a_forgotten_one_age(found, others, days):
    newest = {run.run_id: NOW - timedelta(days=500) for run in found} | others
    due = records_due(newest, found, days, NOW)

    assert due & {run.run_id for run in found} == runs_due(found, days, NOW)
    assert due - {run.run_id for run in found} == {
        run for run, at in others.items() if NOW - at >= timedelta(days=days)
    }


def test_a_missing_report_is_asked_for_at_growing_intervals():
    asked, last = [], None
    for hour in range(24 * 30):
        now = NOW + timedelta(hours=hour)
        if report_is_due(NOW, last, now):
            asked.append(hour)
            last = now

    assert asked[:5] == [1, 2, 4, 8, 16]
    assert len(asked) < 12


def test_tables_and_keys_of_staging_are_read_as_they_are_written():
    opened: Any = SimpleNamespace(short_id="0123456789ab", attempt="Scheduled Run 17")

    table = STAGING_TABLE.fullmatch(staging_table(opened))
    outcomes = STAGING_TABLE.fullmatch(outcomes_table(opened))

    assert table is not None
    assert (table[1], table[2]) == (opened.short_id, attempt_part(opened.attempt))
    assert outcomes is not None
    assert outcomes[2] == OUTCOMES
    assert STAGING_TABLE.fullmatch("customers") is None


def test_days_are_those_of_the_settings_and_never_fewer_than_undo_takes():
    days = kept_days(Settings(undo_days=40, archive_days=3, partition_days=5, run_days=2))

    assert (days.history, days.archive, days.partitions, days.runs) == (41, 41, 41, 41)
    assert kept_days(Settings(partition_days=0, run_days=9)).runs == FOR_EVER
    assert kept_days(Settings(archive_days=0)).archive == FOR_EVER
