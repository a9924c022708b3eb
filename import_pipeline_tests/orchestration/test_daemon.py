"""The pipeline as it really runs: Dagster's daemon, run queue, run workers and web server.

One pipeline serves all tests of this file, so each works in a workspace of its own, and all of them in one
pytest-xdist worker (`--dist loadfile`). Files above 5 MB have a process a step.
"""

import contextlib
import itertools
import json
import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from dagster import AssetKey, AssetRecordsFilter, DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.utils import make_new_run_id
from psycopg.rows import dict_row

from import_pipeline.cli.connecting import open_bucket
from import_pipeline.ledger.outcomes import requeue
from import_pipeline.local_pipeline import RunningPipeline, start_pipeline
from import_pipeline.orchestration.control import connections_of_runs, open_instance
from import_pipeline.orchestration.pools import pool_limits
from import_pipeline.services.processes import choose_port
from import_pipeline.settings import DAGSTER_SCHEME, Settings
from import_pipeline_tests.waiting import wait_until

pytestmark = pytest.mark.timeout(600)

SECONDS = 240.0
IMPORTED = AssetKey(["imported", "leads"])


class Daemon:
    """A running pipeline, with what tests ask of it."""

    def __init__(self, pipeline: RunningPipeline, instance: DagsterInstance):
        self.pipeline = pipeline
        self.settings = pipeline.settings
        self.instance = instance
        self.bucket = open_bucket(pipeline.settings)

    def put(self, workspace: str, name: str, text: str) -> str:
        key = f"uploads/{workspace}/leads/{name}"
        self.bucket.put_bytes(key, text.encode())
        return key

    def sql(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.settings.require_database_url(), row_factory=dict_row) as conn:
            cursor = conn.execute(query, values)  # type: ignore[call-overload]
            return cursor.fetchall()

    def upload(self, key: str) -> dict[str, Any]:
        rows = self.sql("SELECT * FROM imports.uploads WHERE key = %s", key)
        return rows[0] if rows else {"state": "unknown", "reported_at": None, "run_id": None}

    def reported(self, key: str) -> dict[str, Any]:
        """The upload's row once its report is written."""
        return wait_until(
            lambda: row if (row := self.upload(key))["reported_at"] is not None else None, SECONDS
        )

    def running(self, key: str, state: str) -> dict[str, Any]:
        """The upload's row once a batch of it is in `state`."""

        def found() -> dict[str, Any] | None:
            row = self.upload(key)
            if row["state"] != "running":
                return None
            batches = self.sql(
                "SELECT 1 AS x FROM imports.batches WHERE upload_id = %s AND state = %s",
                row["upload_id"],
                state,
            )
            return row if batches else None

        return wait_until(found, SECONDS)

    def count(self, workspace: str) -> int:
        return int(self.sql("SELECT count(*) AS n FROM leads WHERE _workspace = %s", workspace)[0]["n"])

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self.pipeline.url}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.loads(answer.read())
        assert "errors" not in found, found
        return dict(found["data"])


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("pipeline")
    for folder in [home, *home.parents]:
        if folder.stat().st_uid == os.getuid() and folder != Path("/tmp"):
            folder.chmod(0o755)
    settings = Settings(home=home, sensor_interval_seconds=2, fan_out_mb=5)
    port = choose_port(0, "test")
    with (
        start_pipeline(settings, ui_port=port, say=lambda _: None) as pipeline,
        open_instance(pipeline.settings, home / "dagster") as instance,
    ):
        yield Daemon(pipeline, instance)


def leads(rows: int, name: str) -> str:
    filler = "observação sem importância, só para dar peso ao arquivo " * 3
    lines = (f"{name}{n}@exemplo.com;Nome {n};{n},50;{filler}" for n in range(rows))
    return "E-mail;Nome;Valor estimado;Observações\n" + "\n".join(lines) + "\n"


def test_two_first_runs_at_once_on_a_fresh_database_both_import(daemon: Daemon) -> None:
    """A pool limit written by the first op that needs it made concurrent first runs fail."""
    keys = [daemon.put("first", f"{n}.csv", f"E-mail;Nome\na{n}@exemplo.com;A\n") for n in range(2)]

    rows = [daemon.reported(key) for key in keys]

    assert [(row["state"], row["inserted"], row["attempts"]) for row in rows] == [("completed", 1, 1)] * 2
    assert daemon.count("first") == 2
    limits = {p.name: p.limit for p in daemon.instance.event_log_storage.get_pool_limits()}
    assert limits == pool_limits(daemon.settings.database_connections)
    materialized = daemon.instance.get_materialized_partitions(IMPORTED)
    assert {row["upload_id"] for row in rows} <= materialized


