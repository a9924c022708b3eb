"""From the bytes of a file to UTF-8: which encoding it is in, by evidence, and turning it chunk by chunk.

A byte that does not decode becomes a mark that no valid text holds, so that its row is found and
rejected; text is never altered silently. How the bytes divide into rows is no matter here, and which
encoding fits text that is not Unicode is `guessing.py`'s.
"""

import codecs
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from import_pipeline.errors import BadOption, UnsupportedEncoding
from import_pipeline.flow.batches.delimited.scanning import Ints
from import_pipeline.flow.batches.text.guessing import CP1252, LATIN_1, Guess, guess
from import_pipeline.language import Told, told

UTF_8, UTF_8_BOM = "utf-8", "utf-8-sig"
# Longest first: UTF-16's mark begins UTF-32's.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, UTF_8_BOM), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
# In these a line end is one byte, the same as in ASCII, and never part of another character.
_LINES_AS_IN_ASCII = {UTF_8, UTF_8_BOM, CP1252, LATIN_1}
_ESCAPING = {"utf-7", "unicode_escape", "raw_unicode_escape", "unicode-escape", "raw-unicode-escape",
             "idna", "punycode", "undefined", "mbcs", "oem"}  # fmt: skip
# Of text that is not UTF-8, as much is kept to find its encoding: the lines that have such bytes.
_SAMPLE_BYTES, _LONGEST_SAMPLED_LINE = 32 * 1024, 4 * 1024
# A lone surrogate in UTF-8 (ED A0..BF xx) stands for what did not decode; valid UTF-8 has ED 80..9F only.
_REPLACEMENT = (0xEF, 0xBF, 0xBD)
# Text in cp1252 has hardly a pair of bytes that is a UTF-8 character by chance (an upper-case accented
# letter before a quotation mark). A share above this one says that texts of both encodings were mixed:
# read as cp1252, the good ones would be loaded altered (`criaÃ§Ã£o`).
CHANCE_SHARE = 0.1


class Sample:
    """The first lines of a text that are not valid UTF-8, gathered chunk by chunk.

    Attributes:
        taken: whole lines, at most 32 KB.
    """

    def __init__(self) -> None:
        self.taken = b""
        self._line, self._bad = b"", False

    def add(self, chunk: bytes, *, bad: bool, final: bool) -> None:
        """Take what belongs to the sample of one chunk.

        Args:
            bad: whether something in it is not valid UTF-8.
        """
        if len(self.taken) >= _SAMPLE_BYTES:
            return
        if not (self._bad or bad):
            # Nothing to take: only how the last line begins matters.
            line = (self._line + chunk[-_LONGEST_SAMPLED_LINE:])[-_LONGEST_SAMPLED_LINE:]
            self._line = b"" if final else line[max(line.rfind(b"\n"), line.rfind(b"\r")) + 1 :]
            self._bad = not _is_utf_8(self._line)
            return
        data = self._line + chunk
        end = len(data) if final else max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        self._take(data[:end])
        self._line = data[max(end, len(data) - _LONGEST_SAMPLED_LINE) :]
        self._bad = not _is_utf_8(self._line) or (bad and not end)

    def _take(self, lines: bytes) -> None:
        try:
            lines.decode()
        except UnicodeDecodeError as error:
            start = max(lines.rfind(b"\n", 0, error.start) + 1, error.start - _LONGEST_SAMPLED_LINE)
            part = lines[start : start + 2 * _SAMPLE_BYTES].splitlines(keepends=True)
            beyond = b"".join(line for line in part if not _is_utf_8(line))
            self.taken = (self.taken + beyond)[:_SAMPLE_BYTES]


