"""Which encoding a text is in that states none and is not UTF-8: by how well its characters fit together.

cp1252 is asked first, since most such files are in it; only where it gives no sensible text are the others
tried, with charset-normalizer. Text that fits nothing is refused: loaded in the wrong encoding, it would be
altered (`criaÃ§Ã£o`).
"""

import codecs
import itertools
import unicodedata
from dataclasses import dataclass

import numpy as np
from charset_normalizer import from_bytes
from charset_normalizer.models import CharsetMatch

CP1252, LATIN_1 = "cp1252", "latin-1"
# What people's programs write, beside UTF-8, UTF-16 and cp1252. Their near twins (cp437 beside cp850,
# iso8859-2 beside cp1250) would only make a verdict impossible.
OTHERS = (
    "cp850", "mac_roman", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1255", "cp1256",
    "cp932", "euc_jp", "gb18030", "big5", "cp949",
)  # fmt: skip
# Share of a text's characters beyond ASCII that must fit their neighbours, in any encoding.
FITTING = 0.9
# One minus charset-normalizer's `chaos`, its measure of disorder.
CONFIDENCE = 0.9
# By how much an encoding must beat the next one that gives sensible, different text.
_LESS_CHAOS, _MORE_COHERENCE = 0.05, 0.1
# Fewer characters beyond ASCII than this are no evidence: cp1252 if half of them fit, else nothing.
_FEW = 4
_LATIN_ENDS = 0x250
_LONGEST_ACCENTED_RUN = 2
# Letters that cp1252 has for Icelandic; the same bytes are Turkish in cp1254, so neither is taken on trust.
_ICELANDIC = frozenset("ÐðÝýÞþ")
_BETWEEN_LETTERS = frozenset("’°\u00ad·\u0301\u0303\u00a0")
_BEHIND_LETTERS = frozenset("²³ªº®™©")
_SCRIPTS_WITHOUT_SPACES = 0x2E80
_OPENING, _CLOSING, _SYMBOLS = ("Ps", "Pi"), ("Pe", "Pf"), ("Sc", "Sk", "Sm", "So", "No")

# Of the bytes at one place of each pair so many are NUL, at the other a tenth of that; of the characters so
# many are control characters.
_NULS, _OTHER_NULS, _CONTROLS = 0.1, 0.1, 0.01


@dataclass(frozen=True)
class Guess:
    """An encoding, and in how far its text makes sense.

    Attributes:
        fitting: share of the characters beyond ASCII that fit their neighbours.
        confidence: charset-normalizer's, 0 to 1; 1 where it was not asked.
    """

    encoding: str
    fitting: float
    confidence: float = 1.0


def guess(sample: bytes) -> Guess | None:
    """The encoding of text that is not UTF-8; None: nothing fits well enough.

    Args:
        sample: lines with bytes beyond ASCII, whole ones.
    """
    try:
        western, text = CP1252, sample.decode(CP1252)
    except UnicodeDecodeError:
        western, text = LATIN_1, sample.decode(LATIN_1)
    fitting, characters = _fitting(text)
    if fitting >= FITTING:
        return Guess(western, fitting)
    if characters < _FEW:
        return Guess(western, fitting) if fitting >= 1 / 2 else None
    # Whether it is Icelandic in cp1252 or Turkish in cp1254 cannot be told.
    if _fitting(text.translate(dict.fromkeys(map(ord, _ICELANDIC), "é")))[0] >= FITTING:
        return None
    return _other(sample)


def utf_16_without_mark(start: bytes) -> str | None:
    """`utf-16-le` or `utf-16-be` for text whose every second byte is often NUL; else None.

    Args:
        start: the file's beginning; 64 KB are enough.
    """
    start = start[: len(start) - len(start) % 2]
    if not start:
        return None
    nuls = (np.frombuffer(start, np.uint8) == 0).reshape(-1, 2).mean(axis=0)
    for name, here, other in (("utf-16-le", nuls[1], nuls[0]), ("utf-16-be", nuls[0], nuls[1])):
        if here >= _NULS and other <= here * _OTHER_NULS:
            try:
                # The second half of a pair of surrogates may be behind the end.
                text = codecs.getincrementaldecoder(name)().decode(start)
            except UnicodeDecodeError:
                return None
            controls = sum(not c.isprintable() and c not in "\t\r\n\f\v" for c in text)
            return name if controls <= _CONTROLS * len(text) else None
    return None


def _other(sample: bytes) -> Guess | None:
    """The one of the other encodings that gives sensible text with less disorder than all of them."""
    found = []
    for match in from_bytes(sample, cp_isolation=[CP1252, *OTHERS]):
        fitting, _ = _fitting(sample.decode(match.encoding, "replace"))
        if fitting >= FITTING and 1 - match.chaos >= CONFIDENCE:
            found.append((match, fitting))
    if not found:
        return None
    best, fitting = found[0]
    if any(not _beats(best, match, sample) for match, _ in found[1:]):
        return None
    return Guess(best.encoding, fitting, 1 - best.chaos)


def _beats(one: CharsetMatch, other: CharsetMatch, sample: bytes) -> bool:
    if sample.decode(one.encoding, "replace") == sample.decode(other.encoding, "replace"):
        return True
    return other.chaos - one.chaos >= _LESS_CHAOS or one.coherence - other.coherence >= _MORE_COHERENCE


def _fitting(text: str) -> tuple[float, int]:
    """Share of the characters beyond ASCII that fit their neighbours, and their number."""
    good = total = run = 0
    neighbours = zip(itertools.chain(" ", text), text, itertools.chain(text[1:], " "), strict=False)
    for before, here, after in neighbours:
        if here.isascii():
            run = 0
            continue
        total += 1
        run = run + 1 if here.isalpha() and ord(here) < _LATIN_ENDS else 0
        good += run <= _LONGEST_ACCENTED_RUN and _fits(before, here, after)
    return (good / total if total else 1.0), total


def _fits(before: str, here: str, after: str) -> bool:
    if here in _BETWEEN_LETTERS:
        return True
    if here in _BEHIND_LETTERS:
        return not after.isalpha()
    if here.isalpha():
        return _letter_fits(before, here, after)
    return here != "\ufffd" and _sign_fits(before.isalpha(), unicodedata.category(here), after.isalpha())


def _sign_fits(behind: bool, category: str, ahead: bool) -> bool:
    """Whether a sign of a Unicode category may stand behind, before or between letters."""
    if category in _SYMBOLS:
        return not behind and not ahead
    if category in _OPENING:
        return not behind
    if category in _CLOSING:
        return not ahead
    return not category.startswith("C") and not (behind and ahead)


def _letter_fits(before: str, here: str, after: str) -> bool:
    """Letters of a word are of one script, and capitals only at its start or throughout."""
    if here in _ICELANDIC:
        return False
    if _LATIN_ENDS <= ord(here) < _SCRIPTS_WITHOUT_SPACES:
        return not any(other.isascii() and other.isalpha() for other in (before, after))
    odd_capital = here.isupper() and before.isalpha() and after.islower()
    odd_small = here.islower() and before.isupper() and after.isupper()
    return not (odd_capital or odd_small)
