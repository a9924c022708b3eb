"""After a restore from a backup: what came since is recorded again as what it was, and comes in once.

The backup is a real one: `pg_dump` and `pg_restore` of the embedded PostgreSQL's package.
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from psycopg import sql
from typer.testing import CliRunner

from import_pipeline.cli.main import app
from import_pipeline.flow.housekeeping.recovering import find_unknown, record_found
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.uploads import get_upload
from import_pipeline.orchestration.control import open_instance
from import_pipeline.orchestration.recovering import next_launches
from import_pipeline.services import postgres as local_postgres
from import_pipeline.services.dagster_home import prepare_dagster_home
from import_pipeline.services.postgres import find_binaries
from import_pipeline.storage.bucket import Bucket
from import_pipeline_tests.orchestration.archives import zipped
from import_pipeline_tests.orchestration.conftest import World
from import_pipeline_tests.orchestration.test_reimporting import again

KEY = "uploads/acme/leads/{}"
ROWS = (
    "SELECT email, name, _workspace, _upload_id, _row_number, _source_time, _row_hash FROM leads ORDER BY 1"
)
KEPT = "upload_id, identity, short_id, key, etag, size, last_modified, file_name, state, inserted, rejected"


@pytest.fixture
def backup(world: World, services: Any, as_superuser: Callable[[str], str], tmp_path: Path) -> Any:
    """Takes a dump now; what it gives restores it into the database of that name, made anew."""
    url = as_superuser(world.settings.require_database_url())
    dump = tmp_path / "imports.dump"
    name = urlsplit(url).path.lstrip("/")

    def run(program: str, *arguments: str) -> None:
        command = [str(find_binaries() / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "LC_ALL": "C"})

    def restore() -> None:
        names = (sql.Identifier(name), sql.Identifier(local_postgres.OWNER_ROLE))
        with services.superuser() as conn:
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(names[0]))
            conn.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(*names))
        run("pg_restore", "--exit-on-error", "--dbname", url, str(dump))

    def take() -> Callable[[], None]:
        run("pg_dump", "--format=custom", "--file", str(dump), url)
        return restore

    return take


def recover(world: World, instance: DagsterInstance, **options: Any) -> list[str]:
    """What `reconcile` does; the upload ids that it recorded."""
    with connect(world.settings.require_database_url()) as conn:
        found = find_unknown(
            conn, Bucket(world.s3, world.bucket), datasets=list(world.datasets), workspaces=None, **options
        )
        assert found.nameless == ()
        names = [one.arrival.upload_id for one in found.originals]
        record_found(conn, found.originals, next_launches(instance, names))
    return names


def uploads(world: World) -> dict[str, dict[str, Any]]:
    return {row["upload_id"]: row for row in world.sql(f"SELECT {KEPT} FROM imports.uploads ORDER BY 1")}


def test_what_came_after_the_backup_comes_in_once_as_what_it_was(world, instance, backup):
    """One before the backup; after it a good file, one with a bad row, and one that is refused."""
    world.import_file(KEY.format("old.csv"), "email,name\nold@x.example,Old\n")
    restore = backup()
    world.import_file(KEY.format("sub/folder/é + %.csv"), "email,name\nana@x.example,Ana\n", name="janeiro")
    world.import_file(KEY.format("b.csv"), "email,name\nbia@x.example,Bia\nnobody,X\n")
    world.import_file(KEY.format("refused.csv"), "nothing,here\n1,2\n")
    before, rows, places = uploads(world), world.sql(ROWS), world.keys("archive/") + world.keys("quarantine/")

    restore()
    assert len(uploads(world)) == 1
    assert len(world.sql(ROWS)) == 1
    assert len(recover(world, instance)) == 3
    assert recover(world, instance) == []
    while world.tick():
        pass

    assert uploads(world) == before
    assert world.sql(ROWS) == rows
    assert world.keys("archive/") + world.keys("quarantine/") == places
    assert world.keys("uploads/") == []
    [told] = world.sql("SELECT human_name FROM imports.uploads WHERE human_name IS NOT NULL")
    assert told["human_name"] == "janeiro"


def test_an_archive_and_an_upload_that_still_waits_are_recovered_too(world, instance, backup):
    restore = backup()
    world.put(KEY.format("leads.zip"), zipped({"a.csv": "email,name\na@x.example,A\n"}))
    while world.tick():
        pass
    world.put(KEY.format("waits.csv"), "email,name\nw@x.example,W\n")
    before = uploads(world)
    assert world.keys("uploads/") == [KEY.format("waits.csv")]

    restore()
    assert len(recover(world, instance)) == 2
    while world.tick():
        pass
    world.tick(run=False)

    assert before.keys() < uploads(world).keys()
    assert {row["state"] for row in uploads(world).values()} == {"expanded", "completed"}
    assert [row["email"] for row in world.sql(ROWS)] == ["a@x.example", "w@x.example"]
    assert world.keys("uploads/") == []


@pytest.mark.parametrize("original_known", [True, False], ids=["original-in-backup", "both-after-it"])
def test_a_reimport_of_after_the_backup_is_recovered_as_that(world, instance, backup, original_known):
    """It did not say what it was, and copied into uploads/ it was a duplicate of what it repeated."""
    restore = None if original_known else backup()
    first = world.import_file(KEY.format("é.csv"), "email,name\nana@x.example,Ana\nbia@x.example,Bia\n")
    world.sql("DELETE FROM leads WHERE email = 'bia@x.example'")
    restore = restore or backup()
    second = again(world, first["upload_id"])
    world.tick()
    before, places = uploads(world), world.keys("archive/")

    restore()
    recovered = recover(world, instance)
    assert sorted(recovered) == sorted(
        {second.upload_id} | (set() if original_known else {first["upload_id"]})
    )
    while world.tick():
        pass

    assert uploads(world).keys() == before.keys()
    [row] = world.sql("SELECT * FROM imports.uploads WHERE upload_id = %s", second.upload_id)
    assert (row["state"], row["reimport_of"]) == ("completed", first["upload_id"])
    assert [one["email"] for one in world.sql(ROWS)] == ["ana@x.example", "bia@x.example"]
    assert world.keys("archive/") == places


def test_an_upload_that_was_begun_meanwhile_keeps_what_it_says_of_its_original(world, instance):
    world.put(KEY.format("a.csv"), "email,name\nana@x.example,Ana\n")
    with connect(world.settings.require_database_url()) as conn:
        bucket = Bucket(world.s3, world.bucket)
        found = find_unknown(conn, bucket, datasets=["leads"], workspaces=None)
        world.tick()
        record_found(conn, found.originals, {})
    row = world.upload(KEY.format("a.csv"))
    assert (row["state"], row["original_key"]) == ("completed", world.keys("archive/")[0])


def test_only_what_came_since_a_moment_is_recovered_and_forgeries_are_not(world, instance, s3):
    row = world.import_file(KEY.format("a.csv"), "email,name\nana@x.example,Ana\n")
    world.sql("DELETE FROM leads")
    world.sql("DELETE FROM imports.uploads")
    copied = s3.head_object(Bucket=world.bucket, Key=row["original_key"])
    origin, copied_at = copied["Metadata"], copied["LastModified"]
    forged = "quarantine/rival/leads/0123456789ab/a.csv"
    s3.put_object(Bucket=world.bucket, Key=forged, Body=b"x", Metadata=origin)

    with connect(world.settings.require_database_url()) as conn:
        asked = {"datasets": list(world.datasets), "workspaces": None}
        found = find_unknown(conn, Bucket(s3, world.bucket), **asked)
        late = find_unknown(
            conn, Bucket(s3, world.bucket), since=row["last_modified"].replace(year=2100), **asked
        )
        of_its_second = find_unknown(
            conn, Bucket(s3, world.bucket), since=copied_at.replace(microsecond=999_999), **asked
        )

    assert [one.arrival.upload_id for one in found.originals] == [row["upload_id"]]
    assert row["upload_id"] in [one.arrival.upload_id for one in of_its_second.originals], "told in seconds"
    assert found.nameless == (forged,)
    assert (late.originals, late.nameless) == ((), ())


def test_an_upload_that_dagster_remembers_gets_a_launch_number_that_is_free(settings, s3, bucket_name):
    s3.put_object(Bucket=bucket_name, Key=KEY.format("a.csv"), Body=b"email\n")
    with connect(settings.require_database_url()) as conn:
        found = find_unknown(conn, Bucket(s3, bucket_name), datasets=["leads"], workspaces=None)
    [upload] = [one.arrival.upload_id for one in found.originals]
    prepare_dagster_home(settings.home)
    with open_instance(settings) as dagster:
        tags = {"dagster/partition": upload, "dagster/run_key": f"{upload}#3"}
        dagster.add_run(DagsterRun("import_leads", tags=tags, status=DagsterRunStatus.SUCCESS))

    assert CliRunner().invoke(app, ["reconcile"]).exit_code == 0

    with connect(settings.require_database_url()) as conn:
        row = get_upload(conn, upload)
    assert row is not None
    assert (row.state, row.launch_number) == ("detected", 4)


def test_a_retry_after_a_restore_takes_a_launch_number_that_dagster_has_not_seen(settings, s3, bucket_name):
    """The run key of the next launch was taken by a run of after the backup: nothing was launched."""
    s3.put_object(Bucket=bucket_name, Key=KEY.format("a.csv"), Body=b"email\n")
    with connect(settings.require_database_url()) as conn:
        found = find_unknown(conn, Bucket(s3, bucket_name), datasets=["leads"], workspaces=None)
        record_found(conn, found.originals, {})
        conn.execute("UPDATE imports.uploads SET state = 'failed', error_code = 'run_failed'")
    [upload] = [one.arrival.upload_id for one in found.originals]
    prepare_dagster_home(settings.home)
    with open_instance(settings) as dagster:
        tags = {"dagster/partition": upload, "dagster/run_key": f"{upload}#7"}
        dagster.add_run(DagsterRun("import_leads", tags=tags, status=DagsterRunStatus.SUCCESS))

    assert CliRunner().invoke(app, ["retry", "--failed"]).exit_code == 0

    with connect(settings.require_database_url()) as conn:
        row = get_upload(conn, upload)
    assert row is not None
    assert (row.state, row.launch_number) == ("detected", 8)
