"""Rarer ways to write numbers and dates, respelled as the plain ones: `(R$ 1 234,50)` is `-1234,50`.

Only what has one meaning is respelled; text that is none of these stays as it is. Which readings the
plain spelling has is `evidence.py`'s.
"""

import functools
import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

# What groups thousands beside the decimal marks: spaces (normal, no-break, thin, narrow) and apostrophes.
_SPACES = "\u00a0\u2007\u2009\u202f"
_GROUPED = r"^[+-]?[1-9]\d{0,2}(?:(?: \d{3})+|(?:'\d{3})+)(?:[.,]\d+)?$"
_MINUS_SIGN = "\u2212"

# Month names in Portuguese and English: no name means two months.
_MONTHS = (
    ("jan", "janeiro", "january"),
    ("fev", "fevereiro", "feb", "february"),
    ("mar", "março", "marco", "march"),
    ("abr", "abril", "apr", "april"),
    ("mai", "maio", "may"),
    ("jun", "junho", "june"),
    ("jul", "julho", "july"),
    ("ago", "agosto", "aug", "august"),
    ("set", "setembro", "sep", "sept", "september"),
    ("out", "outubro", "oct", "october"),
    ("nov", "novembro", "november"),
    ("dez", "dezembro", "dec", "december"),
)
_MONTH_NAMES = pa.array([name for names in _MONTHS for name in names])
_MONTH_NUMBERS = pa.array([f"{n:02}" for n, names in enumerate(_MONTHS, start=1) for _ in names])
# Not \p{L}: its automaton takes longer to build than a batch takes to read.
_NAME = r"(?P<month>[A-Za-zçÇ]{3,9})\.?"
_REST = r"(?P<year>\d{4}|\d{2})(?P<time>[T ].*)?$"
# 28 fev 2026, 28-Feb-2026, 28/fev./26, 1º de março de 2026
_DAY_FIRST = r"(?i)^(?P<day>\d{1,2})(?:º|°|st|nd|rd|th)?(?: de |[ /-])" + _NAME + r"(?: de |,? |[/-])" + _REST
# February 28, 2026
_NAME_FIRST = r"(?i)^" + _NAME + r" (?P<day>\d{1,2})(?:st|nd|rd|th)?,? " + _REST
# Eight digits: the years of both are 1900 to 2099, so no text is both.
_COMPACT_YMD = r"^((?:19|20)\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"
_COMPACT_YEAR_LAST = r"^(\d{2})(\d{2})((?:19|20)\d{2})$"


def respelled_numbers(text: pa.Array, affixes: Sequence[str]) -> pa.Array:
    """Trimmed texts as `[+-]digits`, decimal marks and groups of `.` and `,` as they were.

    Read besides: a currency or percent sign of `affixes` before or after, the minus sign U+2212, a
    minus behind (`5,00-`), a negative in brackets, thousands parted by spaces or apostrophes.
    """
    text = pc.replace_substring(text, _MINUS_SIGN, "-")
    text = pc.replace_substring_regex(text, f"[{_SPACES}]", " ")
    text = pc.replace_substring(text, "\u2019", "'")
    if affixes:
        before, after = _affix_patterns(tuple(affixes))
        text = pc.replace_substring_regex(text, before, r"\1\2")
        text = pc.replace_substring_regex(text, after, r"\1\2")
    text = pc.replace_substring_regex(text, r"^\( ?([\d.,][^()+-]*?) ?\)$", r"-\1")
    text = pc.replace_substring_regex(text, r"^([\d.,][^()+-]*?) ?-$", r"-\1")
    text = pc.replace_substring_regex(text, r"^([+-]) ", r"\1")
    grouped = pc.match_substring_regex(text, _GROUPED)
    return pc.if_else(grouped, pc.replace_substring_regex(text, "[ ']", ""), text)


def respelled_dates(text: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Trimmed texts with named months and eight digits respelled; and which have a year of two digits.

    A named month gives `2026-02-28`, and so does `20260228`; `28022026` gives `28/02/2026`, whose day and
    month are told apart like those of any other date. A time behind a named month stays, and so does all
    text with a year of two digits.
    """
    short = pa.repeat(pa.scalar(False), len(text))
    named = pc.any(pc.match_substring_regex(text, "[A-Za-z]{3}")).as_py()
    for pattern in (_DAY_FIRST, _NAME_FIRST) if named else ():
        parts = pc.extract_regex(text, pattern)
        names = [field.name for field in parts.type]
        of = dict(zip(names, parts.flatten(), strict=True))
        month = _MONTH_NUMBERS.take(pc.index_in(pc.utf8_lower(of["month"]), value_set=_MONTH_NAMES))
        day = pc.utf8_lpad(of["day"], 2, "0")
        spelled = pc.binary_join_element_wise(of["year"], month, day, "-")
        spelled = pc.binary_join_element_wise(spelled, of["time"], "")
        dated = pc.is_valid(spelled)
        whole = pc.fill_null(pc.equal(pc.binary_length(of["year"]), 4), False)
        short = pc.or_(short, pc.and_not(dated, whole))
        text = pc.if_else(pc.and_(dated, whole), spelled, text)
    text = pc.replace_substring_regex(text, _COMPACT_YMD, r"\1-\2-\3")
    return pc.replace_substring_regex(text, _COMPACT_YEAR_LAST, r"\1/\2/\3"), short


@functools.lru_cache(maxsize=64)
def _affix_patterns(affixes: tuple[str, ...]) -> tuple[str, str]:
    """An affix before the digits, behind an optional sign or bracket; and one after them."""
    one = "|".join(re.escape(affix) for affix in sorted(affixes, key=len, reverse=True))
    return rf"^([+-]?\(?[+-]?) *(?:{one}) *([(+-]? ?[\d.,])", rf"([\d.,][)-]?) *(?:{one}) *([+-]?\)?)$"
