"""The world that loading's tests play in."""

from collections.abc import Callable
from pathlib import Path

import pytest

from import_pipeline.storage.store import LocalStore
from import_pipeline_tests.flow.loading.world import World


@pytest.fixture
def world(migrated_url: str, as_owner: Callable[[str], str], tmp_path: Path) -> World:
    """A migrated database and an empty store."""
    return World(migrated_url, as_owner(migrated_url), LocalStore(tmp_path / "store"))
