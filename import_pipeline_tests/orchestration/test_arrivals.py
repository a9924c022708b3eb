"""What becomes of an arrival, whatever its key and its moment: through the sensor, on the emulator.

The tables at the top say it for keys; the tests below for moments. A key overwritten or deleted
between the sensor's look and the run, and what a file's content leads to: test_importing.py.
"""

import unicodedata
from typing import Any

import pytest

from import_pipeline.flow.loading.undoing import undo_upload
from import_pipeline.orchestration import originals, steps
from import_pipeline.orchestration.resources import build_resources
from import_pipeline_tests.orchestration.conftest import World

KEY = "uploads/acme/leads/leads.csv"
LEADS = "E-mail;Nome\nana@exemplo.com;Ana\n"
MORE = "E-mail;Nome\nana@exemplo.com;Ana\nbia@exemplo.com;Bia\n"
NFC = unicodedata.normalize("NFC", "março.csv")
NFD = unicodedata.normalize("NFD", "março.csv")
LONGEST = "é" * ((1024 - len(b"uploads/acme/leads/x.csv")) // 2) + "x.csv"

# Key below uploads/ → what stands before the `@` of its upload id. All of them are imported.
IMPORTED = {
    "acme/leads/ spaces .csv ": "acme/ spaces .csv ",
    f"acme/leads/{NFC}": f"acme/{NFC}",
    f"acme/leads/{NFD}": f"acme/{NFC}",
    "acme/leads/a+b.csv": "acme/a+b.csv",
    "acme/leads/50%25.csv": "acme/50%25.csv",
    "acme/leads/n#1?x=y&z.csv": "acme/n#1?x=y&z.csv",
    "acme/leads/../../beta/leads/up..csv": "acme/././beta/leads/up.csv",
    "acme/leads//twice.csv": "acme//twice.csv",
    "acme/leads/.hidden/inside.csv": "acme/.hidden/inside.csv",
    "acme/leads/a|b,c[d]'\"<b>&amp;🚗\\.csv": "acme/a_b_c_d_'\"<b>&amp;🚗\\.csv",
    f"acme/leads/{LONGEST}": "acme/" + LONGEST[-120:],
}
# Key below uploads/ → words of the reason why it is no import.
IGNORED = {
    "x.csv": "directly in uploads/",
    "acme/x.csv": "directly in uploads/acme/",
    "/leads/x.csv": "`` cannot be a workspace",
    "acme//x.csv": "There is no dataset ``",
    "../leads/x.csv": "`.` cannot be a workspace",
    "Acme/leads/x.csv": "`Acme` cannot be a workspace",
    "acme/leads%2Fx.csv": "directly in uploads/acme/",
    "acme/lead/x.csv": "Did you mean `leads`?",
}
# Keys below uploads/ that leave no record.
SKIPPED = [
    "acme/leads/",
    "acme/leads/..",
    "acme/leads/.x.csv",
    "acme/leads/..x.csv",
    "acme/leads/~$x.xlsx",
    "acme/leads/x.csv.part",
    "acme/leads/x.TMP",
    "acme/leads/_SUCCESS",
]


def one_lead(number: int) -> str:
    return f"E-mail\nk{number}@exemplo.com\n"


def test_every_key_has_its_outcome(world: World) -> None:
    for number, key in enumerate([*IMPORTED, *IGNORED, *SKIPPED]):
        world.put(f"uploads/{key}", one_lead(number))
    world.tick()

    rows = {row["key"].removeprefix("uploads/"): row for row in world.sql("SELECT * FROM imports.uploads")}

    assert {key: (rows[key]["state"], rows[key]["upload_id"].rsplit("@", 1)[0]) for key in IMPORTED} == {
        key: ("completed", name) for key, name in IMPORTED.items()
    }
    assert {key: rows[key]["state"] for key in IGNORED} == dict.fromkeys(IGNORED, "ignored")
    assert [key for key, words in IGNORED.items() if words not in rows[key]["ignored_reason"]] == []
    assert set(rows) == {*IMPORTED, *IGNORED}, "the others leave no record"
    assert world.sql("SELECT count(*) AS n FROM leads WHERE _workspace = 'acme'") == [{"n": len(IMPORTED)}]
    left = {*IGNORED, *SKIPPED}
    assert set(world.keys("uploads/")) == {f"uploads/{key}" for key in left}, "and stay where they are"
    assert len(world.keys("archive/acme/leads/")) == len(IMPORTED)
    assert len(f"uploads/acme/leads/{LONGEST}".encode()) == 1024


def test_files_on_every_page_of_the_listing_are_in_the_ledger_after_one_tick(world: World) -> None:
    client = build_resources()["s3"].get_client()  # type: ignore[attr-defined]
    pages: list[str] = []

    def two_a_page(params: dict[str, Any], **_: Any) -> None:
        pages.append(params.get("ContinuationToken", ""))
        params["MaxKeys"] = 2

    for number in range(7):
        world.put(f"uploads/w{number % 3}/leads/{number}.csv", one_lead(number))
    client.meta.events.register("before-parameter-build.s3.ListObjectsV2", two_a_page)
    try:
        world.evaluate()
    finally:
        client.meta.events.unregister("before-parameter-build.s3.ListObjectsV2", two_a_page)

    assert len(set(pages)) == 4
    assert world.sql("SELECT count(*) AS n FROM imports.uploads") == [{"n": 7}]


def test_files_of_the_same_second_as_one_already_seen_are_seen(world: World) -> None:
    """A cursor on time, or on the key, never returns them."""
    world.put("uploads/acme/leads/m.csv", one_lead(1))
    world.evaluate()
    for name in ("a.csv", "z.csv"):
        world.put(f"uploads/acme/leads/{name}", one_lead(1))
    world.evaluate()

    assert len(world.sql("SELECT 1 AS x FROM imports.uploads WHERE state = 'detected'")) == 3


def test_a_file_that_arrives_with_an_earlier_time_than_one_already_seen_is_seen(world: World) -> None:
    """The time of a large file is that of its beginning: it appears late, and looks old."""
    begun = {"Bucket": world.bucket, "Key": "uploads/acme/leads/large.csv"}
    upload = world.s3.create_multipart_upload(**begun)["UploadId"]
    part = world.s3.upload_part(**begun, UploadId=upload, PartNumber=1, Body=LEADS.encode())
    world.import_file("uploads/acme/leads/small.csv", MORE)
    world.s3.complete_multipart_upload(
        **begun, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )

    world.tick()

    assert world.upload("uploads/acme/leads/large.csv")["state"] == "completed"


def test_a_key_overwritten_before_it_was_noticed_is_one_arrival(world: World) -> None:
    world.put(KEY, LEADS)
    imported = world.import_file(KEY, MORE)

    assert (imported["state"], imported["inserted"]) == ("completed", 2)
    assert world.sql("SELECT count(*) AS n FROM imports.uploads") == [{"n": 1}]


def test_a_key_overwritten_while_it_is_read_is_refused_and_the_newer_file_imported(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes of two files are never mixed, and the newer one is an arrival of its own."""
    world.put(KEY, LEADS)
    _before_the_first(monkeypatch, steps, "split_file", lambda: world.put(KEY, MORE))
    (request,) = world.tick()
    world.tick()

    older, newer = _older_and_newer(world, str(request.partition_key))
    assert (older["state"], older["error_code"]) == ("refused", "overwritten_before_read")
    assert (newer["state"], newer["inserted"]) == ("completed", 2)
    assert world.keys("uploads/") == []


def test_a_key_overwritten_after_it_was_read_imports_both_files(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newer file is neither moved away nor deleted in the older one's place."""
    world.put(KEY, LEADS)
    _before_the_first(monkeypatch, originals, "archive_original", lambda: world.put(KEY, MORE))
    (request,) = world.tick()
    assert world.get(KEY) == MORE.encode()

    world.tick()

    older, newer = _older_and_newer(world, str(request.partition_key))
    assert (older["state"], older["inserted"]) == ("completed", 1)
    assert (newer["state"], newer["inserted"], newer["duplicate"]) == ("completed", 1, 1)
    assert world.get(newer["original_key"]) == MORE.encode()


def test_an_object_deleted_before_it_was_noticed_is_no_arrival(world: World) -> None:
    world.put(KEY, LEADS)
    world.s3.delete_object(Bucket=world.bucket, Key=KEY)

    assert world.tick() == []
    assert world.sql("SELECT count(*) AS n FROM imports.uploads") == [{"n": 0}]


def test_an_object_deleted_while_it_is_read_is_refused_as_vanished(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(KEY, LEADS)
    _before_the_first(
        monkeypatch, steps, "split_file", lambda: world.s3.delete_object(Bucket=world.bucket, Key=KEY)
    )
    world.tick()

    upload = world.upload(KEY)
    assert (upload["state"], upload["error_code"]) == ("refused", "object_vanished")
    assert world.sql("SELECT count(*) AS n FROM leads") == [{"n": 0}]


def test_the_same_content_under_other_names_is_a_duplicate_file_even_in_one_tick(world: World) -> None:
    names = ("a.csv", "b.csv", "sub/a.csv")
    for name in names:
        world.put(f"uploads/acme/leads/{name}", LEADS)
    world.tick()

    rows = [world.upload(f"uploads/acme/leads/{name}") for name in names]
    first = next(row for row in rows if row["state"] == "completed")
    assert sorted(row["state"] for row in rows) == ["completed", "duplicate_file", "duplicate_file"]
    assert {row["duplicate_of"] for row in rows if row is not first} == {first["upload_id"]}


def test_the_same_file_again_after_an_undo_is_imported_not_a_duplicate_file(world: World) -> None:
    first = world.import_file(KEY, LEADS)
    undo_upload(
        world.settings.require_database_url(),
        first["upload_id"],
        world.datasets["leads"],
        undo_days=30,
        store=None,
    )
    again = world.import_file("uploads/acme/leads/again.csv", LEADS)

    assert world.upload(KEY)["state"] == "undone"
    assert (again["state"], again["inserted"], again["duplicate_of"]) == ("completed", 1, None)
    assert world.sql("SELECT _upload_id FROM leads") == [{"_upload_id": again["upload_id"]}]


def _before_the_first(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, do: Any) -> None:
    """Have something happen at the first call of a function, just before it."""
    real = getattr(module, name)
    left = [do]

    def called(*positional: Any, **named: Any) -> Any:
        while left:
            left.pop()()
        return real(*positional, **named)

    monkeypatch.setattr(module, name, called)


def _older_and_newer(world: World, older: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both uploads of KEY; their times may be of the same second."""
    rows = world.sql("SELECT * FROM imports.uploads WHERE key = %s", KEY)
    assert len(rows) == 2
    newer = next(row for row in rows if row["upload_id"] != older)
    return next(row for row in rows if row["upload_id"] == older), newer
