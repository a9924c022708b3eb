"""The main job, from a file in the bucket to rows in the table, and each way it can end."""

import csv
import io
import json
from typing import Any

import pytest
from dagster import AssetKey, DagsterEventType, DagsterRunStatus, RunsFilter

from import_pipeline_tests.orchestration.conftest import World

LEADS = "E-mail;Nome;Valor estimado\nana@exemplo.com;Ana;1.234,56\nbruno@exemplo.com;Bruno;10,00\n"
BAD = "E-mail;Nome;UF\nana@exemplo.com;Ana;SP\njoao@;João;SP\n;Sem e-mail;RJ\nbia@exemplo.com;Bia;ZZ\n"
KEY = "uploads/acme/leads/leads.csv"


def rows_of(data: bytes, delimiter: str = ";") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig")), delimiter=delimiter))


def leads_checksum(world: World) -> Any:
    """Everything of the table but the time of loading."""
    return world.sql(
        "SELECT md5(string_agg((to_jsonb(l) - '_loaded_at')::text, '' ORDER BY email)) AS sum FROM leads l"
    )


def test_a_dropped_file_is_imported_reported_and_archived(world: World) -> None:
    upload = world.import_file(KEY, LEADS)

    assert upload["state"] == "completed"
    assert (upload["read"], upload["inserted"], upload["rejected"]) == (2, 2, 0)
    assert world.sql("SELECT email, estimated_value::text FROM leads ORDER BY email") == [
        {"email": "ana@exemplo.com", "estimated_value": "1234.56"},
        {"email": "bruno@exemplo.com", "estimated_value": "10.00"},
    ]
    assert world.keys("uploads/") == []
    assert world.keys("staging/") == []
    assert world.keys("archive/") == [f"archive/acme/leads/{upload['short_id']}/leads.csv"]
    assert world.get(f"archive/acme/leads/{upload['short_id']}/leads.csv") == LEADS.encode()
    assert f"reports/acme/leads/{upload['short_id']}/summary.json" in world.keys("reports/")
    assert upload["reported_at"] is not None
    assert world.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'staging'") == []


def test_bad_rows_come_back_and_good_ones_are_loaded(world: World) -> None:
    upload = world.import_file(KEY, BAD)

    assert upload["state"] == "completed_with_rejects"
    assert (upload["read"], upload["inserted"], upload["rejected"]) == (4, 1, 3)
    prefix = upload["report_prefix"]
    rejected = rows_of(world.get(f"{prefix}rejected.csv"))
    assert [(r["E-mail"], r["_import_row"]) for r in rejected] == [
        ("joao@", "3"),
        ("", "4"),
        ("bia@exemplo.com", "5"),
    ]
    errors = rows_of(world.get(f"{prefix}errors.csv"))
    assert [(e["row"], e["column"], e["code"]) for e in errors if e["severity"] == "error"] == [
        ("3", "E-mail", "not_an_email"),
        ("4", "E-mail", "missing_value"),
        ("5", "UF", "not_a_uf"),
    ]
    assert all(e["message"] and e["remedy"] for e in errors)


def test_personal_values_are_masked_in_ledger_and_metadata_but_not_for_the_sender(world: World) -> None:
    upload = world.import_file(KEY, BAD)

    ledger = json.dumps(world.sql("SELECT value, message FROM imports.row_errors"))
    events = "".join(str(event) for event in world.events(upload["upload_id"]))
    assert "joao@" not in ledger
    assert "joao@" not in events
    assert b"joao@" in world.get(f"{upload['report_prefix']}errors.csv")
    assert "not_an_email" in events, "the first rejects are shown in the UI"


