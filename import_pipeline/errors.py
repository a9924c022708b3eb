"""Every error the pipeline raises on purpose: one root, and below it whose trouble it is.

`PermanentImportError` is the file's fault (refused, never retried), `TransientImportError`
is trouble around us (retried with back-off), the rest is ours or the engineer's.
What each file-level code means stands in `codes.py`, not here.
"""

from typing import Any

from import_pipeline.plain_text import one_line


class ImportPipelineError(Exception):
    """Root of all errors raised on purpose.

    Attributes:
        code: closed-set code, documented in docs/error-codes.md.
        message: one sentence a person can read, naming file, row and column where known.
        masked: the message for ledger, logs and Dagster (as is `str()`), if it is another one: without
            what only the sender may see.
        remedy: what to do about it; empty if nothing can be done.
        fields: the error's facts by name, JSON-friendly; for the sender.
    """

    code: str = "internal_error"

    def __init__(
        self, message: str, *, remedy: str = "", code: str | None = None, masked: str = "", **fields: Any
    ):
        self.message = message
        self.masked = masked or message
        self.remedy = remedy
        self.fields = fields
        if code is not None:
            self.code = code
        # On one line: it is logged, and file names and headers are of strangers' making.
        super().__init__(one_line(f"{self.masked} {remedy}").strip())

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep every field when an error crosses a process."""
        return (_rebuild, (type(self), self.message, self.remedy, self.code, self.masked, self.fields))


def _rebuild(
    kind: type[ImportPipelineError],
    message: str,
    remedy: str,
    code: str,
    masked: str,
    fields: dict[str, Any],
) -> ImportPipelineError:
    return kind(message, remedy=remedy, code=code, masked=masked, **fields)


class PermanentImportError(ImportPipelineError):
    """The file's fault: refused at once, with a report; no retry at any level."""

    code = "refused"


class EmptyFile(PermanentImportError):
    """The object has 0 bytes, or nothing but blank lines."""

    code = "empty_file"


class UnsupportedFormat(PermanentImportError):
    """The content is not of a format that the dataset's reader reads."""

    code = "unsupported_format"


class UnsupportedEncoding(PermanentImportError):
    """The text is in an encoding that is not read, or not in the one the sender stated."""

    code = "unsupported_encoding"


class CorruptFile(PermanentImportError):
    """The content is damaged: it is not what its own format promises."""

    code = "corrupt_file"


class TruncatedFile(CorruptFile):
    """The content ends before its own format says so."""

    code = "truncated_file"


class EncryptedFile(PermanentImportError):
    """The content is protected by a password."""

    code = "encrypted_file"


class ExpandsTooFar(PermanentImportError):
    """Compressed content is much larger than a file of this size can sensibly hold; fields: `limit`."""

    code = "expands_too_far"


class TooLargeForASpreadsheet(PermanentImportError):
    """A workbook beyond what is held in memory; fields: `what` is counted, `found`, `limit`."""

    code = "too_large_for_a_spreadsheet"


class MissingColumns(PermanentImportError):
    """Required columns are not in the header; fields: `missing`, `found`, `nearest`."""

    code = "missing_columns"


class DuplicateHeader(PermanentImportError):
    """Two header cells name the same column; fields: `headers`, `positions` (from 1)."""

    code = "duplicate_header"


class UnknownColumns(PermanentImportError):
    """Headers that the dataset does not declare, where it says `refuse`; fields: `headers`."""

    code = "unknown_columns"


class FileTooLarge(PermanentImportError):
    """The object is larger than the dataset allows; fields: `size`, `limit` in bytes."""

    code = "file_too_large"


class UnclosedQuote(PermanentImportError):
    """Quotes are never closed, in the header or in too many rows; fields: `row`, `line`, both from 1."""

    code = "broken_quoting"


class TooManyRejects(PermanentImportError):
    """More rows failed validation than the dataset allows; fields: `rejected`, `read`, `limit`."""

    code = "too_many_rejects"


class ChecksumMismatch(PermanentImportError):
    """The bytes are not those whose sha256 the sender stated; fields: `stated`, `found`."""

    code = "checksum_mismatch"


class BadOption(PermanentImportError):
    """An option stated by the sender has a value that is not allowed; fields: `option`, `value`."""

    code = "bad_option"


