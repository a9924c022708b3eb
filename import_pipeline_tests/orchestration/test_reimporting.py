"""An upload brought in again: only what lacks comes in, and both histories stay true."""

from typing import Any

from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.uploads import get_upload
from import_pipeline.reimporting import ReimportedUpload, reimport
from import_pipeline.storage.bucket import Bucket
from import_pipeline_tests.orchestration.archives import archived, expand, members
from import_pipeline_tests.orchestration.conftest import World
from import_pipeline_tests.orchestration.test_undoing import observed, undo

KEY = "uploads/acme/leads/leads.csv"
LEADS = "E-mail;Nome\nana@exemplo.com;Ana\nbia@exemplo.com;Bia\n"


def again(world: World, upload_id: str) -> ReimportedUpload:
    with connect(world.settings.require_database_url()) as conn:
        row = get_upload(conn, upload_id)
        assert row is not None
        return reimport(conn, Bucket(world.s3, world.bucket), row, world.datasets[str(row.dataset)])


def row_of(world: World, upload_id: str) -> dict[str, Any]:
    [row] = world.sql("SELECT * FROM imports.uploads WHERE upload_id = %s", upload_id)
    return row


def test_a_reimport_brings_in_what_lacks_and_leaves_the_first_uploads_rows_and_counts(world: World) -> None:
    first = world.import_file(KEY, LEADS)
    world.sql("DELETE FROM leads WHERE email = 'bia@exemplo.com'")

    second, asked_twice = again(world, first["upload_id"]), again(world, first["upload_id"])
    assert (second.new, asked_twice.new, asked_twice.upload_id) == (True, False, second.upload_id)
    assert len(world.tick()) == 1

    row = row_of(world, second.upload_id)
    assert (row["state"], row["reimport_of"]) == ("completed", first["upload_id"])
    assert (row["read"], row["inserted"], row["duplicate"]) == (2, 1, 1)
    assert row_of(world, first["upload_id"])["inserted"] == 2
    rows = world.sql("SELECT email, _upload_id, _source_time FROM leads ORDER BY email")
    assert [(r["email"], r["_upload_id"]) for r in rows] == [
        ("ana@exemplo.com", first["upload_id"]), ("bia@exemplo.com", second.upload_id),
    ]  # fmt: skip
    assert {r["_source_time"] for r in rows} == {first["last_modified"]}, "the file is no newer for it"
    keys = [f"archive/acme/leads/{short}/leads.csv" for short in (first["short_id"], second.short_id)]
    assert sorted(world.keys("archive/")) == sorted(keys), "two uploads never share an original"
    assert {world.get(key) for key in keys} == {LEADS.encode()}
    assert world.keys("uploads/") == [], "only people write there"
    of_first, of_second = again(world, first["upload_id"]), again(world, second.upload_id)
    assert len({second.upload_id, of_first.upload_id, of_second.upload_id}) == 3
    assert (of_first.new, of_second.new) == (True, True)


def test_what_an_undo_took_from_another_file_comes_in_by_the_reimport_that_it_names(world: World) -> None:
    first = world.import_file(KEY, LEADS)
    second = world.import_file("uploads/acme/leads/more.csv", LEADS + "caio@exemplo.com;Caio\n")
    assert undo(world, first["upload_id"]).success
    [told] = observed(world, first["upload_id"])
    assert f"import-pipeline reimport {second['short_id']}" in told["to bring in again"]

    third = again(world, second["upload_id"])
    world.tick()

    row = row_of(world, third.upload_id)
    assert (row["read"], row["inserted"], row["duplicate"]) == (3, 2, 1)
    by_email = "SELECT email, _upload_id FROM leads ORDER BY email"
    assert [(r["email"], r["_upload_id"]) for r in world.sql(by_email)] == [
        ("ana@exemplo.com", third.upload_id), ("bia@exemplo.com", third.upload_id),
        ("caio@exemplo.com", second["upload_id"]),
    ]  # fmt: skip
    assert undo(world, third.upload_id).success
    assert [r["email"] for r in world.sql(by_email)] == ["caio@exemplo.com"]


def test_a_file_of_an_archive_is_read_from_its_archive_again(world: World) -> None:
    zipped = expand(world)
    world.tick()
    january = members(world)["janeiro.csv"]
    world.sql("DELETE FROM leads WHERE email = 'ana@exemplo.com'")

    second = again(world, january["upload_id"])
    world.tick()

    row = row_of(world, second.upload_id)
    assert (row["state"], row["inserted"], row["parent"]) == ("completed", 1, zipped["upload_id"])
    assert world.keys("archive/") == [archived(zipped)]
