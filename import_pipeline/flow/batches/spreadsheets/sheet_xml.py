"""One sheet of an xlsx or xlsm as the text it is: its extent before it is loaded, and what calamine drops.

calamine gives an error cell and a formula without result as empty, and a number without its format. All
passes stream. Programs write cells alike (`<c r="B2" …>`): those are searched for by regular expression;
whatever is written otherwise is taken apart tag by tag. What every byte of a large sheet is searched for is
left to numpy, which takes a fifth of the time of the regular expression.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.sax.saxutils import unescape

import numpy as np

from import_pipeline.flow.batches.spreadsheets.limits import LAST_COLUMN, LAST_ROW
from import_pipeline.flow.batches.spreadsheets.marks import (
    ErrorValue,
    Marks,
    Percent,
    column_index,
    no_result,
)
from import_pipeline.flow.batches.spreadsheets.xlsx_parts import Formats

# Bytes of the beginning of a sheet that are looked at for its header.
HEAD_BYTES = 32 * 1024 * 1024
# A cell holds 32,767 characters; what is longer is no cell.
_LONGEST_CELL = 16 * 1024 * 1024
_MOST_MERGED = 10_000
_PREFIX = re.compile(rb"<(\w+:)worksheet[\s>]")
# In so few columns (A to AU) not even 1,048,576 rows make 50 million cells.
_NARROW = re.compile(rb'<c(?! r="(?:[A-Z]|A[A-U])(?:\d{1,6}|10[0-4]\d{4})")(?=[\s/>])')
_CELL_BEGIN = int.from_bytes(b'<c r="', "little")
# A byte of a number is 0 where (number - _ONES) & ~number has its highest bit (for the first such byte).
_ONES, _QUOTES, _HIGHEST_BITS_OF_SIX = 0x0101010101010101, 0x2222222222222222, 0x0000808080808080
_ODD = re.compile(rb'<c(?! r="[A-Z]{1,3}\d{1,7}")(?=[\s/>])')
_FILLED = re.compile(rb'<c r="([A-Z]{1,3})(\d{1,7})"(?!(?: [a-z]+="[a-zA-Z0-9]*")*(?: ?/>|></c>))')
# Cells of another name space, and what may hide tags from a search: no program writes either into a sheet.
_OTHER_CELL, _OTHER_CELL_TAG = re.compile(rb":c[\s/>]"), re.compile(rb"<[^\s<>/:]+:c[\s/>]")
_IN_TAIL = re.compile(rb"<(?:\w+:)?(?:c|row)[\s/>]")
_LAST_REFERENCE = re.compile(rb'<c r="[A-Z]{1,3}(\d{1,7})"')
_TAG = re.compile(rb"""<(/?)(row|c)(?=[\s/>])((?:[^>"']|"[^"]*"|'[^']*')*)>""")
_ATTRIBUTE = re.compile(rb"""([\w:]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_REFERENCE = re.compile(rb"([A-Za-z]{1,3})(\d{1,7})")
_ROW = re.compile(rb"<row[\s/>]")
_MERGED = re.compile(rb"""<mergeCell\s[^>]*?ref=["']\$?[A-Z]+\$?(\d+)(?::\$?[A-Z]+\$?(\d+))?""")
_ERRORS = re.compile(rb"""<c r="([A-Z]{1,3})(\d{1,7})"[^>]*\st\s*=\s*["']e["'][^>]*>(.*?)</c""", re.DOTALL)
_FORMULA = re.compile(rb"<f(?:\s[^>]*?)?(?:/>|>([^<]*)</f)")
_VALUE = re.compile(rb"<v(?:\s[^>]*)?>([^<]*)</v")
_CELL_FORMULA = (
    rb'<c r="([A-Z]{1,3})(\d{1,7})"([^>]*)>\s*<f(?:\s[^>]*?)?(?:/>|>([^<]*)</f\s*>)\s*'
    rb"(?:</c|<v\s*/>|<v\s*>\s*</v%s)"
)


@dataclass(frozen=True)
class MeasuredSheet:
    """How far a sheet reaches, known before it is loaded.

    Attributes:
        last_row: about the last row with a cell, from 1.
        filled: cells with content.
        extent: the most cells between the first and the last filled one.
        marked: whether its text says more than calamine: formulas, errors, formats of `Formats.special`.
        odd: whether cells are written unusually, so that `check_well_formed` must be asked.
        merged: first and last row of each merged range, the first 10,000.
        bytes: of its XML.
    """

    last_row: int
    filled: int
    extent: int
    marked: bool
    odd: bool
    merged: tuple[tuple[int, int], ...]
    bytes: int


class _Pieces:
    """Cuts a sheet's text between cells, and takes a name space prefix off the tags.

    Attributes:
        tail: what follows the cells, as far as it is known.

    Args:
        known: whether the sheet has been measured before, so that nothing hides in it.
    """

    def __init__(self, chunks: Iterable[bytes], *, known: bool = False):
        self._chunks, self._known = chunks, known
        self.bytes = 0
        self.tail = b""

    def __iter__(self) -> Iterator[bytes]:
        rest, prefix = b"", None
        for chunk in self._chunks:
            self.bytes += len(chunk)
            if self.tail:
                self._add_tail(chunk, prefix or b"")
                continue
            data = rest + chunk
            if prefix is None:
                found = _PREFIX.search(data)
                prefix = found[1] if found else b""
            if not self._known:
                _refuse_hiding(data, prefix)
            end = data.find(b"</" + prefix + b"sheetData")
            if end >= 0:
                self._add_tail(data[end:], prefix)
                rest = b""
                yield _plain(data[:end], prefix)
                continue
            cut = max(data.rfind(b"<" + prefix + b"c "), data.rfind(b"<" + prefix + b"row"), 0)
            rest = data[cut:]
            if len(rest) > _LONGEST_CELL:
                raise ValueError("a cell without end")
            yield _plain(data[:cut], prefix)
        if rest:
            yield _plain(rest, prefix or b"")

    def _add_tail(self, data: bytes, prefix: bytes) -> None:
        """Keep the merged ranges of what follows the cells."""
        if _IN_TAIL.search(data):
            raise ValueError("cells after the last one")
        tail = self.tail + _plain(data, prefix)
        end = tail.rfind(b"</mergeCells")
        keep = max(tail.find(b"<mergeCells"), 0)
        self.tail = tail[keep : end if end >= 0 else len(tail)][: _MOST_MERGED * 64] or b" "


def _refuse_hiding(data: bytes, prefix: bytes) -> None:
    """Refuse comments and the like, and cells of a second name space.

    Single characters are found ten times as fast as two of which one stands everywhere.
    """
    if (b"!" in data and b"<!" in data) or (b"?" in data and data.find(b"<?", 1) >= 0):
        raise ValueError("comments")
    if not prefix and _has(data, b":c") and _OTHER_CELL.search(data) and _OTHER_CELL_TAG.search(data):
        raise ValueError("mixed name spaces")


def _plain(text: bytes, prefix: bytes) -> bytes:
    return text.replace(b"<" + prefix, b"<").replace(b"</" + prefix, b"</") if prefix else text


def measure(chunks: Iterable[bytes], formats: Formats, *, count: bool = True) -> MeasuredSheet | None:
    """Measure a sheet of few columns; None: it has more, or its cells are written unusually.

    Args:
        count: whether to count cells; else there are none in the result.

    Raises:
        ValueError: it is no sheet.
    """
    pieces = _Pieces(chunks)
    special = _special(formats)
    last_row = filled = 0
    marked = False
    for piece in pieces:
        if not _all_in_a_to_z(piece) and _NARROW.search(piece):
            return None
        at = piece.rfind(b'<c r="')
        if at >= 0 and (found := _LAST_REFERENCE.match(piece, at)):
            last_row = max(last_row, int(found[1]))
        filled += piece.count(b"</c>") if count else 0
        marked = marked or _has_marks(piece, special)
    return MeasuredSheet(last_row, filled, 0, marked, False, _merged(pieces.tail), pieces.bytes)


def _all_in_a_to_z(piece: bytes) -> bool:
    """Whether every tag that may be a cell's begins as that of one in columns A to Z, rows 1 to 999,999.

    Eight bytes at a time, as one number each: `<c r="B1`, and a quote among the next six.
    """
    text = np.frombuffer(piece + bytes(16), np.uint8)
    at = np.flatnonzero((text[:-16] == ord("<")) & (text[1:-15] == ord("c")))
    eights = np.ndarray(len(text) - 7, "<u8", text.data, strides=(1,))
    begin, rest = eights[at], eights[at + 8] ^ np.uint64(_QUOTES)
    letter, digit = (begin >> np.uint64(48)) & np.uint64(0xFF), begin >> np.uint64(56)
    quoted = (rest - np.uint64(_ONES)) & ~rest & np.uint64(_HIGHEST_BITS_OF_SIX)
    fits = (begin & np.uint64(0xFFFFFFFFFFFF)) == np.uint64(_CELL_BEGIN)
    fits &= (letter - np.uint64(ord("A"))) < 26
    fits &= (digit - np.uint64(ord("0"))) < 10
    return bool((fits & (quoted != 0)).all())


def _has(piece: bytes, wanted: bytes) -> bool:
    """Whether these two or three bytes are in the text, of which each is frequent."""
    text = np.frombuffer(piece, np.uint8)
    end = len(text) - len(wanted) + 1
    if end <= 0:
        return False
    found = text[:end] == wanted[0]
    for at, char in enumerate(wanted[1:], start=1):
        found &= text[at : at + end] == char
    return bool(found.any())


def measure_exactly(chunks: Iterable[bytes], formats: Formats) -> MeasuredSheet:
    """Measure any sheet, looking at each cell's place.

    Raises:
        ValueError: it is no sheet, or a cell lies outside of any sheet.
    """
    pieces = _Pieces(chunks)
    special = _special(formats)
    walk = _Walk()
    columns: set[int] = set()
    rows: set[int] = set()
    filled, marked = 0, False
    for piece in pieces:
        if walk.begun or _ODD.search(piece):
            # Rare: written by hand or without references; every tag must be seen from here on.
            cells = [(row, column) for row, column, _, content in walk.cells(piece) if content]
            marked = True
            filled += len(cells)
            rows.update(row for row, _ in cells)
            columns.update(column for _, column in cells)
            continue
        found = _FILLED.findall(piece)
        filled += len(found)
        columns.update(map(column_index, {letters for letters, _ in found}))
        rows.update(map(int, {row for _, row in found}))
        walk.row = max(rows, default=0)
        marked = marked or _has_marks(piece, special)
    if rows and (max(rows) > LAST_ROW or max(columns) >= LAST_COLUMN):
        raise ValueError("a cell outside of the sheet")
    extent = (max(rows) - min(rows) + 1) * (max(columns) - min(columns) + 1) if rows else 0
    return MeasuredSheet(
        max(rows, default=0), filled, extent, marked, walk.begun, _merged(pieces.tail), pieces.bytes
    )


def find_marks(chunks: Iterable[bytes], formats: Formats) -> Marks:
    """Errors, formulas without result and special formats of a sheet.

    A formula without `<v>` was never calculated; with an empty one it gives the empty text if it says
    `t="str"`. Where the file asks for calculation at its next opening, 0 is what programs that cannot
    calculate write.

    Raises:
        ValueError: it is no sheet.
    """
    marks, walk = Marks(), _Walk()
    special = _special(formats)
    formula = re.compile(_CELL_FORMULA % (rb"|<v>0</v" if formats.never_calculated else b""))
    styled = _styled(formats)
    for piece in _Pieces(chunks, known=True):
        if walk.begun or _ODD.search(piece):
            _mark_each(walk, piece, formats, marks)
            continue
        if special and special.search(piece):
            _mark_styles(styled.findall(piece), formats, marks)
        if b"<f" in piece:
            for letters, row, attributes, text in formula.findall(piece):
                if _type_of(attributes) not in (b"str", b"e"):
                    marks.add(int(row), column_index(letters), no_result(_text(text)))
        if b'"e"' in piece or b"'e'" in piece:
            for letters, row, content in _ERRORS.findall(piece):
                marks.add(int(row), column_index(letters), _error(content))
        last = _LAST_REFERENCE.match(piece, max(piece.rfind(b'<c r="'), 0))
        walk.row = int(last[1]) if last else walk.row
    return marks


def head(chunks: Iterable[bytes], rows: int) -> bytes:
    """The sheet with its first rows only, as a complete document.

    Args:
        rows: row elements to keep; fewer if they are larger than 32 MB.
    """
    data, looked_at = b"", 0
    for chunk in chunks:
        data += chunk
        if len(data) < 2 * looked_at:
            continue  # never looks at the same bytes again and again
        looked_at = len(data)
        found = _PREFIX.search(data)
        prefix = found[1] if found else b""
        begins = [m.start() for m in re.finditer(b"<" + prefix + rb"row[\s/>]", data)]
        enough = len(begins) > rows
        if enough or (len(data) > HEAD_BYTES and begins):
            close = b"</" + prefix + b"sheetData></" + prefix + b"worksheet>"
            return data[: begins[rows] if enough else begins[-1]] + close
        if len(data) > HEAD_BYTES:
            raise ValueError("no row at the beginning")
    return data


class _Walk:
    """Cells tag by tag, their places as calamine counts them where a tag does not say.

    Attributes:
        row: of the cell met last, from 1; `begun`: whether any tag was taken apart.
    """

    def __init__(self) -> None:
        self.row, self.begun = 0, False
        self._next_row, self._next_column = 0, 0

    def cells(self, piece: bytes) -> Iterator[tuple[int, int, dict[bytes, bytes], bytes]]:
        """Row from 1, column from 0, attributes and content of each cell."""
        if not self.begun:
            self.begun, self._next_row = True, max(self.row - 1, 0)
        for tag in _TAG.finditer(piece):
            closing, name, inside = tag.groups()
            if closing:
                if name == b"row":
                    self._next_row, self._next_column = self._next_row + 1, 0
                continue
            empty = inside.endswith(b"/")
            attributes = {key: one or two for key, one, two in _ATTRIBUTE.findall(inside)}
            if name == b"row":
                if attributes.get(b"r", b"").isdigit():
                    self._next_row = int(attributes[b"r"]) - 1
                if empty:
                    self._next_row, self._next_column = self._next_row + 1, 0
                continue
            row = self._next_row + 1
            if place := _REFERENCE.fullmatch(attributes.get(b"r", b"")):
                row, self._next_column = int(place[2]), column_index(place[1])
            column, self.row = self._next_column, row
            self._next_column += 1
            end = -1 if empty else piece.find(b"</c", tag.end())
            yield row, column, attributes, b"" if empty else piece[tag.end() : end if end >= 0 else None]


def _mark_each(walk: _Walk, piece: bytes, formats: Formats, marks: Marks) -> None:
    for row, column, attributes, content in walk.cells(piece):
        kind, style = attributes.get(b"t", b""), attributes.get(b"s", b"")
        formula, value = _FORMULA.search(content), _VALUE.search(content)
        result = value[1].strip() if value else b""
        never = not result or (formats.never_calculated and result == b"0")
        if kind == b"e":
            marks.add(row, column, _error(content))
        elif formula and never and kind != b"str":
            marks.add(row, column, no_result(_text(formula[1] or b"")))
        elif result and style.isdigit() and int(style) in formats.special:
            marks.add(row, column, formats.zeros.get(int(style)) or Percent())


def _mark_styles(found: list[tuple[bytes, bytes, bytes]], formats: Formats, marks: Marks) -> None:
    if not found:
        return
    letters, rows, styles = zip(*found, strict=True)
    meanings = {str(style).encode(): formats.zeros.get(style) or Percent() for style in formats.special}
    marks.add_all(map(int, rows), map(column_index, letters), map(meanings.__getitem__, styles))


def _special(formats: Formats) -> "re.Pattern[bytes] | None":
    """Finds a cell format that says more than the number."""
    numbers = b"|".join(str(style).encode() for style in sorted(formats.special))
    return re.compile(b' s="(?:%s)"| s=\'' % numbers) if numbers else None


def _styled(formats: Formats) -> "re.Pattern[bytes]":
    numbers = b"|".join(str(style).encode() for style in sorted(formats.special)) or b"-"
    # Cells without content have formats too, often a million of them.
    return re.compile(
        rb"""<c r="([A-Z]{1,3})(\d{1,7})"[^>]*?\ss=["'](%s)["'](?:[^>]*[^/>])?>(?!</c>)""" % numbers
    )


def _has_marks(piece: bytes, special: "re.Pattern[bytes] | None") -> bool:
    return (
        _has(piece, b"<f")
        or _has(piece, b'"e"')
        or (b"'" in piece and b"'e'" in piece)
        or (special is not None and special.search(piece) is not None)
    )


def _type_of(attributes: bytes) -> bytes:
    return next((one or two for key, one, two in _ATTRIBUTE.findall(attributes) if key == b"t"), b"")


def _error(content: bytes) -> ErrorValue:
    value = _VALUE.search(content)
    return ErrorValue(_text(value[1]).strip() if value and value[1].strip() else "#ERROR!")


def _text(raw: bytes) -> str:
    return unescape(raw.decode("utf-8", "replace"), {"&quot;": '"', "&apos;": "'"})


def _merged(tail: bytes) -> tuple[tuple[int, int], ...]:
    found = _MERGED.findall(tail)[:_MOST_MERGED]
    return tuple((int(first), int(last or first)) for first, last in found)
