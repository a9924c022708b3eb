"""Which delimiter a file uses and where its header is, by evidence from its first megabyte.

The evidence is what counts for the reader of the file: how many declared columns a delimiter
uncovers in the header, then how many rows it cuts into as many cells as the header has. Which character
quotes a cell is `quoting.py`'s.
"""

import re
from dataclasses import dataclass, replace

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.errors import BadOption, EmptyFile, UnclosedQuote, UnsupportedFormat
from import_pipeline.flow.batches.columns.headers import (
    is_ours,
    stated_header_row,
)
from import_pipeline.flow.batches.delimited.candidates import RARE_DELIMITERS, Beginning, Candidate
from import_pipeline.flow.batches.delimited.quoting import find_quoting
from import_pipeline.flow.batches.delimited.scanning import Dialect, Scan, scan
from import_pipeline.language import Told, told
from import_pipeline.records import Detected, Notice

DELIMITERS = (",", ";", "\t", "|")
_NAMES = {",": told("comma"), ";": told("semicolon"), "\t": told("tab"), "|": told("bar"), " ": told("space"),
          ":": told("colon")}  # fmt: skip
_STATED = {"tab": "\t", r"\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "bar": "|", "space": " ",
           "colon": ":", "caret": "^", "tilde": "~"}  # fmt: skip
# Excel's own hint: a first line `sep=;` that names the delimiter and is no row.
SEPARATOR_LINE = re.compile(rb'\A"?[Ss][Ee][Pp]=([^\r\n"])"?[ ,;\t|]*(?:\r\n|\r|\n)')
_FIRST_OF_OURS = b"_import_row"
# Our three columns at the end of a row, as we and spreadsheet programs write them.
_OURS = re.compile(rb'"?_import_row"?([^\w"\r\n])"?_import_upload"?\1"?_import_errors"?(?:\r\n|\r|\n|\Z)')


@dataclass(frozen=True)
class FoundDialect:
    """How a file is cut into cells, and where its rows begin.

    Attributes:
        header: the header's cells as written; the declared columns where there is none.
        header_line: physical line of the header's first line, from 1; 0: there is no header.
        detected: what the report tells of it.
    """

    dialect: Dialect
    header: tuple[str, ...]
    header_line: int
    detected: tuple[Detected, ...]
    notices: tuple[Notice, ...]


def find_dialect(
    head: bytes, *, complete: bool, dataset: Dataset, options: SenderOptions, file_name: str
) -> FoundDialect:
    """Find delimiter, quoting and header.

    Args:
        head: the beginning of the text in UTF-8.
        complete: whether it is all of the text.
        options: the sender's; what they leave open is looked for in the evidence, and where that is even
            the dataset's default is taken.

    Raises:
        BadOption: the stated delimiter or header row is none.
        EmptyFile: there is nothing but blank lines.
        UnclosedQuote: the header has a quote that does not close.
        UnsupportedFormat: no header ends within the head.
    """
    hint = SEPARATOR_LINE.match(head)
    default = check_delimiter(dataset.defaults.delimiter) if dataset.defaults.delimiter else None
    beginning = Beginning(
        head, complete, dataset, stated_header_row(options, dataset), hint.end() if hint else 0,
        file_name, default,
    )  # fmt: skip
    wanted, why = _wanted(options.delimiter, hint, default, head)
    ours = _delimiter_of_ours(head)
    if ours is not None:
        # Rows that we handed back, whatever is stated of the file they came from.
        beginning, wanted, why = (
            replace(beginning, header_row=1),
            (ours,),
            told("our own columns end the header"),
        )
    tried = {delimiter: beginning.under(Dialect(delimiter)) for delimiter in wanted}
    candidates = [candidate for candidate in tried.values() if candidate is not None]
    if not candidates or (complete and None in tried.values()):
        raise _no_header(head, scan(head, Dialect(wanted[0]), final=complete), complete, file_name)
    best = max((c for c in candidates if why or c.is_sensible), key=lambda candidate: candidate.weight)
    quoting = find_quoting(head, best, beginning.under if not is_ours(best.header) else lambda dialect: None)
    best = quoting.candidate
    last = best.scan.records - 1
    if complete and best.scan.open_quote >= 0 and best.record == last:
        raise unclosed(last + 1, _line(best.scan, last), file_name)
    return FoundDialect(
        dialect=best.dialect,
        header=best.header,
        header_line=_line(best.scan, best.record) if best.record >= 0 else 0,
        detected=(
            Detected("delimiter", best.dialect.delimiter, why or _evidence(best), "delimiter"),
            quoting.detected,
            _detected_header(best, beginning.header_row),
        ),
        notices=_notices(best, beginning.header_row, file_name),
    )