@dataclass
class EncodingEvidence:
    """What the bytes of a file say about their encoding, gathered chunk by chunk.

    Attributes:
        valid: characters of two or more bytes that are valid UTF-8.
        invalid: bytes that are not part of valid UTF-8.
        sample: the first lines that are not valid UTF-8.
    """

    valid: int = 0
    invalid: int = 0
    sample: Sample = field(default_factory=Sample)
    _rest: bytes = b""

    def add(self, chunk: bytes, *, final: bool) -> None:
        """Count one chunk; characters may straddle chunks."""
        if not self._rest and chunk.isascii():
            self.sample.add(chunk, bad=False, final=final)
            return
        data, self._rest = self._rest + chunk if self._rest else chunk, b""
        try:
            used = _whole_characters(data, final=final)
            valid = np.frombuffer(data, np.uint8, used)
            self.sample.add(chunk, bad=False, final=final)
        except UnicodeDecodeError:
            self.sample.add(chunk, bad=True, final=final)
            text, used = codecs.utf_8_decode(data, "surrogateescape", final)
            marked = text.encode(UTF_8, "surrogatepass")
            self.invalid += len(marked_positions(marked))
            self.valid -= len(marked_positions(marked))
            valid = np.frombuffer(marked, np.uint8)
        self.valid += int(np.count_nonzero(valid >= 0xC0))
        self._rest = data[used:]

    def decide(self, default: str | None = None) -> tuple[str, Told]:
        """The encoding, and one phrase that says why; `default` is taken for text that is not UTF-8.

        Text of two encodings, and text that fits none, is read as UTF-8: what does not decode is a reject.
        """
        if not self.invalid:
            ascii_only = told("all bytes are ASCII")
            return UTF_8, told("all bytes are valid UTF-8") if self.valid else ascii_only
        counted = told(
            "{invalid:,} bytes are not valid UTF-8, {valid:,} characters are",
            invalid=self.invalid, valid=self.valid,
        )  # fmt: skip
        if self.valid > self.invalid * CHANCE_SHARE:
            return UTF_8, told("{counted}: rows with such bytes are rejected", counted=counted)
        if default is not None:
            chosen = check_stated_encoding(default, b"")
            return chosen, told("{counted}; the dataset's default", counted=counted)
        found = guess(self.sample.taken)
        if found is None:
            why = told("{counted}, and they fit no other encoding: rows with them are rejected",
                       counted=counted)  # fmt: skip
            return UTF_8, why
        return _name(found.encoding), _why(found, counted)


def _whole_characters(data: bytes, *, final: bool) -> int:
    """Bytes of the whole characters of valid UTF-8; the last one may be incomplete if more follows.

    Arrow looks at the bytes without making a text of them, and lets other threads run meanwhile.

    Raises:
        UnicodeDecodeError: they are not valid.
    """
    size = len(data)
    if not final:
        # A character that the next bytes complete begins in the last three.
        began = next((back for back in (1, 2, 3) if back <= size and data[-back] >= 0xC0), 0)
        size -= began - codecs.utf_8_decode(data[size - began :], "strict", False)[1]
    offsets = pa.py_buffer(np.array([0, size], np.int64))
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(data)]).validate(full=True)
    except pa.ArrowInvalid:
        return codecs.utf_8_decode(data, "strict", final)[1]
    return size


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _why(found: Guess, counted: Told) -> Told:
    facts = {"counted": counted, "encoding": found.encoding, "share": found.fitting}
    if found.encoding == CP1252:
        return told("{counted}; in {encoding} {share:.0%} of the others fit their neighbours", **facts)
    if found.encoding == LATIN_1:
        return told("{counted}; cp1252 does not define all of them", **facts)
    return told(
        "{counted}; in {encoding} {share:.0%} of the others fit their neighbours, "
        "confidence {confidence:.0%}",
        **facts, confidence=found.confidence,
    )  # fmt: skip


def _name(encoding: str) -> str:
    return LATIN_1 if encoding == LATIN_1 else codecs.lookup(encoding).name


def encoding_of_mark(start: bytes) -> str | None:
    """The encoding that a byte order mark at the start of a file states."""
    return next((encoding for mark, encoding in BYTE_ORDER_MARKS if start.startswith(mark)), None)


