"""Batches checked and staged where no step of theirs does it: before those steps, or in place of them.

A run in one process checks and stages while it splits; the steps then take what is done. And Dagster
re-executes from failure the mapped steps that it saw begin, and those after them: a run that died in the
middle of its batches leaves others that nobody began, and that Dagster forgets.
"""

import os
from collections.abc import Mapping
from dataclasses import replace

from import_pipeline.flow.batches.columns.evidence import Readings
from import_pipeline.flow.checks.checking import NO_READINGS, check_batch
from import_pipeline.flow.checks.early import Verdicts
from import_pipeline.flow.loading.early import EarlyBatches
from import_pipeline.flow.loading.staging import stage_batch
from import_pipeline.orchestration.session import Session
from import_pipeline.records import Batch, CheckedBatch, OpenedUpload, SplitUpload, StagedBatch

# Batches checked at once beside a split; each is held in memory.
THREADS = min(os.cpu_count() or 1, 4)


def check_one(
    session: Session,
    opened: OpenedUpload,
    batch: Batch,
    verdicts: Verdicts,
    readings: Mapping[str, Readings] = NO_READINGS,
) -> CheckedBatch:
    """Check a batch of the session's upload; see `check_batch`."""
    return check_batch(
        batch,
        opened.file,
        verdicts,
        session.dataset,
        options=opened.options,
        language=opened.language,
        readings=readings,
        store=session.bucket,
        staging=opened.staging,
    )


def early_batches(session: Session, opened: OpenedUpload) -> EarlyBatches:
    """To be checked and staged while the upload is split."""
    opened = replace(opened, token=session.token)

    def check(batch: Batch, verdicts: Verdicts, readings: Mapping[str, Readings]) -> CheckedBatch:
        return check_one(session, opened, batch, verdicts, readings)

    def stage(checked: CheckedBatch) -> StagedBatch:
        return stage_batch(session.database_url, checked, opened, session.dataset, store=session.bucket)

    return EarlyBatches(check, stage, THREADS)


def all_checked(
    session: Session, opened: OpenedUpload, split: SplitUpload, checked: list[CheckedBatch]
) -> list[CheckedBatch]:
    """The checked batches that arrived, and those that did not, checked here; by number."""
    arrived = {batch.number for batch in checked}
    lacking = [batch for batch in split.batches if batch.number not in arrived]
    if lacking:
        numbers = ", ".join(str(batch.number) for batch in lacking)
        session.context.log.info(f"No step checked batches {numbers}, so they are checked here.")
    made_up = [check_one(session, opened, batch, split.verdicts) for batch in lacking]
    return sorted([*checked, *made_up], key=lambda batch: batch.number)