def check_delimiter(stated: str) -> str:
    """The one character that a stated delimiter (`;`, `tab`, …) means.

    Raises:
        BadOption: it is no single ASCII character that can separate cells.
    """
    delimiter = _STATED.get(stated.strip().lower(), stated)
    if not _is_delimiter(delimiter):
        raise BadOption(
            told("The option delimiter says {stated!r}, which cannot separate cells.", stated=stated),
            remedy=told("State one character such as , ; | or the word tab, or leave the option out."),
            option="delimiter", value=stated,
        )  # fmt: skip
    return delimiter


def unclosed(row: int, line: int, file_name: str) -> UnclosedQuote:
    """The refusal of a header with a quoted cell that never closes."""
    return UnclosedQuote(
        told('{file}: the quote (") that opens a cell in row {row}, line {line}, is never closed.',
             file=file_name, row=row, line=line),
        remedy=told('Close it with a second quote, or write a quote inside text twice ("").'),
        row=row, line=line,
    )  # fmt: skip


def _wanted(
    stated: str | None, hint: re.Match[bytes] | None, default: str | None, head: bytes
) -> tuple[tuple[str, ...], Told | None]:
    """The delimiters to try, and why if nothing else is to be tried."""
    if stated is not None:
        return (check_delimiter(stated),), told("stated")
    hinted = hint.group(1).decode(errors="replace") if hint else None
    if hinted is not None and _is_delimiter(hinted):
        return (hinted,), told("named by the file's line `sep=`")
    rare = tuple(delimiter for delimiter in RARE_DELIMITERS if delimiter.encode() in head)
    declared = (default,) if default else ()
    return tuple(dict.fromkeys((*DELIMITERS, *declared, *rare))), None


def _delimiter_of_ours(head: bytes) -> str | None:
    """The delimiter of a file whose first row ends with our three columns; None: it does not."""
    if _FIRST_OF_OURS not in head or (found := _OURS.search(head)) is None:
        return None
    delimiter = found[1].decode()
    first = scan(head[: found.end()], Dialect(delimiter), final=True)
    return delimiter if first.records == 1 else None


def _is_delimiter(text: str) -> bool:
    return len(text) == 1 and text.isascii() and not text.isalnum() and text not in "\"'\\\r\n\0_"


def _line(found: Scan, record: int) -> int:
    return 1 + (int(found.lines[record - 1]) if record else 0)


def _evidence(best: Candidate) -> Told:
    name = _NAMES.get(best.dialect.delimiter, best.dialect.delimiter)
    facts = {"delimiter": name, "share": best.share, "cells": len(best.header)}
    if best.record < 0:
        return told("with {delimiter} {share:.0%} of the first rows have {cells} cells", **facts)
    return told(
        "with {delimiter} the header names {matched} declared columns and "
        "{share:.0%} of the first rows have its {cells} cells",
        matched=best.matched, **facts,
    )  # fmt: skip


def _detected_header(best: Candidate, stated: int | None) -> Detected:
    if stated is not None:
        why = told("stated")
    elif best.record < 0:
        why = told("no row names a declared column")
    elif best.row == 1:
        why = told("the first row names {matched} declared columns", matched=best.matched)
    else:
        why = told("the rows before it are no data: it is the first that names declared columns ({matched})",
                   matched=best.matched)  # fmt: skip
    return Detected(
        "header row", str(best.row), why, "header-row", assumed=best.record < 0 and stated is None
    )


def _notices(best: Candidate, stated: int | None, file_name: str) -> tuple[Notice, ...]:
    if best.record >= 0 or stated is not None:
        return ()
    message = told(
        "{file} has no header: its cells were taken for {columns}, in this order.",
        file=file_name, columns=list(best.header),
    )  # fmt: skip
    return (Notice("header_assumed_missing", message),)


def _no_header(head: bytes, found: Scan, complete: bool, file_name: str) -> Exception:
    if complete:
        return EmptyFile(
            told("{file} holds nothing but blank lines.", file=file_name),
            remedy=told("Send a file with a header and at least one row."),
        )
    if found.open_quote >= 0:
        return unclosed(found.records + 1, _line(found, found.records), file_name)
    return UnsupportedFormat(
        told("{file}: no header ends within the first {size:,} bytes.", file=file_name, size=len(head)),
        remedy=told("Send a CSV file whose first line names the columns."),
    )
