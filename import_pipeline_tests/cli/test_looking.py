"""`status`, `history` and `report` show the ledger as people ask for it."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from import_pipeline.cli.looking import moment_of
from import_pipeline.ledger.members import members_of
from import_pipeline_tests.ledger.conftest import add, expanded, move

REPORT = "reports/acme/leads/x/"


def test_nothing_on_its_way_is_said(typed, settings):
    shown = typed("status")

    assert shown.exit_code == 0
    assert "Nothing is on its way" in shown.err


def test_what_waits_is_listed_with_its_place_in_the_queue(typed, ledger):
    late = add(ledger, "late.csv", seconds=60)
    early = add(ledger, "early.csv")
    running = add(ledger, "running.csv")
    move(ledger, running, "running")
    move(ledger, add(ledger, "done.csv"), "running")
    move(ledger, add(ledger, "old.csv"), "cancelled")

    listed = typed("status", "--json").json

    assert [row["file_name"] for row in listed if row["state"] == "running"] == ["running.csv", "done.csv"]
    waiting = [(row["upload_id"], row["queue_place"]) for row in listed if row["state"] == "detected"]
    assert waiting == [(early, 1), (late, 2)]


def test_one_upload_is_shown_with_its_timeline_by_any_of_its_names(typed, ledger):
    upload = add(ledger, "a.csv")
    move(ledger, upload, "running")

    shown = [typed("status", name, "--json").json for name in (upload, upload[-12:], "a.csv")]

    assert [row["upload_id"] for row in shown] == [upload] * 3
    assert [event["state"] for event in shown[0]["timeline"]] == ["detected", "running"]
    assert "details" not in shown[0]


def test_an_upload_that_is_not_there_is_a_usage_error(typed, settings):
    shown = typed("status", "nothing.csv")

    assert shown.exit_code == 2
    assert "There is no upload 'nothing.csv'" in shown.words


def test_of_several_uploads_of_one_name_the_newest_is_shown_and_the_others_are_mentioned(typed, ledger):
    ids = {add(ledger, "a.csv", workspace=workspace) for workspace in ("one", "two")}

    shown = typed("status", "a.csv", "--json")

    assert shown.json["upload_id"] in ids
    assert "2 uploads are named" in shown.err


def test_history_shows_what_its_filters_ask_for(typed, ledger):
    add(ledger, "a.csv", workspace="acme")
    vehicle = add(ledger, "v.csv", workspace="acme", dataset="vehicles")
    cancelled = add(ledger, "c.csv", workspace="other")
    move(ledger, cancelled, "cancelled")

    def found(*filters: str) -> list[str]:
        return [row["upload_id"] for row in typed("history", "--json", *filters).json]

    assert len(found()) == 3
    assert found("--dataset", "vehicles") == [vehicle]
    assert found("--state", "cancelled") == [cancelled]
    assert found("--workspace", "other") == [cancelled]
    assert len(found("--since", "1h")) == 3
    assert found("--since", "2999-01-01") == []
    assert len(found("--limit", "2")) == 2


def test_a_state_that_is_none_is_a_usage_error(typed, settings):
    shown = typed("history", "--state", "done")

    assert shown.exit_code == 2
    assert "completed_with_rejects" in shown.words


@pytest.mark.parametrize(
    ("since", "span"),
    [
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("4w", timedelta(weeks=4)),
    ],
)
def test_a_span_counts_back_from_now(since, span):
    before = datetime.now(UTC) - span

    assert before <= moment_of(since) <= datetime.now(UTC) - span


def test_a_date_is_midnight_where_the_person_is():
    assert moment_of("2026-02-28") == datetime(2026, 2, 28).astimezone()


@pytest.mark.parametrize("since", ["7", "d", "7y", "28/02/2026", ""])
def test_what_is_neither_span_nor_date_is_a_usage_error(since):
    with pytest.raises(typer.BadParameter, match="time span"):
        moment_of(since)


@pytest.fixture
def reported(ledger, settings, s3):
    """An upload with a report of two files."""
    upload = add(ledger, "a.csv")
    move(ledger, upload, "running")
    move(ledger, upload, "completed_with_rejects")
    ledger.execute(
        "UPDATE imports.uploads SET report_prefix = %s, reported_at = now(), error_code = NULL,"
        " duplicate_of = NULL WHERE upload_id = %s",
        [REPORT, upload],
    )
    for name in ("summary.json", "rejected.csv"):
        s3.put_object(Bucket=settings.require_bucket(), Key=REPORT + name, Body=name.encode())
    return upload


def test_a_report_is_shown_with_links_that_work(typed, reported):
    import urllib.request

    shown = typed("report", "a.csv", "--json").json

    assert shown["rejected"] == 2
    with urllib.request.urlopen(shown["links"]["rejected.csv"]) as answer:
        assert answer.read() == b"rejected.csv"


def test_a_report_is_downloaded_into_a_folder(typed, reported, tmp_path):
    fetched = typed("report", reported, "--download", "new/folder")

    assert fetched.exit_code == 0
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == ["rejected.csv", "summary.json"]
    assert (tmp_path / "new" / "folder" / "summary.json").read_text() == "summary.json"


def test_an_upload_without_a_report_says_how_far_it_is(typed, ledger):
    add(ledger, "a.csv")

    shown = typed("report", "a.csv")

    assert shown.exit_code == 1
    assert "is detected and has no report yet" in shown.words


def test_the_files_of_an_archive_stand_below_it(typed, ledger):
    archive = expanded(ledger, "a.csv", "b.csv")
    add(ledger, "plain.csv")
    members = [member.upload_id for member in members_of(ledger, archive)]

    lines = typed("history").out.splitlines()

    names = [line.rstrip().split("  leads")[0].rstrip() for line in lines if "@" in line]
    assert names[1:] == [archive, *(f"  {member}" for member in members)]
    shown = typed("status", archive).out
    assert all(member in shown for member in members)
    assert archive in typed("status", members[0]).out
