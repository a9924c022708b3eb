"""Services of the benchmark's own: a fresh PostgreSQL and emulator in a folder that goes with it."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.ledger.grants import loader_role
from import_pipeline.ledger.migrate import migrate
from import_pipeline.services.running import RunningServices, start_services
from import_pipeline.settings import Settings

FORGOTTEN = ("IMPORT_PIPELINE_", "AWS_", "DAGSTER_")


@contextmanager
def fresh_services(datasets: Mapping[str, Dataset]) -> Iterator[RunningServices]:
    """Services over an empty folder, migrated; nothing of the caller's environment reaches them.

    PostgreSQL is as safe against crashes as in production.
    """
    for name in [name for name in os.environ if name.startswith(FORGOTTEN)]:
        del os.environ[name]
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="import-pipeline-benchmark-") as folder:
        # As root, PostgreSQL runs as another user, who has to get there.
        Path(folder).chmod(0o755)
        os.chdir(folder)  # away from a .env of the developer's
        try:
            with start_services(Settings(home=Path(folder) / "home")) as running:
                settings = running.settings
                migrate(settings.require_owner_database_url(), datasets, loader=loader_role(settings))
                yield running
        finally:
            os.chdir(before)
