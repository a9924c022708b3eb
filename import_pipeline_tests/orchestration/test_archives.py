"""Archives through the whole pipeline: members become uploads, and the archive goes when all are final."""

import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from import_pipeline.errors import CountsDoNotBalance, StorageUnavailable
from import_pipeline.flow.batches.splitting import split_file
from import_pipeline.orchestration import ending, expanding, failures, originals, steps
from import_pipeline.orchestration.build import build_defs
from import_pipeline.storage.bucket import Bucket
from import_pipeline_tests.orchestration.conftest import World

KEY = "uploads/acme/leads/leads.zip"
JANUARY = "E-mail;Nome\nana@exemplo.com;Ana\n"
FEBRUARY = "E-mail;Nome\nbia@exemplo.com;Bia\ncaio@exemplo.com;Caio\n"
NO_KEY_COLUMN = "Nome\nAna\n"
FILES = {"janeiro.csv": JANUARY, "2026/fevereiro.csv": FEBRUARY}


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 3, 1, 12, 0, 0)), content)
    return packed.getvalue()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_WAIT_SECONDS", 0.01)


def expand(world: World, files: Mapping[str, str | bytes] = FILES, **metadata: str) -> dict[str, Any]:
    """Drop an archive and let its own run expand it; the archive's row."""
    world.put(KEY, zipped(files), **metadata)
    assert len(world.tick()) == 1
    return archive(world)


def archive(world: World) -> dict[str, Any]:
    (row,) = world.sql("SELECT * FROM imports.uploads WHERE parent IS NULL")
    return row


def members(world: World) -> dict[str, dict[str, Any]]:
    rows = world.sql("SELECT * FROM imports.uploads WHERE parent IS NOT NULL")
    return {row["member"]: row for row in rows}


def states(world: World) -> dict[str, str]:
    return {name: row["state"] for name, row in members(world).items()}


def archived(row: dict[str, Any]) -> str:
    return f"archive/acme/leads/{row['short_id']}/leads.zip"


def quarantined(row: dict[str, Any]) -> str:
    return f"quarantine/acme/leads/{row['short_id']}/leads.zip"


def originals_of(world: World) -> list[str]:
    return [key for place in ("uploads/", "archive/", "quarantine/") for key in world.keys(place)]


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


def test_an_archive_of_refused_members_only_goes_to_quarantine(world: World) -> None:
    expanded = expand(world, {"bad.csv": NO_KEY_COLUMN, "empty.csv": ""})
    world.tick()

    assert set(states(world).values()) == {"refused"}
    assert originals_of(world) == [quarantined(expanded)]


def test_a_failed_member_keeps_the_archive_until_it_is_launched_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    expanded = expand(world)

    def broken(source: Any, *args: Any, **kwargs: Any) -> Any:
        if source.name.endswith("janeiro.csv"):
            raise CountsDoNotBalance("A fault of ours.")
        return split_file(source, *args, **kwargs)

    monkeypatch.setattr(steps, "split_file", broken)
    world.tick()
    world.tick(run=False)

    assert states(world) == {"janeiro.csv": "failed", "2026/fevereiro.csv": "completed"}
    assert originals_of(world) == [KEY]

    monkeypatch.setattr(steps, "split_file", split_file)
    assert world.launch(members(world)["janeiro.csv"]["upload_id"])

    assert set(states(world).values()) == {"completed"}
    assert originals_of(world) == [archived(expanded)]


def test_a_refused_member_is_read_again_from_where_the_archive_went(world: World) -> None:
    expanded = expand(world, {"bad.csv": NO_KEY_COLUMN})
    world.tick()
    assert originals_of(world) == [quarantined(expanded)]
    bad = members(world)["bad.csv"]

    assert not world.launch(bad["upload_id"])

    assert (members(world)["bad.csv"]["state"], members(world)["bad.csv"]["attempts"]) == ("refused", 2)
    assert originals_of(world) == [quarantined(expanded)]


