"""The sweep of what dead attempts left in staging, asked for at once instead of by its schedule."""

from import_pipeline_tests.torture.scene import Scene


def sweep(scene: Scene) -> None:
    """Run housekeeping's sweep of staging."""
