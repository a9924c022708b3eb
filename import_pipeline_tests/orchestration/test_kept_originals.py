"""A store that does not delete on condition: imports go on, originals stay, and everyone is told."""

import pytest

from import_pipeline.storage import conditions
from import_pipeline_tests.orchestration.conftest import World

KEY = "uploads/acme/leads/a.csv"


@pytest.mark.parametrize(
    ("rows", "state", "place"),
    [("E-mail;Nome\nana@x.example;Ana\n", "completed", "archive"), ("", "refused", "quarantine")],
)
def test_the_original_stays_beside_its_copy_is_not_imported_again_and_the_run_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch, rows: str, state: str, place: str
) -> None:
    monkeypatch.setattr(conditions, "_KNOWN", {world.s3.meta.endpoint_url: False})

    row = world.import_file(KEY, rows)

    assert row["state"] == state
    assert world.get(KEY) == world.get(f"{place}/acme/leads/{row['short_id']}/a.csv") == rows.encode()
    assert row["original_key"].startswith(place)
    (run,) = world.instance.get_runs()
    said = "\n".join(entry.user_message for entry in world.instance.all_logs(run.run_id))
    assert "The original stays in uploads/" in said
    assert world.tick() == []
    assert world.sql("SELECT count(*) AS n FROM imports.uploads") == [{"n": 1}]


def test_launching_again_finds_the_original_where_it_was_dropped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, "_KNOWN", {world.s3.meta.endpoint_url: False})
    row = world.import_file(KEY, "E-mail;Nome\nana@x.example;Ana\n")
    assert world.launch(row["upload_id"])
    assert world.upload(KEY)["state"] == "completed"
