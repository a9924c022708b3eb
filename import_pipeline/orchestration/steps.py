"""What each op does: calls into `flow/` and `ledger/`, in the order a file meets them.

No rule about files or rows lives here, only who is asked when, and what is written down.
Reporting and refusing, the two ways an upload ends, stand in `ending.py`.
"""

from contextlib import nullcontext
from dataclasses import replace

from import_pipeline.errors import TableDoesNotFit
from import_pipeline.flow.arrivals.options import merged_options, read_statement, require_applicable
from import_pipeline.flow.arrivals.reimports import reimport_options
from import_pipeline.flow.batches.archives.listing import nested
from import_pipeline.flow.batches.opening import inspect_file, refuse_too_large
from import_pipeline.flow.batches.recognising.formats import recognise
from import_pipeline.flow.batches.splitting import split_file
from import_pipeline.flow.duplicates.finding import find_duplicates
from import_pipeline.flow.loading.publishing import publish_upload
from import_pipeline.flow.loading.staging import create_staging_table, stage_batch
from import_pipeline.flow.reports.masking import masked_opened, masked_split
from import_pipeline.language import told
from import_pipeline.ledger import uploads as ledger
from import_pipeline.ledger.claims import guard
from import_pipeline.ledger.dataset_tables import dataset_table_problems
from import_pipeline.ledger.members import owes_dry_run
from import_pipeline.ledger.migrate import require_current
from import_pipeline.ledger.rows import UploadRow
from import_pipeline.orchestration.batches import all_checked, check_one, early_batches
from import_pipeline.orchestration.correcting import match_rows
from import_pipeline.orchestration.expanding import expand
from import_pipeline.orchestration.limits import room_for_copy, with_room
from import_pipeline.orchestration.memory import give_memory_back_at_once
from import_pipeline.orchestration.originals import original_of, require_checksum
from import_pipeline.orchestration.progress import (
    CHECKED_SHARE,
    FOUND,
    OPENED,
    SPLIT,
    STAGED,
    Progress,
)
from import_pipeline.orchestration.session import CheckedRows, Session
from import_pipeline.orchestration.tags import lane_of, max_runtime, run_tags
from import_pipeline.records import (
    Batch,
    CheckedBatch,
    FoundDuplicates,
    LineCount,
    OpenedUpload,
    PublishedUpload,
    SplitUpload,
    StagedBatch,
)
from import_pipeline.storage.places import staging_prefix


def open_file(session: Session, *, dry_run: bool, rows_per_batch: int | None) -> OpenedUpload | None:
    """Pin the object, find out what it is; None if there is nothing to do."""
    row, action = session.claim.row, session.claim.action
    if action == "nothing":
        done = row.published_at or row.finished_at
        session.context.log.info(
            f"Nothing to do: this upload is {row.state} since {done:%Y-%m-%d %H:%M:%S} UTC. "
            "No row was changed."
        )
        return None
    _tag_run(session, row)
    _require_table(session)
    if action == "report":
        session.context.log.info("This upload is published; only its report is missing and is written now.")
    opened = with_room(
        session, 0, lambda: _inspect(session, row, dry_run=dry_run, rows_per_batch=rows_per_batch)
    )
    if opened is None:
        return None
    with session.ledger() as conn:
        guard(conn, session.upload_id, session.token)
        if action == "report":
            return replace(opened, action="report", duplicate_of=row.duplicate_of)
        if not opened.options.force and not opened.options.dry_run:
            opened = replace(opened, duplicate_of=ledger.find_first_import(conn, opened, session.dataset))
        ledger.record_opened(conn, masked_opened(opened, session.dataset))
        if opened.duplicate_of is None:
            create_staging_table(conn, opened, session.dataset)
    Progress(session).say(OPENED, 0, "opened")
    return opened


