"""Names of the run tags, pools and keys that the Dagster layer uses; nothing is decided here."""

from dagster import AssetKey, DynamicPartitionsDefinition

from import_pipeline.catalog.dataset import Dataset

WORKSPACE = "import_pipeline/workspace"
DATASET = "import_pipeline/dataset"
FILE = "import_pipeline/file"
LANE = "import_pipeline/lane"
LARGE = "large"
SHORT_ID = "import_pipeline/short_id"

UNDO_JOB = "undo_"

STAGING_POOL = "imports_staging"
PUBLISHING_POOL = "imports_publishing"

COUNTS_CHECK = "counts_balance"
REJECTS_CHECK = "share_of_rejects"

TIMED_OUT = "import_pipeline/timed_out"
RUNTIME_GRACE_SECONDS = 600

# A dead worker is Dagster's to retry; an op that failed has had its own retries, and a refused
# file has none at any level.
NO_RUN_RETRY = {"dagster/retry_on_asset_or_op_failure": "false"}


def uploads_key(dataset: Dataset) -> AssetKey:
    """The external asset: files in the bucket."""
    return AssetKey(["uploads", dataset.name])


def imported_key(dataset: Dataset) -> AssetKey:
    """The asset of rows in the dataset's table."""
    return AssetKey(["imported", dataset.name])


def rejected_key(dataset: Dataset) -> AssetKey:
    """The asset of rows handed back to the sender."""
    return AssetKey(["rejected", dataset.name])


def uploads_partitions(dataset: Dataset) -> DynamicPartitionsDefinition:
    """One dynamic partition an upload, one set a dataset."""
    return DynamicPartitionsDefinition(name=f"{dataset.name}_uploads")


def job_name(dataset: Dataset) -> str:
    """The job that imports one upload of the dataset."""
    return f"import_{dataset.name}"


def undo_job_name(dataset: Dataset) -> str:
    """The job that undoes one upload of the dataset."""
    return f"{UNDO_JOB}{dataset.name}"


def is_undo_job(name: str) -> bool:
    """Whether runs of this job undo uploads: they import nothing, and end no import."""
    return name.startswith(UNDO_JOB)


def run_tags(*, workspace: str, dataset: str, file_name: str, lane: str, short_id: str) -> dict[str, str]:
    """Tags of a run; limits in dagster.yaml and searches in the UI go by them."""
    return {
        WORKSPACE: workspace,
        DATASET: dataset,
        FILE: "".join(c if c.isprintable() else "_" for c in file_name)[:200],
        LANE: lane,
        SHORT_ID: short_id,
        **NO_RUN_RETRY,
    }


def max_runtime(hours: float) -> dict[str, str]:
    """The tag by which Dagster's run monitoring ends a run that nothing else ended.

    Later than the sensor and the run itself, which say why in the ledger.
    """
    return {"dagster/max_runtime": str(int(hours * 3600 + RUNTIME_GRACE_SECONDS))}


def check_output(dataset: Dataset, check: str) -> str:
    """Name of the graph output that carries a check of `imported/<dataset>`, as Dagster derives it."""
    return f"imported__{dataset.name}_{check}"


def lane_of(size: int, small_file_mb: float) -> str:
    """`small` for files under the limit (in megabytes of 10^6 bytes), else `large`."""
    return "small" if size < small_file_mb * 1_000_000 else LARGE
