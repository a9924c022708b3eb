from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from import_pipeline.errors import PartitionMissing, Superseded
from import_pipeline.ledger.claims import claim, guard, lock_owned
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.events import add_event
from import_pipeline.ledger.outcomes import mark_reported, record_cancelled, requeue
from import_pipeline.ledger.row_errors import row_errors, save_row_errors
from import_pipeline.ledger.rows import RowError
from import_pipeline.ledger.states import STATES
from import_pipeline.ledger.uploads import add_details, get_upload, record_batch, set_columns, transition
from import_pipeline.records import Token
from import_pipeline_tests.ledger.conftest import COUNTS, add, move, token

BEGUN = ("detected", "queued", "running", "failed", "cancelled", "checked", "undone", "refused",
         "duplicate_file")  # fmt: skip


@pytest.mark.parametrize("state", BEGUN)
def test_a_launch_begins_anew_in_every_state_that_is_not_an_import(conn, in_state, state):
    upload_id = in_state(state)
    claimed = claim(conn, upload_id, token(1), "attempt1")
    row = claimed.row
    assert (claimed.action, row.state, row.run_id, row.attempt) == ("import", "running", "run98", "attempt1")
    assert row.token == token(1)
    assert (row.read, row.rejected, row.error_code, row.duplicate_of, row.published_at) == (None,) * 5


@pytest.mark.parametrize("state", ["completed", "completed_with_rejects"])
def test_a_published_upload_gets_its_missing_report_and_then_nothing(conn, in_state, state):
    upload_id = in_state(state)
    claimed = claim(conn, upload_id, token(1), "attempt1")
    assert (claimed.action, claimed.row.state, claimed.row.read) == ("report", state, 10)
    assert guard(conn, upload_id, token(1)).state == state
    mark_reported(conn, upload_id, "reports/acme/leads/x/", token(1))
    before = get_upload(conn, upload_id)
    again = claim(conn, upload_id, token(2), "attempt2")
    assert again.action == "nothing"
    assert again.row == before, "nothing to do must change nothing"


def test_a_run_that_was_asked_for_before_a_cancellation_does_not_bring_the_upload_back(conn):
    upload_id = add(conn)
    record_cancelled(conn, upload_id)
    record_cancelled(conn, upload_id)
    with pytest.raises(Superseded, match="cancelled after the run was asked for"):
        claim(conn, upload_id, token(1), "attempt1", 1)
    assert get_upload(conn, upload_id).state == "cancelled"
    assert claim(conn, upload_id, token(2), "by hand").row.state == "running"
    record_cancelled(conn, upload_id)
    assert requeue(conn, [upload_id]) == [upload_id]
    assert claim(conn, upload_id, token(3), "attempt3", 4).row.state == "running"


def test_the_states_tested_above_are_all_states():
    assert {*BEGUN, "completed", "completed_with_rejects", "expanded", "ignored"} == set(STATES)


def test_a_report_by_another_run_keeps_the_attempt_that_owns_the_staging_table(conn):
    upload_id = add(conn)
    claim(conn, upload_id, token(1), "attempt1")
    transition(conn, upload_id, "completed", **COUNTS)
    assert claim(conn, upload_id, token(2), "attempt2").row.attempt == "attempt1"


@pytest.mark.parametrize("state", ["checked", "duplicate_file", "refused"])
def test_a_finished_attempt_goes_on_to_its_report_and_another_begins_anew(conn, state):
    upload_id = add(conn)
    claim(conn, upload_id, token(1), "attempt1")
    move(conn, upload_id, state)
    assert claim(conn, upload_id, token(2), "attempt1").action == "report"
    assert get_upload(conn, upload_id).state == state
    assert claim(conn, upload_id, token(3), "attempt2").action == "import"


def test_an_op_that_is_tried_again_after_the_report_finds_nothing_to_do(conn):
    upload_id = add(conn)
    claim(conn, upload_id, token(1), "attempt1")
    move(conn, upload_id, "checked")
    assert claim(conn, upload_id, token(1), "attempt1").action == "report"
    mark_reported(conn, upload_id, "reports/x/", token(1))
    assert claim(conn, upload_id, token(1), "attempt1").action == "nothing"


