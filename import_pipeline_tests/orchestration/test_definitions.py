"""What Dagster sees when it loads the project."""

import subprocess
import sys
from pathlib import Path

from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.orchestration.build import build_defs

ROOT = Path(__file__).parents[2]

NAMES = """
from import_pipeline.definitions import defs
repository = defs.get_repository_def()
print(sorted(job.name for job in repository.get_all_jobs()))
print(sorted(sensor.name for sensor in repository.sensor_defs))
print(sorted(schedule.name for schedule in repository.schedule_defs))
print(sorted(key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()))
print(sorted(key.to_user_string() for key in repository.asset_graph.asset_check_keys))
"""


def test_definitions_load_with_no_environment_and_have_exactly_these_names(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NAMES],
        cwd=tmp_path,
        env={"PATH": "/usr/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "['__ASSET_JOB', 'housekeeping_retention', 'housekeeping_sweep', 'import_leads', 'import_vehicles', "
        "'undo_leads', 'undo_vehicles']",
        "['new_uploads']",
        "['daily_retention', 'hourly_sweep', 'retry_failed_leads', 'retry_failed_vehicles']",
        "['imported/leads', 'imported/vehicles', 'rejected/leads', 'rejected/vehicles', "
        "'uploads/leads', 'uploads/vehicles']",
        "['imported/leads:counts_balance', 'imported/leads:share_of_rejects', "
        "'imported/vehicles:counts_balance', 'imported/vehicles:share_of_rejects']",
    ]


def test_no_module_of_the_core_imports_dagster() -> None:
    code = (
        "import sys, pkgutil, importlib, import_pipeline\n"
        "for name in ('flow', 'datasets', 'catalog', 'ledger', 'storage'):\n"
        "    package = importlib.import_module(f'import_pipeline.{name}')\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if '.migrations' not in module.name:\n"
        "            importlib.import_module(module.name)\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0].startswith('dagster')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_the_sensor_and_housekeeping_are_on_by_default_and_retries_are_off() -> None:
    repository = build_defs(datasets=load_datasets("")).get_repository_def()

    assert repository.get_sensor_def("new_uploads").default_status.value == "RUNNING"
    on = {s.name for s in repository.schedule_defs if s.default_status.value == "RUNNING"}
    assert on == {"hourly_sweep", "daily_retention"}


def test_assets_carry_kinds_tags_and_the_tables_columns() -> None:
    repository = build_defs(datasets=load_datasets("")).get_repository_def()
    node = next(n for n in repository.asset_graph.asset_nodes if n.key.to_user_string() == "imported/leads")
    columns = node.metadata["dagster/column_schema"].value.columns

    assert {"postgres"} <= node.kinds
    assert [column.name for column in columns][:2] == ["email", "name"]
    assert {c.name: c.type for c in columns}["estimated_value"] == "numeric(14,2)"
    assert not next(c for c in columns if c.name == "email").constraints.nullable
