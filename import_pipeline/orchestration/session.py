"""What one op execution works with: the upload's name, its token, settings, bucket and ledger."""

import math
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import psycopg
from dagster import DagsterRun, OpExecutionContext
from dagster._core.storage.tags import RUN_KEY_TAG

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import PartitionMissing, TookTooLong
from import_pipeline.flow.arrivals.decision import launch_of
from import_pipeline.flow.loading.early import EarlyBatches
from import_pipeline.language import Language
from import_pipeline.ledger.claims import claim
from import_pipeline.ledger.connection import connect, translated_errors
from import_pipeline.ledger.queries import running_seconds
from import_pipeline.ledger.rows import Claim
from import_pipeline.orchestration.executor import give_way, runs_in_one_process
from import_pipeline.orchestration.memory import give_memory_back_between_batches
from import_pipeline.orchestration.tags import uploads_partitions
from import_pipeline.records import CheckedBatch, FoundDuplicates, OpenedUpload, SplitUpload, Token
from import_pipeline.settings import Settings, load_settings
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.recent import OriginalInMemory, Recent, TablesInMemory

# Of a run in one process, which holds a batch or two beside them. The original's bytes go as the tables come.
TABLES_IN_MEMORY = 128 * 1024 * 1024
ORIGINAL_IN_MEMORY = 128 * 1024 * 1024


@dataclass(frozen=True)
class CheckedRows:
    """What a report needs of a file whose rows were checked."""

    opened: OpenedUpload
    split: SplitUpload
    checked: list[CheckedBatch]
    duplicates: FoundDuplicates


@dataclass(frozen=True)
class RunFacts:
    """What stays as it is while a run lasts: its partition, its token and what it works with."""

    upload_id: str
    token: Token
    settings: Settings
    database_url: str = field(repr=False)


@dataclass
class RunMemory:
    """What a run in one process need not read again.

    Attributes:
        recent: what was written or read lately, and will be read again.
        facts: of the run, once its first step has asked for them.
        early: batches that were checked and staged while the file was split.
    """

    recent: Recent
    facts: RunFacts | None = None
    early: EarlyBatches | None = None


@dataclass
class Session:
    """One op execution.

    Attributes:
        upload_id: the run's partition key.
        token: says whether this run may still write.
        attempt: the chain of runs that this one belongs to.
        step: the op's name without its dataset, for connection names and messages.
        claim: what the ledger says this run is to do with the upload.
        connection: the step's own; each `ledger()` is a transaction on it.
        until: `time.monotonic()` at which the import has run for as long as it may.
        rows: set once the rows are known: a refusal then comes with its list of rows.
        run_memory: what this process keeps between the steps of a run in one process; None in others.
    """

    context: OpExecutionContext
    dataset: Dataset
    settings: Settings
    bucket: Bucket
    database_url: str = field(repr=False)
    upload_id: str
    token: Token
    attempt: str
    step: str
    claim: Claim
    connection: psycopg.Connection
    until: float = math.inf
    rows: CheckedRows | None = None
    run_memory: RunMemory | None = None

    @property
    def language(self) -> Language:
        """Of messages to the sender."""
        return self.dataset.language or self.settings.language

    @property
    def early(self) -> EarlyBatches | None:
        """Batches of this run that were checked and staged while the file was split, if any were."""
        return self.run_memory.early if self.run_memory else None

    def require_time(self) -> None:
        """See that the import may go on.

        Raises:
            TookTooLong: it has run for as long as it may.
        """
        if time.monotonic() > self.until:
            raise took_too_long(self.settings.max_hours)

    @contextmanager
    def ledger(self) -> Iterator[psycopg.Connection]:
        """A ledger transaction: commits at the end, rolls back on an error."""
        with translated_errors(), self.connection.transaction():
            yield self.connection


@contextmanager
def open_session(
    context: OpExecutionContext, dataset: Dataset, *, reporting: bool = False
) -> Iterator[Session]:
    """The session of the op that runs; its first act is to claim the upload for this run.

    Args:
        reporting: see `claim`.

    Raises:
        PartitionMissing: the run has no partition, or one that is not in the dataset's set.
        Superseded: a newer run owns the upload.
        DatabaseUnavailable: the ledger does not answer.
    """
    run = context.run
    give_memory_back_between_batches()
    give_way(run.tags)
    memory = _memory_of(run.run_id) if runs_in_one_process(run.run_config) else None
    facts = (memory and memory.facts) or _facts(context, dataset)
    if memory is not None:
        memory.facts = facts
    attempt = run.root_run_id or run.run_id
    step = context.op_handle.name
    with closing(connect(facts.database_url, application_name=f"import_pipeline {step}")) as connection:
        with translated_errors(), connection.transaction():
            launch = _launch(run, facts.upload_id)
            claimed = claim(connection, facts.upload_id, facts.token, attempt, launch, reporting=reporting)
            running = running_seconds(connection, facts.upload_id)
        yield Session(
            context=context,
            dataset=dataset,
            settings=facts.settings,
            bucket=Bucket(
                context.resources.s3,
                facts.settings.require_bucket(),
                recent=memory.recent if memory else None,
            ),
            database_url=facts.database_url,
            upload_id=facts.upload_id,
            token=facts.token,
            attempt=attempt,
            step=step,
            claim=claimed,
            connection=connection,
            until=time.monotonic() + facts.settings.max_hours * 3600 - running,
            run_memory=memory,
        )


def _launch(run: DagsterRun, upload_id: str) -> int | None:
    """The launch that the sensor asked this run for; None for a run that a person wanted."""
    return None if run.parent_run_id else launch_of(upload_id, run.tags.get(RUN_KEY_TAG))


def _facts(context: OpExecutionContext, dataset: Dataset) -> RunFacts:
    settings = load_settings()
    run_id = context.run.run_id
    record = context.instance.get_run_record_by_id(run_id)
    return RunFacts(
        upload_id=require_partition(context, dataset),
        token=Token(created=record.create_timestamp.timestamp() if record else 0.0, run_id=run_id),
        settings=settings,
        database_url=context.resources.database.url(),
    )


@lru_cache(maxsize=1)
def _memory_of(run_id: str) -> RunMemory:
    return RunMemory(recent_memory())


def recent_memory() -> Recent:
    """Room for what a run in one process keeps between its steps."""
    return Recent(TablesInMemory(TABLES_IN_MEMORY), OriginalInMemory(ORIGINAL_IN_MEMORY))


def took_too_long(hours: float) -> TookTooLong:
    """The error of an import that is over its time."""
    return TookTooLong(
        f"It ran for more than {hours:g} hours and was stopped.",
        remedy="Find out what held it up, or raise IMPORT_PIPELINE_MAX_HOURS; then launch it again.",
        limit=hours,
    )


def require_partition(context: OpExecutionContext, dataset: Dataset, command: str = "retry") -> str:
    """The run's partition; one that is not in the set would publish, and fail in the last op.

    Args:
        command: the one that brings a lacking partition back and does what this run was to do.

    Raises:
        PartitionMissing: there is none, or it is not in the dataset's set.
    """
    if not context.has_partition_key:
        raise PartitionMissing(
            "This run has no partition, so it is not clear which upload is meant.",
            remedy="Launch it with the partition of an upload.",
        )
    key = context.partition_key
    name = uploads_partitions(dataset).name
    if not context.instance.has_dynamic_partition(str(name), key):
        raise PartitionMissing(
            f"Upload {key!r} is not (or no longer) a partition of {name}.",
            remedy=f"Type `import-pipeline {command} '{key}'`: it brings the partition back.",
            partition=key,
        )
    return key
