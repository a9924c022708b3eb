"""The structure of delimited text: where cells and records begin and end, over whole buffers at once.

The rules are those of Python's `csv` and of spreadsheets: a quote opens only at the start of a cell,
`""` inside a quoted cell is one quote, any other quote is text; LF, CRLF and CR each end a line; behind an
escape character the next one is text. Nothing here knows of encodings, headers or Arrow.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

LF, CR = 10, 13
# So many records are looked at one by one rather than all bytes of a buffer together.
_FEW_RECORDS = 1000
# Where the text is right after a quote: inside a quoted cell, behind its closing quote, in plain text.
_INSIDE, _CLOSED, _PLAIN = 0, 1, 2
# What a quote does in each of the three, by how it stands: (at a cell's start, right behind a quote, else).
_AT_START, _BEHIND_QUOTE, _ELSEWHERE = 0, 1, 2
_EFFECTS = ((_CLOSED, _INSIDE, _INSIDE), (_CLOSED, _INSIDE, _PLAIN), (_CLOSED, _PLAIN, _PLAIN))


@dataclass(frozen=True)
class Dialect:
    """How text is cut into cells; each is one ASCII character.

    Attributes:
        quote: empty: quotes are text.
        escape: empty: there is none.
    """

    delimiter: str
    quote: str = '"'
    escape: str = ""


@dataclass(frozen=True)
class Scan:
    """The complete records at the beginning of a buffer; offsets in bytes, all arrays int32 or bool.

    Attributes:
        cell_start, cell_end: bounds of each cell with its quotes.
        content_start, content_end: bounds without the quotes of a quoted cell.
        first_cell: index of each record's first cell, and the number of cells last.
        record_start: offset of each record.
        lines: line ends up to and including each record's end, in the buffer.
        blank: records of nothing but delimiters, quotes around nothing, and white space.
        doubled: whether a cell holds `""` for `"` (or twice whatever the quote is).
        stray: cells with text behind their closing quote; their content keeps all quotes.
        consumed: bytes of the complete records.
        open_quote: offset of the quote of a cell that is still open at the end; -1: none.
    """

    cell_start: Ints
    cell_end: Ints
    content_start: Ints
    content_end: Ints
    first_cell: Ints
    record_start: Ints
    lines: Ints
    blank: Bools
    doubled: Bools
    stray: Bools
    consumed: int
    open_quote: int

    @property
    def records(self) -> int:
        """Number of complete records, blank ones included."""
        return len(self.record_start)

    def record_of_cell(self, cells: Ints) -> Ints:
        """The record that each cell belongs to."""
        return (np.searchsorted(self.first_cell, cells, side="right") - 1).astype(np.int32)


@dataclass(frozen=True)
class _Tokens:
    """Quotes, delimiters and line ends of a buffer, in order; CRLF is one."""

    start: Ints
    end: Ints
    is_quote: Bools
    is_line_end: Bools

    def without(self, these: Bools) -> "_Tokens":
        """The other tokens."""
        keep = ~these
        return _Tokens(self.start[keep], self.end[keep], self.is_quote[keep], self.is_line_end[keep])


@dataclass(frozen=True)
class _Quotes:
    """The quotes among the tokens and what each one did."""

    token: Ints
    state: Bytes
    doubled: Bools
    stray: Bools


def scan(buffer: bytes, dialect: Dialect, *, final: bool) -> Scan:
    """Find the complete records of a buffer that begins at a record's start.

    Args:
        buffer: text in an encoding that keeps ASCII (UTF-8), under 2 GB.
        final: whether the text ends here, so that a last record needs no line end.
    """
    data = np.frombuffer(buffer, np.uint8)
    tokens = _find_tokens(data, dialect, final)
    lines, last_line = _count_lines(tokens), int(np.count_nonzero(tokens.is_line_end))
    if dialect.escape:
        escaped = _escaped(data, ord(dialect.escape))[tokens.start]
        if escaped.any():
            tokens, lines = tokens.without(escaped), lines[~escaped]
    quotes = _read_quotes(tokens, len(data))
    number = np.cumsum(tokens.is_quote, dtype=np.int32)
    separates = ~tokens.is_quote
    if len(quotes.token):
        state = np.concatenate(([np.uint8(_PLAIN)], quotes.state))
        separates &= state[number] != _INSIDE
    open_quote = _open_quote(tokens, quotes)

    chosen = np.flatnonzero(separates)
    ends, nexts = tokens.start.take(chosen), tokens.end.take(chosen)
    is_last = tokens.is_line_end.take(chosen)
    size = len(data)
    if final and size and (not len(ends) or not is_last[-1] or nexts[-1] < size):
        ends, nexts = np.append(ends, np.int32(size)), np.append(nexts, np.int32(size))
        is_last = np.append(is_last, True)
        chosen, lines = np.append(chosen, len(lines)), np.append(lines, np.int32(last_line + 1))
    last = np.flatnonzero(is_last).astype(np.int32)
    cells = int(last[-1]) + 1 if len(last) else 0
    cell_end = ends[:cells]
    cell_start = np.concatenate((np.zeros(min(cells, 1), np.int32), nexts[: max(cells - 1, 0)]))
    first_cell = np.concatenate((np.zeros(1, np.int32), last + np.int32(1)))
    record_start = cell_start[first_cell[:-1]]
    consumed = int(nexts[cells - 1]) if cells else 0

    doubled, stray = _flag(tokens, quotes, cell_end)
    if dialect.quote:
        is_quoted = _first_bytes(data, cell_start, cell_end) == ord(dialect.quote)
    else:
        is_quoted = np.zeros(cells, bool)
    bare = is_quoted & ~stray
    if final and open_quote >= 0:
        bare[-1:] = False  # the last cell has no closing quote to leave out
    blank = _blank_records(data, dialect, record_start, consumed)
    if blank.any() and len(quotes.token):
        around = 2 * np.add.reduceat(is_quoted, first_cell[:-1], dtype=np.int32)
        between = np.diff(first_cell) - 1
        bounds = np.append(record_start, np.int32(consumed))
        blank &= _per_record(tokens, tokens.is_quote, bounds) == around
        if not dialect.delimiter.isspace():  # a quoted delimiter is text, unless it is white space
            blank &= _per_record(tokens, ~(tokens.is_quote | tokens.is_line_end), bounds) == between
    return Scan(
        cell_start, cell_end, cell_start + bare, cell_end - bare, first_cell, record_start,
        lines.take(chosen.take(last)), blank, doubled, stray, consumed, open_quote,
    )  # fmt: skip


def _find_tokens(data: Bytes, dialect: Dialect, final: bool) -> _Tokens:
    where = np.flatnonzero(_is_any(data, (ord(dialect.delimiter), LF, CR, *map(ord, dialect.quote))))
    if not final and len(data) and data[-1] == CR:
        where = where[:-1]  # the next buffer tells whether a LF belongs to it
    kind, start = data.take(where), where.astype(np.int32)
    end = start + np.int32(1)
    is_cr = kind == CR
    if is_cr.any():
        touches = np.zeros(len(start), bool)
        touches[1:] = is_cr[:-1] & (kind[1:] == LF) & (start[1:] == end[:-1])
        end[:-1] += touches[1:]
        start, end, kind = start[~touches], end[~touches], kind[~touches]
    is_quote = kind == ord(dialect.quote) if dialect.quote else np.zeros(len(kind), bool)
    return _Tokens(start, end, is_quote, (kind == LF) | (kind == CR))


def _is_any(data: Bytes, wanted: tuple[int, ...]) -> Bools:
    """Which bytes are one of those wanted. Two arrays are all it allocates: fresh memory is what costs."""
    found, one = data == wanted[0], np.empty(len(data), bool)
    for byte in wanted[1:]:
        np.equal(data, byte, out=one)
        np.bitwise_or(found, one, out=found)
    return found


def _count_lines(tokens: _Tokens) -> Ints:
    """Line ends up to and including each token; one behind an escape character ends a line all the same."""
    return np.cumsum(tokens.is_line_end, dtype=np.int32)


def _escaped(data: Bytes, escape: int) -> Bools:
    """Which bytes stand behind an escape character that is not escaped itself."""
    escaped = np.zeros(len(data) + 1, bool)
    found = np.flatnonzero(data == escape).astype(np.int32)
    if len(found):
        begins = np.diff(found, prepend=np.int32(-2)) != 1
        run_start = np.maximum.accumulate(np.where(begins, found, np.int32(0)))
        escaped[found[(found - run_start) % 2 == 0] + 1] = True
    return escaped


def _read_quotes(tokens: _Tokens, size: int) -> _Quotes:
    """What each quote does; alternating open and close if every quote stands where it should."""
    token = np.flatnonzero(tokens.is_quote).astype(np.int32)
    number = len(token)
    if not number:
        none = np.zeros(0, bool)
        return _Quotes(token, np.zeros(0, np.uint8), none, none)
    before_end = np.concatenate((np.zeros(1, np.int32), tokens.end[:-1]))[token]
    touches_before = tokens.start[token] == before_end
    behind_quote = touches_before & np.concatenate((np.zeros(1, bool), tokens.is_quote[:-1]))[token]
    at_start = touches_before & ~behind_quote
    after_start = np.append(tokens.start[1:], np.int32(size))[token]
    followed = tokens.end[token] == after_start
    regular = bool((at_start | behind_quote)[0::2].all() and followed[1::2].all())
    if regular:
        state = np.full(number, _INSIDE, np.uint8)
        state[1::2] = _CLOSED
    else:
        stands = np.full(number, _ELSEWHERE, np.uint8)
        stands[behind_quote] = _BEHIND_QUOTE
        stands[at_start] = _AT_START
        state = _run_automaton(stands)
    closed = state == _CLOSED
    doubled = behind_quote & (state == _INSIDE)
    return _Quotes(token, state, doubled, closed & ~followed)


def _compositions() -> tuple[Bytes, Bytes]:
    """Codes of the three effects, and the table of compositions of all 27 maps of three states."""
    maps = [(a, b, c) for c in range(3) for b in range(3) for a in range(3)]
    code = {m: i for i, m in enumerate(maps)}
    table = np.array([[code[(s[f[0]], s[f[1]], s[f[2]])] for s in maps] for f in maps], np.uint8)
    return np.array([code[e] for e in _EFFECTS], np.uint8), table


_EFFECT_CODES, _COMPOSED = _compositions()
_RESULTS = np.array([[code // 3**state % 3 for state in range(3)] for code in range(27)], np.uint8)
_IDENTITY = np.uint8(0 * 1 + 1 * 3 + 2 * 9)


def _run_automaton(stands: Bytes) -> Bytes:
    """State after each quote, whatever the quotes: prefix composition in blocks, linear in their number.

    A block's quotes are composed for all three entry states at once (one numpy step a place in the
    block, over all blocks), then one pass over the blocks gives each its entry state.
    """
    number = len(stands)
    width = max(1, int(number**0.5))
    blocks = -(-number // width)
    effects = np.full(blocks * width, _IDENTITY, np.uint8)
    effects[:number] = _EFFECT_CODES[stands]
    by_place = np.ascontiguousarray(effects.reshape(blocks, width).T)
    for place in range(1, width):
        by_place[place] = _COMPOSED[by_place[place - 1], by_place[place]]
    entry = np.empty(blocks, np.uint8)
    state = _PLAIN
    for block, whole in enumerate(by_place[-1].tolist()):
        entry[block] = state
        state = int(_RESULTS[whole, state])
    result = _RESULTS[by_place, entry[np.newaxis, :]]
    return np.ascontiguousarray(result.T).reshape(-1)[:number]


def _open_quote(tokens: _Tokens, quotes: _Quotes) -> int:
    """Offset of the quote that opened a cell which is still open at the end; -1 if none is."""
    if not len(quotes.token) or quotes.state[-1] != _INSIDE:
        return -1
    opens = np.flatnonzero((quotes.state == _INSIDE) & ~quotes.doubled)
    return int(tokens.start[quotes.token[opens[-1]]])


def _flag(tokens: _Tokens, quotes: _Quotes, cell_end: Ints) -> tuple[Bools, Bools]:
    """Cells with doubled quotes, and cells with text behind their closing quote."""
    flags = []
    for marked in (quotes.doubled, quotes.stray):
        flag = np.zeros(len(cell_end), bool)
        if marked.any():
            cell = np.searchsorted(cell_end, tokens.start[quotes.token[marked]], side="right")
            flag[cell[cell < len(cell_end)]] = True
        flags.append(flag)
    return flags[0], flags[1]


def _first_bytes(data: Bytes, start: Ints, end: Ints) -> Bytes:
    """First byte of each range; 0 for an empty one."""
    if not len(data):
        return np.zeros(len(start), np.uint8)
    return np.where(end > start, data.take(start, mode="clip"), np.uint8(0))


def _per_record(tokens: _Tokens, marked: Bools, bounds: Ints) -> Ints:
    """Number of marked tokens in each record."""
    upto = np.concatenate((np.zeros(1, np.int32), np.cumsum(marked, dtype=np.int32)))
    return np.diff(upto[np.searchsorted(tokens.start, bounds)])


def _blank_records(data: Bytes, dialect: Dialect, record_start: Ints, consumed: int) -> Bools:
    """Records made of white space, delimiters and quotes only."""
    blank = np.zeros(len(record_start), bool)
    if not len(record_start):
        return blank
    filled = np.ones(256, bool)
    filled[[ord(c) for c in " \t\r\n\v\f" + dialect.quote + dialect.delimiter]] = False
    bounds = np.append(record_start, np.int32(consumed))
    second = np.minimum(record_start + 1, bounds[1:] - 1)
    maybe = np.flatnonzero(~filled[data[record_start]] & ~filled[data[second]])
    if len(maybe) < _FEW_RECORDS:
        for record in maybe.tolist():
            blank[record] = not filled[data[bounds[record] : bounds[record + 1]]].any()
    else:
        pairs = np.stack((bounds[maybe], bounds[maybe + 1]), axis=1).reshape(-1)
        padded = np.append(filled[data[:consumed]], False)
        blank[maybe] = ~np.logical_or.reduceat(padded, pairs)[0::2]
    return blank
