"""`undo` shows, asks and launches; `reimport` brings in again. Runs are of the real job, in this process.

How a run reaches the daemon is held by test_whole_pipeline.py.
"""

import pytest

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.cli import undoing
from import_pipeline.ledger.members import record_expanded
from import_pipeline.ledger.reimports import reimports_of
from import_pipeline.ledger.uploads import get_upload
from import_pipeline.storage.store import LocalStore
from import_pipeline_tests.flow.loading.world import World
from import_pipeline_tests.ledger.conftest import SOURCE, add, inside, move, path_to
from import_pipeline_tests.orchestration.at_once import runs_at_once

LEADS = load_datasets("")["leads"]


@pytest.fixture
def world(settings, tmp_path):
    """Loads uploads into the database that the commands see."""
    urls = settings.require_database_url(), settings.require_owner_database_url()
    return World(*urls, LocalStore(tmp_path / "store"))


@pytest.fixture
def launched(settings, monkeypatch):
    """A Dagster whose runs are executed at once, in this process; gives what was launched."""
    with runs_at_once(monkeypatch) as launches:
        yield launches


def load(world, name, *emails, options=SenderOptions()):  # noqa: B008 - frozen
    """A published upload of leads with these addresses; its upload id."""
    made = world.make(
        LEADS, [{"email": email, "name": email[0]} for email in emails], name=name, options=options
    )
    world.load(made)
    return made.opened.upload_id


def emails(world):
    return [email for (email,) in world.query("SELECT email FROM leads ORDER BY email")]


def test_a_dry_run_shows_what_would_go_and_who_lacks_rows_then_and_changes_nothing(typed, world, launched):
    first = load(world, "a.csv", "ana@x.example", "bia@x.example")
    second = load(world, "b.csv", "bia@x.example", "caio@x.example")

    shown = typed("undo", first[-12:], "--dry-run")

    assert shown.exit_code == 0
    assert "rows taken out  2" in shown.out
    assert f"import-pipeline reimport {second[-12:]}" in shown.out
    assert typed("undo", first, "--dry-run", "--json").json[0]["removed"] == 2
    assert len(emails(world)) == 3
    assert launched == []


def test_an_undo_that_is_wanted_runs_in_dagster_and_says_what_it_did(typed, world, ledger, launched):
    first = load(world, "a.csv", "ana@x.example", "bia@x.example")
    kept = load(world, "b.csv", "caio@x.example")

    undone = typed("undo", "a.csv", "--yes")

    assert undone.exit_code == 0
    assert "undone: 2 rows taken out, 0 as before, 0 left" in undone.words
    assert emails(world) == ["caio@x.example"]
    assert [(one.job_name, one.partition, one.partitions) for one in launched] == [
        ("undo_leads", first, "leads_uploads")
    ]
    assert launched[0].tags["import_pipeline/workspace"] == "acme"
    assert int(launched[0].tags["dagster/max_runtime"]) > 24 * 3600, "as of an import"
    assert get_upload(ledger, kept).state == "completed"
    assert "removed by the undo   2" in typed("status", first).out


def test_an_undo_that_leaves_rows_says_where_all_of_them_are_listed(typed, world, launched):
    first = load(world, "a.csv", "ana@x.example", "bia@x.example")
    world.query("UPDATE leads SET name = 'mine' WHERE email = 'ana@x.example'")
    key = f"reports/acme/leads/{first[-12:]}/undo_left.csv"

    undone = typed("undo", first, "--yes", "--json")

    assert undone.json[0]["undo_left_rows"] == key
    assert f"All rows left: {key}; import-pipeline report {first[-12:]}" in undone.words


