from dataclasses import replace

import pytest

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.errors import ImportFailed
from import_pipeline.ledger.claims import claim
from import_pipeline.ledger.outcomes import requeue
from import_pipeline.ledger.progress import count_batches, record_progress
from import_pipeline.ledger.row_errors import row_errors, save_row_errors
from import_pipeline.ledger.rows import RecordedBatch, RowError
from import_pipeline.ledger.uploads import (
    add_details,
    find_first_import,
    get_upload,
    record_batch,
    record_opened,
    record_split,
    recorded_batches,
    set_columns,
    transition,
)
from import_pipeline.records import Batch, InspectedFile, LineCount, OpenedUpload, SplitUpload, TextFacts
from import_pipeline_tests.ledger.conftest import COUNTS, add, token

LEADS = load_datasets("")["leads"]
UPDATING = replace(LEADS, existing="update")


def opened(conn, name: str = "a.csv", run: int = 1, **changes) -> OpenedUpload:
    """A recorded arrival, claimed and opened."""
    upload_id = add(conn, name, **{k: v for k, v in changes.items() if k in ("workspace", "dataset")})
    row = claim(conn, upload_id, token(run), f"attempt{run}").row
    facts = {
        "upload_id": upload_id, "short_id": row.short_id, "identity": row.identity, "workspace": "acme",
        "dataset": "leads", "fingerprint": "f1", "attempt": f"attempt{run}", "token": token(run),
        "source": row.listed, "source_time": row.last_modified, "file_name": name,
        "file": InspectedFile(
            format="csv", header=("E-mail", "na\0me"), mapping={"email": 0}, unknown=(1,), ours=False,
            rows_per_batch=1000, sha256="ab" * 32, text=TextFacts("utf-8", 11, ";", header_line=1),
        ),
        "options": SenderOptions(),
        "staging": "staging/leads/x/",
    }  # fmt: skip
    if "sha256" in changes:
        changes["file"] = replace(facts["file"], sha256=changes.pop("sha256"))
    record = OpenedUpload(**facts | changes)
    record_opened(conn, record)
    return record


def publish(conn, record: OpenedUpload) -> str:
    transition(conn, record.upload_id, "completed", **COUNTS)
    return record.upload_id


def test_what_opening_and_splitting_found_is_kept(conn):
    record = opened(conn, options=SenderOptions(decimal=",", dry_run=True))
    split = SplitUpload((Batch(1, "k", 10, 2, 11),), 10, LineCount(0, 1, 0, 2, 10), (), 0.5)
    record_split(conn, record.upload_id, split)
    row = get_upload(conn, record.upload_id)
    assert (row.sha256, row.format, row.encoding, row.delimiter) == ("ab" * 32, "csv", "utf-8", ";")
    assert (row.fingerprint, row.batches, row.read, row.ignored_lines) == ("f1", 1, 10, 2)
    assert row.options["decimal"] == "," and row.options["dry_run"] is True
    assert row.details["opened"]["file"]["header"] == ["E-mail", "na\ufffdme"], "jsonb has no NUL"
    assert row.details["split"]["lines"]["ignored"] == 2


def test_the_version_that_was_read_is_pinned_unless_it_is_that_of_a_moved_original(conn):
    record = opened(conn)
    record_opened(conn, replace(record, source=replace(record.source, version_id="v1")))
    assert get_upload(conn, record.upload_id).listed.version_id == "v1"
    moved = replace(record.source, key="archive/acme/leads/x/a.csv", version_id="v2")
    record_opened(conn, replace(record, source=moved))
    assert get_upload(conn, record.upload_id).listed.version_id == "v1"


def test_a_backslash_before_u0000_is_not_taken_for_a_nul(conn):
    upload_id = add(conn)
    add_details(conn, upload_id, one="\\u0000", two="\\\0", three="\\\\u0000")
    assert get_upload(conn, upload_id).details == {"one": "\\u0000", "two": "\\\ufffd", "three": "\\\\u0000"}


def test_details_of_stages_stand_side_by_side(conn):
    upload_id = add(conn)
    add_details(conn, upload_id, split={"seconds": 1})
    add_details(conn, upload_id, published={"seconds": 2})
    assert get_upload(conn, upload_id).details == {"split": {"seconds": 1}, "published": {"seconds": 2}}


def test_only_columns_of_the_work_can_be_set(conn):
    upload_id = add(conn)
    for column in ("token_created", "identity", "state", "launch_number"):
        with pytest.raises(ValueError, match=column):
            set_columns(conn, upload_id, **{column: 1})
    with pytest.raises(ImportFailed, match="no upload"):
        set_columns(conn, "nobody", batches=1)


def test_the_last_load_of_a_batch_counts_and_a_late_check_does_not_undo_it(conn):
    record = opened(conn)
    key = (conn, record.upload_id, record.attempt)
    record_batch(*key, 1, "checked", rows=9)
    record_batch(*key, 1, "staged", load_id="one", rows=9)
    record_batch(*key, 1, "staged", load_id="two", rows=8, seconds=0.5)
    record_batch(*key, 1, "checked", rows=9)
    record_batch(*key, 2, "checked", rows=3)
    assert recorded_batches(*key) == [
        RecordedBatch(1, "staged", "two", 8, 0.5),
        RecordedBatch(2, "checked", None, 3, 0.0),
    ]
    assert count_batches(*key) == (2, 1)


