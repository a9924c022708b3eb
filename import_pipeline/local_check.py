"""Checks a file on this machine as a run would, with no service: same reading, rules and reports.

What the table holds is not known here, so the result is that of an import into an empty one.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.clean_file import CleanRows
from import_pipeline.errors import CountsDoNotBalance, PermanentImportError, TooManyRejects
from import_pipeline.flow.arrivals.identity import identity, make_safe, short_id, upload_id
from import_pipeline.flow.arrivals.options import merged_options
from import_pipeline.flow.batches.archives.listing import list_members
from import_pipeline.flow.batches.archives.member_source import MemberSource
from import_pipeline.flow.batches.columns.evidence import Readings
from import_pipeline.flow.batches.delimited.reading import PIECE_BYTES
from import_pipeline.flow.batches.opening import inspect_file
from import_pipeline.flow.batches.recognising.formats import recognise
from import_pipeline.flow.batches.sources.source import FileSource, Source
from import_pipeline.flow.batches.splitting import split_file
from import_pipeline.flow.checks.checking import check_batch
from import_pipeline.flow.checks.early import EarlyChecks
from import_pipeline.flow.duplicates.finding import find_duplicates
from import_pipeline.flow.loading.counting import check_reject_share
from import_pipeline.flow.reports.writing import REPORT_FILES, WrittenReport, write_refusal, write_reports
from import_pipeline.language import Language, told
from import_pipeline.records import (
    Batch,
    CheckedBatch,
    ColumnVerdict,
    Counts,
    FoundDuplicates,
    ListedObject,
    Notice,
    OpenedUpload,
    PublishedUpload,
    SplitUpload,
    Token,
    UploadState,
)
from import_pipeline.storage.places import staging_prefix
from import_pipeline.storage.store import LocalStore

WORKSPACE = "local"
ATTEMPT = "check"
# Told in summary.json: nothing was sent, so there is nowhere to send it again.
LOCAL = {"checked_locally": True}
MEMORY_LIMIT = "512MB"
# Batches checked at once; each is held in memory.
TABLES_IN_MEMORY = 256 * 1024 * 1024
THREADS = min(os.cpu_count() or 1, 4)
# Each batch costs 10 ms whatever its size; those of a run are smaller, so that processes can share them.
LARGER_BATCHES = 1.5
CLEAN_FILE = "clean.parquet"
# A name in a zip may be longer than a file system's 255 bytes; a character has at most 4.
LONGEST_FOLDER = 60

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class CheckedFile:
    """What checking a file gave.

    Attributes:
        path: of a file in an archive, its path there below the archive's.
        state: `checked`, or `refused` with `error`.
        counts: as an import into an empty table would count; None if no row was read.
        codes: errors, warnings and duplicates by code.
        warnings: what was assumed about the file, as in summary.json.
        files: what was written, by path.
    """

    path: Path
    dataset: str
    state: UploadState
    counts: Counts | None
    codes: dict[str, int]
    warnings: tuple[Any, ...]
    error: PermanentImportError | None
    files: tuple[Path, ...]
    seconds: float


def check_files(
    path: Path,
    dataset: Dataset,
    options: SenderOptions,
    output: Path,
    progress: Progress = lambda stage, share: None,
    language: Language = "en",
) -> tuple[CheckedFile, ...]:
    """Check a file as `check_file` does; in a zip each file of it, as they would be imported.

    Args:
        output: of a zip, the folder of the files' folders: `1-janeiro.csv`, `2-fevereiro.csv`, ….
    """
    archive = FileSource(path)
    try:
        if recognise(archive, encoding=options.encoding, limit=dataset.maximum_size).format != "zip":
            return (check_file(path, dataset, options, output, progress, language),)
        members = list_members(archive, dataset.maximum_size).members
    except PermanentImportError as error:
        return (_check(_Original(archive, path, error), dataset, options, output, progress, language),)
    checked = []
    for number, member in enumerate(members, 1):
        source = MemberSource(archive, member.name)
        name = make_safe(re.split(r"[/\\]", member.name)[-1])
        folder = output / f"{number}-{name[-LONGEST_FOLDER:]}"
        original = _Original(source, path, None, member.name)
        checked.append(_check(original, dataset, options, folder, progress, language))
    return tuple(checked)


def check_file(
    path: Path,
    dataset: Dataset,
    options: SenderOptions,
    output: Path,
    progress: Progress = lambda stage, share: None,
    language: Language = "en",
) -> CheckedFile:
    """Read, check and search a file for duplicates; write what came of it into `output`.

    Args:
        output: folder for clean.parquet, errors.csv, rejected.<format>, summary.html and summary.json;
            made if missing, these files in it are replaced.
        progress: told the stage and its share done (0 to 1).
        language: of the report where the dataset declares none.

    Returns:
        Also for a file that an import would refuse; then with the error.
    """
    source = FileSource(path, PIECE_BYTES)
    return _check(_Original(source, path), dataset, options, output, progress, language)


@dataclass(frozen=True)
class _Original:
    """What is checked.

    Attributes:
        path: on this machine; of a file in an archive, the archive's.
        refusal: why it cannot be read, if that is known already.
    """

    source: Source
    path: Path
    refusal: PermanentImportError | None = None
    member: str = ""


def _check(
    original: _Original,
    dataset: Dataset,
    options: SenderOptions,
    output: Path,
    progress: Progress,
    language: Language,
) -> CheckedFile:
    started = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    for name in (CLEAN_FILE, *REPORT_FILES):
        (output / name).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="import_pipeline_check_") as folder:
        # The reports are copied out of it: the user's folder may hold files with similar names.
        store = LocalStore(Path(folder), TABLES_IN_MEMORY)
        checking = _Checking(original, dataset, options, store, progress, language)
        report, error = checking.run(output / CLEAN_FILE)
        for key in store.list_keys(report.prefix):
            shutil.copyfile(store.path(key), output / key.rsplit("/", 1)[-1])
    if error is not None:
        (output / CLEAN_FILE).unlink(missing_ok=True)
    written = (output / name for name in (CLEAN_FILE, *REPORT_FILES))
    return CheckedFile(
        path=original.path / original.member.lstrip("/"),
        dataset=dataset.name,
        state="checked" if error is None else "refused",
        counts=checking.counts if error is None else None,
        codes=report.codes,
        warnings=tuple(report.summary.get("warnings", ())),
        error=error,
        files=tuple(file for file in written if file.exists()),
        seconds=time.monotonic() - started,
    )


@dataclass(frozen=True)
class _LocalUpload:
    """What names a local file in reports."""

    upload_id: str
    short_id: str
    workspace: str
    dataset: str
    file_name: str


class _Checking:
    """The stages of one check, in the order of a run."""

    def __init__(
        self,
        original: _Original,
        dataset: Dataset,
        options: SenderOptions,
        store: LocalStore,
        progress: Progress,
        language: Language,
    ):
        self.original = original
        self.source = original.source
        self.dataset = dataset
        self.language: Language = dataset.language or language
        self.options = merged_options(options, defaults=dataset.defaults)
        self.store = store
        self.progress = progress
        self.listed = _listed(original)
        self.counts: Counts | None = None

    def run(self, clean: Path) -> tuple[WrittenReport, PermanentImportError | None]:
        """Check the file, write its clean rows and its report; the error of a refusal."""
        self.progress("opening", 0.0)
        try:
            if self.original.refusal is not None:
                raise self.original.refusal
            opened = self._open()
            split, checked, duplicates = self._split_and_check(opened)
        except PermanentImportError as error:
            return self._refuse(error), error
        self.progress("reporting", 0.0)
        try:
            if not opened.file.ours:
                check_reject_share(self.dataset, split.read, sum(batch.rejected for batch in checked))
        except TooManyRejects as error:
            report = write_reports(
                self.store,
                opened,
                split,
                checked,
                None,
                duplicates=duplicates,
                dataset=self.dataset,
                refusal=error,
                facts=LOCAL,
            )
            return report, error
        rows = CleanRows(self.store, checked, duplicates)
        published = self._count(split, checked, duplicates, rows.count())
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="write-clean") as thread:
            writing = thread.submit(rows.write, clean)
            report = write_reports(
                self.store,
                opened,
                split,
                checked,
                published,
                duplicates=duplicates,
                dataset=self.dataset,
                facts=LOCAL,
            )
            # Counted before, so that the report need not wait; what was written must be as many.
            self._count(split, checked, duplicates, writing.result())
        return report, None

    def _refuse(self, error: PermanentImportError) -> WrittenReport:
        return write_refusal(self.store, self._named(), error, language=self.language, facts=LOCAL)

    def _open(self) -> OpenedUpload:
        found = inspect_file(self.source, self.dataset, self.options)
        notices = (*found.notices, _not_matched(self.source.name)) if found.ours else found.notices
        named = self._named()
        return OpenedUpload(
            **vars(named),
            file=replace(found, rows_per_batch=int(found.rows_per_batch * LARGER_BATCHES), notices=notices),
            identity=identity(self.listed, self.original.member),
            fingerprint=self.dataset.fingerprint,
            attempt=ATTEMPT,
            token=Token(0.0, ATTEMPT),
            source=self.listed,
            source_time=self.listed.last_modified,
            options=self.options,
            staging=staging_prefix(self.dataset.name, named.short_id, ATTEMPT),
            language=self.language,
        )

    def _named(self) -> _LocalUpload:
        whole = identity(self.listed, self.original.member)
        named = upload_id(WORKSPACE, f"{self.listed.key}/{self.original.member}".rstrip("/"), whole)
        return _LocalUpload(named, short_id(whole), WORKSPACE, self.dataset.name, self.source.name)

    def _split_and_check(
        self, opened: OpenedUpload
    ) -> tuple[SplitUpload, list[CheckedBatch], FoundDuplicates]:
        """The rows read, checked and searched for repeats, each stage while the one before still goes on."""

        def check(
            batch: Batch, verdicts: Sequence[ColumnVerdict], readings: Mapping[str, Readings]
        ) -> CheckedBatch:
            return check_batch(
                batch,
                opened.file,
                verdicts,
                self.dataset,
                options=self.options,
                language=opened.language,
                readings=readings,
                store=self.store,
                staging=opened.staging,
            )

        checked: list[CheckedBatch] = []
        with EarlyChecks(check, THREADS) as checks:
            split = self._split(opened, checks)
            self.progress("checking", 0.0)

            def keys() -> Iterator[str]:
                for one in checks.finish(split.batches, split.verdicts):
                    checked.append(one)
                    self.progress("checking", len(checked) / len(split.batches))
                    yield one.keys_key

            duplicates = find_duplicates(
                keys(), self.dataset, store=self.store, staging=opened.staging, memory_limit=MEMORY_LIMIT
            )
        return split, checked, duplicates

    def _split(self, opened: OpenedUpload, checks: EarlyChecks) -> SplitUpload:
        size = max(self.source.size, 1)
        return split_file(
            self.source,
            opened.file,
            self.dataset,
            options=self.options,
            store=self.store,
            staging=opened.staging,
            progress=lambda done, rows: self.progress("reading", done / size),
            on_batch=checks.begin,
        )

    def _count(
        self,
        split: SplitUpload,
        checked: Sequence[CheckedBatch],
        duplicates: FoundDuplicates,
        written: int,
    ) -> PublishedUpload:
        """What an import into an empty table would count.

        Raises:
            CountsDoNotBalance: a fault of ours.
        """
        counts = Counts(
            read=split.read,
            inserted=written,
            updated=0,
            unchanged=0,
            duplicate=duplicates.rows,
            rejected=sum(batch.rejected for batch in checked),
        )
        if not counts.balanced:
            raise CountsDoNotBalance(
                f"Rows of {self.source.name} are unaccounted for: {counts}.",
                remedy="Report it with the file.",
            )
        self.counts = counts
        repeated = {"repeated_in_file": duplicates.rows} if duplicates.rows else {}
        return PublishedUpload("checked", counts, repeated, "", None, None, 0.0)


def _not_matched(file_name: str) -> Notice:
    return Notice(
        "corrections_not_matched",
        told(
            "{file} is a corrected file: which rejects its rows put right is looked up when it is imported.",
            file=file_name,
        ),
    )


def _listed(original: _Original) -> ListedObject:
    """The file as if it lay in a bucket: same file, same identity."""
    stat = original.path.stat()
    return ListedObject(
        bucket=WORKSPACE,
        key=original.path.name,
        etag=str(stat.st_mtime_ns),
        size=stat.st_size,
        last_modified=datetime.fromtimestamp(int(stat.st_mtime), UTC),
    )