def test_both_checks_are_evaluated_for_the_partition(world: World) -> None:
    upload = world.import_file(KEY, BAD)

    evaluations = [
        event.event_specific_data
        for event in world.events(upload["upload_id"])
        if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    assert {(e.check_name, e.passed, e.partition) for e in evaluations} == {
        ("counts_balance", True, upload["upload_id"]),
        ("share_of_rejects", False, upload["upload_id"]),
    }


def test_every_materialization_tells_counts_seconds_and_links(world: World) -> None:
    upload = world.import_file(KEY, BAD)

    materializations = {
        event.asset_key: event.event_specific_data.materialization.metadata
        for event in world.events(upload["upload_id"])
        if event.event_type is DagsterEventType.ASSET_MATERIALIZATION
    }
    imported = materializations[AssetKey(["imported", "leads"])]
    assert (imported["read"].value, imported["inserted"].value, imported["rejected"].value) == (4, 1, 3)
    assert imported["share of rejects"].value == 0.75
    assert imported["rows per second"].value > 0
    assert imported["seconds split"].value >= 0
    assert imported["seconds stage"].value > 0
    assert upload["report_prefix"] in imported["errors.csv link"].value
    assert f"{upload['report_prefix']}summary.html" in imported["page link"].value
    assert "X-Amz-Signature=" in imported["errors.csv link"].value, "newer regions refuse older signatures"
    assert "| 3 | E-mail |" in imported["first rejects"].value
    assert materializations[AssetKey(["rejected", "leads"])]["code not_an_email"].value == 1
    assert AssetKey(["uploads", "leads"]) not in materializations, "that one is the sensor's, at detection"
    arrivals = world.instance.fetch_materializations(AssetKey(["uploads", "leads"]), limit=5).records
    assert [r.partition_key for r in arrivals] == [upload["upload_id"]]


def test_two_workspaces_import_the_same_file_and_both_get_all_rows(world: World) -> None:
    world.put("uploads/acme/leads/leads.csv", LEADS)
    world.put("uploads/beta/leads/leads.csv", LEADS)
    assert len(world.tick()) == 2

    assert world.sql("SELECT _workspace, count(*) AS n FROM leads GROUP BY 1 ORDER BY 1") == [
        {"_workspace": "acme", "n": 2},
        {"_workspace": "beta", "n": 2},
    ]
    states = world.sql("SELECT DISTINCT state FROM imports.uploads")
    assert states == [{"state": "completed"}]


def test_the_same_bytes_again_are_a_duplicate_file_unless_forced(world: World) -> None:
    first = world.import_file(KEY, LEADS)
    second = world.import_file("uploads/acme/leads/again.csv", LEADS)
    forced = world.import_file("uploads/acme/leads/forced.csv", LEADS, force="true")

    assert second["state"] == "duplicate_file"
    assert second["duplicate_of"] == first["upload_id"]
    assert second["reported_at"] is not None
    assert world.keys(f"archive/acme/leads/{second['short_id']}/") != []
    assert (forced["state"], forced["duplicate"], forced["inserted"]) == ("completed", 2, 0)
    listed = rows_of(world.get(f"{forced['report_prefix']}errors.csv"))
    assert [(e["row"], e["severity"], e["code"]) for e in listed] == [
        ("2", "duplicate", "already_in_table"),
        ("3", "duplicate", "already_in_table"),
    ]


def test_a_job_run_twice_leaves_the_same_table(world: World) -> None:
    upload = world.import_file(KEY, LEADS)
    before = leads_checksum(world)

    assert world.launch(upload["upload_id"])

    assert leads_checksum(world) == before
    assert world.upload(KEY)["published_at"] == upload["published_at"]
    runs = world.instance.get_runs(RunsFilter(tags={"dagster/partition": upload["upload_id"]}))
    said = [entry.user_message for entry in world.instance.all_logs(runs[0].run_id)]
    assert any("Nothing to do" in message for message in said)


def test_a_dry_run_reports_the_numbers_and_writes_nothing(world: World) -> None:
    upload = world.import_file(KEY, BAD, **{"dry-run": "true"})

    assert upload["state"] == "checked"
    assert (upload["read"], upload["inserted"], upload["rejected"]) == (4, 1, 3)
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 0}]
    materialized = world.instance.get_materialized_partitions(AssetKey(["imported", "leads"]))
    assert upload["upload_id"] not in materialized
    assert world.launch(upload["upload_id"], dry_run=True)
    assert world.upload(KEY)["state"] == "checked"


