"""Jobs `undo_<dataset>`: take one upload out of its table again, and say so where the import said its part.

What an undo does to rows is `flow/loading/undoing.py`'s. Here: one op, what Dagster is told, who retries.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetMaterialization,
    AssetObservation,
    AssetRecordsFilter,
    Config,
    JobDefinition,
    MetadataValue,
    OpDefinition,
    OpExecutionContext,
    in_process_executor,
    job,
    op,
)
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from pydantic import Field

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import NotUndoable
from import_pipeline.flow.loading.counting import count_in_table
from import_pipeline.flow.loading.undoing import undo_upload
from import_pipeline.flow.reports.markdown import markdown_table
from import_pipeline.ledger.connection import connect, translated_errors
from import_pipeline.ledger.rows import UploadRow
from import_pipeline.ledger.uploads import get_upload
from import_pipeline.orchestration.failures import told_to_dagster, without_values
from import_pipeline.orchestration.launching import Launch
from import_pipeline.orchestration.metadata import Metadata
from import_pipeline.orchestration.session import require_partition
from import_pipeline.orchestration.tags import (
    COUNTS_CHECK,
    DATASET,
    NO_RUN_RETRY,
    PUBLISHING_POOL,
    imported_key,
    lane_of,
    max_runtime,
    run_tags,
    undo_job_name,
    uploads_partitions,
)
from import_pipeline.records import UndoneUpload
from import_pipeline.settings import load_settings
from import_pipeline.storage.bucket import Bucket
from import_pipeline.undo_words import depending_table, left_table, undo_sentences

OP_NAME = "undo_upload"


class UndoUploadConfig(Config):
    """What a person may set when launching an undo."""

    dry_run: bool = Field(False, description="Change nothing: say what an undo would do.")


def build_undo_job(dataset: Dataset) -> JobDefinition:
    """The job that undoes one upload of the dataset: its partition says which.

    It is no asset job: Materialize on an asset page can never undo by mistake.
    """
    undo = _undo_op(dataset)

    @job(
        name=undo_job_name(dataset),
        description=f"Take one upload of {dataset.name} out of `public.{dataset.table}` again: the partition "
        "says which. Rows that it overwrote come back; rows that were changed since stay.",
        partitions_def=uploads_partitions(dataset),
        tags={DATASET: dataset.name, **NO_RUN_RETRY},
        executor_def=in_process_executor,
    )
    def undo_job() -> None:
        undo.alias(OP_NAME)()

    return undo_job


def undo_launch(dataset: Dataset, row: UploadRow) -> Launch:
    """The run that undoes an upload, as the command line asks for it."""
    return Launch(
        job_name=undo_job_name(dataset),
        partition=row.upload_id,
        partitions=str(uploads_partitions(dataset).name),
        tags=_tags(row),
    )


def _undo_op(dataset: Dataset) -> OpDefinition:
    @op(
        name=f"{dataset.name}__{OP_NAME}",
        description="Take the upload's rows out, put back what they overwrote, in one transaction.",
        out={},
        required_resource_keys={"database", "s3"},
        pool=PUBLISHING_POOL,
    )
    def undo_one(context: OpExecutionContext, config: UndoUploadConfig) -> Iterator[Any]:
        with told_to_dagster(context), without_values(dataset):
            yield from _undo(context, dataset, dry_run=config.dry_run)

    return undo_one


def _undo(context: OpExecutionContext, dataset: Dataset, *, dry_run: bool) -> Iterator[Any]:
    upload_id = require_partition(context, dataset, "undo")
    url = context.resources.database.url()
    _tag_run(context, _row(url, upload_id))
    settings = load_settings()
    store = Bucket(context.resources.s3, settings.require_bucket())
    try:
        undone = undo_upload(
            url, upload_id, dataset, undo_days=settings.undo_days, store=store, dry_run=dry_run
        )
    except NotUndoable as error:
        # A run that was killed after its commit has still to tell Dagster.
        if error.fields.get("why") != "already_undone" or dry_run:
            raise
        context.log.info(f"{error.message} No row was changed.")
        undone = None
    row = _row(url, upload_id)
    if undone is not None:
        for sentence in undo_sentences(undone, row.file_name if row else upload_id):
            context.log.info(sentence)
        yield _observation(dataset, undone)
    if not dry_run and row is not None:
        yield AssetMaterialization(
            asset_key=imported_key(dataset),
            partition=upload_id,
            description="Undone: the table holds no row of this upload.",
            metadata={**_undone_metadata(row), **(_tables(undone) if undone is not None else {})},
        )
        yield _check(context, dataset, row, undone, _in_table(url, dataset, upload_id))


def _observation(dataset: Dataset, undone: UndoneUpload) -> AssetObservation:
    """What became of each row that the upload had written; left rows show masked keys."""
    return AssetObservation(
        asset_key=imported_key(dataset),
        partition=undone.upload_id,
        description="What an undo would do." if undone.dry_run else "What the undo did.",
        metadata={
            "state": MetadataValue.text("undo (dry run)" if undone.dry_run else "undone"),
            "undo removed": MetadataValue.int(undone.removed),
            "undo restored": MetadataValue.int(undone.restored),
            "undo left": MetadataValue.int(sum(undone.left.values())),
            **{f"undo left {code}": MetadataValue.int(rows) for code, rows in sorted(undone.left.items())},
            "overwritten by later uploads": MetadataValue.int(undone.overwritten),
            "gone before": MetadataValue.int(undone.gone),
            "depending uploads": MetadataValue.int(len(undone.depending)),
            "seconds undo": MetadataValue.float(undone.seconds),
            **_tables(undone),
            **_left_rows(undone.left_key),
        },
    )


def _undone_metadata(row: UploadRow) -> Metadata:
    """The numbers that the UI plots: none of the rows is there any more."""
    return {
        "dagster/partition_row_count": MetadataValue.int(0),
        "state": MetadataValue.text(row.state),
        "undo removed": MetadataValue.int(row.undo_removed or 0),
        "undo restored": MetadataValue.int(row.undo_restored or 0),
        "undo left": MetadataValue.int(row.undo_left or 0),
        **_left_rows(row.details.get("undo", {}).get("left_key")),
    }


def _left_rows(key: str | None) -> Metadata:
    """The object that lists all rows that stay; nothing where there are none."""
    return {} if key is None else {"all rows left": MetadataValue.text(key)}


def _check(
    context: OpExecutionContext, dataset: Dataset, row: UploadRow, undone: UndoneUpload | None, in_table: int
) -> AssetCheckEvaluation:
    """The verdict of `counts_balance` after an undo, on the materialization that says so.

    An op outside of the assets' graph cannot yield AssetCheckResult: Dagster asks its graph for the spec.
    """
    metadata: Metadata = {"rows in the table": MetadataValue.int(in_table)}
    passed = in_table == 0
    if undone is not None:
        wrote = (row.inserted or 0) + (row.updated or 0)
        told = undone.removed + undone.restored + sum(undone.left.values()) + undone.overwritten + undone.gone
        # Without a key, rows that somebody copied have the upload's id too.
        passed = passed and (wrote == told or (not dataset.key and wrote < told))
        metadata |= {"rows written": MetadataValue.int(wrote), "rows accounted for": MetadataValue.int(told)}
    return AssetCheckEvaluation(
        asset_key=imported_key(dataset),
        check_name=COUNTS_CHECK,
        passed=passed,
        description="Undone: the table holds no row of the upload, and each that it wrote is accounted for.",
        metadata=metadata,
        target_materialization_data=_newest_materialization(context, dataset),
        partition=row.upload_id,
    )


def _newest_materialization(
    context: OpExecutionContext, dataset: Dataset
) -> AssetCheckEvaluationTargetMaterializationData | None:
    found = context.instance.fetch_materializations(
        AssetRecordsFilter(asset_key=imported_key(dataset), asset_partitions=[context.partition_key]), limit=1
    ).records
    if not found:
        return None
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=found[0].storage_id, run_id=found[0].run_id, timestamp=found[0].timestamp
    )


def _tables(undone: UndoneUpload) -> Metadata:
    """Rows that stay, personal values masked, and uploads to bring in again; nothing where there are none."""
    tables = {"first rows left": left_table(undone), "to bring in again": depending_table(undone)}
    return {
        name: MetadataValue.md(markdown_table(rows, tuple(rows[0]))) for name, rows in tables.items() if rows
    }


def _tag_run(context: OpExecutionContext, row: UploadRow | None) -> None:
    """Searches and limits by workspace hold for an undo that is launched by hand too."""
    if row is None or row.workspace is None:
        return
    context.instance.add_run_tags(context.run_id, _tags(row))


def _tags(row: UploadRow) -> dict[str, str]:
    """Those of an import; nothing but Dagster's run monitoring ends an undo that hangs."""
    settings = load_settings()
    return run_tags(
        workspace=str(row.workspace),
        dataset=str(row.dataset),
        file_name=row.file_name,
        lane=lane_of(row.size, settings.small_file_mb),
        short_id=row.short_id,
    ) | max_runtime(settings.max_hours)


def _row(url: str, upload_id: str) -> UploadRow | None:
    with translated_errors(), closing(connect(url, application_name="import_pipeline undo")) as conn:
        return get_upload(conn, upload_id)


def _in_table(url: str, dataset: Dataset, upload_id: str) -> int:
    with translated_errors(), closing(connect(url, application_name="import_pipeline undo")) as conn:
        return count_in_table(conn, dataset, upload_id)