@pytest.mark.parametrize("state", ["completed", "checked", "duplicate_file", "undone"])
def test_an_op_that_only_reports_finds_nothing_to_do_after_the_report_whoever_wrote_it(conn, state):
    upload_id = add(conn)
    claim(conn, upload_id, token(1), "attempt1")
    transition(conn, upload_id, "completed", **COUNTS) if state == "undone" else None
    move(conn, upload_id, state)
    mark_reported(conn, upload_id, "reports/x/", token(1))
    before = get_upload(conn, upload_id)
    for attempt in ("attempt1", "attempt2"):
        assert claim(conn, upload_id, token(2), attempt, reporting=True).action == "nothing"
    assert get_upload(conn, upload_id) == before


@pytest.mark.parametrize("state", ["running", "failed", "checked"])
def test_an_op_that_only_reports_begins_nothing_of_another_attempt(conn, state):
    upload_id = add(conn)
    claim(conn, upload_id, token(1), "attempt1")
    if state != "running":
        move(conn, upload_id, state)
    before = get_upload(conn, upload_id)
    with pytest.raises(Superseded, match=state):
        claim(conn, upload_id, token(2), "attempt2", reporting=True)
    assert get_upload(conn, upload_id) == before


def test_an_unknown_or_ignored_upload_cannot_be_claimed(conn, in_state):
    with pytest.raises(PartitionMissing, match="does not know"):
        claim(conn, "acme/nowhere@1", token(1), "attempt1")
    with pytest.raises(PartitionMissing, match="no reason"):
        claim(conn, in_state("ignored"), token(1), "attempt1")


def test_every_op_of_the_run_goes_on_and_no_attempt_is_counted_twice(conn):
    upload_id = add(conn)
    for _ in range(3):
        assert claim(conn, upload_id, token(1), "attempt1").action == "import"
    assert get_upload(conn, upload_id).attempts == 1
    assert conn.execute("SELECT number, runs FROM imports.attempts").fetchall() == [(1, 1)]


def test_a_reexecution_belongs_to_its_attempt_and_a_fresh_launch_is_a_new_one(conn):
    upload_id = add(conn)
    for number, attempt in ((1, "attempt1"), (2, "attempt1"), (3, "attempt3")):
        claim(conn, upload_id, token(number), attempt)
        move(conn, upload_id, "failed")
    attempts = conn.execute(
        "SELECT attempt, number, runs, run_id, state FROM imports.attempts ORDER BY number"
    ).fetchall()
    assert attempts == [("attempt1", 1, 2, "run97", "failed"), ("attempt3", 2, 1, "run96", "failed")]
    assert get_upload(conn, upload_id).attempts == 2


def test_a_reexecution_keeps_what_was_found_out_and_a_new_attempt_does_not(conn):
    upload_id = add(conn)
    claim(conn, upload_id, token(1), "attempt1")
    add_details(conn, upload_id, split={"read": 3})
    save_row_errors(conn, upload_id, [RowError(2, "email", "•", "bad", "error", "no")], 1, 10)
    move(conn, upload_id, "failed")
    assert claim(conn, upload_id, token(2), "attempt1").row.details == {"split": {"read": 3}}
    assert len(row_errors(conn, upload_id)) == 1
    assert claim(conn, upload_id, token(3), "attempt3").row.details == {}
    assert row_errors(conn, upload_id) == []


def test_the_newer_run_takes_over_and_the_older_one_writes_nothing_more(conn):
    upload_id = add(conn)
    claim(conn, upload_id, token(1), "attempt1")
    claimed = claim(conn, upload_id, token(2), "attempt2")
    assert (claimed.action, claimed.taken_over_from) == ("import", "run98")
    for call in (
        lambda: claim(conn, upload_id, token(1), "attempt1"),
        lambda: guard(conn, upload_id, token(1)),
        lambda: lock_owned(conn, upload_id, token(1)),
    ):
        with pytest.raises(Superseded):
            call()
    ended = conn.execute("SELECT attempt, state FROM imports.attempts ORDER BY number").fetchall()
    assert ended == [("attempt1", "superseded"), ("attempt2", "running")]


def test_an_older_run_that_comes_late_changes_nothing(conn):
    upload_id = add(conn)
    claim(conn, upload_id, token(2), "attempt2")
    before = get_upload(conn, upload_id)
    with pytest.raises(Superseded) as caught:
        claim(conn, upload_id, token(1), "attempt1")
    assert caught.value.fields["run_id"] == "run97"
    assert get_upload(conn, upload_id) == before


