"""Archives through the whole pipeline: the files inside become uploads with runs of their own."""

import gzip
import json
from typing import Any

import pytest

from import_pipeline.errors import CountsDoNotBalance
from import_pipeline.flow.arrivals import members as member_identities
from import_pipeline.orchestration import expanding, failures, steps
from import_pipeline_tests.orchestration.archives import (
    FILES,
    JANUARY,
    KEY,
    NO_KEY_COLUMN,
    archive,
    archived,
    expand,
    members,
    originals_of,
    quarantined,
    states,
    zipped,
)
from import_pipeline_tests.orchestration.conftest import World


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_WAIT_SECONDS", 0.01)


def test_the_files_of_an_archive_become_uploads_and_the_archive_goes_when_all_are_imported(
    world: World,
) -> None:
    expanded = expand(world, {**FILES, "__MACOSX/._janeiro.csv": b"x", ".DS_Store": b"x"})

    assert (expanded["state"], expanded["format"]) == ("expanded", "zip")
    assert expanded["reported_at"] is not None
    assert expanded["read"] is None, "an archive has no rows of its own"
    assert states(world) == {"janeiro.csv": "detected", "2026/fevereiro.csv": "detected"}
    january = members(world)["janeiro.csv"]
    assert january["upload_id"] == f"acme/leads.zip/janeiro.csv@{january['short_id']}"
    assert (january["parent"], january["size"]) == (expanded["upload_id"], len(JANUARY))
    assert originals_of(world) == [KEY]

    launched = world.tick()
    world.tick(run=False)

    assert {r.partition_key for r in launched} == {m["upload_id"] for m in members(world).values()}
    assert {r.tags["import_pipeline/lane"] for r in launched} == {"small"}
    assert states(world) == {"janeiro.csv": "completed", "2026/fevereiro.csv": "completed"}
    assert world.sql("SELECT email, _row_number FROM leads ORDER BY email") == [
        {"email": "ana@exemplo.com", "_row_number": 2},
        {"email": "bia@exemplo.com", "_row_number": 2},
        {"email": "caio@exemplo.com", "_row_number": 3},
    ]
    assert originals_of(world) == [archived(expanded)]
    assert archive(world)["original_key"] == archived(expanded)
    assert world.tick() == [], "neither archive nor members are new again"


def test_an_archives_report_lists_members_and_what_was_skipped(world: World) -> None:
    expanded = expand(world, {**FILES, "__MACOSX/._janeiro.csv": b"x", ".DS_Store": b"x"})

    summary = json.loads(world.get(f"{expanded['report_prefix']}summary.json"))

    assert summary["state"] == "expanded"
    assert [m["member"] for m in summary["members"]] == ["janeiro.csv", "2026/fevereiro.csv"]
    assert {m["upload_id"] for m in summary["members"]} == {m["upload_id"] for m in members(world).values()}
    assert summary["skipped"] == {"files": 2, "names": ["__MACOSX/._janeiro.csv", ".DS_Store"]}


def test_a_member_is_named_in_its_report_as_its_sender_reads_it(world: World) -> None:
    expand(world, {"janeiro.csv": "E-mail;Nome\nno address;Ana\nana@exemplo.com;Ana\n"})
    world.tick()

    member = members(world)["janeiro.csv"]
    summary = json.loads(world.get(f"{member['report_prefix']}summary.json"))

    assert member["state"] == "completed_with_rejects"
    assert summary["file_name"] == "leads.zip › janeiro.csv"
    assert member["report_prefix"] == f"reports/acme/leads/{member['short_id']}/"
    assert b"no address" in world.get(f"{member['report_prefix']}rejected.csv")


def test_one_refused_member_leaves_the_others_and_the_archive_is_kept(world: World) -> None:
    expanded = expand(world, {"janeiro.csv": JANUARY, "bad.csv": NO_KEY_COLUMN})
    world.tick()

    assert states(world) == {"janeiro.csv": "completed", "bad.csv": "refused"}
    assert members(world)["bad.csv"]["error_code"] == "missing_columns"
    assert "leads.zip › bad.csv" in members(world)["bad.csv"]["error_message"]
    assert originals_of(world) == [archived(expanded)]


def test_an_archive_that_vanished_refuses_its_members_by_name(world: World) -> None:
    expand(world, {"janeiro.csv": JANUARY})
    world.s3.delete_object(Bucket=world.bucket, Key=KEY)
    world.tick()

    assert members(world)["janeiro.csv"]["error_code"] == "object_vanished"


def test_a_kill_between_listing_and_recording_leaves_no_member_behind_and_the_next_launch_has_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: Any, **kwargs: Any) -> Any:
        raise CountsDoNotBalance("Killed before the transaction ended.")

    world.put(KEY, zipped(FILES))
    with monkeypatch.context() as patched:
        patched.setattr(expanding, "mark_reported", killed)
        world.tick()
    world.tick(run=False)
    assert archive(world)["state"] == "failed"
    assert members(world) == {}

    assert world.launch(archive(world)["upload_id"])

    assert archive(world)["state"] == "expanded"
    assert len(members(world)) == 2