def split(session: Session, opened: OpenedUpload) -> SplitUpload:
    """Stream the file into Parquet batches."""
    if opened.duplicate_of is not None:
        session.context.log.info(f"The same file was imported before, as {opened.duplicate_of}.")
        return SplitUpload(batches=(), read=0, lines=LineCount(), verdicts=(), seconds=0.0)
    done = with_room(session, room_for_copy(opened), lambda: _split(session, opened))
    done = match_rows(session, opened, done)
    if opened.action == "import":
        with session.ledger() as conn:
            guard(conn, session.upload_id, session.token)
            ledger.record_split(conn, session.upload_id, masked_split(done, session.dataset))
    return done


def check(session: Session, batch: Batch, opened: OpenedUpload, split: SplitUpload) -> CheckedBatch:
    """Parse a batch's text into declared types and validate it against the pandera model."""
    if session.run_memory is None:
        give_memory_back_at_once()
    checked = session.early.take_checked(batch.number) if session.early else None
    if checked is None:
        checked = check_one(session, opened, batch, split.verdicts)
    if opened.action == "import":
        _batch_done(session, opened, checked)
    return checked


def stage(session: Session, checked: CheckedBatch, opened: OpenedUpload) -> StagedBatch:
    """COPY a batch's clean rows into the attempt's staging table."""
    if opened.action == "report":
        return StagedBatch(number=checked.number, load_id="", rows=0, seconds=0.0)
    opened = replace(opened, token=session.token)
    staged = session.early.take_staged(checked) if session.early else None
    if staged is None:
        staged = stage_batch(session.database_url, checked, opened, session.dataset, store=session.bucket)
    _say_batches(session, opened)
    return staged


def find_repeats(
    session: Session, opened: OpenedUpload, split: SplitUpload, checked: list[CheckedBatch]
) -> FoundDuplicates:
    """Find keys that come more than once inside the file, with DuckDB."""
    checked = all_checked(session, opened, split, checked)
    found = find_duplicates(
        [batch.keys_key for batch in checked if batch.keys_key],
        session.dataset,
        store=session.bucket,
        staging=opened.staging,
        memory_limit=session.settings.duckdb_memory_limit,
    )
    if opened.action == "import":
        Progress(session).say(FOUND, split.read, "searched for duplicates")
    return found


def publish(
    session: Session,
    opened: OpenedUpload,
    split: SplitUpload,
    checked: list[CheckedBatch],
    staged: list[StagedBatch],
    duplicates: FoundDuplicates,
) -> PublishedUpload:
    """Merge the upload into the table in one transaction, or count what that would do."""
    opened = replace(opened, token=session.token)
    checked = all_checked(session, opened, split, checked)
    arrived = {batch.number for batch in staged}
    staged = [*staged, *(stage(session, batch, opened) for batch in checked if batch.number not in arrived)]
    session.rows = CheckedRows(opened, split, checked, duplicates)
    Progress(session).say(FOUND, split.read, "publishing")
    return publish_upload(
        session.database_url,
        opened,
        split,
        checked,
        staged,
        duplicates,
        session.dataset,
        store=session.bucket,
        dry_run=opened.options.dry_run,
    )


def _split(session: Session, opened: OpenedUpload) -> SplitUpload:
    """Read the rows; a run in one process checks and stages those of a plain file meanwhile."""
    voice, size, memory = Progress(session), max(opened.size, 1), session.run_memory
    # Rows of a correction change once more when they are matched with what they correct.
    plain = opened.action == "import" and not opened.file.ours
    early = early_batches(session, opened) if memory and plain else None
    end = STAGED if early else SPLIT

    def said(bytes_done: int, rows_done: int) -> None:
        voice.say(OPENED + (end - OPENED) * bytes_done / size, rows_done, "splitting")

    with original_of(session, opened) as original, early or nullcontext():
        done = split_file(
            original.source,
            opened.file,
            session.dataset,
            options=opened.options,
            store=session.bucket,
            staging=opened.staging,
            progress=said,
            on_batch=early.begin if early else None,
        )
        if early:
            early.finish(done)
    if memory:
        memory.early = early
    return done


