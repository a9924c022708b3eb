"""What the code servers of tests load: a job whose run waits to be killed. Run workers are forked."""

import time

from dagster import Definitions, job, op

from import_pipeline.orchestration.forked_runs import fork_run_workers


@op
def wait() -> None:
    time.sleep(600)


@job
def waiting() -> None:
    wait()


defs = Definitions(jobs=[waiting])
fork_run_workers()