def test_a_checked_file_can_be_imported_from_the_archive(world: World) -> None:
    """Options stated with the object stay with it; the dry run of a run's config does not."""
    world.put(KEY, LEADS)
    world.tick(run=False)
    upload = world.upload(KEY)
    assert world.launch(upload["upload_id"], dry_run=True)
    assert world.upload(KEY)["state"] == "checked"

    assert world.launch(upload["upload_id"])

    row = world.upload(KEY)
    assert (row["state"], row["inserted"]) == ("completed", 2)
    times = world.sql("SELECT DISTINCT _source_time FROM leads")
    assert times == [{"_source_time": row["last_modified"]}]


def test_rows_per_batch_of_the_run_config_is_used(world: World) -> None:
    lines = "".join(f"a{n}@exemplo.com;A\n" for n in range(40))
    world.put(KEY, f"E-mail;Nome\n{lines}")
    world.tick(run=False)
    upload = world.upload(KEY)

    assert world.launch(upload["upload_id"], rows_per_batch=10)

    row = world.upload(KEY)
    assert (row["batches"], row["inserted"]) == (4, 40)


def test_a_launch_of_the_implicit_asset_job_needs_no_config(world: World) -> None:
    world.put(KEY, LEADS)
    world.tick(run=False)
    upload = world.upload(KEY)
    job = world.defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={AssetKey(["imported", "leads"]), AssetKey(["rejected", "leads"])}
    )

    assert job.execute_in_process(instance=world.instance, partition_key=upload["upload_id"]).success

    assert world.upload(KEY)["state"] == "completed"
    run = world.instance.get_runs(RunsFilter(tags={"dagster/partition": upload["upload_id"]}))[0]
    assert run.tags["import_pipeline/workspace"] == "acme", "open_upload tags a run launched by hand"


def test_a_header_without_rows_is_completed_with_a_warning(world: World) -> None:
    upload = world.import_file(KEY, "E-mail;Nome\n")

    assert (upload["state"], upload["read"], upload["batches"]) == ("completed", 0, 0)
    summary = json.loads(world.get(f"{upload['report_prefix']}summary.json"))
    assert "no_rows" in json.dumps(summary["warnings"])


REFUSED: list[tuple[str, bytes, dict[str, str], str]] = [
    ("empty.csv", b"", {}, "empty_file"),
    ("binary.csv", b"\x89PNG\r\n\x1a\n" + bytes(200), {}, "unsupported_format"),
    ("half.zip", b"PK\x03\x04" + bytes(200), {}, "corrupt_file"),
    ("missing.csv", b"Nome;Emial\nAna;a@b.co\n", {}, "missing_columns"),
    ("twice.csv", b"E-mail;Nome;E-mail\na@b.co;Ana;b@c.co\n", {}, "duplicate_header"),
    ("option.csv", LEADS.encode(), {"decimal": "x"}, "bad_option"),
    ("sum.csv", LEADS.encode(), {"sha256": "0" * 64}, "checksum_mismatch"),
    ("quote.csv", b'E-mail;"Nome\na@b.co;Ana\n', {}, "broken_quoting"),
    ("rejects.csv", b"E-mail\n" + b"nobody\n" * 30, {}, "too_many_rejects"),
]


