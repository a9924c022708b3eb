"""The files of `deploy/` that local services use too, so that local and production agree.

`deployed/` beside this module holds links to them; a built package holds their content.
"""

from importlib import resources
from typing import Literal

DeployFile = Literal["roles.sql", "database.sql", "pipeline.json", "dagster.yaml"]


def deploy_text(name: DeployFile) -> str:
    """The text of one file of `deploy/`."""
    return (resources.files("import_pipeline.services") / "deployed" / name).read_text(encoding="utf-8")
