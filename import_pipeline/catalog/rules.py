"""Rules that a column can carry beside pandera's own, and the code and words of each rule.

Each rule is a registered pandera check on a whole column, so `column(is_email=True)` works.
Types and their parsers are not here: they are in `types.py` and `flow/checks/`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc
from pandera.extensions import register_check_method

from import_pipeline.arrays import as_mask, byte_lengths, text_bytes, whole
from import_pipeline.language import told

BRAZILIAN_STATES = (
    "AC", "AL", "AM", "AP", "BA", "CE", "DF", "ES", "GO", "MA", "MG", "MS", "MT", "PA",
    "PB", "PE", "PI", "PR", "RJ", "RN", "RO", "RR", "RS", "SC", "SE", "SP", "TO",
)  # fmt: skip
# RFC 5321: a path of 256 octets with its angle brackets.
LONGEST_EMAIL = 254
_ATOM = r"[\p{L}\p{N}!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?"
# In ASCII alone the same; a pattern with the letters of all scripts takes 3 ms to build, each time.
ASCII_EMAIL = (
    r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+(?:[A-Za-z]{2,}|xn--[A-Za-z0-9-]+)$"
)
EMAIL = rf"^{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?:\p{{L}}{{2,}}|xn--[A-Za-z0-9-]+)$"
# Mercosul (Contran resolution 969/2022): ABC1D23; before it: ABC1234.
PLATE = r"^[A-Z]{3}[0-9][A-Z0-9][0-9]{2}$"


@dataclass(frozen=True)
class Rule:
    """How a failed check is reported.

    Attributes:
        code: row-level code of `codes.py`.
        words: makes the message's `{detail}` from the check's statistics; a sentence to be translated.
    """

    code: str
    words: Callable[[dict[str, Any]], str] = lambda _: ""


def _matches(values: pd.Series, pattern: str) -> pd.Series:
    """Whether each text matches an RE2 pattern."""
    return _series(pc.match_substring_regex(_arrow(values), pattern), values)


def _arrow(values: pd.Series) -> pa.Array:
    return whole(pa.array(values.array))


def _series(answer: Any, like: pd.Series) -> pd.Series:
    return pd.Series(as_mask(answer), index=like.index)


@register_check_method(statistics=["is_email"], supported_types=pd.Series)
def is_email(values: pd.Series, *, is_email: bool) -> pd.Series:
    """An address as people write it: `name@company.com`, at most 254 characters, no quoted parts."""
    text = _arrow(values)
    if (text_bytes(text) < 0x80).all():
        matched = pc.match_substring_regex(text, ASCII_EMAIL)
    else:
        matched = pc.match_substring_regex(text, EMAIL)
    if byte_lengths(text).max(initial=0) > LONGEST_EMAIL:
        matched = pc.and_(matched, pc.less_equal(pc.utf8_length(text), LONGEST_EMAIL))
    return _series(matched, values)


@register_check_method(statistics=["is_uf"], supported_types=pd.Series)
def is_uf(values: pd.Series, *, is_uf: bool) -> pd.Series:
    """The two capital letters of a Brazilian state or of the Federal District."""
    return _series(pc.is_in(_arrow(values), value_set=pa.array(BRAZILIAN_STATES)), values)


@register_check_method(statistics=["is_plate"], supported_types=pd.Series)
def is_plate(values: pd.Series, *, is_plate: bool) -> pd.Series:
    """A Brazilian licence plate in capitals, without hyphen."""
    return _matches(values, PLATE)


@register_check_method(statistics=["not_after_next_year"], supported_types=pd.Series)
def not_after_next_year(values: pd.Series, *, not_after_next_year: bool) -> pd.Series:
    """A year up to the next one (UTC), as car makers sell next year's models."""
    return values <= next_year()


def next_year() -> int:
    """The year after the current one, UTC."""
    return datetime.now(UTC).year + 1


def _list(values: Any) -> str:
    shown = sorted(str(v) for v in values)
    return ", ".join(shown[:30]) + (", …" if len(shown) > 30 else "")


def _at_least(value: Any) -> str:
    return told("at least {value}", value=str(value))


def _at_most(value: Any) -> str:
    return told("at most {value}", value=str(value))


def _above(value: Any) -> str:
    return told("greater than {value}", value=str(value))


def _below(value: Any) -> str:
    return told("less than {value}", value=str(value))


def _range(s: dict[str, Any]) -> str:
    low = (_at_least if s.get("include_min", True) else _above)(s["min_value"])
    high = (_at_most if s.get("include_max", True) else _below)(s["max_value"])
    return told("{low} and {high}", low=low, high=high)


def _length(s: dict[str, Any]) -> str:
    exact, low, high = s.get("exact_value"), s.get("min_value"), s.get("max_value")
    if exact is not None:
        return told("exactly {value}", value=str(exact))
    if low is None:
        return _at_most(high)
    return _at_least(low) if high is None else told("{low} to {high}", low=str(low), high=str(high))


# By the name of the pandera check; what is not here is `check_failed`.
RULES: dict[str, Rule] = {
    "is_email": Rule("not_an_email"),
    "is_uf": Rule("not_a_uf"),
    "is_plate": Rule("not_a_plate"),
    "not_after_next_year": Rule("out_of_range", lambda _: _at_most(next_year())),
    "isin": Rule("not_allowed", lambda s: told("Use one of: {options}.", options=_list(s["allowed_values"]))),
    "notin": Rule(
        "not_allowed", lambda s: told("Use none of: {options}.", options=_list(s["forbidden_values"]))
    ),
    "equal_to": Rule("not_allowed", lambda s: told("Use {value}.", value=str(s["value"]))),
    "not_equal_to": Rule("not_allowed", lambda s: told("Use anything but {value}.", value=str(s["value"]))),
    "greater_than": Rule("out_of_range", lambda s: _above(s["min_value"])),
    "greater_than_or_equal_to": Rule("out_of_range", lambda s: _at_least(s["min_value"])),
    "less_than": Rule("out_of_range", lambda s: _below(s["max_value"])),
    "less_than_or_equal_to": Rule("out_of_range", lambda s: _at_most(s["max_value"])),
    "in_range": Rule("out_of_range", _range),
    "str_matches": Rule(
        "wrong_pattern", lambda s: told("begins like the pattern {pattern}", pattern=str(s["pattern"]))
    ),
    "str_contains": Rule(
        "wrong_pattern", lambda s: told("contains the pattern {pattern}", pattern=str(s["pattern"]))
    ),
    "str_startswith": Rule("wrong_pattern", lambda s: told("begins with {text}", text=s["string"])),
    "str_endswith": Rule("wrong_pattern", lambda s: told("ends with {text}", text=s["string"])),
    "str_length": Rule("wrong_length", _length),
}


def describe_check(check: pandera.Check) -> tuple[str, str]:
    """The code and `{detail}` words of a check.

    A check of a dataset's own is `check_failed` with its `error` text, else its description, else
    its name.
    """
    rule = RULES.get(check.name or "")
    if rule is not None:
        return rule.code, rule.words(check.statistics or {})
    text = check.error or check.description or check.name or "check"
    return "check_failed", text.replace("_", " ") if text == check.name else text.rstrip(".")
