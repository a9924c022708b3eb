"""Text of strangers as it may stand in a log line, a message or on a terminal.

Nothing in it breaks the line, moves the cursor, turns what stands beside it around, or cannot be encoded.
What a page or a cell does with such text is the reports' business.
"""

import re

_HIDDEN = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_CONTROL = re.compile(f"[{_HIDDEN}]")
_CONTROL_OR_BREAK = re.compile(f"[{_HIDDEN}\t\n]+")
_ESCAPED_IN_JSON = re.compile(
    "[\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def one_line(text: str, instead: str = " ") -> str:
    """Text on one line; runs of control characters and line breaks become `instead`."""
    return _CONTROL_OR_BREAK.sub(instead, text)


def without_controls(text: str) -> str:
    """Text in which only tabs and line breaks are left of all control characters."""
    return _CONTROL.sub("�", text)


def harmless_json(document: str) -> str:
    """A JSON document with everything escaped that a terminal might obey; it says the same."""
    return _ESCAPED_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", document)
