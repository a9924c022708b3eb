"""From our errors to Dagster's: who retries, who stops, and what the ledger hears of it.

A file's fault is refused, with its report; trouble around us is retried with exponential back-off
and jitter; a run that was superseded stops and writes nothing.
"""

import errno
import random
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from dagster import DagsterError, Failure, OpExecutionContext, RetryRequested

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import (
    DatasetChanged,
    ImportFailed,
    ImportPipelineError,
    NoRoomOnDisk,
    PermanentImportError,
    Superseded,
    TookTooLong,
    TransientImportError,
)
from import_pipeline.ledger.outcomes import note_error
from import_pipeline.orchestration.ending import refuse
from import_pipeline.orchestration.limits import give_up, require_same_dataset
from import_pipeline.orchestration.session import Session, open_session
from import_pipeline.records import OpenedUpload

MAX_RETRIES = 3
FIRST_WAIT_SECONDS = 1.0
# Raised on purpose, by us or to steer Dagster: their words are ours.
MEANT = (ImportPipelineError, DagsterError, Failure, RetryRequested)


@contextmanager
def step_session(
    context: OpExecutionContext,
    dataset: Dataset,
    opened: OpenedUpload | None = None,
    *,
    reporting: bool = False,
) -> Iterator[Session]:
    """A session for one step's work; however that ends is told to Dagster and to the ledger.

    Args:
        opened: what the import began with, of every step but the first.
        reporting: the step only reports what became of the upload.

    Raises:
        RetryRequested, Failure: see `told_to_dagster`.
    """
    with (
        told_to_dagster(context),
        open_session(context, dataset, reporting=reporting) as session,
        _told_to_the_ledger(session),
        without_values(dataset),
        full_disk(),
    ):
        if session.claim.action == "import":
            session.require_time()
        if opened is not None:
            require_same_dataset(session, opened)
        yield session


@contextmanager
def told_to_dagster(context: OpExecutionContext) -> Iterator[None]:
    """However an op's work ends is told to Dagster.

    Raises:
        RetryRequested: trouble around us, and a retry is left.
        Failure: anything else that was raised on purpose; Dagster does not retry it.
    """
    try:
        yield
    except TransientImportError as error:
        number = context.retry_number
        if number >= MAX_RETRIES:
            raise failure(error) from error
        context.log.warning(f"{error} Trying again ({number + 1} of {MAX_RETRIES}).")
        wait = wait_seconds(number, random.random())  # noqa: S311 - jitter, no secret
        raise RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=wait) from error
    except ImportPipelineError as error:
        raise failure(error) from error


@contextmanager
def _told_to_the_ledger(session: Session) -> Iterator[None]:
    """Refuse what is the file's fault; keep the reason of any other error that ends the step."""
    try:
        yield
    except PermanentImportError as error:
        refuse(session, error)
        raise
    except Superseded:
        raise
    except (DatasetChanged, TookTooLong) as error:
        give_up(session, error)
        raise
    except ImportPipelineError as error:
        if not isinstance(error, TransientImportError) or session.context.retry_number >= MAX_RETRIES:
            _note(session, error)
        raise


@contextmanager
def full_disk() -> Iterator[None]:
    """A full disk in our words, whatever was written to it: a report, rows set aside by a search.

    Raises:
        NoRoomOnDisk: fields `needed` and `free`, in bytes; 0: unknown.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        remedy = "Free some space in the folder for temporary files."
        raise NoRoomOnDisk("The machine's disk is full.", remedy=remedy, needed=0, free=0) from error


@contextmanager
def without_values(dataset: Dataset) -> Iterator[None]:
    """Errors that nobody foresaw without what they say, where a row of the dataset may be personal.

    Whatever their kind: a KeyError quotes the value that it missed, as a library's ValueError does.

    Raises:
        ImportFailed: what kind of error it was; its traceback leads to where.
    """
    try:
        yield
    except MEANT:
        raise
    except Exception as error:
        if not dataset.has_personal:
            raise
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        state = f" (SQLSTATE {error.sqlstate})" if isinstance(error, psycopg.Error) else ""
        raise ImportFailed(
            f"{kind}{state}: what it says is withheld, it may quote values of dataset {dataset.name!r}.",
            remedy="The traceback shows where it was raised.",
        ).with_traceback(error.__traceback__) from None


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


def _note(session: Session, error: ImportPipelineError) -> None:
    """Keep the reason in the ledger; the sensor's reconciliation ends the upload when its run ends.

    Raises:
        Superseded: a newer run owns the upload; what it removed is the likely reason of the error.
    """
    try:
        with session.ledger() as conn:
            note_error(conn, session.upload_id, session.token, error)
    except Superseded as superseded:
        raise superseded from error
    except ImportPipelineError as second:
        session.context.log.warning(f"The ledger could not be told: {second}")