@pytest.mark.parametrize(("name", "data", "stated", "code"), REFUSED, ids=[case[3] for case in REFUSED])
def test_a_bad_file_is_refused_once_with_a_report_and_kept(
    world: World, name: str, data: bytes, stated: dict[str, str], code: str
) -> None:
    upload = world.import_file(f"uploads/acme/leads/{name}", data, **stated)

    assert (upload["state"], upload["error_code"]) == ("refused", code)
    assert upload["error_message"]
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 0}]
    summary = json.loads(world.get(f"{upload['report_prefix']}summary.json"))
    assert summary["error"]["code"] == code
    assert summary["error"]["remedy"]
    assert world.keys("uploads/") == []
    assert [world.get(key) for key in world.keys(f"quarantine/acme/leads/{upload['short_id']}/")] == [data]
    assert world.statuses(upload["upload_id"]) == [DagsterRunStatus.FAILURE], "no retry at any level"
    retries = [
        e for e in world.events(upload["upload_id"]) if e.event_type is DagsterEventType.STEP_RESTARTED
    ]
    assert retries == []


def test_senders_are_told_in_the_language_of_the_settings(world: World, monkeypatch) -> None:
    """Row messages, the page and a refusal; codes, and what operators read, stay as they are."""
    monkeypatch.setenv("IMPORT_PIPELINE_LANGUAGE", "pt")
    imported = world.import_file(KEY, BAD)
    refused = world.import_file("uploads/acme/leads/vazio.csv", b"")

    errors = rows_of(world.get(f"{imported['report_prefix']}errors.csv"))
    assert (errors[0]["code"], errors[0]["message"]) == (
        "not_an_email", 'Linha 3, coluna "E-mail": "joao@" não é um endereço de e-mail.',
    )  # fmt: skip
    page = world.get(f"{imported['report_prefix']}summary.html").decode()
    assert '<html lang="pt-BR">' in page
    assert "1 de 4 linhas de leads.csv foram importadas; 3 voltaram com erros." in page
    assert (
        "vazio.csv está vazio: tem 0 bytes." in world.get(f"{refused['report_prefix']}summary.html").decode()
    )
    summary = json.loads(world.get(f"{refused['report_prefix']}summary.json"))
    assert (summary["error"]["code"], summary["error"]["remedy"]) == (
        "empty_file",
        "Envie o arquivo de novo.",
    )
    assert refused["error_message"].endswith("vazio.csv is empty: it has 0 bytes.")


def test_a_refusal_for_too_many_rejects_comes_with_the_rows(world: World) -> None:
    upload = world.import_file(KEY, b"E-mail\n" + b"nobody\n" * 30)

    assert upload["error_code"] == "too_many_rejects"
    assert len(rows_of(world.get(f"{upload['report_prefix']}rejected.csv"))) == 30


def test_an_object_deleted_before_its_run_is_refused_by_name(world: World) -> None:
    world.put(KEY, LEADS)
    requests = world.tick(run=False)
    world.s3.delete_object(Bucket=world.bucket, Key=KEY)
    world.run(requests[0])

    upload = world.upload(KEY)
    assert (upload["state"], upload["error_code"]) == ("refused", "object_vanished")


def test_an_object_overwritten_before_its_run_is_refused_and_names_its_successor(world: World) -> None:
    world.put(KEY, LEADS)
    requests = world.tick(run=False)
    first = world.upload(KEY)
    world.put(KEY, BAD)
    world.run(requests[0])
    world.tick()

    rows = world.sql("SELECT * FROM imports.uploads WHERE key = %s", KEY)
    old = next(r for r in rows if r["identity"] == first["identity"])
    new = next(r for r in rows if r["identity"] != first["identity"])
    assert (old["state"], old["error_code"]) == ("refused", "overwritten_before_read")
    assert new["upload_id"] in old["error_message"]
    assert (new["state"], new["inserted"]) == ("completed_with_rejects", 1)


def test_a_refused_file_launched_again_is_read_from_quarantine(world: World) -> None:
    upload = world.import_file(KEY, LEADS, decimal="x")
    assert upload["state"] == "refused"

    world.launch(upload["upload_id"])

    row = world.upload(KEY)
    assert (row["state"], row["error_code"], row["attempts"]) == ("refused", "bad_option", 2)
