"""From the bytes of a file to UTF-8: which encoding it is in, by evidence, and turning it chunk by chunk.

A byte that does not decode becomes a mark that no valid text holds, so that its row is found and
rejected; text is never altered silently. How the bytes divide into rows is no matter here.
"""

import codecs
from dataclasses import dataclass

import numpy as np

from import_pipeline.errors import BadOption, UnsupportedEncoding
from import_pipeline.flow.batches.delimited.scanning import Ints

UTF_8, UTF_8_BOM, CP1252, LATIN_1 = "utf-8", "utf-8-sig", "cp1252", "latin-1"
# Longest first: UTF-16's mark begins UTF-32's.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, UTF_8_BOM), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
# In these a line end is one byte, the same as in ASCII, and never part of another character.
_LINES_AS_IN_ASCII = {UTF_8, UTF_8_BOM, CP1252, LATIN_1}
_ESCAPING = {"utf-7", "unicode_escape", "raw_unicode_escape", "unicode-escape", "raw-unicode-escape",
             "idna", "punycode", "undefined", "mbcs", "oem"}  # fmt: skip
_UNDEFINED_IN_CP1252 = (0x81, 0x8D, 0x8F, 0x90, 0x9D)
# A lone surrogate in UTF-8 (ED A0..BF xx) stands for what did not decode; valid UTF-8 has ED 80..9F only.
_MARK = b"\xed\xb2\x80"
_REPLACEMENT = (0xEF, 0xBF, 0xBD)
# Text in cp1252 has hardly a pair of bytes that is a UTF-8 character by chance (an upper-case accented
# letter before a quotation mark). A share above this one says that texts of both encodings were mixed:
# read as cp1252, the good ones would be loaded altered (`criaÃ§Ã£o`).
CHANCE_SHARE = 0.1


@dataclass
class EncodingEvidence:
    """What the bytes of a file say about their encoding, gathered chunk by chunk.

    Attributes:
        valid: characters of two or more bytes that are valid UTF-8.
        invalid: bytes that are not part of valid UTF-8.
        undefined_in_cp1252: bytes that cp1252 does not define.
    """

    valid: int = 0
    invalid: int = 0
    undefined_in_cp1252: int = 0
    _rest: bytes = b""

    def add(self, chunk: bytes, *, final: bool) -> None:
        """Count one chunk; characters may straddle chunks."""
        if not self._rest and chunk.isascii():
            return
        self.undefined_in_cp1252 += sum(chunk.count(byte) for byte in _UNDEFINED_IN_CP1252)
        data, self._rest = self._rest + chunk, b""
        try:
            _, used = codecs.utf_8_decode(data, "strict", final)
            valid = np.frombuffer(data[:used], np.uint8)
        except UnicodeDecodeError:
            text, used = codecs.utf_8_decode(data, "surrogateescape", final)
            marked = text.encode(UTF_8, "surrogatepass")
            self.invalid += len(marked_positions(marked))
            self.valid -= len(marked_positions(marked))
            valid = np.frombuffer(marked, np.uint8)
        self.valid += int(np.count_nonzero(valid >= 0xC0))
        self._rest = data[used:]

    def decide(self, default: str | None = None) -> tuple[str, str]:
        """The encoding, and one phrase that says why; `default` is taken for text that is not UTF-8."""
        if not self.invalid:
            return UTF_8, "all bytes are valid UTF-8" if self.valid else "all bytes are ASCII"
        counted = f"{self.invalid:,} bytes are not valid UTF-8, {self.valid:,} characters are"
        if self.valid > self.invalid * CHANCE_SHARE:
            return UTF_8, f"{counted}: rows with such bytes are rejected"
        if default is not None:
            return check_stated_encoding(default, b""), f"{counted}; the dataset's default"
        if not self.undefined_in_cp1252:
            return CP1252, f"{counted}; all bytes are defined in cp1252"
        return LATIN_1, f"{counted}; {self.undefined_in_cp1252:,} bytes are not defined in cp1252"


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
            f"The option encoding says {stated!r}, which is no encoding of text.",
            remedy="State one such as utf-8, cp1252, latin-1 or utf-16, or leave the option out.",
            option="encoding", value=stated,
        )  # fmt: skip
    name = LATIN_1 if name == "iso8859-1" else name
    marked = encoding_of_mark(start)
    if marked is None or marked == name or name.startswith(marked + "-"):
        return name
    if marked == UTF_8_BOM and name == UTF_8:
        return UTF_8_BOM
    raise UnsupportedEncoding(
        f"The option encoding says {stated}, but the file begins with the byte order mark of {marked}.",
        remedy="Leave the option encoding out, or save the file in that encoding.",
        stated=stated, found=marked,
    )  # fmt: skip


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
            text = self._from_utf_8(chunk, final)
        else:
            text = self._decoded(self._decoder, chunk, final)
        return text.replace(b"\0", _MARK) if b"\0" in text else text

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
            _, used = codecs.utf_8_decode(data, "strict", final)
            text = data[:used]
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
                f"The file cannot be read as {self.encoding}: {error}.",
                remedy="Save it as UTF-8, or state its encoding with the option encoding.",
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
