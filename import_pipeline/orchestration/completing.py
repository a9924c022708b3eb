"""Batches whose steps never began, made up for by the step that collects them.

Dagster re-executes from failure the mapped steps that it saw begin, and those after them. A run that
died in the middle of its batches leaves others that nobody began: Dagster forgets those.
"""

from import_pipeline.flow.checks.checking import check_batch
from import_pipeline.orchestration.session import Session
from import_pipeline.records import CheckedBatch, OpenedUpload, SplitUpload


def all_checked(
    session: Session, opened: OpenedUpload, split: SplitUpload, checked: list[CheckedBatch]
) -> list[CheckedBatch]:
    """The checked batches that arrived, and those that did not, checked here; by number."""
    arrived = {batch.number for batch in checked}
    lacking = [batch for batch in split.batches if batch.number not in arrived]
    if lacking:
        numbers = ", ".join(str(batch.number) for batch in lacking)
        session.context.log.info(f"No step checked batches {numbers}, so they are checked here.")
    made_up = [
        check_batch(
            batch,
            opened.file,
            split.verdicts,
            session.dataset,
            options=opened.options,
            language=opened.language,
            store=session.bucket,
            staging=opened.staging,
        )
        for batch in lacking
    ]
    return sorted([*checked, *made_up], key=lambda batch: batch.number)
