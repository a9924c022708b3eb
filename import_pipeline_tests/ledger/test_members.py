"""Archives and their members in the ledger: recorded once, found again, decided under one lock."""

import threading
from dataclasses import replace

import psycopg
import pytest

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.ledger.arrivals import unknown_identities, waiting
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.events import timeline
from import_pipeline.ledger.members import (
    archive_of,
    instead_of_archives,
    lock_archive,
    member_states,
    members_of,
    owes_dry_run,
    record_expanded,
)
from import_pipeline.ledger.outcomes import requeue
from import_pipeline.ledger.queries import find_uploads, history, members, summary
from import_pipeline.ledger.states import RERUN_STATES
from import_pipeline.ledger.uploads import get_upload
from import_pipeline_tests.ledger.conftest import SOURCE, add, arrival, expanded, inside, move


def test_an_expanded_archive_and_its_members_are_in_the_ledger_and_wait_to_be_launched(
    conn: psycopg.Connection,
) -> None:
    archive = expanded(conn, "a.csv", "b.csv")

    row = get_upload(conn, archive)
    assert row is not None
    assert (row.state, row.format, row.details["archive"]) == (
        "expanded",
        "zip",
        {"members": 2, "skipped": 1},
    )
    assert [(m.parent, m.member, m.state) for m in members_of(conn, archive)] == [
        (archive, "a.csv", "detected"),
        (archive, "b.csv", "detected"),
    ]
    assert [w.upload_id for w in waiting(conn, 10)] == [m.upload_id for m in members_of(conn, archive)]
    assert "2 files in it became uploads; 1 were skipped." in [e.message for e in timeline(conn, archive)]


def test_expanding_again_adds_only_what_lacks(conn: psycopg.Connection) -> None:
    archive = expanded(conn, "a.csv")
    move(conn, members_of(conn, archive)[0].upload_id, "running")
    arrivals = [inside(archive, name) for name in ("a.csv", "b.csv")]

    new = record_expanded(
        conn, archive, arrivals, source=SOURCE, skipped=0, sha256="0" * 64, options=SenderOptions()
    )

    assert new == 1
    assert [m.state for m in members_of(conn, archive)] == ["running", "detected"]


def test_a_members_identity_is_known_and_its_archives_is_too(conn: psycopg.Connection) -> None:
    archive = expanded(conn, "a.csv")
    rows = [get_upload(conn, archive), *members_of(conn, archive)]
    identities = [row.identity for row in rows if row is not None]
    assert unknown_identities(conn, identities) == []
    assert len(set(identities)) == 2


def test_the_bytes_of_a_member_are_its_archives(conn: psycopg.Connection) -> None:
    archive = expanded(conn, "a.csv")
    [member] = members_of(conn, archive)
    plain = get_upload(conn, add(conn, "plain.csv"))
    assert plain is not None
    assert archive_of(conn, member).upload_id == archive
    assert archive_of(conn, plain) == plain


def test_the_view_shows_archive_and_member(conn: psycopg.Connection) -> None:
    archive = expanded(conn, "a.csv")
    [member] = members(conn, archive)
    assert (member.parent, member.member, member.file_name) == (archive, "a.csv", "leads.zip › a.csv")
    seen = summary(conn, archive)
    assert seen is not None
    assert (seen.parent, seen.member) == (None, "")
    assert {row.upload_id for row in history(conn)} == {archive, member.upload_id}


@pytest.mark.parametrize("name", ["leads.zip › sub/a.csv", "leads.zip/sub/a.csv"])
def test_a_member_is_found_by_archive_and_path(conn: psycopg.Connection, name: str) -> None:
    archive = expanded(conn, "sub/a.csv")
    assert [row.parent for row in find_uploads(conn, name)] == [archive]


def test_an_archive_stands_for_those_of_its_members_that_are_meant(conn: psycopg.Connection) -> None:
    archive = get_upload(conn, expanded(conn, "a.csv", "b.csv"))
    assert archive is not None
    first = members_of(conn, archive.upload_id)[0].upload_id
    assert instead_of_archives(conn, [archive], RERUN_STATES) == [archive], "no member to launch again"
    move(conn, first, "running")
    move(conn, first, "failed")
    failed = get_upload(conn, first)
    assert failed is not None
    assert instead_of_archives(conn, [archive, failed], RERUN_STATES) == [failed]
    assert requeue(conn, [first]) == [first]


def test_a_dry_run_of_the_archive_is_owed_until_a_member_was_checked(conn: psycopg.Connection) -> None:
    archive = expanded(conn, "a.csv", options=SenderOptions(dry_run=True))
    [member] = members_of(conn, archive)
    for state in ("running", "failed", "running"):
        move(conn, member.upload_id, state)
        assert owes_dry_run(conn, member)
    move(conn, member.upload_id, "checked")
    assert not owes_dry_run(conn, member)


def test_no_dry_run_is_owed_without_one(conn: psycopg.Connection) -> None:
    [member] = members_of(conn, expanded(conn, "a.csv"))
    plain = get_upload(conn, add(conn, "plain.csv"))
    assert plain is not None
    assert not owes_dry_run(conn, member)
    assert not owes_dry_run(conn, plain)


def test_of_two_members_that_end_side_by_side_the_second_to_decide_sees_both(
    own_conn: psycopg.Connection, migrated_url: str
) -> None:
    archive = expanded(own_conn, "a.csv", "b.csv")
    first, second = (m.upload_id for m in members_of(own_conn, archive))
    for member in (first, second):
        move(own_conn, member, "running")
    own_conn.commit()
    seen: dict[str, list[str]] = {}
    locked, decided = threading.Event(), threading.Event()

    def end(member: str, first_one: bool) -> None:
        with connect(migrated_url) as conn:
            move(conn, member, "completed")
            if not first_one:
                locked.wait(10)
            lock_archive(conn, archive)
            locked.set()
            seen[member] = [m.state for m in member_states(conn, archive)]
            # Without the lock the other one would decide now, before this outcome is committed.
            decided.wait(0.5) if first_one else decided.set()

    threads = [threading.Thread(target=end, args=(m, w)) for m, w in ((first, True), (second, False))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert seen == {first: ["completed", "running"], second: ["completed", "completed"]}


def test_the_version_that_was_expanded_is_kept_if_it_lay_at_its_own_key(conn: psycopg.Connection) -> None:
    archive = expanded(conn, "a.csv")
    before = get_upload(conn, archive)
    assert before is not None and before.version_id is None, "read from the archive: another version there"

    own = replace(arrival("leads.zip").listed, version_id="v7")
    record_expanded(conn, archive, [], source=own, skipped=0, sha256="0" * 64, options=SenderOptions())

    after = get_upload(conn, archive)
    assert after is not None and after.version_id == "v7"
