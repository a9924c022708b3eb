"""`doctor` names what is missing; `migrate` says what it did."""

import pytest

from import_pipeline.cli.doctor import Finding, _judge_connections, examine
from import_pipeline.orchestration.control import open_instance, set_pool_limits
from import_pipeline.services.dagster_home import prepare_dagster_home
from import_pipeline.settings import Settings, load_settings
from import_pipeline.storage import conditions
from import_pipeline_tests.ledger.conftest import add, move
from import_pipeline_tests.queues import queue_of


def findings(settings: Settings) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(settings)}


def test_what_works_is_ok_and_what_is_missing_says_what_to_do(settings):
    prepare_dagster_home(settings.home)

    found = findings(settings)

    wrong = {name for name, finding in found.items() if not finding.ok}
    assert wrong == {"daemon", "sensor", "pool limits"}
    assert all(found[name].remedy for name in wrong)
    assert {
        "S3",
        "conditional deletes",
        "PostgreSQL",
        "tables",
        "Dagster storage",
        "run workers",
        "disk",
        "ignored uploads",
    } <= found.keys() - wrong


def test_a_store_that_ignores_conditions_on_deletes_is_named_with_what_follows(settings, monkeypatch):
    monkeypatch.setattr(conditions, "_delete", lambda client, place, etag: 204)

    found = findings(settings)["conditional deletes"]

    assert not found.ok
    assert "stay in uploads/" in found.remedy


def test_pool_limits_are_ok_once_they_are_set(settings):
    prepare_dagster_home(settings.home)
    with open_instance(settings) as instance:
        set_pool_limits(instance, settings)

    assert findings(settings)["pool limits"].ok


def test_a_dagster_that_writes_another_clock_than_utcs_is_named_with_what_to_do(settings, monkeypatch):
    monkeypatch.setenv("PGTZ", "Europe/London")  # UTC in winter only
    place = prepare_dagster_home(settings.home) / "dagster.yaml"
    assert findings(settings)["Dagster storage"].ok, "ours are in UTC whatever the server's zone"
    text = place.read_text(encoding="utf-8")
    dagsters = text.replace("import_pipeline.orchestration.dagster_storage", "dagster_postgres")
    place.write_text(dagsters.replace("PooledPostgresStorage", "DagsterPostgresStorage"), encoding="utf-8")

    found = findings(settings)["Dagster storage"]

    assert not found.ok
    assert "in Europe/London" in found.text
    assert "SET timezone TO 'UTC'" in found.remedy


@pytest.mark.parametrize("left_out", ["run_launcher:", "run_monitoring:"])
def test_a_dagster_that_does_not_watch_its_run_workers_is_named_with_what_to_do(settings, left_out):
    place = prepare_dagster_home(settings.home) / "dagster.yaml"
    text = place.read_text(encoding="utf-8")
    assert left_out in text
    parts = text.split("\n\n")
    place.write_text("\n\n".join(part for part in parts if left_out not in part), encoding="utf-8")

    found = findings(settings)["run workers"]

    assert not found.ok
    assert "deploy/dagster.yaml" in found.remedy


def test_more_connections_than_postgresql_allows_are_named_with_what_to_do(settings):
    prepare_dagster_home(settings.home)

    (few, many, any_number) = (_judge_connections(needed, settings) for needed in (4, 10_000, None))

    assert findings(settings)["connections"].ok
    assert few.ok
    assert not many.ok
    assert "PostgreSQL allows 197" in many.text
    assert "max_connections" in many.remedy
    assert "max_concurrent_runs" in any_number.remedy


def test_nothing_is_running_and_each_line_still_says_what_to_do(typed):
    looked = typed("doctor", "--json")

    assert looked.exit_code == 1
    wrong = [finding for finding in looked.json if not finding["ok"]]
    assert {finding["name"] for finding in wrong} == {"S3", "PostgreSQL", "Dagster", "uploads"}
    assert all("import-pipeline dev" in finding["remedy"] for finding in wrong)


def test_a_bucket_that_is_not_there_names_the_rights_it_needs(settings, monkeypatch):
    monkeypatch.setenv("IMPORT_PIPELINE_BUCKET", "no-such-bucket-anywhere")

    finding = findings(load_settings())["S3"]

    assert not finding.ok
    assert "no-such-bucket-anywhere" in finding.text
    assert "deploy/" in finding.remedy


def test_a_postgresql_that_is_down_does_not_hide_the_rest(settings, monkeypatch):
    monkeypatch.setenv("IMPORT_PIPELINE_DATABASE_URL", "postgresql://x:y@127.0.0.1:9/none")

    found = findings(load_settings())

    assert not found["PostgreSQL"].ok
    assert found["S3"].ok and found["disk"].ok


def test_uploads_that_do_not_move_by_themselves_are_named(settings, ledger):
    add(ledger, "lost.csv", workspace=None, ignored="There is no workspace.")
    failed = add(ledger, "failed.csv")
    move(ledger, failed, "failed")
    stuck = add(ledger, "stuck.csv")
    ledger.execute(
        "UPDATE imports.uploads SET detected_at = now() - interval '2 days' WHERE upload_id = %s", [stuck]
    )

    found = findings(settings)

    assert "There is no workspace." in found["ignored uploads"].text
    assert stuck in found["stuck uploads"].text
    assert "retry --failed" in found["failed uploads"].remedy


@pytest.fixture
def unmigrated(settings, database_url, as_owner, monkeypatch):
    """The settings of a database with schemas and rights only."""
    monkeypatch.setenv("IMPORT_PIPELINE_DATABASE_URL", database_url)
    monkeypatch.setenv("IMPORT_PIPELINE_OWNER_DATABASE_URL", as_owner(database_url))
    return load_settings()


def test_a_database_without_tables_says_what_to_type(typed, unmigrated):
    refused = typed("status")

    assert refused.exit_code == 1
    assert "import-pipeline migrate" in refused.err
    assert findings(unmigrated)["tables"].remedy == "Type `import-pipeline migrate`."


def test_migrate_says_what_it_did_and_then_that_nothing_is_left(typed, unmigrated):
    first, second = typed("migrate"), typed("migrate")

    assert first.exit_code == second.exit_code == 0
    assert "public.leads" in first.err and "public.vehicles" in first.err
    assert "Nothing to do" in second.err
    assert findings(unmigrated)["tables"].ok


def test_the_queue_is_looked_at_if_there_is_one(services, settings, monkeypatch):
    assert "queue" not in findings(settings)
    with queue_of(services, settings.require_bucket()) as queue:
        monkeypatch.setenv("IMPORT_PIPELINE_QUEUE_URL", queue.url)
        good = findings(load_settings())["queue"]
        queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": ""})
        lacking = findings(load_settings())["queue"]
        monkeypatch.setenv("IMPORT_PIPELINE_QUEUE_URL", queue.dead_letters)
        foreign = findings(load_settings())["queue"]

    assert good.ok
    assert "-dead after 2 receives" in good.text
    assert (lacking.ok, foreign.ok) == (False, False)
    assert "no dead-letter queue" in lacking.text
    assert "deploy/sqs/pipeline.json" in foreign.remedy
