"""What the fork server of steps and runs has ready before it forks."""

import json
import os
import subprocess
import sys
from typing import Any

from dagster import DagsterInstance
from dagster._core.storage.event_log.migration import ASSET_KEY_INDEX_COLS

from import_pipeline.settings import Settings

READY = """
import gc, json, threading
import psutil
import import_pipeline.orchestration.preload
from babel import localedata
from import_pipeline.definitions import defs
from import_pipeline.flow.reports.page import page_template
from import_pipeline.orchestration import dagster_storage
from import_pipeline.storage import conditions
print(json.dumps({
    "frozen": gc.get_freeze_count(), "templates": page_template.cache_info().currsize,
    "languages": sorted(localedata._cache), "probed": conditions._KNOWN,
    "connections": len(psutil.Process().net_connections()), "threads": threading.active_count(),
    "jobs": {job.name: job._run_config_schema is not None
             for job in defs.get_repository_def().get_all_jobs()},
    "had": [asked[1:] for asked in dagster_storage._HAD],
}))
"""


def loaded(environment: dict[str, str]) -> dict[str, Any]:
    """What a process has that did as the fork server does."""
    done = subprocess.run(
        [sys.executable, "-c", READY],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    return dict(json.loads(done.stdout))


def test_the_fork_server_has_all_ready_that_runs_share_and_is_connected_to_nothing(
    settings: Settings, deployed: DagsterInstance
) -> None:
    ready = loaded({"DAGSTER_HOME": str(settings.home / "dagster")})
    assert ready["probed"] == {settings.aws_endpoint_url: True}
    for asked in (["has_table", "event_logs"], ["has_table", "asset_event_tags"],
                  ["has_asset_key_col", "cached_status_data"], ["has_run_stats_index_cols"],
                  ["has_secondary_index", ASSET_KEY_INDEX_COLS]):  # fmt: skip
        assert asked in ready["had"]
    assert ready["connections"] == 0
    assert ready["threads"] == 1
    assert ready["frozen"] > 100_000
    assert ready["templates"] == 1
    assert {"en", "pt"} <= set(ready["languages"])
    assert ready["jobs"]["import_leads"]
    assert all(ready["jobs"].values())


def test_a_fork_server_that_cannot_ask_the_store_works_all_the_same(
    settings: Settings,
) -> None:
    ready = loaded({"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "DAGSTER_HOME": str(settings.home)})
    assert ready["probed"] == {}
    assert ready["had"] == []
    assert ready["frozen"] > 100_000
