from datetime import UTC, datetime, timedelta

import pytest

from import_pipeline.ledger.claims import claim
from import_pipeline.ledger.outcomes import mark_reported
from import_pipeline.ledger.progress import record_progress
from import_pipeline.ledger.queries import (
    failed_to_retry,
    find_uploads,
    history,
    ignored_uploads,
    in_flight,
    stuck_uploads,
    summary,
    unreported,
)
from import_pipeline.ledger.uploads import get_upload, set_columns
from import_pipeline_tests.ledger.conftest import add, move, token


def ago(conn, upload_id: str, column: str, interval: str) -> None:
    """Pretend that a time of an upload lies further back."""
    conn.execute(
        f"UPDATE imports.uploads SET {column} = {column} - %s::interval WHERE upload_id = %s",
        [interval, upload_id],
    )


def test_history_is_newest_first_and_narrowed_by_each_question(conn):
    first = add(conn, "a.csv")
    second = add(conn, "b.csv", dataset="vehicles")
    third = add(conn, "c.csv", workspace="zeta")
    move(conn, third, "queued")
    assert [u.upload_id for u in history(conn)] == [third, second, first]
    assert [u.upload_id for u in history(conn, dataset="leads")] == [third, first]
    assert [u.upload_id for u in history(conn, workspace="acme")] == [second, first]
    assert [u.upload_id for u in history(conn, state="queued")] == [third]
    assert [u.upload_id for u in history(conn, limit=1)] == [third]
    ago(conn, first, "detected_at", "1 hour")
    since = datetime.now(UTC) - timedelta(minutes=30)
    assert [u.upload_id for u in history(conn, since=since)] == [third, second]


def test_an_upload_is_found_by_each_of_its_names_and_by_no_part_of_one(conn):
    upload_id = add(conn, "march.csv")
    add(conn, "april.csv")
    set_columns(conn, upload_id, human_name="Fair in March")
    short_id = get_upload(conn, upload_id).short_id
    for text in (upload_id, short_id, short_id.upper(), "march.csv", "Fair in March"):
        assert [row.upload_id for row in find_uploads(conn, text)] == [upload_id], text
    for text in ("march", "%", "", "Fair"):
        assert find_uploads(conn, text) == []


def test_the_view_shows_counts_share_seconds_and_report(conn, in_state):
    upload_id = in_state("completed_with_rejects")
    mark_reported(conn, upload_id, "reports/acme/leads/x/")
    shown = summary(conn, upload_id)
    assert (shown.read, shown.inserted, shown.rejected, shown.share_rejected) == (10, 4, 2, 0.2)
    assert shown.seconds >= 0
    assert (shown.report, shown.queue_place, shown.percent) == ("s3://b/reports/acme/leads/x/", None, None)
    assert summary(conn, "nobody") is None


def test_a_file_without_rows_has_no_share(conn):
    upload_id = add(conn)
    move(conn, upload_id, "running")
    conn.execute(
        "UPDATE imports.uploads SET state = 'completed', read = 0, inserted = 0, updated = 0, unchanged = 0,"
        " duplicate = 0, rejected = 0"
    )
    assert summary(conn, upload_id).share_rejected is None


def test_the_queue_gives_each_workspace_its_turn_after_the_queued_ones(conn):
    big = [add(conn, f"{n}.csv", workspace="big", seconds=n) for n in range(3)]
    small = add(conn, "s.csv", workspace="small", seconds=99)
    queued = add(conn, "q.csv", workspace="zeta", seconds=500)
    move(conn, queued, "queued")
    places = {u.upload_id: u.queue_place for u in history(conn)}
    assert places == {queued: 1, big[0]: 2, small: 3, big[1]: 4, big[2]: 5}


def test_a_running_upload_shows_how_far_it_is(conn):
    upload_id = add(conn)
    claim(conn, upload_id, token(1), "attempt1")
    record_progress(conn, upload_id, token(1), 42, "staging")
    assert summary(conn, upload_id).percent == 42


def test_what_is_in_flight_is_queued_or_running(conn, in_state):
    queued, running = in_state("queued", "q.csv"), in_state("queued", "r.csv")
    for number, state in enumerate(("detected", "failed", "completed", "ignored", "cancelled")):
        in_state(state, f"{number}.csv")
    claim(conn, running, token(1), "attempt1")
    seen = {row.upload_id: row for row in in_flight(conn)}
    assert {name: row.state for name, row in seen.items()} == {queued: "queued", running: "running"}
    assert (seen[queued].run_id, seen[running].run_id) == (None, "run98")
    assert seen[queued].queued_seconds >= 0


def test_a_failed_upload_is_retried_for_seven_days_and_five_attempts(conn, in_state):
    fresh, old, tired = (in_state("failed", f"{n}.csv") for n in "abc")
    in_state("cancelled", "d.csv")
    ago(conn, old, "finished_at", "8 days")
    conn.execute("UPDATE imports.uploads SET attempts = 5 WHERE upload_id = %s", [tired])
    conn.execute("UPDATE imports.uploads SET attempts = 4 WHERE upload_id = %s", [fresh])
    assert [row.upload_id for row in failed_to_retry(conn, "leads")] == [fresh]
    assert failed_to_retry(conn, "vehicles") == []
    assert {row.upload_id for row in failed_to_retry(conn, "leads", days=9, attempts=6)} == {
        fresh,
        old,
        tired,
    }


def test_a_published_upload_without_a_report_is_unfinished(conn, in_state):
    missing, done = in_state("completed", "a.csv"), in_state("completed", "b.csv")
    in_state("undone", "c.csv")
    mark_reported(conn, done, "reports/x/")
    assert [row.upload_id for row in unreported(conn)] == [missing]
    assert unreported(conn, older_than_seconds=60) == []


def test_ignored_uploads_come_with_their_reason(conn):
    add(conn, "a.csv")
    upload_id = add(conn, "b.csv", dataset="boats", ignored="There is no dataset `boats`.")
    assert [(u.upload_id, u.ignored_reason) for u in ignored_uploads(conn)] == [
        (upload_id, "There is no dataset `boats`.")
    ]


@pytest.mark.parametrize(
    ("state", "column", "why"),
    [
        ("detected", "detected_at", "waits for the sensor"),
        ("queued", "queued_at", "run slot"),
        ("failed", "finished_at", "too long ago"),
        ("completed", "published_at", "published, but its report is missing"),
        ("refused", "finished_at", "refused, but its report is missing"),
        ("checked", "finished_at", "checked, but its report is missing"),
    ],
)
def test_an_upload_that_does_not_move_is_named_with_the_reason(conn, in_state, state, column, why):
    stuck = in_state(state, "a.csv")
    in_state(state, "b.csv")
    ago(conn, stuck, column, "8 days")
    found = stuck_uploads(conn)
    assert [(one.upload_id, one.state) for one in found] == [(stuck, state)]
    assert why in found[0].why and found[0].seconds > 8 * 86400 - 5


def test_a_run_that_is_silent_and_an_upload_nobody_retries_are_named(conn, in_state):
    silent, tired = in_state("running", "a.csv"), in_state("failed", "b.csv")
    in_state("running", "c.csv")
    conn.execute("UPDATE imports.events SET at = at - interval '2 hours' WHERE upload_id = %s", [silent])
    conn.execute("UPDATE imports.uploads SET attempts = 5 WHERE upload_id = %s", [tired])
    assert {one.upload_id: one.why for one in stuck_uploads(conn)} == {
        silent: "its run has said nothing for long",
        tired: "failed 5 times: no schedule tries it again",
    }
