"""Sentences for people, in English where the facts are, said in the sender's language where they are read.

`told("{file} is empty.", file=name)` writes one, `say(sentence, "pt")` translates it. Translations stand in
`locale/`; `translations.py` gathers and compiles them. Which language a sender gets is the dataset's
`language`, else the setting IMPORT_PIPELINE_LANGUAGE.
"""

import gettext
import re
import string
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

from babel.numbers import format_decimal, format_percent

Language = Literal["en", "pt"]
DOMAIN = "import_pipeline"
LOCALE_FOLDER = Path(__file__).parent / "locale"
# Whose numbers and dates a language is written with.
LOCALES: Mapping[Language, str] = {"en": "en", "pt": "pt_BR"}
_FIXED = re.compile(r"(?P<grouped>,?)\.(?P<decimals>\d)(?P<kind>[f%])")


class Told(str):
    """A sentence in English that remembers its template and facts.

    Attributes:
        template: the sentence with `{names}` in it: what is translated.
        facts: what the names stand for.
    """

    template: str
    facts: dict[str, Any]

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep template and facts when a sentence crosses a process."""
        return (_told, (self.template, self.facts))


def told(template: str, **facts: Any) -> Told:
    """Say a sentence; `{name}` and format specs (`{size:,}`, `{share:.1%}`) as in `str.format`.

    A fact may be a sentence itself, or a list: its parts are joined with commas.
    """
    return _told(template, facts)


def say(text: str, language: Language) -> str:
    """A sentence in a language: what `told` made, or any text that stands in the catalogue as it is.

    What has no translation is said in English.
    """
    if language == "en" or not text:
        return str(text)
    translate = _translate(language)
    if isinstance(text, Told):
        return _In(language).vformat(translate(text.template), (), text.facts)
    return translate(text)


def _told(template: str, facts: dict[str, Any]) -> Told:
    sentence = Told(_In("en").vformat(template, (), facts))
    sentence.template, sentence.facts = template, facts
    return sentence


@cache
def _translate(language: Language) -> Callable[[str], str]:
    return gettext.translation(DOMAIN, LOCALE_FOLDER, [language]).gettext


class _In(string.Formatter):
    """`str.format` with the facts in one language: numbers in its notation, sentences translated."""

    def __init__(self, language: Language):
        self.language = language

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, str):
            return format(say(value, self.language) if isinstance(value, Told) else str(value), format_spec)
        if isinstance(value, list | tuple):
            return ", ".join(self.format_field(part, format_spec) for part in value)
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return self._number(value, format_spec)
        return format(value, format_spec)

    def _number(self, value: Any, spec: str) -> str:
        locale = LOCALES[self.language]
        if spec == ",":
            return format_decimal(value, locale=locale, decimal_quantization=False)
        fixed = _FIXED.fullmatch(spec)
        if fixed is None:
            # Years, rows and lines are named without separators; only the decimal mark is the language's.
            plain = format(value, spec)
            return plain if isinstance(value, int) or self.language == "en" else plain.replace(".", ",")
        decimals = "." + "0" * int(fixed["decimals"]) if fixed["decimals"] != "0" else ""
        if fixed["kind"] == "%":
            return format_percent(value, format=f"0{decimals}%", locale=locale)
        pattern = ("#,##0" if fixed["grouped"] else "0") + decimals
        return format_decimal(value, format=pattern, locale=locale)
