"""The ops of a dataset's graph: thin shells, one for each step in `steps.py`.

Op names are unique over all datasets, because Dagster's implicit asset job holds them all.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dagster import (
    Config,
    DynamicOut,
    DynamicOutput,
    In,
    Nothing,
    OpDefinition,
    OpExecutionContext,
    Out,
    Output,
    op,
)
from dagster._core.storage.tags import PRIORITY_TAG
from pydantic import Field

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.orchestration import ending, steps
from import_pipeline.orchestration.batches import all_checked
from import_pipeline.orchestration.failures import step_session
from import_pipeline.orchestration.tags import (
    COUNTS_CHECK,
    PUBLISHING_POOL,
    REJECTS_CHECK,
    STAGING_POOL,
    check_output,
)
from import_pipeline.records import (
    CheckedBatch,
    FoundDuplicates,
    OpenedUpload,
    PublishedUpload,
    SplitUpload,
    StagedBatch,
)

RESOURCES = {"s3", "database"}


class OpenUploadConfig(Config):
    """What a person may set when launching an import by hand."""

    dry_run: bool = Field(False, description="Do everything but load.")
    rows_per_batch: int | None = Field(None, gt=0, description="Rows in a batch; default by size.")


@dataclass(frozen=True)
class DatasetOps:
    """The ops of one dataset, in the order a file meets them."""

    open_upload: OpDefinition
    split_upload: OpDefinition
    check_batch: OpDefinition
    stage_batch: OpDefinition
    find_duplicates: OpDefinition
    publish_upload: OpDefinition
    report_upload: OpDefinition


def build_ops(dataset: Dataset) -> DatasetOps:
    """The seven ops of a dataset."""
    return DatasetOps(
        open_upload=_open_upload(dataset),
        split_upload=_split_upload(dataset),
        check_batch=_step(dataset, "check_batch", steps.check, ins=("batch", "opened", "split")),
        stage_batch=_step(dataset, "stage_batch", steps.stage, ins=("checked", "opened"), pool=STAGING_POOL),
        # Before steps that stage: a run in one process is still loading the last batches meanwhile.
        find_duplicates=_step(
            dataset,
            "find_duplicates",
            steps.find_repeats,
            ins=("opened", "split", "checked"),
            tags={PRIORITY_TAG: "1"},
        ),
        publish_upload=_step(
            dataset,
            "publish_upload",
            steps.publish,
            ins=("opened", "split", "checked", "staged", "duplicates"),
            pool=PUBLISHING_POOL,
        ),
        report_upload=_report_upload(dataset),
    )


def _open_upload(dataset: Dataset) -> OpDefinition:
    @op(
        name=f"{dataset.name}__open_upload",
        description="Pin the object; find out type, size, encoding and header.",
        ins={"arrival": In(Nothing)},
        out=Out(OpenedUpload, is_required=False),
        required_resource_keys=RESOURCES,
    )
    def open_upload(context: OpExecutionContext, config: OpenUploadConfig) -> Iterator[Any]:
        with step_session(context, dataset) as session:
            opened = steps.open_file(session, dry_run=config.dry_run, rows_per_batch=config.rows_per_batch)
        if opened is not None:
            yield Output(opened)

    return open_upload


def _split_upload(dataset: Dataset) -> OpDefinition:
    @op(
        name=f"{dataset.name}__split_upload",
        description="Stream the file into Parquet batches, and judge dates and decimals by whole columns.",
        out={"batches": DynamicOut(), "split": Out(SplitUpload)},
        required_resource_keys=RESOURCES,
    )
    def split_upload(context: OpExecutionContext, opened: OpenedUpload) -> Iterator[Any]:
        with step_session(context, dataset, opened) as session:
            split = steps.split(session, opened)
        for batch in split.batches:
            yield DynamicOutput(batch, mapping_key=f"batch_{batch.number:04d}", output_name="batches")
        yield Output(split, "split")

    return split_upload


def _report_upload(dataset: Dataset) -> OpDefinition:
    @op(
        name=f"{dataset.name}__report_upload",
        description="Hand back what did not make it, archive the original, say what happened.",
        out={
            "imported": Out(Nothing, is_required=False),
            "rejected": Out(Nothing, is_required=False),
            **{
                check_output(dataset, check): Out(is_required=False)
                for check in (COUNTS_CHECK, REJECTS_CHECK)
            },
        },
        required_resource_keys=RESOURCES,
    )
    def report_upload(
        context: OpExecutionContext,
        opened: OpenedUpload,
        split: SplitUpload,
        checked: list[CheckedBatch],
        duplicates: FoundDuplicates,
        published: PublishedUpload,
    ) -> Iterator[Any]:
        with step_session(context, dataset, opened, reporting=True) as session:
            if session.claim.row.reported_at is None:
                checked = all_checked(session, opened, split, checked)
                reported = ending.report(session, opened, split, checked, duplicates, published)
            else:
                reported = ending.reported_before(session, opened, split, published)
        yield from reported.events
        with step_session(context, dataset, reporting=True) as session:
            ending.finish(session, opened, reported)

    return report_upload


def _step(
    dataset: Dataset,
    name: str,
    do: Callable[..., CheckedBatch | StagedBatch | FoundDuplicates | PublishedUpload],
    *,
    ins: tuple[str, ...],
    pool: str | None = None,
    tags: dict[str, str] | None = None,
) -> OpDefinition:
    """An op that hands its inputs to a step and gives back the step's record."""

    @op(
        name=f"{dataset.name}__{name}",
        description=(do.__doc__ or "").split("\n")[0],
        ins={key: In() for key in ins},
        required_resource_keys=RESOURCES,
        pool=pool,
        tags=tags,
    )
    def run_step(context: OpExecutionContext, **inputs: Any) -> Any:
        with step_session(context, dataset, inputs["opened"]) as session:
            return do(session, **inputs)

    return run_step
