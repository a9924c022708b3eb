"""Which delimiter a file uses and where its header is, by evidence from its first megabyte.

The evidence is what counts for the reader of the file: how many declared columns a delimiter
uncovers in the header, then how many rows it cuts into as many cells as the header has.
"""

import re
from dataclasses import dataclass

import numpy as np

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import BadOption, EmptyFile, UnclosedQuote, UnsupportedFormat
from import_pipeline.flow.batches.delimited.cells import header_cells
from import_pipeline.flow.batches.delimited.scanning import Scan, scan
from import_pipeline.flow.batches.headers import matched_columns

DELIMITERS = (",", ";", "\t", "|")
ROWS_LOOKED_AT = 1000
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
_STATED = {"tab": "\t", r"\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "bar": "|", "space": " "}
# Excel's own hint: a first line `sep=;` that names the delimiter and is no row.
SEPARATOR_LINE = re.compile(rb'\A"?[Ss][Ee][Pp]=([^\r\n"])"?[ ,;\t|]*(?:\r\n|\r|\n)')


@dataclass(frozen=True)
class FoundDialect:
    """How a file is cut into cells.

    Attributes:
        evidence: one phrase for the report.
        header: the header's cells as written.
        header_line: physical line of the header's first line, from 1.
    """

    delimiter: str
    evidence: str
    header: tuple[str, ...]
    header_line: int


@dataclass(frozen=True)
class _Candidate:
    delimiter: str
    scan: Scan
    record: int
    header: tuple[str, ...]
    matched: int
    share: float
    is_default: bool

    @property
    def weight(self) -> tuple[int, bool, float, int]:
        cells = len(self.header)
        return self.matched, self.is_default, self.share if self.matched or cells > 1 else 0.0, cells


def find_dialect(
    head: bytes, *, complete: bool, dataset: Dataset, stated: str | None, file_name: str
) -> FoundDialect:
    """Find delimiter and header.

    Args:
        head: the beginning of the text in UTF-8.
        complete: whether it is all of the text.
        stated: the sender's delimiter; None: look at the evidence, and where that is even take the
            dataset's default.

    Raises:
        BadOption: the stated delimiter is none.
        EmptyFile: there is nothing but blank lines.
        UnclosedQuote: the header has a quote that does not close.
        UnsupportedFormat: no header ends within the head.
    """
    hint = SEPARATOR_LINE.match(head)
    hinted = hint.group(1).decode(errors="replace") if hint else None
    skip = hint.end() if hint else 0
    default = (check_delimiter(dataset.defaults.delimiter),) if dataset.defaults.delimiter else ()
    wanted: tuple[str, ...]
    if stated is not None:
        wanted, why = (check_delimiter(stated),), "stated"
    elif hinted is not None and _is_delimiter(hinted):
        wanted, why = (hinted,), "named by the file's line `sep=`"
    else:
        wanted, why = tuple(dict.fromkeys((*DELIMITERS, *default))), ""
    scans = {delimiter: scan(head, delimiter, final=complete) for delimiter in wanted}
    tried = (
        _candidate(head, found, delimiter, skip=skip, dataset=dataset, is_default=delimiter in default)
        for delimiter, found in scans.items()
    )
    candidates = [candidate for candidate in tried if candidate is not None]
    if not candidates or (complete and len(candidates) < len(scans)):
        raise _no_header(head, next(iter(scans.values())), complete, file_name)
    best = max(candidates, key=lambda candidate: candidate.weight)
    if complete and best.scan.open_quote >= 0 and best.record == best.scan.records - 1:
        raise unclosed(best.record + 1, _line(best.scan, best.record), file_name)
    return FoundDialect(best.delimiter, why or _evidence(best), best.header, _line(best.scan, best.record))


def check_delimiter(stated: str) -> str:
    """The one character that a stated delimiter (`;`, `tab`, …) means.

    Raises:
        BadOption: it is no single ASCII character that can separate cells.
    """
    delimiter = _STATED.get(stated.strip().lower(), stated)
    if not _is_delimiter(delimiter):
        raise BadOption(
            f"The option delimiter says {stated!r}, which cannot separate cells.",
            remedy="State one character such as , ; | or the word tab, or leave the option out.",
            option="delimiter", value=stated,
        )  # fmt: skip
    return delimiter


def unclosed(row: int, line: int, file_name: str) -> UnclosedQuote:
    """The refusal of a quoted cell that never closes."""
    return UnclosedQuote(
        f'{file_name}: the quote (") that opens a cell in row {row}, line {line}, is never closed.',
        remedy='Close it with a second quote, or write a quote inside text twice ("").',
        row=row, line=line,
    )  # fmt: skip


def _is_delimiter(text: str) -> bool:
    return len(text) == 1 and text.isascii() and not text.isalnum() and text not in '"\r\n\0_'


def _candidate(
    head: bytes, found: Scan, delimiter: str, *, skip: int, dataset: Dataset, is_default: bool
) -> _Candidate | None:
    """The header under one delimiter: the first record that is not blank; None if there is none."""
    records = np.flatnonzero(~found.blank & (found.record_start >= skip))
    if not len(records):
        return None
    record = int(records[0])
    header = header_cells(head, found, record)
    rows = records[1 : 1 + ROWS_LOOKED_AT]
    cells = found.first_cell[rows + 1] - found.first_cell[rows]
    share = float(np.mean(cells == len(header))) if len(rows) else 1.0
    matched = len(matched_columns(header, dataset))
    return _Candidate(delimiter, found, record, header, matched, share, is_default)


def _line(found: Scan, record: int) -> int:
    return 1 + (int(found.lines[record - 1]) if record else 0)


def _evidence(best: _Candidate) -> str:
    name = _NAMES.get(best.delimiter, best.delimiter)
    return (
        f"with {name} the header names {best.matched} declared columns and "
        f"{best.share:.0%} of the first rows have its {len(best.header)} cells"
    )


def _no_header(head: bytes, found: Scan, complete: bool, file_name: str) -> Exception:
    if complete:
        return EmptyFile(
            f"{file_name} holds nothing but blank lines.",
            remedy="Send a file with a header and at least one row.",
        )
    if found.open_quote >= 0:
        row = found.records + 1
        return unclosed(row, _line(found, found.records), file_name)
    return UnsupportedFormat(
        f"{file_name}: no header ends within the first {len(head):,} bytes.",
        remedy="Send a CSV file whose first line names the columns.",
    )
