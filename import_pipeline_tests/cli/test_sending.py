"""`upload` and `import`: what reaches the bucket, what is refused before, and the exit codes."""

import hashlib
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from import_pipeline.cli.following import Follower
from import_pipeline.errors import EmptyFile, ImportFailed
from import_pipeline.flow.arrivals.decision import classify
from import_pipeline.ledger.arrivals import record_arrivals
from import_pipeline.ledger.claims import claim
from import_pipeline.ledger.outcomes import mark_reported, record_failed, record_refused
from import_pipeline.ledger.uploads import transition
from import_pipeline.records import Token
from import_pipeline.settings import Settings
from import_pipeline.storage.bucket import Bucket

TOKEN = Token(1.0, "run")
REJECTS = {"read": 3, "inserted": 1, "updated": 0, "unchanged": 0, "duplicate": 1, "rejected": 1}
CLEAN = {"read": 1, "inserted": 1, "updated": 0, "unchanged": 0, "duplicate": 0, "rejected": 0}


def test_an_upload_carries_its_checksum_and_what_its_sender_states(typed, leads_file, settings, s3):
    sent = typed(
        "upload", leads_file, "-d", "leads", "-w", "acme", "--name", "Feira de São Paulo",
        "--encoding", "cp1252", "--delimiter", "tab", "--dry-run", "--json",
        "--header-row", "0", "--sheet", "Março", "--on-existing", "update",
    )  # fmt: skip

    assert sent.exit_code == 0
    [facts] = sent.json
    assert facts["key"] == "uploads/acme/leads/leads.csv"
    found = Bucket(s3, settings.require_bucket()).head(facts["key"])
    assert found is not None
    metadata = found[1]
    assert metadata["sha256"] == hashlib.sha256(leads_file.read_bytes()).hexdigest() == facts["sha256"]
    assert metadata["name"] == "Feira de São Paulo"
    assert metadata["encoding"] == "cp1252"
    assert metadata["delimiter"] == "tab"
    assert metadata["dry-run"] == "true"
    assert metadata["header-row"] == "0"
    assert metadata["sheet"] == "Março"
    assert metadata["on-existing"] == "update"
    assert "force" not in metadata


def test_the_upload_id_told_is_the_one_that_the_sensor_gives(typed, leads_file, settings, s3):
    [facts] = typed("upload", leads_file, "-d", "leads", "-w", "acme", "--json").json

    listed = list(Bucket(s3, settings.require_bucket()).list_objects())
    [arrival] = classify(listed, datasets=["leads"], workspaces=None, known=())
    assert facts["upload_id"] == arrival.upload_id
    assert facts["short_id"] == arrival.short_id


def test_a_file_that_still_waits_is_never_overwritten(typed, leads_file, settings, s3):
    """The second would take the first one's key, and its rows would never be read."""
    first = typed("upload", leads_file, "-d", "leads", "-w", "acme", "--json").json[0]
    leads_file.write_text("email\nb@x.example\n", encoding="utf-8")

    second = typed("upload", leads_file, "-d", "leads", "-w", "acme", "--json")

    assert "still waits" in second.err
    keys = {first["key"], second.json[0]["key"]}
    assert len(keys) == 2
    bucket = Bucket(s3, settings.require_bucket())
    assert hashlib.sha256(bucket.get_bytes(first["key"])).hexdigest() == first["sha256"]
    arrivals = classify(bucket.list_objects(), datasets=["leads"], workspaces=None, known=())
    assert [(a.dataset, a.file_name, a.ignored_reason) for a in arrivals] == [
        ("leads", "leads.csv", None),
        ("leads", "leads.csv", None),
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-d", "leeds"), "Did you mean 'leads'?"),
        (("-d", "leads", "-w", "ACME Ltda"), "no name of a workspace"),
        (("-d", "leads", "--decimal", "x"), "comma"),
    ],
    ids=["dataset", "workspace", "option"],
)
def test_what_cannot_work_is_refused_before_a_byte_is_sent(typed, leads_file, settings, s3, options, said):
    refused = typed("upload", leads_file, *options)

    assert refused.exit_code == 2
    assert said in refused.words
    assert list(Bucket(s3, settings.require_bucket()).list_objects()) == []


