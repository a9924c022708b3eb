"""Launch numbers of uploads that are recorded again while Dagster still remembers their runs.

So it is after the ledger was restored from a backup and Dagster's storage was not.
"""

from collections.abc import Sequence

from dagster import DagsterInstance

from import_pipeline.orchestration.reconciling import run_facts


def next_launches(instance: DagsterInstance, upload_ids: Sequence[str]) -> dict[str, int]:
    """The first launch number of each upload that Dagster has no run of; those without runs are left out.

    A run key is remembered as long as its run: under one that is taken nothing would be launched.
    """
    return {
        upload_id: 1 + max((run.launch_number or 0) for run in runs)
        for upload_id, runs in run_facts(instance, upload_ids).items()
    }