def test_the_same_bytes_under_the_same_rules_are_found(conn):
    first = publish(conn, opened(conn))
    second = publish(conn, opened(conn, "b.csv", 2, options=SenderOptions(force=True)))
    assert find_first_import(conn, opened(conn, "c.csv", 3), LEADS) == first
    assert second != first


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "cd" * 32},
        {"workspace": "zeta"},
        {"dataset": "vehicles"},
        {"fingerprint": "f2"},
        {"options": SenderOptions(decimal=".")},
    ],
)
def test_other_bytes_owners_rules_or_options_are_another_import(conn, changes):
    publish(conn, opened(conn))
    assert find_first_import(conn, opened(conn, "b.csv", 2, **changes), LEADS) is None


@pytest.mark.parametrize("option", ["dry_run", "force"])
def test_options_that_do_not_change_how_rows_are_read_are_no_difference(conn, option):
    first = publish(conn, opened(conn))
    again = opened(conn, "b.csv", 2, options=SenderOptions(**{option: True}))
    assert find_first_import(conn, again, LEADS) == first


def test_an_upload_that_was_not_published_or_was_undone_is_no_first_import(conn):
    record = opened(conn)
    later = opened(conn, "b.csv", 2)
    assert find_first_import(conn, later, LEADS) is None
    publish(conn, record)
    assert find_first_import(conn, record, LEADS) is None, "an upload is no copy of itself"
    transition(conn, record.upload_id, "undone")
    assert find_first_import(conn, later, LEADS) is None


def test_where_rows_are_updated_the_same_bytes_count_again_after_another_publish(conn):
    first = publish(conn, opened(conn))
    again = opened(conn, "b.csv", 2)
    assert find_first_import(conn, again, UPDATING) == first
    between = publish(conn, opened(conn, "c.csv", 3, sha256="cd" * 32))
    assert find_first_import(conn, again, UPDATING) is None
    assert find_first_import(conn, again, LEADS) == first
    transition(conn, between, "undone")
    requeue(conn, [between])
    assert find_first_import(conn, again, UPDATING) == first


def test_where_rows_are_updated_the_same_bytes_count_again_after_an_undo_of_older_ones(conn):
    older = publish(conn, opened(conn, "b.csv", 2, sha256="cd" * 32))
    first = publish(conn, opened(conn))
    again = opened(conn, "c.csv", 3)
    assert find_first_import(conn, again, UPDATING) == first
    transition(conn, older, "undone")
    assert find_first_import(conn, again, UPDATING) is None


def test_progress_is_said_once_a_second_and_never_falls(conn):
    record = opened(conn)
    say = (conn, record.upload_id, record.token)
    said = record_progress(*say, 40, "splitting\nnow")
    assert said is not None and said[0] == 40 and said[1] >= 0
    assert record_progress(*say, 50, "too soon") is None
    _a_second_later(conn)
    assert record_progress(*say, 30, "another process, behind")[0] == 40
    _a_second_later(conn)
    assert record_progress(*say, 130, "past the end")[0] == 100
    messages = conn.execute("SELECT message, percent FROM imports.events WHERE percent > 0 ORDER BY id")
    assert messages.fetchall() == [
        ("splitting now", 40),
        ("another process, behind", 40),
        ("past the end", 100),
    ]


def test_a_superseded_or_finished_run_says_nothing(conn):
    record = opened(conn)
    claim(conn, record.upload_id, token(2), "attempt2")
    assert record_progress(conn, record.upload_id, token(1), 40, "late") is None
    transition(conn, record.upload_id, "completed", **COUNTS)
    assert record_progress(conn, record.upload_id, token(2), 40, "late") is None


def test_row_errors_are_capped_and_cap_and_truth_are_recorded(conn):
    upload_id = add(conn)
    rows = [RowError(n, "email", f"•{n}\0" + "x" * 900, "bad_email", "error", "no") for n in range(2, 12)]
    save_row_errors(conn, upload_id, rows, 5_000, 4)
    kept = row_errors(conn, upload_id)
    assert [row.row_number for row in kept] == [2, 3, 4, 5]
    assert kept[0].value.startswith("•2\ufffdxx") and len(kept[0].value) == 500
    row = get_upload(conn, upload_id)
    assert (row.row_errors, row.row_errors_cap) == (5_000, 4)
    save_row_errors(conn, upload_id, rows[:1], 1, 4)
    assert len(row_errors(conn, upload_id)) == 1, "writing the report again does not double them"
    save_row_errors(conn, upload_id, [], 0, 0)
    assert row_errors(conn, upload_id) == []


def _a_second_later(conn) -> None:
    conn.execute("UPDATE imports.attempts SET progress_at = progress_at - interval '1 second'")
