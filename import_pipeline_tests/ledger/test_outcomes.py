import pytest

from import_pipeline.errors import ImportFailed, MissingColumns, Superseded
from import_pipeline.ledger.claims import claim
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.events import timeline
from import_pipeline.ledger.outcomes import (
    end_in_flight,
    mark_moved,
    mark_reported,
    note_error,
    record_cancelled,
    record_failed,
    record_refused,
    relaunch,
    requeue,
)
from import_pipeline.ledger.queries import in_flight
from import_pipeline.ledger.states import RERUN_STATES, STATES
from import_pipeline.ledger.uploads import get_upload, transition
from import_pipeline_tests.ledger.conftest import COUNTS, add, token

REFUSAL = MissingColumns("No column\n\x1bemail.", remedy="Add\tit.")


@pytest.fixture
def running(conn) -> str:
    """An upload that run 1 is at work on."""
    upload_id = add(conn)
    claim(conn, upload_id, token(1), "attempt1")
    return upload_id


def test_a_refusal_says_code_message_and_remedy_on_one_line_each(conn, running):
    record_refused(conn, running, REFUSAL, token(1))
    row = get_upload(conn, running)
    assert (row.state, row.error_code, row.error_message, row.error_remedy) == (
        "refused", "missing_columns", "No column email.", "Add it."
    )  # fmt: skip
    assert timeline(conn, running)[-1].message == "No column email."
    ended = conn.execute("SELECT state, error_code FROM imports.attempts").fetchall()
    assert ended == [("refused", "missing_columns")]


def test_a_run_that_was_superseded_records_no_end(conn, running):
    claim(conn, running, token(2), "attempt2")
    for record in (record_refused, record_failed, record_cancelled):
        with pytest.raises(Superseded):
            record(conn, running, REFUSAL, token(1))
    assert get_upload(conn, running).state == "running"


@pytest.mark.parametrize("state", ["completed", "completed_with_rejects", "checked", "undone", "expanded"])
def test_what_goes_wrong_after_the_end_leaves_the_outcome_and_is_in_the_timeline(conn, in_state, state):
    upload_id = in_state(state)
    record_failed(conn, upload_id, ImportFailed("The report failed."))
    record_cancelled(conn, upload_id)
    assert get_upload(conn, upload_id).state == state
    assert timeline(conn, upload_id)[-1].message == "internal_error: The report failed."


@pytest.mark.parametrize("state", ["detected", "queued", "running"])
def test_an_upload_is_cancelled_while_waiting_and_while_running(conn, in_state, state):
    upload_id = in_state(state)
    record_cancelled(conn, upload_id)
    assert get_upload(conn, upload_id).state == "cancelled"


def test_what_a_step_noted_is_why_the_upload_failed(conn, running):
    note_error(conn, running, token(1), ImportFailed("Batch 3 broke.", remedy="Look."))
    assert get_upload(conn, running).state == "running", "the other batches go on"
    assert in_flight(conn)[0].error_code == "internal_error"
    ended = end_in_flight(conn, in_flight(conn), "failed", code="run_failed", message="Its run failed.")
    row = get_upload(conn, running)
    assert (ended, row.state, row.error_code) == (1, "failed", "internal_error")
    assert (row.error_message, row.error_remedy) == ("Batch 3 broke.", "Look.")


def test_a_run_that_is_gone_without_a_word_fails_its_upload(conn, running):
    end_in_flight(conn, in_flight(conn), "failed", code="run_failed", message="It's gone.", remedy="Again.")
    row = get_upload(conn, running)
    assert (row.error_code, row.error_message, row.error_remedy) == ("run_failed", "It's gone.", "Again.")


def test_a_cancelled_run_is_not_called_by_an_error_it_noted_before(conn, running):
    note_error(conn, running, token(1), ImportFailed("Batch 3 broke.", remedy="Look."))
    end_in_flight(conn, in_flight(conn), "cancelled", code="cancelled", message="Cancelled.")
    row = get_upload(conn, running)
    assert (row.state, row.error_code, row.error_message, row.error_remedy) == (
        "cancelled", "cancelled", "Cancelled.", ""
    )  # fmt: skip


def test_reconciliation_never_ends_an_upload_that_a_newer_run_took_over(conn, running):
    seen = in_flight(conn)
    claim(conn, running, token(2), "attempt2")
    assert end_in_flight(conn, seen, "failed", code="run_failed", message="gone") == 0
    assert get_upload(conn, running).state == "running"


def test_reconciliation_never_ends_a_queued_upload_whose_run_came_after_all(conn, in_state):
    upload_id = in_state("queued")
    seen = in_flight(conn)
    claim(conn, upload_id, token(1), "attempt1")
    assert end_in_flight(conn, seen, "failed", code="run_failed", message="gone") == 0
    assert relaunch(conn, seen) == 0
    assert get_upload(conn, upload_id).state == "running"


def test_reconciliation_never_ends_an_upload_that_was_published_meanwhile(conn, running):
    seen = in_flight(conn)
    transition(conn, running, "completed", **COUNTS)
    assert end_in_flight(conn, seen, "failed", code="run_failed", message="gone") == 0
    assert get_upload(conn, running).state == "completed"


def test_reconciliation_does_not_wait_for_a_publish(own_conn, migrated_url):
    upload_id = add(own_conn)
    claim(own_conn, upload_id, token(1), "attempt1")
    own_conn.commit()
    own_conn.execute("SELECT FROM imports.uploads FOR NO KEY UPDATE")
    with connect(migrated_url) as sensor:
        sensor.execute("SET lock_timeout = '5s'")
        assert end_in_flight(sensor, in_flight(sensor), "failed", code="run_failed", message="gone") == 0


def test_a_queued_upload_without_a_run_is_launched_again_under_the_next_number(conn, in_state):
    upload_id, other = in_state("queued"), in_state("running", "b.csv")
    seen = in_flight(conn)
    assert {row.upload_id: row.queued_seconds is not None for row in seen} == {upload_id: True, other: False}
    assert relaunch(conn, seen) == 1
    row = get_upload(conn, upload_id)
    assert (row.state, row.launch_number, get_upload(conn, other).launch_number) == ("detected", 2, 1)


def test_a_retry_sends_back_what_ended_without_an_import_and_nothing_else(conn, in_state):
    uploads = {state: in_state(state, f"{state}.csv") for state in STATES}
    sent = requeue(conn, list(uploads.values()))
    assert set(sent) == {uploads[state] for state in RERUN_STATES}
    row = get_upload(conn, uploads["failed"])
    assert (row.state, row.launch_number, row.error_code, row.run_id) == ("detected", 2, None, None)


def test_a_report_and_the_originals_place_are_kept(conn, in_state):
    upload_id = in_state("completed")
    mark_reported(conn, upload_id, "reports/acme/leads/x/")
    mark_moved(conn, upload_id, "archive/acme/leads/x/a.csv")
    row = get_upload(conn, upload_id)
    assert row.reported_at >= row.published_at
    assert (row.report_prefix, row.original_key) == ("reports/acme/leads/x/", "archive/acme/leads/x/a.csv")
