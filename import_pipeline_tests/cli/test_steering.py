"""`cancel` and `retry` change what they say they change in the ledger, and nothing else.

What `cancel` does in Dagster is held by orchestration/test_control.py.
"""

import pytest

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.ledger.members import record_expanded
from import_pipeline.ledger.outcomes import mark_reported
from import_pipeline.ledger.uploads import get_upload
from import_pipeline_tests.ledger.conftest import SOURCE, add, inside, move


@pytest.fixture
def sent(typed, leads_file, ledger, settings, s3):
    """An upload whose object lies in the bucket and whose row is in the ledger."""
    from import_pipeline.flow.arrivals.decision import classify
    from import_pipeline.ledger.arrivals import record_arrivals
    from import_pipeline.storage.bucket import Bucket

    typed("upload", leads_file, "-d", "leads", "-w", "acme")
    listed = Bucket(s3, settings.require_bucket()).list_objects()
    [arrival] = classify(listed, datasets=["leads"], workspaces=None, known=())
    record_arrivals(ledger, [arrival])
    return arrival.upload_id


def test_a_waiting_upload_is_cancelled_though_dagster_was_never_started(typed, ledger):
    upload = add(ledger, "a.csv")

    cancelled = typed("cancel", upload)

    assert cancelled.exit_code == 0
    assert get_upload(ledger, upload).state == "cancelled"


def test_a_published_upload_is_not_cancelled(typed, ledger):
    upload = add(ledger, "a.csv")
    move(ledger, upload, "running")
    move(ledger, upload, "completed")

    cancelled = typed("cancel", upload)

    assert cancelled.exit_code == 1
    assert "is completed already" in cancelled.words
    assert get_upload(ledger, upload).state == "completed"


def test_a_name_that_several_uploads_have_cancels_none_of_them(typed, ledger):
    ids = [add(ledger, "a.csv", workspace=workspace) for workspace in ("one", "two")]

    cancelled = typed("cancel", "a.csv")

    assert cancelled.exit_code == 2
    assert all(upload[-12:] in cancelled.words for upload in ids)
    assert [get_upload(ledger, upload).state for upload in ids] == ["detected", "detected"]


@pytest.mark.parametrize("state", ["failed", "cancelled", "refused", "checked"])
def test_what_ended_without_a_publish_is_launched_again_under_a_new_number(typed, ledger, sent, state):
    before = get_upload(ledger, sent).launch_number
    move(ledger, sent, "running")
    move(ledger, sent, state)

    again = typed("retry", sent)

    assert again.exit_code == 0
    row = get_upload(ledger, sent)
    assert (row.state, row.launch_number) == ("detected", before + 1)


def test_what_is_published_is_never_launched_again(typed, ledger, sent):
    move(ledger, sent, "running")
    move(ledger, sent, "completed_with_rejects")
    mark_reported(ledger, sent, "reports/")

    again = typed("retry", sent)

    assert again.exit_code == 1
    assert "nothing to launch again" in again.words
    assert get_upload(ledger, sent).state == "completed_with_rejects"


def test_of_a_published_upload_without_a_report_only_the_report_is_asked_for(typed, ledger, sent):
    move(ledger, sent, "running")
    move(ledger, sent, "completed_with_rejects")
    before = get_upload(ledger, sent)

    again = typed("retry", sent, "--json")

    assert again.exit_code == 0
    assert again.json == [{"upload_id": sent, "state": "report"}]
    after = get_upload(ledger, sent)
    assert after.launch_number == before.launch_number + 1
    assert (after.state, after.published_at, after.rejected) == (
        "completed_with_rejects", before.published_at, before.rejected,
    )  # fmt: skip


def test_an_upload_whose_original_is_gone_is_not_launched_in_vain(typed, ledger):
    upload = add(ledger, "gone.csv")
    move(ledger, upload, "failed")

    again = typed("retry", upload)

    assert again.exit_code == 1
    assert "its original is gone" in again.words
    assert get_upload(ledger, upload).state == "failed"


def test_all_failed_uploads_are_launched_again_and_no_other(typed, ledger, sent):
    move(ledger, sent, "failed")
    cancelled = add(ledger, "c.csv")
    move(ledger, cancelled, "cancelled")

    again = typed("retry", "--failed", "--json")

    assert again.exit_code == 0
    assert again.json == [{"upload_id": sent, "state": "detected"}]
    assert get_upload(ledger, cancelled).state == "cancelled"


@pytest.mark.parametrize("line", [(), ("x", "--failed")], ids=["neither", "both"])
def test_retry_wants_either_names_or_all_failed(typed, settings, line):
    assert typed("retry", *line).exit_code == 2


def test_an_archive_stands_for_the_files_in_it(typed, ledger, sent):
    """Retrying it launches its failed files again, cancelling it those that wait; others are left alone."""
    done, failed = archive_of(ledger, sent, "done.csv", "failed.csv")
    for upload, state in ((done, "completed"), (failed, "failed")):
        move(ledger, upload, "running")
        move(ledger, upload, state)

    again = typed("retry", sent)

    assert again.exit_code == 0
    assert get_upload(ledger, failed).state == "detected"
    assert get_upload(ledger, done).state == "completed"

    cancelled = typed("cancel", sent)

    assert cancelled.exit_code == 0
    assert get_upload(ledger, failed).state == "cancelled"
    assert get_upload(ledger, done).state == "completed"


def test_a_file_whose_archive_is_gone_cannot_be_launched_again(typed, ledger, sent, s3, settings):
    [member] = archive_of(ledger, sent, "a.csv")
    move(ledger, member, "cancelled")
    s3.delete_object(Bucket=settings.require_bucket(), Key=get_upload(ledger, sent).key)

    again = typed("retry", member)

    assert again.exit_code == 1
    assert "its original is gone" in again.words


def archive_of(ledger, upload, *names):
    """Make an upload an archive; the upload ids of the files in it."""
    move(ledger, upload, "running")
    arrivals = [inside(upload, name) for name in names]
    record_expanded(
        ledger, upload, arrivals, source=SOURCE, skipped=0, sha256="0" * 64, options=SenderOptions()
    )
    return [arrival.upload_id for arrival in arrivals]
