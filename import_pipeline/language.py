"""Sentences for people that can be said in another language later: `told("{file} is empty.", file=name)`.

English is written where the facts are; translations stand in `locale/`. Which language a sender gets is
the dataset's `language`, else the setting IMPORT_PIPELINE_LANGUAGE.
"""

from typing import Any


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
    """Say a sentence; `{name}` and format specs (`{size:,}`) as in `str.format`."""
    return _told(template, facts)


def _told(template: str, facts: dict[str, Any]) -> Told:
    sentence = Told(template.format(**facts))
    sentence.template, sentence.facts = template, facts
    return sentence