def test_a_workspace_that_may_not_import_names_the_nearest(typed, leads_file, settings, monkeypatch):
    monkeypatch.setenv("IMPORT_PIPELINE_WORKSPACES", "acme,contoso")

    refused = typed("upload", leads_file, "-d", "leads", "-w", "acne")

    assert refused.exit_code == 2
    assert "Did you mean 'acme'?" in refused.words


def test_a_name_that_no_sensor_would_take_is_refused(typed, tmp_path, settings):
    (tmp_path / ".leads.csv").write_text("email\n")

    refused = typed("upload", ".leads.csv", "-d", "leads")

    assert refused.exit_code == 2
    assert "never imported" in refused.words


def test_a_file_over_the_datasets_limit_is_refused_as_a_run_would(typed, tmp_path, settings):
    with (tmp_path / "big.csv").open("wb") as file:
        file.truncate(200_000_001)

    refused = typed("upload", "big.csv", "-d", "vehicles")

    assert refused.exit_code == 4
    assert "200,000,000" in refused.err


Finish = Callable[[psycopg.Connection, str], None]


@pytest.fixture
def pipeline(
    settings: Settings, ledger: psycopg.Connection, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Finish], None]:
    """Stands for sensor and run: before each look of the command it ends what has arrived."""
    bucket = Bucket(s3, settings.require_bucket())
    look = Follower.look
    done: set[str] = set()

    def serve(finish: Finish) -> None:
        def look_after_work(follower: Follower) -> bool:
            new = classify(bucket.list_objects(), datasets=["leads"], workspaces=None, known=done)
            record_arrivals(ledger, new)
            for arrival in new:
                done.add(arrival.identity)
                claim(ledger, arrival.upload_id, TOKEN, "run")
                finish(ledger, arrival.upload_id)
                mark_reported(ledger, arrival.upload_id, f"reports/acme/leads/{arrival.short_id}/")
            return look(follower)

        monkeypatch.setattr(Follower, "look", look_after_work)

    return serve


@pytest.mark.parametrize(
    ("finish", "code"),
    [
        (lambda conn, upload: transition(conn, upload, "completed", **CLEAN), 0),
        (lambda conn, upload: transition(conn, upload, "completed_with_rejects", **REJECTS), 3),
        (lambda conn, upload: record_refused(conn, upload, EmptyFile("It is empty.")), 4),
        (lambda conn, upload: record_failed(conn, upload, ImportFailed("It broke.")), 5),
        (lambda conn, upload: transition(conn, upload, "duplicate_file", duplicate_of=upload), 6),
        (lambda conn, upload: transition(conn, upload, "checked", **CLEAN), 0),
        (lambda conn, upload: transition(conn, upload, "checked", **REJECTS), 3),
    ],
    ids=["completed", "rejects", "refused", "failed", "duplicate", "dry-run", "dry-run-rejects"],
)
def test_import_waits_for_the_report_and_exits_by_the_outcome(typed, leads_file, pipeline, finish, code):
    pipeline(finish)

    imported = typed("import", leads_file, "-d", "leads", "-w", "acme", "--json")

    assert imported.exit_code == code
    row = imported.json
    assert row["file_name"] == "leads.csv"
    assert row["reported_at"] is not None
    assert row["state"].replace("_", " ") in imported.err


def test_several_files_exit_with_the_worst_outcome(typed, leads_file, tmp_path, pipeline):
    (tmp_path / "b.csv").write_text("email\nb@x.example\n", encoding="utf-8")

    def finish(conn, upload):
        if "b.csv" in upload:
            record_refused(conn, upload, EmptyFile("It is empty.", remedy="Export it again."))
        else:
            transition(conn, upload, "completed", **CLEAN)

    pipeline(finish)

    sent = typed("upload", leads_file, "b.csv", "-d", "leads", "--wait")

    assert sent.exit_code == 4
    assert "Export it again." in sent.err