def test_the_last_two_members_that_finish_together_move_the_archive_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one ends between the first one's publish and its look at the others."""
    expanded = expand(world)
    first, second = (r.partition_key for r in world.tick(run=False))
    moves: list[str] = []
    real_move, real_settle = Bucket.move, ending.settle_archive

    def move(bucket: Bucket, source: Any, target: str) -> Any:
        moves.append(target)
        return real_move(bucket, source, target)

    def settle(session: Any, conn: Any) -> None:
        if session.upload_id == first:
            monkeypatch.setattr(ending, "settle_archive", real_settle)
            assert world.launch(str(second))
        real_settle(session, conn)

    monkeypatch.setattr(Bucket, "move", move)
    monkeypatch.setattr(ending, "settle_archive", settle)

    assert world.launch(str(first))
    assert set(states(world).values()) == {"completed"}
    assert moves == [archived(expanded)]
    assert originals_of(world) == [archived(expanded)]


def test_a_run_killed_after_the_archive_was_moved_finishes_its_report_when_launched_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    expanded = expand(world, {"janeiro.csv": JANUARY})

    def killed(*args: Any, **kwargs: Any) -> Any:
        raise CountsDoNotBalance("Killed before the ledger heard of the report.")

    with monkeypatch.context() as patched:
        patched.setattr(ending, "mark_reported", killed)
        world.tick()
    assert originals_of(world) == [archived(expanded)]
    assert members(world)["janeiro.csv"]["reported_at"] is None

    assert world.launch(members(world)["janeiro.csv"]["upload_id"])

    member = members(world)["janeiro.csv"]
    assert (member["state"], member["inserted"]) == ("completed", 1)
    assert member["reported_at"] is not None
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 1}]


def test_an_archive_moved_while_a_member_is_read_is_read_again_where_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    expand(world, {"janeiro.csv": JANUARY})
    tries: list[str] = []

    def moved(source: Any, *args: Any, **kwargs: Any) -> Any:
        tries.append(source.archive.listed.key)
        if len(tries) == 1:
            listed = source.archive.listed
            Bucket(world.s3, world.bucket).move(listed, archived(archive(world)))
        return split_file(source, *args, **kwargs)

    monkeypatch.setattr(steps, "split_file", moved)
    world.tick()

    assert tries == [KEY, archived(archive(world))]
    assert states(world) == {"janeiro.csv": "completed"}


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


def test_an_archive_is_deleted_when_its_dataset_keeps_no_originals_and_all_are_reported(
    world: World,
) -> None:
    _keep_no_originals(world)
    expand(world)
    first, second = (str(r.partition_key) for r in world.tick(run=False))

    assert world.launch(first)
    assert originals_of(world) == [KEY]
    assert world.launch(second)
    assert originals_of(world) == []


def test_an_archive_is_not_deleted_while_a_report_may_have_to_be_written_again_from_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keep_no_originals(world)
    expand(world)
    first, second = (str(r.partition_key) for r in world.tick(run=False))

    def killed(*args: Any, **kwargs: Any) -> Any:
        raise CountsDoNotBalance("Killed before the ledger heard of the report.")

    with monkeypatch.context() as patched:
        patched.setattr(ending, "mark_reported", killed)
        assert not world.launch(first)
    assert world.launch(second)
    assert set(states(world).values()) == {"completed"}
    assert originals_of(world) == [KEY]

    assert world.launch(first)
    assert originals_of(world) == []


def test_a_refused_member_is_never_deleted_with_its_archive(world: World) -> None:
    _keep_no_originals(world)
    expanded = expand(world, {"janeiro.csv": JANUARY, "bad.csv": NO_KEY_COLUMN})
    world.tick()

    assert originals_of(world) == [quarantined(expanded)]


def test_trouble_while_the_archive_is_moved_is_tried_again_and_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    expanded = expand(world, {"bad.csv": NO_KEY_COLUMN})
    tries: list[int] = []
    real = originals.quarantine_original

    def shaky(*args: Any) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise StorageUnavailable("The bucket does not answer.")
        return real(*args)

    monkeypatch.setattr(originals, "quarantine_original", shaky)
    world.tick()

    assert states(world) == {"bad.csv": "refused"}
    assert originals_of(world) == [quarantined(expanded)]


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


def _keep_no_originals(world: World) -> None:
    world.datasets["leads"] = replace(world.datasets["leads"], keep_original=False)
    world.defs = build_defs(datasets=world.datasets)
