"""Datasets without `keep_original`: an original goes only once its rows are in the table."""

import pytest

from import_pipeline_tests.orchestration import archives
from import_pipeline_tests.orchestration.archives import keep_no_originals, originals_of
from import_pipeline_tests.orchestration.conftest import World

KEY = "uploads/acme/leads/leads.csv"
LEADS = "E-mail;Nome\nana@exemplo.com;Ana\n"


@pytest.fixture(autouse=True)
def _keep_none(world: World) -> None:
    keep_no_originals(world)


def test_an_original_outlives_its_dry_run_and_goes_after_its_import(world: World) -> None:
    """The dry run deleted it: the import that was to follow found no file."""
    world.put(KEY, LEADS)
    world.tick(run=False)
    upload_id = world.upload(KEY)["upload_id"]

    assert world.launch(upload_id, dry_run=True)
    row = world.upload(KEY)
    assert row["state"] == "checked"
    assert originals_of(world) == [f"archive/acme/leads/{row['short_id']}/leads.csv"]

    assert world.launch(upload_id)
    assert (world.upload(KEY)["state"], originals_of(world)) == ("completed", [])
    assert world.upload(KEY)["original_key"] is None


def test_an_archive_outlives_its_dry_run_until_the_last_file_in_it_is_imported(world: World) -> None:
    world.put(archives.KEY, archives.zipped(archives.FILES))
    world.tick(run=False)
    expanded = archives.archive(world)
    assert world.launch(expanded["upload_id"], dry_run=True)
    world.tick()
    assert set(archives.states(world).values()) == {"checked"}
    assert originals_of(world) == [archives.archived(expanded)]

    first, second = (row["upload_id"] for row in archives.members(world).values())
    assert world.launch(first)
    assert originals_of(world) == [archives.archived(expanded)], "the other one is still to be imported"
    assert world.launch(second)
    assert set(archives.states(world).values()) == {"completed"}
    assert originals_of(world) == []
    assert archives.archive(world)["original_key"] is None
