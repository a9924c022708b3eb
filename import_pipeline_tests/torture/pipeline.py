"""What Dagster's code server of the kill matrix loads: the pipeline's definitions, and the probe."""

from import_pipeline.definitions import defs
from import_pipeline_tests.torture import probe

__all__ = ["defs", "probe"]