def test_two_runs_of_one_moment_are_told_apart_by_their_ids(conn):
    upload_id = add(conn)
    claim(conn, upload_id, Token(5.0, "b"), "b")
    claim(conn, upload_id, Token(5.0, "c"), "c")
    with pytest.raises(Superseded):
        claim(conn, upload_id, Token(5.0, "a"), "a")


@pytest.mark.parametrize("first", [1, 2])
def test_of_two_runs_at_once_the_newer_one_owns_the_upload(own_conn, migrated_url, first):
    """Whichever holds the row first: the other waits for it, and only the newer one may write."""
    upload_id = add(own_conn)
    own_conn.commit()
    second = 3 - first

    def other() -> str:
        with connect(migrated_url) as mine:
            try:
                return claim(mine, upload_id, token(second), f"attempt{second}").action
            except Superseded:
                return "superseded"

    with ThreadPoolExecutor(1) as pool:
        claim(own_conn, upload_id, token(first), f"attempt{first}")
        result = pool.submit(other)
        _until_one_waits(own_conn)
        own_conn.commit()
        assert result.result(timeout=20) == ("import" if second == 2 else "superseded")
    assert get_upload(own_conn, upload_id).token == token(2)


def test_many_claims_at_once_leave_the_greatest_token(own_conn, migrated_url):
    upload_id = add(own_conn)
    own_conn.commit()

    def run(number: int) -> str:
        with connect(migrated_url) as mine:
            try:
                return claim(mine, upload_id, token(number), f"attempt{number}").action
            except Superseded:
                return "superseded"

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(run, [3, 1, 7, 5, 2, 8, 4, 6]))
    assert results[5] == "import"
    assert get_upload(own_conn, upload_id).token == token(8)


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_an_orphan_of_a_run_that_was_ended_is_stopped(conn, state):
    upload_id = add(conn)
    claim(conn, upload_id, token(1), "attempt1")
    move(conn, upload_id, state)
    for call in (
        lambda: claim(conn, upload_id, token(1), "attempt1"),
        lambda: guard(conn, upload_id, token(1)),
    ):
        with pytest.raises(Superseded, match=state):
            call()
    assert get_upload(conn, upload_id).state == state
    assert claim(conn, upload_id, token(2), "attempt1").action == "import", "a re-execution goes on"


def test_an_orphan_cannot_take_back_an_upload_that_waits_for_its_next_launch(conn):
    upload_id = add(conn)
    claim(conn, upload_id, token(1), "attempt1")
    move(conn, upload_id, "failed")
    requeue(conn, [upload_id])
    for call in (
        lambda: claim(conn, upload_id, token(1), "attempt1"),
        lambda: guard(conn, upload_id, token(1)),
    ):
        with pytest.raises(Superseded, match="detected"):
            call()
    assert claim(conn, upload_id, token(2), "attempt2").action == "import"


def test_batches_are_staged_side_by_side_and_a_newer_run_waits_for_them(own_conn, migrated_url):
    upload_id = add(own_conn)
    claim(own_conn, upload_id, token(1), "attempt1")
    own_conn.commit()
    with connect(migrated_url) as other, connect(migrated_url) as newer:
        guard(own_conn, upload_id, token(1), share=True)
        other.execute("SET lock_timeout = '5s'")
        guard(other, upload_id, token(1), share=True)
        record_batch(other, upload_id, "attempt1", 2, "staged", load_id="l2", rows=1)
        claim(other, upload_id, token(1), "attempt1")
        newer.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            claim(newer, upload_id, token(2), "attempt2")


def test_the_timeline_is_written_beside_a_publish_that_holds_the_upload(own_conn, migrated_url):
    upload_id = add(own_conn)
    claim(own_conn, upload_id, token(1), "attempt1")
    own_conn.commit()
    guard(own_conn, upload_id, token(1))
    set_columns(own_conn, upload_id, batches=3)
    with connect(migrated_url) as other:
        other.execute("SET lock_timeout = '5s'")
        add_event(other, upload_id, "running", "staging", 50)
    assert ("staging",) in own_conn.execute(
        "SELECT message FROM imports.events WHERE upload_id = %s", [upload_id]
    ).fetchall()


def _until_one_waits(conn: psycopg.Connection) -> None:
    query = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND (database IS NULL OR database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database()))"
    )
    while conn.execute(query).fetchone() == (0,):
        pass
