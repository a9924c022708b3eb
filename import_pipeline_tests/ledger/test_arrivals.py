from dataclasses import replace

import psycopg
import pytest

from import_pipeline.ledger.arrivals import (
    awaiting_report,
    mark_queued,
    queued_by_workspace,
    record_arrivals,
    release_ignored,
    set_aside_unknown,
    unknown_identities,
    unrecorded,
    waiting,
)
from import_pipeline.ledger.claims import claim
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.events import timeline
from import_pipeline.ledger.uploads import get_upload
from import_pipeline_tests.ledger.conftest import add, arrival, token


def test_ten_thousand_arrivals_are_one_statement_each_recorded_once(conn, monkeypatch):
    arrivals = [arrival(f"{n}.csv", seconds=n) for n in range(10_000)]
    assert record_arrivals(conn, arrivals[:100]) == 100
    statements = []
    execute = type(conn).execute
    monkeypatch.setattr(type(conn), "execute", lambda *a, **k: statements.append(1) or execute(*a, **k))
    assert record_arrivals(conn, arrivals) == 9_900
    strangers = [f"{n:064x}" for n in range(3)]
    assert unknown_identities(conn, [*strangers, *(a.identity for a in arrivals)]) == strangers
    assert len(statements) == 2
    assert conn.execute("SELECT count(*) FROM imports.events WHERE state = 'detected'").fetchone() == (
        10_000,
    )


def test_a_known_arrival_keeps_its_row(conn):
    upload_id = add(conn)
    claim(conn, upload_id, token(1), "attempt1")
    before = get_upload(conn, upload_id)
    assert record_arrivals(conn, [arrival("a.csv")]) == 0
    assert get_upload(conn, upload_id) == before


def test_an_arrival_is_recorded_as_it_was_listed(conn):
    new = arrival("a.csv")
    record_arrivals(conn, [new])
    row = get_upload(conn, new.upload_id)
    assert row.listed == new.listed
    assert (row.identity, row.short_id, row.workspace, row.dataset, row.file_name, row.state) == (
        new.identity, new.short_id, "acme", "leads", "a.csv", "detected"
    )  # fmt: skip


def test_two_listings_at_once_record_an_object_once(own_conn, migrated_url):
    arrivals = [arrival(f"{n}.csv") for n in range(50)]
    assert record_arrivals(own_conn, arrivals) == 50
    own_conn.commit()
    with connect(migrated_url) as other:
        assert record_arrivals(other, list(reversed(arrivals))) == 0


def test_a_key_with_a_nul_does_not_stop_the_others(conn):
    assert record_arrivals(conn, [arrival("a\0.csv"), arrival("b.csv")][1:]) == 1
    odd = arrival("x.csv")
    listed = type(odd.listed)("b", "uploads/acme/leads/a\0.csv", "e", 1, odd.listed.last_modified)
    record_arrivals(conn, [type(odd)(listed, "acme", "leads", odd.identity, "s", "u@s", "a\0.csv")])
    assert get_upload(conn, "u@s").file_name == "a\ufffd.csv"


@pytest.mark.parametrize("same_upload_id", [True, False])
def test_of_two_arrivals_that_share_a_short_id_the_older_is_recorded(conn, same_upload_id):
    first, late, other = arrival("a.csv"), arrival("b.csv", seconds=1), arrival("c.csv", seconds=2)
    upload_id = first.upload_id if same_upload_id else f"acme/b.csv@{first.short_id}"
    identity = first.short_id + late.identity[12:]
    late = replace(late, identity=identity, short_id=first.short_id, upload_id=upload_id)
    assert record_arrivals(conn, [late, other, first]) == 2
    assert unrecorded(conn, [late, other, first]) == [late]
    assert record_arrivals(conn, [late]) == 0
    assert get_upload(conn, first.upload_id).identity == first.identity


def test_the_ledger_itself_refuses_a_second_upload_of_a_short_id(conn):
    """Two that are recorded at the same moment do not see each other."""
    upload_id = add(conn)
    with pytest.raises(psycopg.errors.UniqueViolation, match="uploads_short_id"):
        conn.execute(
            "INSERT INTO imports.uploads (upload_id, identity, short_id, workspace, dataset, bucket, key,"
            " etag, size, last_modified, file_name, state) SELECT 'other', repeat('f', 64), short_id,"
            " workspace, dataset, bucket, key, etag, size, last_modified, file_name, 'detected'"
            " FROM imports.uploads"
            " WHERE upload_id = %s",
            [upload_id],
        )


