"""Everything Dagster sees, put together anew at each call."""

from collections.abc import Mapping
from typing import Any

from dagster import Definitions

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.orchestration.assets import build_assets
from import_pipeline.orchestration.executor import build_executor
from import_pipeline.orchestration.housekeeping import build_housekeeping
from import_pipeline.orchestration.jobs import build_job
from import_pipeline.orchestration.resources import build_resources
from import_pipeline.orchestration.schedules import build_retry_schedule
from import_pipeline.orchestration.sensors import build_sensor
from import_pipeline.orchestration.undoing import build_undo_job
from import_pipeline.settings import load_settings


def build_defs(
    *, datasets: Mapping[str, Dataset] | None = None, resource_overrides: Mapping[str, Any] | None = None
) -> Definitions:
    """Assets, jobs, schedules and the sensor of all datasets.

    Args:
        datasets: by name; default: all that discovery finds.
        resource_overrides: resources to use instead of the usual ones, by key.

    Raises:
        ConfigurationError: a dataset's declaration cannot work, or two clash.
    """
    settings = load_settings()
    datasets = load_datasets(settings.datasets) if datasets is None else datasets
    assets = {name: build_assets(dataset) for name, dataset in datasets.items()}
    jobs = {name: build_job(datasets[name], built.imports) for name, built in assets.items()}
    undos = [build_undo_job(dataset) for dataset in datasets.values()]
    housekeeping = build_housekeeping(datasets, [job.name for job in jobs.values()])
    return Definitions(
        assets=[asset for built in assets.values() for asset in (built.uploads, built.imports)],
        jobs=[*jobs.values(), *undos, *housekeeping.jobs],
        schedules=[
            *(build_retry_schedule(datasets[name], job) for name, job in jobs.items()),
            *housekeeping.schedules,
        ],
        sensors=[build_sensor(datasets, list(jobs.values()), settings.sensor_interval_seconds)],
        resources={**build_resources(), **(resource_overrides or {})},
        executor=build_executor(settings.processes),
    )
