"""The door Dagster loads: `defs`, and nothing else. What is in it stands in `orchestration/build.py`."""

from import_pipeline.orchestration.build import build_defs

defs = build_defs()
