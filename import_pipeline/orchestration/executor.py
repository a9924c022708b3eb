"""The one executor of all jobs, also of Dagster's implicit asset job: one process or many."""

import multiprocessing
import os
from collections.abc import Mapping
from typing import Any

from dagster import ExecutorDefinition, Field, configured, multi_or_in_process_executor
from dagster._config import Enum, EnumValue

from import_pipeline.orchestration.tags import LANE, LARGE

PRELOAD = ["import_pipeline.orchestration.preload"]
# Every run gives way to what notices files and launches runs; runs of large files to those of small ones.
NICENESS, LARGE_NICENESS = 5, 15


def build_executor(processes: str) -> ExecutorDefinition:
    """The executor of all jobs; a run's config may choose otherwise.

    Args:
        processes: what a run without config gets: `many` or `one`.
    """

    @configured(
        multi_or_in_process_executor,
        config_schema={
            "processes": Field(
                Enum("Processes", [EnumValue("many"), EnumValue("one")]),
                default_value=processes,
                description="`many`: a file's batches run side by side; `one`: the whole run in one process.",
            )
        },
    )
    def import_executor(config: dict[str, str]) -> dict[str, object]:
        return {"in_process": {}} if config["processes"] == "one" else {"multiprocess": _many()}

    return import_executor


def steps_at_once() -> int:
    """How many steps of one run work at once at most, on a machine such as this one."""
    return max(2, os.cpu_count() or 2)


def _many() -> dict[str, object]:
    """Fork from a server that has imported everything: a step then starts in about 0.15 s, not 1."""
    return {
        "max_concurrent": steps_at_once(),
        "start_method": {"forkserver": {"preload_modules": PRELOAD}},
    }


def one_process() -> dict[str, object]:
    """Run config for a file that is imported sooner by one process than by a process a batch."""
    return {"execution": {"config": {"processes": "one"}}}


def runs_in_one_process(run_config: Mapping[str, Any]) -> bool:
    """Whether a run's config says so."""
    return bool(run_config.get("execution", {}).get("config", {}).get("processes") == "one")


def give_way(tags: Mapping[str, str]) -> None:
    """Let sensor, daemon and UI go before this run, and runs of small files before those of large ones.

    Lanes keep places in the queue; on a machine whose cores are all at work, a small file would still wait
    for its share of them, and the sensor for that of ten runs. Only a process that was started for a run or
    a step is changed: it ends with it.

    Args:
        tags: the run's.
    """
    if multiprocessing.parent_process() is not None:
        niceness = LARGE_NICENESS if tags.get(LANE) == LARGE else NICENESS
        os.setpriority(os.PRIO_PROCESS, 0, max(niceness, os.getpriority(os.PRIO_PROCESS, 0)))
