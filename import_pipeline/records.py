"""What the stages of `flow/` hand each other: small frozen records, never rows.

Rows travel as Parquet objects whose keys stand in these records (see docs/architecture.md
for their columns). Everything here pickles, and `dataclasses.asdict` makes it JSON-friendly.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from import_pipeline.catalog.dataset import SenderOptions

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


@dataclass(frozen=True)
class OpenedUpload:
    """What `open_upload` found out: everything later steps need to know of the file.

    Attributes:
        attempt: `root_run_id` of the attempt; owns staging table and staging objects.
        source: the object that is read, wherever it lies now.
        source_time: LastModified of the original arrival, whatever was moved since.
        header: the header cells as written, by position.
        mapping: declared column to position in `header`.
        unknown: positions of headers that the dataset does not declare (ours excluded).
        ours: whether the file ends with our three `_import_…` columns (a `rejected.csv`).
        physical_lines: line ends in the object, plus one for a last line without.
        header_line: physical line (from 1) of the header's first line.
        options: what the sender stated.
        encoding_evidence: one phrase for the report, such as `all bytes are valid UTF-8`.
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
    sha256: str
    format: str
    encoding: str
    encoding_evidence: str
    delimiter: str
    delimiter_evidence: str
    header: tuple[str, ...]
    mapping: dict[str, int]
    unknown: tuple[int, ...]
    ours: bool
    physical_lines: int
    header_line: int
    rows_per_batch: int
    options: SenderOptions
    staging: str
    duplicate_of: str | None = None
    action: Literal["import", "report"] = "import"


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
    """Physical lines of a text file, each counted where it is met."""

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
class SplitUpload:
    """What `split_upload` made: the batches, and what only the whole column or file can tell."""

    batches: tuple[Batch, ...]
    read: int
    lines: LineCount
    verdicts: tuple[ColumnVerdict, ...]
    seconds: float


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
