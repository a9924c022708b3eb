"""Which character quotes a cell, and how one inside it is written, by evidence from a file's beginning.

`"` written twice is the rule of nearly all programs and holds unless another reading is proven: it must cut
more rows as the header has them, and cells must really be quoted in its way.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from import_pipeline.flow.batches.delimited.candidates import Candidate
from import_pipeline.flow.batches.delimited.scanning import Dialect, Scan
from import_pipeline.language import told
from import_pipeline.records import Detected

# Quotes are text where so many cells begin with one, and at most this share of them ends with one.
_UNPAIRED_CELLS, _PAIRED_SHARE = 10, 0.1


@dataclass(frozen=True)
class FoundQuoting:
    """The file's beginning under the quoting that was found, and what the report says of it."""

    candidate: Candidate
    detected: Detected


def find_quoting(head: bytes, best: Candidate, under: Callable[[Dialect], Candidate | None]) -> FoundQuoting:
    """Find quote and escape character for a known delimiter.

    Args:
        best: the beginning under `"`, written twice.
        under: gives the beginning under another dialect.
    """
    chosen = best
    for dialect in _alternatives(head, best.dialect):
        other = under(dialect)
        if other is not None and other.matched >= chosen.matched and _is_better(head, other, chosen):
            chosen = other
    return FoundQuoting(chosen, _detected(chosen))


def _alternatives(head: bytes, usual: Dialect) -> list[Dialect]:
    """The dialects that something in the text speaks for."""
    found = []
    single = replace(usual, quote="'")
    if b'\\"' in head:
        found.append(replace(usual, escape="\\"))
    if any(before + b"'" in head for before in (usual.delimiter.encode(), b"\n", b"\r")) or head[:1] == b"'":
        found.append(single)
        if b"\\'" in head:
            found.append(replace(single, escape="\\"))
    if b'"' in head:
        found.append(replace(usual, quote=""))
    return found


def _is_better(head: bytes, other: Candidate, than: Candidate) -> bool:
    fits_more = other.fitting > than.fitting
    if not other.dialect.quote:
        return fits_more and _are_unpaired(head, other.scan, than.dialect.quote)
    if other.dialect.quote == than.dialect.quote:
        return _irregular(other.scan) < _irregular(than.scan) and other.fitting >= than.fitting
    if _regular(than.scan) or not _regular(other.scan):
        return False
    return fits_more or _whole_header_is_quoted(other)


def _regular(found: Scan) -> int:
    """Number of cells between quotes."""
    return int(np.count_nonzero(found.content_start > found.cell_start))


def _irregular(found: Scan) -> int:
    """Number of quotes that do not close, or have text behind them."""
    return int(np.count_nonzero(found.stray)) + (found.open_quote >= 0)


def _whole_header_is_quoted(candidate: Candidate) -> bool:
    if candidate.record < 0:
        return False
    found = candidate.scan
    cells = slice(found.first_cell[candidate.record], found.first_cell[candidate.record + 1])
    return bool((found.content_start[cells] > found.cell_start[cells]).all())


def _are_unpaired(head: bytes, found: Scan, quote: str) -> bool:
    """Whether cells begin with the quote and hardly ever end with it, so that it is text."""
    data = np.frombuffer(head, np.uint8)
    sized = found.cell_end - found.cell_start > 1
    start, end = found.cell_start[sized], found.cell_end[sized]
    begins = data[start] == ord(quote)
    pairs = int(np.count_nonzero(begins & (data[end - 1] == ord(quote))))
    number = int(np.count_nonzero(begins))
    return number >= _UNPAIRED_CELLS and pairs <= _PAIRED_SHARE * number


def _detected(chosen: Candidate) -> Detected:
    dialect, number = chosen.dialect, _regular(chosen.scan)
    if not dialect.quote:
        why = told("cells begin with a quote and do not end with one: quotes are text")
        return Detected("quoting", "", why)
    value = dialect.quote + (f" {dialect.escape}{dialect.quote}" if dialect.escape else "")
    if dialect.escape:
        why = told("{number:,} of the first cells are quoted; inside them a quote is written {written}",
                   number=number, written=dialect.escape + dialect.quote)  # fmt: skip
    elif number:
        why = told("{number:,} of the first cells are quoted", number=number)
    else:
        why = told("no cell of the beginning is quoted")
    return Detected("quoting", value, why)
