"""One job a dataset: `import_<dataset>`, one run an upload."""

from dagster import AssetsDefinition, define_asset_job
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.orchestration.tags import DATASET, NO_RUN_RETRY, job_name


def build_job(dataset: Dataset, imports: AssetsDefinition) -> UnresolvedAssetJobDefinition:
    """The job that imports one upload; materializes both of the dataset's assets together."""
    return define_asset_job(
        job_name(dataset),
        selection=list(imports.keys),
        description=f"Import one upload of {dataset.name}: the partition says which.",
        tags={DATASET: dataset.name, **NO_RUN_RETRY},
    )