def test_launching_an_expanded_archive_again_changes_nothing(world: World) -> None:
    expanded = expand(world)
    world.tick()
    before = world.sql("SELECT upload_id, state, attempts FROM imports.uploads ORDER BY upload_id")

    assert world.launch(expanded["upload_id"])

    assert world.sql("SELECT upload_id, state, attempts FROM imports.uploads ORDER BY upload_id") == before


def test_the_same_archive_dropped_again_is_new_and_its_members_are_duplicate_files(world: World) -> None:
    expand(world)
    world.tick()
    world.put("uploads/acme/leads/again.zip", zipped(FILES))
    world.tick()
    world.tick()

    again = world.sql("SELECT state FROM imports.uploads WHERE file_name LIKE 'again.zip ›%%'")
    assert [row["state"] for row in again] == ["duplicate_file"] * 2
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 3}]


def test_members_have_the_options_of_their_archive(world: World) -> None:
    latin = "E-mail;Nome\nana@exemplo.com;Zoë\n".encode("latin-1")
    expand(world, {"janeiro.csv": latin}, encoding="latin-1", decimal="comma", name="Leads")
    world.tick()

    member = members(world)["janeiro.csv"]
    assert (member["options"]["encoding"], member["options"]["decimal"]) == ("latin-1", ",")
    assert world.sql("SELECT name FROM leads") == [{"name": "Zoë"}]
    assert (archive(world)["human_name"], member["human_name"]) == ("Leads", None)


def test_the_stated_checksum_is_that_of_the_archive(world: World) -> None:
    world.put(KEY, zipped(FILES), sha256="0" * 64)
    world.tick()

    row = archive(world)
    assert (row["state"], row["error_code"]) == ("refused", "checksum_mismatch")
    assert members(world) == {}
    assert originals_of(world) == [quarantined(row)]


def test_a_dry_run_of_an_archive_is_one_of_its_members_until_they_are_checked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(KEY, zipped({"janeiro.csv": JANUARY}))
    world.tick(run=False)
    assert world.launch(archive(world)["upload_id"], dry_run=True)

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise CountsDoNotBalance("A fault of ours.")

    with monkeypatch.context() as patched:
        patched.setattr(steps, "split_file", broken)
        world.tick()
    world.tick(run=False)
    assert states(world) == {"janeiro.csv": "failed"}
    member = members(world)["janeiro.csv"]["upload_id"]

    assert world.launch(member)
    assert states(world) == {"janeiro.csv": "checked"}, "a retry of a dry run loads nothing either"
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 0}]

    assert world.launch(member)
    assert states(world) == {"janeiro.csv": "completed"}


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"inner.zip": zipped(FILES)}, "nested_archive"),
        ({f"{n}.csv": "" for n in range(1001)}, "too_many_members"),
        ({".DS_Store": "x"}, "empty_file"),
    ],
)
def test_an_archive_that_must_not_be_expanded_is_refused_as_a_whole(
    world: World, files: dict[str, str | bytes], code: str
) -> None:
    row = expand(world, files)

    assert (row["state"], row["error_code"]) == ("refused", code)
    assert members(world) == {}
    assert originals_of(world) == [quarantined(row)]


def test_an_archive_that_only_its_own_contents_tell_is_refused_by_its_own_run(world: World) -> None:
    """Its first file has the name of a workbook's part, so that the archive around it lets it pass."""
    disguised = zipped({"xl/leads.csv": JANUARY})
    expand(world, {"janeiro.csv": JANUARY, "disguised.xlsx": disguised})
    world.tick()

    assert states(world) == {"janeiro.csv": "completed", "disguised.xlsx": "refused"}
    assert members(world)["disguised.xlsx"]["error_code"] == "nested_archive"


def test_a_member_in_another_format_is_read_as_any_file_of_it(world: World) -> None:
    rows = '{"E-mail": "ana@exemplo.com", "Nome": "Ana"}\n'
    expand(world, {"janeiro.csv.gz": gzip.compress(JANUARY.encode(), mtime=0), "fevereiro.jsonl": rows})
    world.tick()

    assert {name: row["format"] for name, row in members(world).items()} == {
        "janeiro.csv.gz": "csv",
        "fevereiro.jsonl": "jsonl",
    }
    assert states(world) == {"janeiro.csv.gz": "completed", "fevereiro.jsonl": "completed"}


def test_an_archive_whose_file_would_take_the_short_id_of_another_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded without that file, it would be lost without a word."""
    real = member_identities.identity
    monkeypatch.setattr(member_identities, "identity", lambda *of: "0" * 12 + real(*of)[12:])

    row = expand(world, FILES)

    assert (row["state"], row["error_code"]) == ("refused", "duplicate_member")
    assert members(world) == {}
    assert originals_of(world) == [quarantined(row)]
