"""A JSON or JSON Lines text cut into the texts of its rows, buffer by buffer, with bounded memory.

Rows of JSON Lines are its lines that are not blank, numbered as lines; those of a JSON array are its
elements, numbered from 1. Whether a row is an object that can be read is `objects.py`'s.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from import_pipeline.errors import (
    CorruptFile,
    EmptyFile,
    PermanentImportError,
    TruncatedFile,
    UnsupportedFormat,
)
from import_pipeline.flow.batches.jsonfiles.structure import find_structure
from import_pipeline.flow.batches.sources.source import Source
from import_pipeline.flow.batches.text.encodings import Transcoder
from import_pipeline.language import told
from import_pipeline.records import FileFormat

PIECE_BYTES = 4 * 1024 * 1024
LONGEST_ROW = 16 * 1024 * 1024
_SPACE = b" \t\r\n"
_DIRECTLY_INSIDE = 2
_SEND_ARRAY = told("Send an array of objects, or one object a line (JSON Lines).")


@dataclass(frozen=True)
class Cut:
    """Rows of a buffer, as UTF-8 text without the space around them, and their row numbers."""

    texts: list[bytes]
    numbers: npt.NDArray[np.int64]


class Cutter(Protocol):
    """Cuts one text, once, in order.

    Attributes:
        blank: blank lines so far; 0 for a text whose rows are not lines.
        key: where the rows of a JSON object stand; empty for an array and for lines.
    """

    blank: int
    key: str

    def cut(self, text: bytes, *, final: bool) -> Cut:
        """The rows that end in the next part of the text.

        Raises:
            PermanentImportError: rows cannot be told apart from here on.
        """


def cutter_of(file_format: FileFormat, name: str) -> Cutter:
    """What cuts a text of this format (`json` or `jsonl`)."""
    return LineCutter(name) if file_format == "jsonl" else ArrayCutter(name)


@dataclass
class Cutting:
    """One pass over a source.

    Attributes:
        bytes_done: bytes of the source read so far.
    """

    source: Source
    encoding: str
    cutter: Cutter
    bytes_done: int = 0

    def cuts(self) -> Iterator[Cut]:
        """All rows in order; a cut may be empty."""
        transcoder = Transcoder(self.encoding)
        for chunk in self.source.chunks():
            for start in range(0, len(chunk), PIECE_BYTES):
                piece = chunk[start : start + PIECE_BYTES]
                self.bytes_done += len(piece)
                yield self.cutter.cut(transcoder.feed(piece), final=False)
        yield self.cutter.cut(transcoder.feed(b"", final=True), final=True)


class LineCutter:
    """Cuts JSON Lines at LF, CRLF or CR, none of which a JSON string can hold."""

    def __init__(self, name: str):
        self._name, self._rest, self._lines = name, b"", 0
        self.blank, self.key = 0, ""

    def cut(self, text: bytes, *, final: bool) -> Cut:
        """The lines that end here; raises UnsupportedFormat for one of over 16 MB."""
        buffer = self._rest + text if self._rest else text
        if final:
            self._rest = b""
        else:
            # A CR at the end may be half of a line end.
            end = max(buffer.rfind(b"\n"), buffer.rfind(b"\r", 0, max(len(buffer) - 1, 0))) + 1
            buffer, self._rest = buffer[:end], buffer[end:]
        lines = [line.strip(_SPACE) for line in buffer.splitlines()]
        if len(self._rest) > LONGEST_ROW:
            raise _too_long(self._name, self._lines + len(lines) + 1)
        texts = [line for line in lines if line]
        filled = np.fromiter(map(bool, lines), bool, len(lines))
        numbers = np.flatnonzero(filled) + (self._lines + 1)
        self._lines += len(lines)
        self.blank += len(lines) - len(texts)
        return Cut(texts, numbers)


class ArrayCutter:
    """Cuts the elements of a JSON array: the text itself, or the one array that its object holds."""

    def __init__(self, name: str):
        self._name, self._rest, self._rows = name, b"", 0
        self._state: Literal["before", "rows", "behind", "end"] = "before"
        self._before = b""
        self.blank, self.key = 0, ""

    def cut(self, text: bytes, *, final: bool) -> Cut:
        """The elements that end here.

        Raises:
            CorruptFile: something stands behind the array's end.
            TruncatedFile: the text ends inside of the array.
            UnsupportedFormat: there is no array of rows, or more than one; an element is over 16 MB.
        """
        buffer = self._rest + text if self._rest else text
        texts: list[bytes] = []
        if self._state == "before":
            buffer = self._opened(buffer)
        if self._state == "rows":
            texts, buffer = self._elements(buffer)
        first = self._rows + 1
        self._rows += len(texts)
        if self._state == "behind" and (final or buffer.strip(_SPACE)):
            self._close(buffer, final=final)
        self._rest = buffer
        if len(buffer) > LONGEST_ROW:
            raise _too_long(self._name, self._rows + 1)
        if final and self._state != "end":
            raise self._cut_short()
        return Cut(texts, np.arange(first, first + len(texts), dtype=np.int64))

    def _opened(self, buffer: bytes) -> bytes:
        """What follows the bracket that opens the array of rows; all of it if that is not there yet."""
        start = buffer.lstrip(_SPACE)
        if not start:
            return b""
        if start.startswith(b"["):
            opening = 0
        else:
            found = find_structure(start)
            arrays = found.at[(found.byte == ord("[")) & (found.depth == _DIRECTLY_INSIDE)]
            if not len(arrays):
                if not start.startswith(b"{") or (found.depth == 0).any():
                    raise self._no_rows()
                return start
            opening = int(arrays[0])
        self._before, self._state = start[:opening], "rows"
        return start[opening + 1 :]

    def _elements(self, buffer: bytes) -> tuple[list[bytes], bytes]:
        """The elements that end in the buffer, and what is left of it."""
        found = find_structure(buffer)
        closing = np.flatnonzero(found.depth == -1)
        inside = slice(0, int(closing[0])) if len(closing) else slice(None)
        bounds = found.at[inside][(found.byte[inside] == ord(",")) & (found.depth[inside] == 0)].tolist()
        if len(closing):
            self._state = "behind"
            bounds.append(int(found.at[closing[0]]))
        starts = [0, *(bound + 1 for bound in bounds)]
        texts = [buffer[a:b].strip(_SPACE) for a, b in zip(starts[:-1], bounds, strict=True)]
        if self._state == "behind" and self._rows == 0 and texts == [b""]:
            texts = []
        return texts, buffer[starts[-1] :]

    def _close(self, behind: bytes, *, final: bool) -> None:
        """See what stands behind the array: nothing, or the rest of the object that it is in."""
        if not self._before:
            if behind.strip(_SPACE):
                raise self._damaged()
            self._state = "end"
        elif final:
            self.key = self._key(self._before + b"[]" + behind)
            self._state = "end"

    def _key(self, around: bytes) -> str:
        """Where in its object the array stands; the object must be whole, and the array its only one."""
        try:
            outer = json.loads(around.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            raise self._damaged() from None
        arrays = [key for key, value in outer.items() if isinstance(value, list)]
        if len(arrays) != 1:
            raise UnsupportedFormat(
                told("{file} is a JSON object with several arrays: {names}.", file=self._name, names=arrays),
                remedy=_SEND_ARRAY, names=arrays,
                masked=f"{self._name} is a JSON object with {len(arrays)} arrays.",
            )  # fmt: skip
        return arrays[0]

    def _no_rows(self) -> UnsupportedFormat:
        return UnsupportedFormat(
            told("{file} is JSON without an array of rows.", file=self._name), remedy=_SEND_ARRAY
        )

    def _damaged(self) -> CorruptFile:
        return CorruptFile(
            told("{file} is no whole JSON: its array ends behind row {row}, but more follows.",
                 file=self._name, row=self._rows),
            remedy=told("Look for a bracket too many near that row, or export the file again."),
            row=self._rows,
        )  # fmt: skip

    def _cut_short(self) -> PermanentImportError:
        if self._state == "before" and not self._rest:
            return EmptyFile(
                told("{file} has nothing but blank lines.", file=self._name),
                remedy=told("Send the file again."),
            )
        return TruncatedFile(
            told("{file} ends before its JSON does: row {row} or its array is not closed.",
                 file=self._name, row=self._rows + 1),
            remedy=told("Look for a missing bracket or quote in that row, or send the whole file again."),
            row=self._rows + 1,
        )  # fmt: skip


def _too_long(name: str, row: int) -> UnsupportedFormat:
    return UnsupportedFormat(
        told("{file}: row {row} is longer than {limit:,} bytes.", file=name, row=row, limit=LONGEST_ROW),
        remedy=_SEND_ARRAY, row=row,
    )  # fmt: skip