@pytest.mark.parametrize(("answer", "left"), [(True, []), (False, ["ana@x.example"])], ids=["yes", "no"])
def test_without_yes_it_asks_first(typed, world, launched, monkeypatch, answer, left):
    load(world, "a.csv", "ana@x.example")
    asked = []
    monkeypatch.setattr(undoing.typer, "confirm", lambda text, **_: asked.append(text) or answer)
    monkeypatch.setattr(undoing, "_is_terminal", lambda: True)

    done = typed("undo", "a.csv")

    assert asked == ["Undo it?"]
    assert done.exit_code == (0 if answer else 1)
    assert emails(world) == left


def test_with_json_it_shows_beside_the_result_what_it_asks_about(typed, world, launched, monkeypatch):
    """It asked, and nobody saw about what."""
    load(world, "a.csv", "ana@x.example")
    monkeypatch.setattr(undoing.typer, "confirm", lambda *_, **__: False)
    monkeypatch.setattr(undoing, "_is_terminal", lambda: True)

    done = typed("undo", "a.csv", "--json")

    assert "rows taken out 1" in done.words
    assert done.out == ""


def test_where_nobody_can_be_asked_nothing_is_undone(typed, world, launched):
    load(world, "a.csv", "ana@x.example")

    done = typed("undo", "a.csv")

    assert done.exit_code == 1
    assert "--yes" in done.words
    assert emails(world) == ["ana@x.example"]


def test_what_cannot_be_undone_is_said_before_anything_is_launched(typed, world, ledger, launched):
    late = load(world, "late.csv", "ana@x.example")
    ledger.execute("UPDATE imports.uploads SET published_at = published_at - interval '40 days'")
    failed = add(ledger, "failed.csv")
    move(ledger, failed, "failed")

    too_late, never = typed("undo", late, "--yes"), typed("undo", failed, "--yes")

    assert (too_late.exit_code, never.exit_code) == (1, 1)
    assert "could be undone for 30 days, until" in too_late.words
    assert "is failed: it has no rows in the table" in never.words
    assert launched == []


def test_a_run_that_fails_ends_the_command_with_its_reason(typed, world, launched, monkeypatch):
    """Somebody may undo it, or the days may be over, between the question and the run."""
    first = load(world, "a.csv", "ana@x.example")
    monkeypatch.setattr(
        "import_pipeline.orchestration.undoing.undo_upload",
        lambda *_, **__: (_ for _ in ()).throw(undoing.NotUndoable("Too late.", remedy="By SQL.")),
    )

    done = typed("undo", first, "--yes", "--json")

    assert done.exit_code == 5
    assert "not undone. Too late. By SQL." in done.words
    assert done.json[0]["undo_error"] == "Too late. By SQL."
    assert emails(world) == ["ana@x.example"]


def test_an_archive_stands_for_the_published_files_in_it(typed, ledger, settings, launched, monkeypatch):
    archive = add(ledger, "leads.zip")
    move(ledger, archive, "running")
    files = [inside(archive, name) for name in ("a.csv", "b.csv", "c.csv")]
    record_expanded(
        ledger, archive, files, source=SOURCE, skipped=0, sha256="0" * 64, options=SenderOptions()
    )
    for file, state in zip(files, ("completed", "completed_with_rejects", "failed"), strict=True):
        move(ledger, file.upload_id, "running")
        move(ledger, file.upload_id, state)
    asked = []
    monkeypatch.setattr(undoing, "_preview", lambda _settings, row, _datasets: asked.append(row) or None)
    monkeypatch.setattr(undoing, "_show_all", lambda rows, previews, to: None)

    typed("undo", "leads.zip", "--yes")

    assert {row.member for row in asked} == {"a.csv", "b.csv"}
    assert sorted(one.partition for one in launched) == sorted(row.upload_id for row in asked)


