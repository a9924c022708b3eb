"""A dataset's assets: files in the bucket, rows in the table, rows handed back.

The graph below is the way of a file; what each op does stands in `ops.py`.
"""

from dataclasses import dataclass
from typing import Any

from dagster import (
    AssetCheckSpec,
    AssetIn,
    AssetOut,
    AssetsDefinition,
    AssetSpec,
    ConfigMapping,
    Field,
    MetadataValue,
    Nothing,
    TableColumn,
    TableColumnConstraints,
    TableSchema,
    graph_multi_asset,
)

from import_pipeline.catalog.dataset import EXTRA_COLUMN, Dataset
from import_pipeline.catalog.types import postgres_type
from import_pipeline.orchestration.ops import build_ops
from import_pipeline.orchestration.tags import (
    COUNTS_CHECK,
    REJECTS_CHECK,
    check_output,
    imported_key,
    rejected_key,
    uploads_key,
    uploads_partitions,
)

CONFIG_SCHEMA = {
    "dry_run": Field(
        bool, default_value=False, description="Do everything but load: report what an import would give."
    ),
    "rows_per_batch": Field(
        int, is_required=False, description="Rows in a batch. Default: from the file's size, 1,000 at least."
    ),
}


@dataclass(frozen=True)
class DatasetAssets:
    """The external asset of uploads, and the graph that fills the other two."""

    uploads: AssetSpec
    imports: AssetsDefinition


def build_assets(dataset: Dataset) -> DatasetAssets:
    """The three assets of a dataset, all with one partition an upload."""
    return DatasetAssets(uploads=_uploads_asset(dataset), imports=_imports_asset(dataset))


def _uploads_asset(dataset: Dataset) -> AssetSpec:
    return AssetSpec(
        uploads_key(dataset),
        description=f"Files people drop into `uploads/<workspace>/{dataset.name}/` of the bucket.",
        group_name=dataset.name,
        kinds={"s3"},
        partitions_def=uploads_partitions(dataset),
    )


def _imports_asset(dataset: Dataset) -> AssetsDefinition:
    ops = build_ops(dataset)
    partitions = uploads_partitions(dataset)
    counts, share = (check_output(dataset, check) for check in (COUNTS_CHECK, REJECTS_CHECK))

    @graph_multi_asset(
        name=dataset.name,
        ins={"arrival": AssetIn(key=uploads_key(dataset), dagster_type=Nothing)},
        outs=_outs(dataset),
        partitions_def=partitions,
        group_name=dataset.name,
        check_specs=[
            AssetCheckSpec(
                COUNTS_CHECK,
                asset=imported_key(dataset),
                partitions_def=partitions,
                description="Rows read = inserted + updated + unchanged + duplicate + rejected, and the "
                "table holds exactly the rows inserted and updated; after an undo, none of them.",
            ),
            AssetCheckSpec(
                REJECTS_CHECK,
                asset=imported_key(dataset),
                partitions_def=partitions,
                description="No row was handed back to the sender.",
            ),
        ],
        config=ConfigMapping(
            config_schema=CONFIG_SCHEMA, config_fn=lambda config: {"open_upload": {"config": config}}
        ),
    )
    def imports(arrival: Any) -> dict[str, Any]:
        opened = ops.open_upload.alias("open_upload")(arrival)
        batches, split = ops.split_upload.alias("split_upload")(opened)
        checked = batches.map(
            lambda batch: ops.check_batch.alias("check_batch")(batch=batch, opened=opened, split=split)
        )
        staged = checked.map(lambda batch: ops.stage_batch.alias("stage_batch")(checked=batch, opened=opened))
        file: dict[str, Any] = {"opened": opened, "split": split, "checked": checked.collect()}
        duplicates = ops.find_duplicates.alias("find_duplicates")(**file)
        published = ops.publish_upload.alias("publish_upload")(
            **file, staged=staged.collect(), duplicates=duplicates
        )
        reported = ops.report_upload.alias("report_upload")(
            **file, duplicates=duplicates, published=published
        )
        return {
            "imported": reported.imported,
            "rejected": reported.rejected,
            counts: getattr(reported, counts),
            share: getattr(reported, share),
        }

    return imports


def _outs(dataset: Dataset) -> dict[str, AssetOut]:
    table = f"public.{dataset.table}"
    return {
        "imported": AssetOut(
            key=imported_key(dataset),
            dagster_type=Nothing,
            is_required=False,
            description=f"{(dataset.description or dataset.name).rstrip('.')}: rows in `{table}`.",
            kinds={"postgres", "duckdb"},
            tags={"dataset": dataset.name, "existing": dataset.existing_for(dataset.defaults)},
            metadata={"dagster/column_schema": _column_schema(dataset), "dagster/table_name": table},
        ),
        "rejected": AssetOut(
            key=rejected_key(dataset),
            dagster_type=Nothing,
            is_required=False,
            description="Rows that were not loaded, handed back to the sender with what to do about each.",
            kinds={"s3", "csv"},
            tags={"dataset": dataset.name},
        ),
    }


def _column_schema(dataset: Dataset) -> Any:
    columns = [
        TableColumn(
            name=column.name,
            type=postgres_type(column.arrow_type),
            description="; ".join(
                text for text in ("key" * (column.name in dataset.key), "personal" * column.personal) if text
            )
            or None,
            constraints=TableColumnConstraints(nullable=not column.required),
        )
        for column in dataset.columns
    ]
    if dataset.unknown_columns == "keep":
        columns.append(TableColumn(name=EXTRA_COLUMN, type="jsonb", description="columns of no other name"))
    return MetadataValue.table_schema(TableSchema(columns=columns))