class ObjectVanished(PermanentImportError):
    """The object was deleted before it could be read."""

    code = "object_vanished"


class OverwrittenBeforeRead(PermanentImportError):
    """Another object took its key before it could be read; fields: `successor`."""

    code = "overwritten_before_read"


class NestedArchive(PermanentImportError):
    """An archive inside an archive; fields: `member`, `looks_like`."""

    code = "nested_archive"


class TooManyMembers(PermanentImportError):
    """An archive with more files than are taken from one; fields: `members`, `limit`."""

    code = "too_many_members"


class DuplicateMember(PermanentImportError):
    """An archive has two files of one name; fields: `member`."""

    code = "duplicate_member"


class UnsupportedCompression(PermanentImportError):
    """A file in an archive is compressed in a way that is not read; fields: `member`, `method`."""

    code = "unsupported_compression"


class TransientImportError(ImportPipelineError):
    """Trouble around us: retried with exponential back-off and jitter, then `failed`."""

    code = "temporary_trouble"


class DatabaseUnavailable(TransientImportError):
    """PostgreSQL does not answer, or ended the connection."""

    code = "database_unavailable"


class StorageUnavailable(TransientImportError):
    """S3 does not answer, or answers with a fault of its own."""

    code = "storage_unavailable"


class NoRoomOnDisk(TransientImportError):
    """A temporary copy does not fit on the disk; fields: `needed`, `free` in bytes."""

    code = "no_room_on_disk"


class ConcurrentChange(TransientImportError):
    """Another writer changed the same rows between our look and our write; safe to repeat."""

    code = "concurrent_change"


class ImportFailed(ImportPipelineError):
    """Ours: the upload ends `failed` and may be launched again."""

    code = "internal_error"


class CountsDoNotBalance(ImportFailed):
    """Rows counted apart do not add up: nothing is published; fields: the counts."""

    code = "counts_do_not_balance"


class BatchesMissing(ImportFailed):
    """Fewer batches arrived than were split; fields: `expected`, `received`."""

    code = "batches_missing"


class StoredObjectMissing(ImportFailed):
    """An object that an earlier step wrote is gone; fields: `key`."""

    code = "stored_object_missing"


class FirstImportGone(ImportFailed):
    """The first import of the same bytes was undone before this one was decided; fields: `first`."""

    code = "first_import_gone"


class CorrectedMeanwhile(ImportFailed):
    """A row lost its reject to another correction after it had won over rows of its own file."""

    code = "corrected_meanwhile"


class TableDoesNotFit(ImportFailed):
    """The dataset's table is missing or differs from its declaration; fields: `table`, `problems`."""

    code = "table_does_not_fit"


class DatasetChanged(ImportFailed):
    """The dataset's declaration is not the one that this attempt began with; fields: `before`, `now`."""

    code = "dataset_changed"


class TookTooLong(ImportFailed):
    """The import ran longer than is allowed; fields: `limit` in hours."""

    code = "took_too_long"


class PartitionMissing(ImportFailed):
    """The run's partition is not (or no longer) in the dataset's set."""

    code = "partition_missing"


class NotAllDone(ImportFailed):
    """Housekeeping could not take some things away, and did all others; fields: `number`, `first`."""


class NotReimportable(ImportFailed):
    """An upload that cannot be brought in again; the remedy says what to do instead."""

    code = "not_reimportable"


class NotUndoable(ImportPipelineError):
    """An upload that cannot be undone, or not any more; nothing was changed.

    Fields: `why`: `not_published`, `already_undone`, `too_long_ago`, `history_gone`, `table_changed`,
    `not_readable`.
    """

    code = "not_undoable"


class UndoBlocked(ImportPipelineError):
    """A rule of the table's own does not let an undo put rows back or take them out; fields: `reason`."""

    code = "undo_blocked"


class Superseded(ImportPipelineError):
    """A newer run owns the upload: stop, retry nothing, write nothing."""

    code = "superseded"


class ConfigurationError(ImportPipelineError):
    """The engineer's: a setting or a dataset declaration is wrong; names file and line or variable."""

    code = "configuration_error"


class SchemaOutOfDate(ConfigurationError):
    """The database's schema is older than the code; the remedy says what to type."""

    code = "schema_out_of_date"
