"""What the code server of `test_run_launcher.py` loads: a job whose run waits to be killed."""

import time

from dagster import Definitions, job, op


@op
def wait() -> None:
    time.sleep(600)


@job
def waiting() -> None:
    wait()


defs = Definitions(jobs=[waiting])