def check_stated_encoding(stated: str, start: bytes) -> str:
    """The name under which a stated encoding is read.

    Raises:
        BadOption: there is no such encoding, or it is none that files are written in.
        UnsupportedEncoding: the file begins with the mark of another one.
    """
    try:
        name = codecs.lookup(stated.strip()).name
        usable = name not in _ESCAPING and "".encode(name) is not None and b"".decode(name) == ""
    except (LookupError, ValueError):
        usable = False
    if not usable:
        raise BadOption(
            told("The option encoding says {stated!r}, which is no encoding of text.", stated=stated),
            remedy=told("State one such as utf-8, cp1252, latin-1 or utf-16, or leave the option out."),
            option="encoding", value=stated,
        )  # fmt: skip
    name = LATIN_1 if name == "iso8859-1" else name
    marked = encoding_of_mark(start)
    if marked is None or marked == name or name.startswith(marked + "-"):
        return name
    if marked == UTF_8_BOM and (name == UTF_8 or _is_ours(start)):
        return UTF_8_BOM
    raise UnsupportedEncoding(
        told("The option encoding says {stated}, but the file begins with the byte order mark of {marked}.",
             stated=stated, marked=marked),
        remedy=told("Leave the option encoding out, or save the file in that encoding."),
        stated=stated, found=marked,
    )  # fmt: skip


def _is_ours(start: bytes) -> bool:
    """Whether it is a file that we sent back: what was stated of the first file does not hold for it."""
    return b"_import_errors" in start.splitlines()[0]


def keeps_ascii_lines(encoding: str) -> bool:
    """Whether line ends can be counted in the raw bytes."""
    return encoding in _LINES_AS_IN_ASCII


class Transcoder:
    """Turns the chunks of a file into UTF-8, without byte order mark, marking what does not decode."""

    def __init__(self, encoding: str):
        self.encoding = encoding
        self._started = False
        self._rest = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        if encoding not in (UTF_8, UTF_8_BOM):
            errors = "surrogatepass" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
            self._decoder = codecs.getincrementaldecoder(encoding)(errors)

    def feed(self, chunk: bytes, *, final: bool = False) -> bytes:
        """The next part of the text in UTF-8.

        Raises:
            UnsupportedEncoding: the bytes cannot be read in this encoding at all.
        """
        if self._decoder is None:
            return self._from_utf_8(chunk, final)
        return self._decoded(self._decoder, chunk, final)

    def _from_utf_8(self, chunk: bytes, final: bool) -> bytes:
        data, self._rest = self._rest + chunk if self._rest else chunk, b""
        if not self._started:
            if not final and len(data) < len(codecs.BOM_UTF8):
                self._rest = data
                return b""
            self._started = True
            data = data.removeprefix(codecs.BOM_UTF8)
        if data.isascii():
            return data
        try:
            text = data[: _whole_characters(data, final=final)]
            used = len(text)
        except UnicodeDecodeError:
            decoded, used = codecs.utf_8_decode(data, "surrogateescape", final)
            text = decoded.encode(UTF_8, "surrogatepass")
        self._rest = data[used:]
        return text

    def _decoded(self, decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool) -> bytes:
        if self.encoding in (CP1252, LATIN_1) and chunk.isascii():
            return chunk
        try:
            text = decoder.decode(chunk, final)
            if not self._started and text:
                self._started = True
                text = text.removeprefix("\ufeff") if self.encoding.startswith("utf-") else text
            return text.encode(UTF_8, "surrogatepass")
        except UnicodeError as error:
            raise UnsupportedEncoding(
                told(
                    "The file cannot be read as {encoding}: {error}.",
                    encoding=self.encoding,
                    error=str(error),
                ),
                remedy=told("Save it as UTF-8, or state its encoding with the option encoding."),
                encoding=self.encoding,
            ) from error


def marked_positions(text: bytes) -> Ints:
    """Where marks begin in text of a `Transcoder`."""
    if b"\xed" not in text:
        return np.zeros(0, np.int32)
    data = np.frombuffer(text, np.uint8)
    return np.flatnonzero((data[:-1] == 0xED) & (data[1:] >= 0xA0)).astype(np.int32)


def without_marks(text: bytes, marks: Ints) -> bytes:
    """The text with U+FFFD, which is as long, for each mark."""
    data = np.frombuffer(text, np.uint8).copy()
    for offset, byte in enumerate(_REPLACEMENT):
        data[marks + offset] = byte
    return data.tobytes()
