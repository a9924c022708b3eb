"""Look at a file once, as a whole: its checksum, encoding, lines, delimiter and header.

A file that cannot be imported is refused here, before a row is read. Rows are `reading.py`'s and
`splitting.py`'s; what belongs to the upload and not to the file (identity, token) is the caller's.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.errors import BadOption, EmptyFile, FileTooLarge
from import_pipeline.flow.batches.dialects import find_dialect
from import_pipeline.flow.batches.encodings import (
    EncodingEvidence,
    Transcoder,
    check_stated_encoding,
    encoding_of_mark,
    keeps_ascii_lines,
)
from import_pipeline.flow.batches.formats import LOOKED_AT, refuse_binary
from import_pipeline.flow.batches.headers import map_header
from import_pipeline.flow.batches.scanning import CR, LF
from import_pipeline.flow.batches.source import Source

HEAD_BYTES = 1024 * 1024
SMALLEST_BATCH, FEWEST, MANY, MOST_BATCHES = 1000, 8, 32, 64
# A batch is held in memory as a whole by every later step.
BATCH_BYTES, BATCH_BYTES_OF_LARGE = 12 * 1024 * 1024, 32 * 1024 * 1024
BATCH_ROWS, BATCH_ROWS_OF_LARGE = 100_000, 250_000


@dataclass(frozen=True)
class FileFacts:
    """What one pass over all bytes tells.

    Attributes:
        encoding: Python's name; `utf-8-sig` where the file begins with a byte order mark.
        encoding_evidence: one phrase for the report.
        physical_lines: line ends (LF, CRLF or CR), plus one for a last line without.
        head: the first bytes, at most 1 MiB.
        size: bytes read.
    """

    sha256: str
    encoding: str
    encoding_evidence: str
    physical_lines: int
    head: bytes
    size: int


@dataclass(frozen=True)
class InspectedFile:
    """What later steps need to know of a file; see `OpenedUpload` for the attributes."""

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


class LineCounter:
    """Counts the physical lines of a text that comes in parts; knows nothing of cells or quotes."""

    def __init__(self) -> None:
        self._ends = 0
        self._last = b""

    def add(self, part: bytes) -> None:
        """Count one part; a CRLF may straddle two."""
        if not part:
            return
        data = np.frombuffer(part, np.uint8)
        feeds = int(np.count_nonzero(data == LF))
        returns = data == CR
        carriages = int(np.count_nonzero(returns))
        pairs = int(np.count_nonzero(returns[:-1] & (data[1:] == LF))) if carriages else 0
        if self._last == b"\r" and data[0] == LF:
            pairs += 1
        self._ends += feeds + carriages - pairs
        self._last = part[-1:]

    @property
    def lines(self) -> int:
        """Lines so far; a last one without line end counts."""
        return self._ends + (self._last not in (b"", b"\n", b"\r"))


def read_whole(source: Source, *, encoding: str | None = None, default: str | None = None) -> FileFacts:
    """Read all bytes once: checksum, encoding, physical lines.

    Args:
        encoding: what the sender stated; None: look at the evidence.
        default: encoding taken where the bytes are neither marked nor valid UTF-8.

    Raises:
        BadOption: the stated encoding is none.
        EmptyFile: there are no bytes.
        UnsupportedEncoding: the text is not in the stated encoding, or is broken UTF-16 or UTF-32.
        UnsupportedFormat: it is no text.
    """
    digest, evidence, counter, head = hashlib.sha256(), EncodingEvidence(), LineCounter(), bytearray()
    size, known, transcoder = 0, None, None
    for number, chunk in enumerate(_beginning_whole(source.chunks())):
        if number == 0:
            known = _known_encoding(chunk, encoding, source.name)
            transcoder = None if known is None or keeps_ascii_lines(known) else Transcoder(known)
        digest.update(chunk)
        size += len(chunk)
        if len(head) < HEAD_BYTES:
            head += chunk[: HEAD_BYTES - len(head)]
        counter.add(chunk if transcoder is None else transcoder.feed(chunk))
        if known is None:
            evidence.add(chunk, final=False)
    if not size:
        raise EmptyFile(f"{source.name} is empty: it has 0 bytes.", remedy="Send the file again.")
    if transcoder is not None:
        counter.add(transcoder.feed(b"", final=True))
    evidence.add(b"", final=True)
    if known is None:
        chosen, why = evidence.decide(default)
    else:
        chosen, why = known, "stated" if encoding else "the file begins with its byte order mark"
    return FileFacts(digest.hexdigest(), chosen, why, counter.lines, bytes(head), size)


def inspect_file(
    source: Source, dataset: Dataset, options: SenderOptions, *, rows_per_batch: int | None = None
) -> InspectedFile:
    """Everything that must be known before rows are read.

    Args:
        rows_per_batch: what the run's config asks for; raised if it gave over 64 batches.

    Raises:
        PermanentImportError: the file or an option cannot be used; see the classes in `errors.py`.
    """
    if source.size > dataset.maximum_size:
        raise FileTooLarge(
            f"{source.name} has {source.size:,} bytes; {dataset.name} takes at most "
            f"{dataset.maximum_size:,}.",
            remedy="Split it into smaller files.",
            size=source.size, limit=dataset.maximum_size,
        )  # fmt: skip
    facts = read_whole(source, encoding=options.encoding, default=dataset.defaults.encoding)
    complete = facts.size <= len(facts.head)
    text = Transcoder(facts.encoding).feed(facts.head, final=complete)
    dialect = find_dialect(
        text, complete=complete, dataset=dataset, stated=options.delimiter, file_name=source.name
    )
    mapped = map_header(dialect.header, dataset, source.name)
    return InspectedFile(
        sha256=facts.sha256,
        format="csv",
        encoding=facts.encoding,
        encoding_evidence=facts.encoding_evidence,
        delimiter=dialect.delimiter,
        delimiter_evidence=dialect.evidence,
        header=mapped.header,
        mapping=mapped.mapping,
        unknown=mapped.unknown,
        ours=mapped.ours,
        physical_lines=facts.physical_lines,
        header_line=dialect.header_line,
        rows_per_batch=choose_rows_per_batch(
            facts.physical_lines - dialect.header_line, facts.size, rows_per_batch
        ),
    )


def choose_rows_per_batch(rows: int, size: int, wanted: int | None = None) -> int:
    """Rows of one batch: 8 to 32 batches a file, up to 64 for one of gigabytes, at least 1,000 rows each.

    Args:
        rows: the most rows that the file can have.
        size: bytes of the file.
        wanted: overrides all but the limit of 64 batches.

    Raises:
        BadOption: `wanted` is below 1.
    """
    if wanted is not None:
        if wanted < 1:
            raise BadOption(
                f"The option rows_per_batch says {wanted}.",
                remedy="State 1 or more, or leave it out.",
                option="rows_per_batch", value=wanted,
            )  # fmt: skip
        return max(wanted, -(-rows // MOST_BATCHES))
    batches = min(max(size // BATCH_BYTES, rows // BATCH_ROWS, FEWEST), MANY)
    of_large = max(size // BATCH_BYTES_OF_LARGE, rows // BATCH_ROWS_OF_LARGE)
    batches = max(batches, min(of_large, MOST_BATCHES))
    return max(SMALLEST_BATCH, -(-rows // batches))


def _known_encoding(start: bytes, stated: str | None, name: str) -> str | None:
    """The encoding that sender or byte order mark state; refuses what is no text."""
    if stated is not None:
        known: str | None = check_stated_encoding(stated, start)
    else:
        known = encoding_of_mark(start)
    if known is None or keeps_ascii_lines(known):
        refuse_binary(start, name)
    return known


def _beginning_whole(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes; the first part has at least the bytes by which a format is recognised."""
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) >= LOOKED_AT:
            break
    if start:
        yield start
    yield from chunks
