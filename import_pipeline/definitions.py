"""The door Dagster loads: `defs`, and nothing else. What is in it stands in `orchestration/build.py`."""

from import_pipeline.orchestration.build import build_defs
from import_pipeline.orchestration.forked_runs import fork_run_workers
from import_pipeline.orchestration.pools import sleep_while_waiting

defs = build_defs()
fork_run_workers()
sleep_while_waiting()
