"""The sweep of what dead attempts left in staging, asked for at once instead of by its schedule."""

from datetime import UTC, datetime

import psycopg

from import_pipeline.flow.housekeeping.days import kept_days
from import_pipeline.flow.housekeeping.house import House
from import_pipeline.flow.housekeeping.sweeping import sweep_objects, sweep_tables
from import_pipeline.orchestration.forgetting import active_in
from import_pipeline.storage.bucket import Bucket
from import_pipeline_tests.torture.scene import Scene


def sweep(scene: Scene) -> None:
    """Housekeeping's sweep of staging, as the loader."""
    settings = scene.world.settings
    bucket = Bucket(scene.world.s3, scene.world.bucket)
    with psycopg.connect(settings.require_database_url(), autocommit=True) as conn:
        house = House(conn, bucket, kept_days(settings), datetime.now(UTC), active_in(scene.instance))
        sweep_tables(house)
        sweep_objects(house)