def _inspect(
    session: Session, row: UploadRow, *, dry_run: bool, rows_per_batch: int | None
) -> OpenedUpload | None:
    """Read the original once and find out everything later steps need; None: it was an archive."""
    with original_of(session) as original:
        statement = read_statement(session.bucket, original.listed)
        facts = statement.facts
        with session.ledger() as conn:
            guard(conn, session.upload_id, session.token)
            name = facts.name if row.parent is None else None
            ledger.set_columns(conn, row.upload_id, human_name=name, uploaded_by=facts.uploaded_by)
            dry_run = dry_run or owes_dry_run(conn, row)
        options = merged_options(statement, defaults=session.dataset.defaults, dry_run=dry_run)
        if row.reimport_of is not None:
            options = reimport_options(options, session.dataset)
        require_applicable(options, session.dataset)
        source, dataset = original.source, session.dataset
        refuse_too_large(source, dataset)
        recognised = recognise(source, encoding=options.encoding, limit=dataset.maximum_size)
        if recognised.format == "zip":
            if row.parent is not None:
                raise nested(source.name, row.member, told("a zip archive"))
            expand(session, row, original, options, facts.sha256)
            return None
        found = inspect_file(source, dataset, options, rows_per_batch=rows_per_batch, recognised=recognised)
    if row.parent is None:
        require_checksum(row.file_name, facts.sha256, found.sha256)
    assert row.workspace is not None  # noqa: S101 - a CHECK of the ledger holds it
    return OpenedUpload(
        upload_id=row.upload_id,
        short_id=row.short_id,
        identity=row.identity,
        workspace=row.workspace,
        dataset=session.dataset.name,
        fingerprint=session.dataset.fingerprint,
        attempt=session.attempt,
        token=session.token,
        source=original.listed,
        arrived=row.listed,
        source_time=row.last_modified,
        file_name=row.file_name,
        file=found,
        options=options,
        member=row.member,
        size=row.size,
        staging=staging_prefix(session.dataset.name, row.short_id, session.attempt),
        language=session.language,
    )


def _require_table(session: Session) -> None:
    """Look at ledger and table before the work, not after it.

    Raises:
        SchemaOutOfDate: the ledger is not that of this version of the code.
        TableDoesNotFit: the dataset's table is missing or not as declared.
    """
    dataset = session.dataset
    with session.ledger() as conn:
        require_current(conn, {})
        problems = dataset_table_problems(conn, dataset)
    if problems:
        raise TableDoesNotFit(
            f"The table of dataset {dataset.name} does not fit: {'; '.join(problems)}.",
            remedy="Type `import-pipeline migrate`, then launch the upload again.",
            table=dataset.table,
            problems=problems,
        )


def _tag_run(session: Session, row: UploadRow) -> None:
    """Give a run launched by hand the tags that the sensor gives."""
    session.context.instance.add_run_tags(
        session.context.run_id,
        run_tags(
            workspace=str(row.workspace),
            dataset=session.dataset.name,
            file_name=row.file_name,
            lane=lane_of(row.size, session.settings.small_file_mb),
            short_id=row.short_id,
        )
        | max_runtime(session.settings.max_hours),
    )


def _batch_done(session: Session, opened: OpenedUpload, checked: CheckedBatch) -> None:
    with session.ledger() as conn:
        guard(conn, session.upload_id, session.token, share=True)
        ledger.record_batch(
            conn,
            session.upload_id,
            opened.attempt,
            checked.number,
            "checked",
            rows=checked.valid,
            seconds=checked.seconds,
        )
    _say_batches(session, opened)


def _say_batches(session: Session, opened: OpenedUpload) -> None:
    """Progress of the fan-out: every batch is checked once and staged once."""
    with session.ledger() as conn:
        recorded = ledger.recorded_batches(conn, session.upload_id, opened.attempt)
        row = ledger.get_upload(conn, session.upload_id)
    batches = row.batches if row is not None and row.batches else max(len(recorded), 1)
    staged = [batch for batch in recorded if batch.state == "staged"]
    share = (CHECKED_SHARE * len(recorded) + (1 - CHECKED_SHARE) * len(staged)) / batches
    Progress(session).say(
        SPLIT + (STAGED - SPLIT) * share,
        sum(batch.rows for batch in recorded),
        f"{len(recorded)} of {batches} batches checked, {len(staged)} staged",
    )
