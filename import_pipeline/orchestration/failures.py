"""From our errors to Dagster's: who retries, who stops, and what the ledger hears of it.

A file's fault is refused, with its report; trouble around us is retried with exponential back-off
and jitter; a run that was superseded stops and writes nothing.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from dagster import Failure, OpExecutionContext, RetryRequested

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import (
    ImportPipelineError,
    PermanentImportError,
    Superseded,
    TransientImportError,
)
from import_pipeline.ledger.outcomes import note_error
from import_pipeline.orchestration.ending import refuse
from import_pipeline.orchestration.session import Session, open_session

MAX_RETRIES = 3
FIRST_WAIT_SECONDS = 1.0


@contextmanager
def step_session(context: OpExecutionContext, dataset: Dataset) -> Iterator[Session]:
    """A session for one step's work; however that ends is told to Dagster and to the ledger.

    Raises:
        RetryRequested: trouble around us, and a retry is left.
        Failure: anything else that was raised on purpose; Dagster does not retry it.
    """
    session: Session | None = None
    try:
        session = open_session(context, dataset)
        yield session
    except TransientImportError as error:
        _retry_or_fail(context, session, error)
    except PermanentImportError as error:
        _refuse(session, error)
    except Superseded as error:
        raise failure(error) from error
    except ImportPipelineError as error:
        _note(context, session, error)
        raise failure(error) from error


def wait_seconds(retry_number: int, jitter: float) -> float:
    """Back-off before retry `retry_number` + 1: 1, 2, 4 s, times 0.5 to 1.5 by `jitter` (0 to 1)."""
    return FIRST_WAIT_SECONDS * 2.0**retry_number * (0.5 + jitter)


def failure(error: ImportPipelineError) -> Failure:
    """The error as Dagster shows it; never retried by Dagster."""
    return Failure(
        description=str(error),
        metadata={"code": error.code, "remedy": error.remedy or "none"},
        allow_retries=False,
    )


def _retry_or_fail(
    context: OpExecutionContext, session: Session | None, error: TransientImportError
) -> NoReturn:
    number = context.retry_number
    if number < MAX_RETRIES:
        context.log.warning(f"{error} Trying again ({number + 1} of {MAX_RETRIES}).")
        wait = wait_seconds(number, random.random())  # noqa: S311 - jitter, no secret
        raise RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=wait) from error
    _note(context, session, error)
    raise failure(error) from error


def _refuse(session: Session | None, error: PermanentImportError) -> NoReturn:
    if session is not None:
        try:
            refuse(session, error)
        except Superseded as superseded:
            raise failure(superseded) from superseded
        except TransientImportError as trouble:
            _retry_or_fail(session.context, session, trouble)
    raise failure(error) from error


def _note(context: OpExecutionContext, session: Session | None, error: ImportPipelineError) -> None:
    """Keep the reason in the ledger; the sensor's reconciliation ends the upload when its run ends."""
    if session is None:
        return
    try:
        with session.ledger() as conn:
            note_error(conn, session.upload_id, session.token, error)
    except ImportPipelineError as second:
        context.log.warning(f"The ledger could not be told: {second}")