def test_daemon_and_ui_share_one_code_server(daemon: Daemon) -> None:
    servers = 0
    for process in daemon.pipeline.supervisor.processes:
        for below in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # a run of the test before may be ending
                servers += below.cmdline()[2:5] == ["dagster", "api", "grpc"]
    assert servers == 1


def test_live_progress_rises_at_most_once_a_second_and_tells_the_time_left(daemon: Daemon) -> None:
    key = daemon.put("progress", "large.csv", leads(100_000, "p"))
    row = daemon.reported(key)

    wanted = AssetRecordsFilter(asset_key=IMPORTED, asset_partitions=[row["upload_id"]])
    records = daemon.instance.fetch_observations(wanted, limit=1000, ascending=True).records
    seen = [(r.event_log_entry.timestamp, r.event_log_entry.asset_observation.metadata) for r in records]
    times = [at for at, _ in seen]
    percents = [metadata["percent"].value for _, metadata in seen]
    materialized = daemon.instance.fetch_materializations(wanted, limit=1).records
    done = materialized[0].event_log_entry.timestamp
    assert row["inserted"] == 100_000
    assert len([at for at in times if at < done]) >= 5
    assert percents == sorted(percents)
    said = daemon.sql(
        "SELECT extract(epoch FROM at)::float8 AS at FROM imports.events WHERE upload_id = %s "
        "AND percent IS NOT NULL ORDER BY id",
        row["upload_id"],
    )
    gaps = [b["at"] - a["at"] for a, b in itertools.pairwise(said)]
    assert len(said) == len(seen)
    assert min(gaps) >= 1.0
    second_half = [(at, m["seconds left"].value) for at, m in seen if m["percent"].value >= 50]
    assert second_half
    # The median: one estimate may be off while another process takes the machine.
    ratios = sorted(max(left, 0.5) / max(done - at, 0.5) for at, left in second_half)
    assert 1 / 3 <= ratios[len(ratios) // 2] <= 3, ratios


def test_a_killed_run_worker_and_a_fresh_launch_load_every_row_once(daemon: Daemon) -> None:
    key = daemon.put("killed", "large.csv", leads(50_000, "k"))
    row = daemon.running(key, "checked")

    os.kill(_run_worker(daemon, row["run_id"]), signal.SIGKILL)
    wait_until(lambda: _is_finished(daemon, row["run_id"]), SECONDS)
    _launch_from_the_asset_page(daemon, row["upload_id"])

    after = daemon.reported(key)
    assert (after["state"], after["read"], after["inserted"]) == ("completed", 50_000, 50_000)
    assert daemon.count("killed") == 50_000
    assert after["run_id"] != row["run_id"]


def test_a_run_that_was_created_and_never_submitted_is_submitted_and_no_other_made(daemon: Daemon) -> None:
    """As a daemon leaves it that is killed between; Dagster's monitoring fails it after three minutes."""
    key = daemon.put("left", "a.csv", "no;such;columns\n1;2;3\n")
    refused = daemon.reported(key)
    ran = daemon.instance.get_run_by_id(refused["run_id"])
    assert ran is not None and refused["state"] == "refused"
    second = {**ran.tags, "dagster/run_key": f"{refused['upload_id']}#2"}
    left = ran.with_status(DagsterRunStatus.NOT_STARTED).with_tags(second)._replace(run_id=make_new_run_id())
    daemon.instance.add_run(left)
    url = str(daemon.settings.require_dagster_database_url()).replace(DAGSTER_SCHEME, "postgresql://", 1)
    with psycopg.connect(url) as dagsters:
        dagsters.execute(
            "UPDATE runs SET create_timestamp = create_timestamp - interval '130 seconds' WHERE run_id = %s",
            [left.run_id],
        )
    with psycopg.connect(daemon.settings.require_database_url()) as conn:
        conn.execute("UPDATE imports.uploads SET token_created = token_created - 300 WHERE key = %s", [key])
        assert requeue(conn, [refused["upload_id"]]) == [refused["upload_id"]]

    again = daemon.reported(key)

    assert (again["state"], again["run_id"]) == ("refused", left.run_id)
    runs = daemon.instance.get_runs(RunsFilter(tags={"dagster/partition": refused["upload_id"]}))
    assert {run.run_id for run in runs} == {ran.run_id, left.run_id}


def test_a_run_cancelled_while_running_loads_nothing(daemon: Daemon) -> None:
    key = daemon.put("cancelled", "large.csv", leads(50_000, "c"))
    row = daemon.running(key, "checked")

    assert daemon.instance.run_coordinator.cancel_run(row["run_id"])

    wait_until(lambda: daemon.upload(key)["state"] == "cancelled", SECONDS)
    assert daemon.count("cancelled") == 0
    assert daemon.bucket.exists(key), "the original stays where it was"


def test_no_secret_is_shown_by_resources_or_run_config(daemon: Daemon) -> None:
    key = daemon.put("secrets", "one.csv", "E-mail;Nome\ns@exemplo.com;S\n")
    row = daemon.reported(key)
    shown = daemon.graphql(
        """
        query Shown($run: ID!) {
          runOrError(runId: $run) { ... on Run { runConfigYaml tags { key value } } }
          repositoriesOrError { ... on RepositoryConnection { nodes {
            allTopLevelResourceDetails { name configFields { name } configuredValues { key value type } }
          } } }
        }
        """,
        run=row["run_id"],
    )
    text = json.dumps(shown)
    settings = daemon.settings
    secrets = [
        settings.require_database_url().split(":")[2].split("@")[0],
        settings.aws_secret_access_key.get_secret_value(),  # type: ignore[union-attr]
    ]
    assert "io_manager" in text
    assert "import_pipeline/workspace" in text
    for secret in secrets:
        assert len(secret) > 8
        assert secret not in text


@pytest.mark.slow
def test_twenty_runs_at_once_hold_no_more_connections_than_allowed(daemon: Daemon) -> None:
    """Two of them with a process a batch; all connections by name, and those that the pools bound."""
    keys = [daemon.put(f"many{n % 5}", f"{n}.csv", leads(2_000, f"m{n}x")) for n in range(18)]
    keys += [daemon.put(f"many{n}", "large.csv", leads(40_000, f"l{n}x")) for n in range(2)]
    most = {"all": 0, "pooled": 0}

    def all_done() -> bool:
        (held,) = daemon.sql(
            "SELECT count(*) AS all, count(*) FILTER (WHERE application_name IN ('import_pipeline',"
            " 'import_pipeline stage_batch', 'import_pipeline publish_upload')) AS pooled"
            " FROM pg_stat_activity WHERE application_name LIKE 'import_pipeline%%'"
        )
        most.update({name: max(most[name], int(held[name])) for name in most})
        return all(daemon.upload(key)["reported_at"] is not None for key in keys)

    wait_until(all_done, 550)
    assert 0 < most["pooled"] <= daemon.settings.database_connections
    allowed = connections_of_runs(daemon.instance, daemon.settings)
    assert allowed is not None
    assert most["pooled"] < most["all"] <= allowed
    assert sum(daemon.count(f"many{n}") for n in range(5)) == 18 * 2_000 + 2 * 40_000


def _run_worker(daemon: Daemon, run_id: str) -> int:
    """The process id of a run's worker, as Dagster's event log tells it."""
    said = " ".join(
        entry.user_message + str(entry.dagster_event) for entry in daemon.instance.all_logs(run_id)
    )
    found = re.search(r"parent process \(pid: (\d+)\)", said)
    assert found, said
    return int(found[1])


def _is_finished(daemon: Daemon, run_id: str) -> bool:
    run = daemon.instance.get_run_by_id(run_id)
    return run is not None and run.is_finished


def _launch_from_the_asset_page(daemon: Daemon, upload_id: str) -> None:
    """What the Materialize button does: Dagster's implicit asset job, both assets, no config."""
    launched = daemon.graphql(
        """
        mutation Launch($params: ExecutionParams!) {
          launchPipelineExecution(executionParams: $params) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
          }
        }
        """,
        params={
            "mode": "default",
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": upload_id}]},
            "runConfigData": "{}",
            "selector": {
                "repositoryLocationName": "import_pipeline.definitions",
                "repositoryName": "__repository__",
                "pipelineName": "__ASSET_JOB",
                "assetSelection": [{"path": ["imported", "leads"]}, {"path": ["rejected", "leads"]}],
                "assetCheckSelection": [
                    {"assetKey": {"path": ["imported", "leads"]}, "name": "counts_balance"},
                    {"assetKey": {"path": ["imported", "leads"]}, "name": "share_of_rejects"},
                ],
            },
        },
    )
    assert launched["launchPipelineExecution"]["__typename"] == "LaunchRunSuccess", launched