def test_a_file_of_an_archive_that_cannot_be_undone_is_named_and_the_others_are(
    typed, world, ledger, launched
):
    """Its days being over, the command stopped and did not say which file it was about."""
    late, first, second = (load(world, f"{n}.csv", f"{n}@x.example") for n in "abc")
    archive = add(ledger, "leads.zip")
    move(ledger, archive, "running")
    move(ledger, archive, "expanded")
    ledger.execute("UPDATE imports.uploads SET parent = %s, member = file_name WHERE parent IS NULL"
                   " AND upload_id <> %s", [archive, archive])  # fmt: skip
    ledger.execute("UPDATE imports.uploads SET published_at = '2026-01-01' WHERE upload_id = %s", [late])

    shown, done = typed("undo", "leads.zip", "--dry-run"), typed("undo", "leads.zip", "--yes")

    assert (shown.exit_code, done.exit_code) == (1, 1)
    assert f"{late} cannot be undone: Upload '{late}' was published at" in shown.words
    assert "as if it alone were undone" in shown.words
    assert sorted(one.partition for one in launched) == sorted([first, second])
    assert emails(world) == ["a@x.example"]


@pytest.fixture
def published(typed, leads_file, ledger, settings, s3):
    """A published upload whose original lies in the bucket."""
    from import_pipeline.flow.arrivals.decision import classify
    from import_pipeline.ledger.arrivals import record_arrivals
    from import_pipeline.storage.bucket import Bucket

    typed("upload", leads_file, "-d", "leads", "-w", "acme")
    listed = Bucket(s3, settings.require_bucket()).list_objects()
    [arrival] = classify(listed, datasets=["leads"], workspaces=None, known=())
    record_arrivals(ledger, [arrival])
    move(ledger, arrival.upload_id, "running")
    move(ledger, arrival.upload_id, "completed_with_rejects")
    return arrival.upload_id


def test_a_reimport_waits_for_the_sensor_as_an_upload_of_its_own(typed, ledger, published):
    done = typed("reimport", published, "--json")
    again = typed("reimport", published)

    assert (done.exit_code, again.exit_code) == (0, 0)
    [found] = reimports_of(ledger, published)
    assert done.json[0]["upload_id"] == found.upload_id != published
    assert (found.state, found.original_key) == ("detected", f"archive/acme/leads/{found.short_id}/leads.csv")
    assert "on its way again already" in again.words
    shown = typed("status", found.upload_id).out
    assert shown.split("brings in again")[1].split()[0] == published


@pytest.mark.parametrize(("state", "words"), [
    ("undone", "import-pipeline retry"), ("failed", "import-pipeline retry"), ("running", "Wait until it is"),
])  # fmt: skip
def test_what_is_not_published_is_not_brought_in_again(typed, ledger, settings, state, words):
    upload = add(ledger, "a.csv")
    for step in path_to(state)[1:]:
        move(ledger, upload, step)

    done = typed("reimport", upload)

    assert done.exit_code == 1
    assert words in done.words
    assert reimports_of(ledger, upload) == []


def test_neither_a_correction_nor_an_upload_without_original_comes_in_again(typed, ledger, published, s3):
    ledger.execute('UPDATE imports.uploads SET details = \'{"split": {"targets": "staging/x/"}}\'')
    correction = typed("reimport", published)
    ledger.execute("UPDATE imports.uploads SET details = '{}'")
    s3.delete_object(Bucket=get_upload(ledger, published).bucket, Key=get_upload(ledger, published).key)
    gone = typed("reimport", published)

    assert (correction.exit_code, gone.exit_code) == (1, 1)
    assert f"import-pipeline undo {published[-12:]}" in correction.words
    assert "Upload the file again." in gone.words
    assert reimports_of(ledger, published) == []


def test_rows_without_a_key_never_come_in_twice(typed, ledger, published, monkeypatch):
    from dataclasses import replace

    keyless = {"leads": replace(LEADS, key=())}
    monkeypatch.setattr("import_pipeline.cli.connecting.datasets_of", lambda _: keyless)

    done = typed("reimport", published)

    assert done.exit_code == 1
    assert "would come in a second time" in done.words
    assert reimports_of(ledger, published) == []
