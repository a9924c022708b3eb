from itertools import product
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg

from import_pipeline.ledger.events import timeline
from import_pipeline.ledger.states import COUNTED_STATES, FIRST_STATES, STATES, TRANSITIONS
from import_pipeline.ledger.uploads import get_upload, transition
from import_pipeline_tests.ledger.conftest import COUNTS, add, arrival, move

ALLOWED = {(origin, to) for origin, to, _ in TRANSITIONS}


def test_the_trigger_allows_the_transitions_of_the_table_and_no_other(conn, in_state):
    refused, allowed = set(), set()
    for origin, to in product(STATES, STATES):
        if origin == to:
            continue
        conn.execute("SAVEPOINT pair")
        upload_id = in_state(origin)
        try:
            move(conn, upload_id, to)
            allowed.add((origin, to))
        except pg.CheckViolation as error:
            assert error.diag.constraint_name == "allowed_transition"
            assert f"{origin} cannot become {to}" in str(error)
            refused.add((origin, to))
        conn.execute("ROLLBACK TO SAVEPOINT pair")
    assert allowed == ALLOWED
    assert refused == set(product(STATES, STATES)) - {(s, s) for s in STATES} - ALLOWED


def test_the_table_of_transitions_is_the_one_that_design_promises():
    targets = {origin: {to for o, to in ALLOWED if o == origin} for origin in STATES}
    assert targets["completed"] == targets["completed_with_rejects"] == {"undone"}
    assert targets["expanded"] == set()
    assert targets["ignored"] == {"detected"}
    for state in ("failed", "cancelled", "checked", "undone", "refused", "duplicate_file"):
        assert targets[state] == {"running", "detected"}
    assert len(ALLOWED) == len(TRANSITIONS)


@pytest.mark.parametrize("state", [s for s in STATES if s not in FIRST_STATES])
def test_an_upload_begins_as_detected_or_ignored_only(conn, state):
    new = arrival("a.csv")
    with pytest.raises(pg.CheckViolation, match=f"cannot begin as {state}"):
        conn.execute(
            "INSERT INTO imports.uploads (upload_id, identity, short_id, workspace, dataset, bucket, key,"
            " etag, size, last_modified, file_name, state) VALUES ('u', %s, 's', 'w', 'd', 'b', 'k', 'e', 1,"
            " now(), 'f', %s)",
            [new.identity, state],
        )


def test_a_word_that_is_no_state_is_refused_by_the_table_itself(migrated_url, as_owner):
    with psycopg.connect(as_owner(migrated_url)) as owner:
        new = add(owner)
        owner.execute("INSERT INTO imports.transitions VALUES ('detected', 'done', 'a slip')")
        with pytest.raises(pg.CheckViolation) as caught:
            move(owner, new, "done")
    assert caught.value.diag.constraint_name == "uploads_state_check"


@pytest.mark.parametrize("state", [s for s in COUNTED_STATES if s != "undone"])
@pytest.mark.parametrize("counter", sorted(COUNTS))
def test_a_counted_state_needs_each_of_the_six_counters(conn, in_state, state, counter):
    upload_id = add(conn)
    transition(conn, upload_id, "running")
    with pytest.raises(pg.CheckViolation) as caught:
        transition(conn, upload_id, state, **COUNTS | {counter: None})
    assert caught.value.diag.constraint_name == "counts_complete"


def test_an_undone_upload_cannot_lose_a_counter(conn, in_state):
    upload_id = in_state("undone")
    with pytest.raises(pg.CheckViolation) as caught:
        conn.execute("UPDATE imports.uploads SET inserted = NULL WHERE upload_id = %s", [upload_id])
    assert caught.value.diag.constraint_name == "counts_complete"


@pytest.mark.parametrize("counter", sorted(COUNTS))
def test_a_lost_or_invented_row_cannot_be_published(conn, counter):
    upload_id = add(conn)
    transition(conn, upload_id, "running")
    with pytest.raises(pg.CheckViolation) as caught:
        transition(conn, upload_id, "completed", **COUNTS | {counter: COUNTS[counter] + 1})
    assert caught.value.diag.constraint_name == "counts_balance"


@pytest.mark.parametrize(
    ("state", "columns"),
    [("failed", {}), ("refused", {}), ("duplicate_file", {})],
)
def test_an_end_without_its_reason_is_refused(conn, state, columns: dict[str, Any]):
    upload_id = add(conn)
    transition(conn, upload_id, "running")
    with pytest.raises(pg.CheckViolation) as caught:
        transition(conn, upload_id, state, **columns)
    assert caught.value.diag.constraint_name == "reason_given"


def test_only_an_ignored_upload_may_lack_its_workspace_or_dataset(conn):
    add(conn, "a.csv", workspace=None, dataset=None, ignored="The file lies nowhere.")
    with pytest.raises(pg.CheckViolation) as caught:
        add(conn, "b.csv", workspace="acme", dataset=None)
    assert caught.value.diag.constraint_name == "owner_known"


def test_each_state_leaves_its_time_and_a_line_in_the_timeline(conn):
    upload_id = add(conn)
    for state in ("queued", "running"):
        transition(conn, upload_id, state)
    transition(conn, upload_id, "completed", **COUNTS)
    transition(conn, upload_id, "undone")
    row = get_upload(conn, upload_id)
    times = [row.detected_at, row.queued_at, row.running_at, row.finished_at, row.undone_at]
    assert times == sorted(times)
    assert row.running_at < row.published_at <= row.undone_at
    states = [event.state for event in timeline(conn, upload_id)]
    assert states == ["detected", "queued", "running", "completed", "undone"]


def test_a_launch_anew_forgets_the_times_of_the_last_one(conn, in_state):
    upload_id = in_state("failed")
    assert get_upload(conn, upload_id).finished_at is not None
    transition(conn, upload_id, "detected")
    row = get_upload(conn, upload_id)
    assert (row.queued_at, row.running_at, row.finished_at) == (None, None, None)
