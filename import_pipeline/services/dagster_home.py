"""Dagster's home folder for local use: deploy/dagster.yaml in a folder of its own.

Starting Dagster in it is the caller's; its storage is PostgreSQL, named by the environment.
"""

from pathlib import Path

from import_pipeline.services.files import deploy_text


def prepare_dagster_home(home: Path) -> Path:
    """Write `<home>/dagster/dagster.yaml`; give the folder to children as DAGSTER_HOME.

    Args:
        home: folder of the local services (`settings.home`).

    Returns:
        The absolute path of `<home>/dagster`.
    """
    folder = home.absolute() / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "dagster.yaml"
    wanted = deploy_text("dagster.yaml")
    # Other processes may be reading it: replaced at once, and only when it changed.
    if not place.exists() or place.read_text(encoding="utf-8") != wanted:
        beside = folder / "dagster.yaml.new"
        beside.write_text(wanted, encoding="utf-8")
        beside.replace(place)
    return folder