def test_nothing_new_asks_nothing(conn):
    assert record_arrivals(conn, []) == 0
    assert unknown_identities(conn, []) == []


def test_a_workspace_with_many_files_does_not_hide_another(conn):
    record_arrivals(conn, [arrival(f"{n}.csv", workspace="big", seconds=n) for n in range(200)])
    late = add(conn, "small.csv", workspace="small", seconds=9_999)
    found = [upload.upload_id for upload in waiting(conn, 3)]
    assert found[1] == late
    assert [upload.split("@")[0] for upload in found] == ["big/0.csv", "small/small.csv", "big/1.csv"]


def test_reports_that_cannot_be_written_do_not_hide_another_that_is_missing(conn, in_state):
    missing = {in_state("completed", f"{number}.csv") for number in range(3)}
    found = [upload.upload_id for _ in range(50) for upload in awaiting_report(conn, 2)]
    assert (len(found), set(found)) == (100, missing)


def test_only_detected_uploads_wait(conn, in_state):
    for number, state in enumerate(("queued", "running", "failed", "ignored", "completed")):
        in_state(state, f"{number}.csv")
    upload_id = add(conn, "w.csv")
    assert [upload.upload_id for upload in waiting(conn, 10)] == [upload_id]
    assert waiting(conn, 10)[0].launch_number == 1


def test_queued_uploads_are_counted_by_workspace(conn):
    uploads = [add(conn, f"{n}.csv", workspace=w) for n, w in enumerate(["a", "a", "b", "b", "b"])]
    assert mark_queued(conn, uploads[:4]) == 4
    assert queued_by_workspace(conn) == {"a": 2, "b": 2}
    assert mark_queued(conn, uploads) == 1


def test_a_run_that_was_faster_than_the_sensor_stays_running(own_conn, migrated_url):
    fast, slow = add(own_conn, "fast.csv"), add(own_conn, "slow.csv")
    own_conn.commit()
    with connect(migrated_url) as run:
        claim(run, fast, token(1), "attempt1")
        own_conn.execute("SET lock_timeout = '5s'")
        assert mark_queued(own_conn, [fast, slow]) == 1, "the sensor must not wait for a run"
    assert mark_queued(own_conn, [fast]) == 0
    assert get_upload(own_conn, fast).state == "running"


@pytest.mark.parametrize("workspaces", [None, ["acme"]])
def test_an_ignored_upload_is_released_when_its_dataset_is_there(conn, workspaces):
    wanted = add(conn, "a.csv", dataset="boats", ignored="There is no dataset `boats`.")
    add(conn, "b.csv", dataset="planes", ignored="There is no dataset `planes`.")
    add(conn, "c.csv", workspace=None, dataset="boats", ignored="Bad workspace.")
    other = add(conn, "d.csv", workspace="zeta", dataset="boats", ignored="There is no dataset `boats`.")
    assert release_ignored(conn, {"leads", "boats"}, workspaces) == (2 if workspaces is None else 1)
    row = get_upload(conn, wanted)
    assert (row.state, row.ignored_reason) == ("detected", None)
    assert (get_upload(conn, other).state == "ignored") == (workspaces is not None)
    assert release_ignored(conn, {"leads", "boats"}, workspaces) == 0


def test_a_waiting_upload_of_a_dataset_that_went_is_set_aside_with_the_reason(conn):
    kept, gone = add(conn, "a.csv"), add(conn, "b.csv", dataset="boats")
    closed = add(conn, "c.csv", workspace="zeta")
    assert set_aside_unknown(conn, {"leads"}, {"acme"}) == 2
    assert get_upload(conn, kept).state == "detected"
    assert get_upload(conn, gone).ignored_reason == "There is no dataset `boats` any more."
    assert get_upload(conn, closed).ignored_reason == "There is no workspace `zeta` any more."
    assert timeline(conn, gone)[-1].message == "There is no dataset `boats` any more."
