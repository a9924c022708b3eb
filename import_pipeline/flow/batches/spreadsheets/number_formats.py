"""What a number format says beyond the number: a percentage, or an identifier shown with leading zeros.

Format codes are those of ECMA-376, part 1, 18.8.31. Dates are recognised by calamine.
"""

import re
from dataclasses import dataclass

# 9 and 10 stand for `0%` and `0.00%` without being declared (ECMA-376, 18.8.30).
PERCENT_IDS = frozenset({9, 10})
_ASIDE = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|[_*].')
_PART = re.compile(r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|(?P<zeros>0+)|(?P<plain>[-/ ()])')
_FEWEST_ZEROS = 2


@dataclass(frozen=True)
class ZerosFormat:
    """A format such as `00000` or `00000\\-000`: every digit is shown, leading zeros too.

    Attributes:
        digits: number of digits shown at least.
        template: the shown text, with `0` for each digit.
        at: places of the digits in the template.
    """

    digits: int
    template: str
    at: tuple[int, ...]

    def shown(self, number: float) -> str | None:
        """The text that a spreadsheet shows; None for a number that does not fit the format."""
        if number < 0 or number != int(number) or number >= 10**self.digits:
            return None
        text = list(self.template)
        for place, digit in zip(self.at, f"{int(number):0{self.digits}d}", strict=True):
            text[place] = digit
        return "".join(text)


def is_percent(code: str) -> bool:
    """Whether numbers of this format are shown as percentages: `0.0%`, not `0" % of"`."""
    return "%" in _ASIDE.sub("", code.split(";", maxsplit=1)[0])


def zeros_format(code: str) -> ZerosFormat | None:
    """The format as one of leading zeros; None if it is any other.

    `00000` shows 123 as 00123, and that is what the sender sees and means. A decimal mark, a thousands
    separator or an optional digit makes it a format of a quantity, whose value is the number.
    """
    template, end = "", 0
    at: list[int] = []
    for part in _PART.finditer(code):
        if part.start() != end:
            return None
        end = part.end()
        if part["zeros"]:
            at += range(len(template), len(template) + len(part["zeros"]))
        template += part["zeros"] or part["quoted"] or part["escaped"] or part["plain"] or ""
    marks = "." in template or "," in template
    if end != len(code) or not _FEWEST_ZEROS <= len(at) <= 15 or (marks and "-" not in template):
        return None
    if any(char.isalnum() for place, char in enumerate(template) if place not in set(at)):
        return None
    return ZerosFormat(len(at), template, tuple(at))
