"""Following an upload ends when nothing more is to come of it, and says each piece of news once."""

import pytest

from import_pipeline.cli.following import Follower, Lines
from import_pipeline.ledger.members import members_of
from import_pipeline.ledger.outcomes import mark_reported
from import_pipeline_tests.ledger.conftest import add, expanded, move


@pytest.fixture
def follower(ledger):
    with Lines() as lines:
        yield Follower(ledger, lines)


def test_a_published_upload_is_not_finished_before_its_report(ledger, follower):
    """`import` would exit before the sender's rejected.csv is there."""
    upload = add(ledger, "a.csv")
    follower.add(upload, "a.csv")
    move(ledger, upload, "running")
    move(ledger, upload, "completed_with_rejects")
    assert not follower.look()

    mark_reported(ledger, upload, "reports/acme/leads/x/")

    assert follower.look()


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_what_has_no_report_is_finished_when_it_ends(ledger, follower, state):
    upload = add(ledger, "a.csv")
    follower.add(upload, "a.csv")
    assert not follower.look()

    move(ledger, upload, state)

    assert follower.look()


def test_all_uploads_must_be_finished(ledger, follower):
    done, waiting = add(ledger, "done.csv"), add(ledger, "waiting.csv")
    move(ledger, done, "cancelled")
    follower.add(done, "done.csv")
    follower.add(waiting, "waiting.csv")

    assert not follower.look()


def test_an_upload_that_nobody_noticed_yet_is_waited_for(follower):
    follower.add("acme/new.csv@000000000000", "new.csv")

    assert not follower.look()


def test_without_a_terminal_each_piece_of_news_is_one_line(ledger, follower, capsys):
    upload = add(ledger, "a.csv")
    follower.add(upload, "a.csv")
    follower.look()
    move(ledger, upload, "queued")
    follower.look()
    follower.look()
    move(ledger, upload, "running")
    follower.look()
    move(ledger, upload, "cancelled")
    follower.look()

    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "a.csv: waits to be noticed", "a.csv: waits (place 1)", "a.csv: running, 0 %", "a.csv: cancelled",
    ]  # fmt: skip


def test_an_archive_is_followed_until_each_file_in_it_is_finished(ledger, follower, capsys):
    archive = expanded(ledger, "a.csv", "b.csv")
    follower.add(archive, "leads.zip")
    assert not follower.look()

    for member in members_of(ledger, archive):
        move(ledger, member.upload_id, "cancelled")

    assert follower.look()
    assert [seen.file_name for seen in follower.finished()][1:] == ["leads.zip › a.csv", "leads.zip › b.csv"]
    lines = capsys.readouterr().err.splitlines()
    assert "leads.zip: expanded" in lines
    assert "leads.zip › b.csv: cancelled" in lines
