"""What the stages of `flow/` hand each other: small frozen records, never rows.

Rows travel as Parquet objects whose keys stand in these records (see docs/architecture.md
for their columns). Everything here pickles, and `dataclasses.asdict` makes it JSON-friendly.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.language import Language

UploadState = Literal[
    "detected", "queued", "running", "completed", "completed_with_rejects", "checked", "expanded",
    "duplicate_file", "refused", "failed", "cancelled", "undone", "ignored",
]  # fmt: skip


@dataclass(frozen=True)
class ListedObject:
    """One object as a listing (or HEAD) shows it.

    Attributes:
        etag: as listed, without the surrounding quotes.
        last_modified: as listed, UTC.
        version_id: None in a bucket without versioning (a listing does not tell either).
    """

    bucket: str
    key: str
    etag: str
    size: int
    last_modified: datetime
    version_id: str | None = None


@dataclass(frozen=True)
class Token:
    """Who may write: the greatest of (a run's creation time in Dagster, seconds since 1970; its id)."""

    created: float
    run_id: str

    def __lt__(self, other: "Token") -> bool:
        return (self.created, self.run_id) < (other.created, other.run_id)


FileFormat = Literal["csv", "json", "jsonl", "parquet", "xlsx", "xlsm", "xlsb", "xls", "ods"]
Compression = Literal["gz", "zst", "xz", "bz2"]


@dataclass(frozen=True)
class Detected:
    """One thing found out, stated or assumed about a file, for the report.

    Attributes:
        what: such as `encoding` or `delimiter`.
        why: one phrase, such as `all bytes are valid UTF-8` or `stated`.
        option: the sender's option that changes it.
        assumed: whether it is a default that nothing in the file settles.
    """

    what: str
    value: str
    why: str
    option: str | None = None
    assumed: bool = False


@dataclass(frozen=True)
class Notice:
    """Something about the whole file that the sender should look at; a warning of `codes.py`."""

    code: str
    message: str


@dataclass(frozen=True)
class TextFacts:
    """What is known of a text file (CSV, TSV, JSON Lines).

    Attributes:
        encoding: Python's name; `utf-8-sig` where the file begins with a byte order mark.
        physical_lines: line ends (LF, CRLF or CR), plus one for a last line without.
        delimiter: one ASCII character; empty for JSON Lines.
        quote: the quote character; empty: quotes are text.
        escape: the character that takes the meaning from the next one; empty: none, quotes are doubled.
        header_line: physical line (from 1) of the header's first line; 0: there is no header.
    """

    encoding: str
    physical_lines: int
    delimiter: str = ""
    quote: str = '"'
    escape: str = ""
    header_line: int = 0


@dataclass(frozen=True)
class Sheet:
    """One sheet of a workbook whose rows are read.

    Attributes:
        header_row: row of its header as the sender counts, from 1; 0: it has none.
        columns: for each of its columns, from A, the position in the upload's `header`; -1: not read.
        marked: whether its own text says more of cells than their values: errors, formulas, percentages.
    """

    name: str
    header_row: int
    columns: tuple[int, ...]
    marked: bool = False


@dataclass(frozen=True)
class InspectedFile:
    """What is known of a file before its rows are read.

    Attributes:
        sha256: of the bytes as they were sent (compressed, if so).
        compression: how the file is compressed; None: it is not.
        header: the header cells as written, by position (declared columns where there is no header).
        mapping: declared column to position in `header`.
        unknown: positions of headers that the dataset does not declare (ours excluded).
        ours: whether the file ends with our three `_import_…` columns (a `rejected.*`).
        text: None for a format that is no text in lines.
        sheets: of a workbook, those that are read, in their order; empty for other formats.
        schema: of a Parquet file, base64 of its Arrow schema's IPC form.
        detected: what was found out, in the order in which a report tells it.
    """

    format: FileFormat
    header: tuple[str, ...]
    mapping: dict[str, int]
    unknown: tuple[int, ...]
    ours: bool
    rows_per_batch: int
    sha256: str = ""
    compression: Compression | None = None
    text: TextFacts | None = None
    sheets: tuple[Sheet, ...] = ()
    schema: str = ""
    detected: tuple[Detected, ...] = ()
    notices: tuple[Notice, ...] = ()

    @property
    def delimiter(self) -> str:
        """The delimiter of a delimited text; empty for other formats."""
        return self.text.delimiter if self.text else ""

    @property
    def encoding(self) -> str:
        """The encoding of a text; empty for other formats."""
        return self.text.encoding if self.text else ""


@dataclass(frozen=True)
class OpenedUpload:
    """What `open_upload` found out: everything later steps need to know of the file.

    Attributes:
        attempt: `root_run_id` of the attempt; owns staging table and staging objects.
        source: the object that is read, wherever it lies now.
        source_time: LastModified of the original arrival, whatever was moved since.
        arrived: the object as it was dropped; None: it is `source`.
        file: what is known of the file itself.
        options: what the sender stated.
        member: of a file in an archive, its path there; `source` is the archive then.
        size: bytes of the file itself (of a member: unpacked); 0: those of `source`.
        language: of messages to the sender, `en` or `pt`.
        staging: key prefix of this attempt's staging objects, ends with `/`.
        duplicate_of: upload id of the first import of the same bytes, if the work can be saved.
        action: `import` the file, or only `report` on one that was published before.
    """

    upload_id: str
    short_id: str
    identity: str
    workspace: str
    dataset: str
    fingerprint: str
    attempt: str
    token: Token
    source: ListedObject
    source_time: datetime
    file_name: str
    file: InspectedFile
    options: SenderOptions
    staging: str
    member: str = ""
    size: int = 0
    language: Language = "en"
    duplicate_of: str | None = None
    action: Literal["import", "report"] = "import"
    arrived: ListedObject | None = None


@dataclass(frozen=True)
class Batch:
    """A slice of an upload: a Parquet object, numbered from 1."""

    number: int
    key: str
    rows: int
    first_row: int
    last_row: int


@dataclass(frozen=True)
class LineCount:
    """Physical lines of a text file, each counted where it is met; all 0 for a format without lines."""

    before_header: int = 0
    header: int = 0
    blank: int = 0
    ignored: int = 0
    rows: int = 0


@dataclass(frozen=True)
class ColumnVerdict:
    """How one decimal or date column is read, and why.

    Attributes:
        reading: `,` or `.` (decimal mark), `dmy`, `mdy` or `ymd`; `mixed` if both readings have
            proof: each value with one possible reading is read so, the others are rejects;
            None: ambiguous, without proof or default: ambiguous values are rejects.
        source: where the reading comes from; `not_needed`: no value depends on it.
        proofs: number of values that have only this reading, by reading.
        ambiguous: number of values with more than one reading.
    """

    column: str
    kind: Literal["decimal", "date"]
    reading: str | None
    source: Literal["evidence", "stated", "default", "not_needed", "none"]
    proofs: dict[str, int] = field(default_factory=dict)
    ambiguous: int = 0


@dataclass(frozen=True)
class IgnoredRow:
    """A row that is no data: a header repeated inside, a footer that the dataset declares."""

    row_number: int
    why: Literal["repeated_header", "footer"]
    text: str


@dataclass(frozen=True)
class SplitUpload:
    """What `split_upload` made: the batches, and what only the whole column or file can tell.

    Attributes:
        read: rows read, ignored ones excluded.
        ignored: the first ignored rows (at most 100); `lines.ignored` counts the lines of all.
        ignored_rows: number of all ignored rows.
        targets: of a correction, key prefix of the Parquet objects that say which reject each row puts
            right (`flow/batches/corrections.py`); empty for any other file.
        corrects: of a correction, upload ids of those whose rejects it names, at most 100.
        notices: what only all rows together tell about the file.
    """

    batches: tuple[Batch, ...]
    read: int
    lines: LineCount
    verdicts: tuple[ColumnVerdict, ...]
    seconds: float
    ignored: tuple[IgnoredRow, ...] = ()
    ignored_rows: int = 0
    targets: str = ""
    corrects: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class CheckedBatch:
    """One batch after parsing and validation: read = valid + rejected, each counted apart.

    Attributes:
        clean_key: Parquet of valid rows; `keys_key`: their row number and key columns only
            (empty string for a dataset without a key).
        rejects_key: Parquet of rejected rows, as sent; `errors_key`: Parquet of errors and warnings.
        codes: number of errors by code.
    """

    number: int
    batch_key: str
    read: int
    valid: int
    rejected: int
    clean_key: str
    keys_key: str
    rejects_key: str
    errors_key: str
    codes: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class StagedBatch:
    """One batch in the attempt's staging table, under the load id of the try that won."""

    number: int
    load_id: str
    rows: int
    seconds: float


@dataclass(frozen=True)
class FoundDuplicates:
    """Valid rows of the file that lose to another row with the same key.

    Attributes:
        key: Parquet of (`_row_number`, `_winner_row_number`); empty string if none.
    """

    key: str
    rows: int
    seconds: float


@dataclass(frozen=True)
class Counts:
    """The six counters of an upload: read = the sum of the others."""

    read: int
    inserted: int
    updated: int
    unchanged: int
    duplicate: int
    rejected: int

    @property
    def balanced(self) -> bool:
        """Whether nothing is lost."""
        return self.read == self.inserted + self.updated + self.unchanged + self.duplicate + self.rejected


@dataclass(frozen=True)
class PublishedUpload:
    """What publishing (or its dry run) did: the state reached and the counts of the transaction.

    Attributes:
        duplicates: duplicate rows by code (`repeated_in_file`, `already_in_table`, `newer_in_table`).
        outcomes_table: table in schema `staging` of (`_row_number`, `outcome`, `code`) for each
            valid row that was neither inserted nor updated; logged, so a crash keeps it.
        duplicate_of: the first import's upload id, in state `duplicate_file`.
    """

    state: UploadState
    counts: Counts
    duplicates: dict[str, int]
    outcomes_table: str
    duplicate_of: str | None
    published_at: datetime | None
    seconds: float


LeftCode = Literal["changed_since", "referenced"]


@dataclass(frozen=True)
class LeftRow:
    """A row that an undo did not touch; it belongs to no upload any more.

    Attributes:
        row_number: in the file it came from, as the sender counts.
        key: values of the key's columns as they are now, personal ones masked; empty without a key.
        code: `changed_since` its import, or `referenced` by another table.
    """

    row_number: int | None
    key: dict[str, str | None]
    code: LeftCode


@dataclass(frozen=True)
class DependingUpload:
    """A published upload that would have loaded more rows without the one that is undone.

    Attributes:
        rows: rows of it that were skipped, rejected or unchanged because they met a row of that one; of
            a `duplicate_file` all that the first one read.
        correction: whether it puts rejects right, which is no work for a reimport.
    """

    upload_id: str
    file_name: str
    state: UploadState
    rows: int
    correction: bool = False


@dataclass(frozen=True)
class UndoneUpload:
    """What an undo did, or would do: each row the upload wrote is in exactly one of five numbers.

    Attributes:
        removed: rows taken out; `restored`: rows that are again as they were before.
        left: rows that stay as they are, by code; `left_rows`: the first of them, at most 100; `left_key`:
            the object that lists them all, None without any and after a dry run.
        overwritten: rows that a later upload overwrote; they stay, and what it found is mended.
        gone: rows that somebody else deleted, or took over, since.
        depending: uploads to bring in again if their rows are wanted, most rows first.
        undone_at: None after a dry run.
    """

    upload_id: str
    removed: int
    restored: int
    left: dict[LeftCode, int]
    left_rows: tuple[LeftRow, ...]
    overwritten: int
    gone: int
    depending: tuple[DependingUpload, ...]
    undone_at: datetime | None
    dry_run: bool
    seconds: float
    left_key: str | None = None
