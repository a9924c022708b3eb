"""For tests of commands that launch runs: the real jobs, executed in this process instead of by a daemon."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from dagster import DagsterInstance

from import_pipeline.orchestration import control, launching
from import_pipeline.orchestration.build import build_defs
from import_pipeline.orchestration.launching import Launch


@contextmanager
def runs_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Launch]]:
    """Within it, what commands launch is run at once; gives what was launched."""
    defs = build_defs()
    launched: list[Launch] = []

    def launch_runs(instance: DagsterInstance, launches: Sequence[Launch]) -> list[str]:
        launched.extend(launches)
        ids = []
        for one in launches:
            instance.add_dynamic_partitions(one.partitions, [one.partition])
            done = defs.resolve_job_def(one.job_name).execute_in_process(
                instance=instance, partition_key=one.partition, tags=dict(one.tags), raise_on_error=False
            )
            ids.append(done.run_id)
        return ids

    with DagsterInstance.ephemeral() as made:

        @contextmanager
        def open_instance(_settings: Any) -> Iterator[DagsterInstance]:
            yield made

        monkeypatch.setattr(control, "open_instance", open_instance)
        monkeypatch.setattr(launching, "launch_runs", launch_runs)
        yield launched
