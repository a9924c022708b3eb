"""Which sender's options a dataset may declare as its defaults: a slip fails at load, not at a file.

What a sender may state about one file is parsed in `flow/arrivals/options.py`.
"""

import codecs
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from import_pipeline.catalog.dataset import SenderOptions

ALLOWED: dict[str, tuple[str | None, ...]] = {
    "delimiter": (None, ",", ";", "\t", "|", ":", "^", "~", " "),
    "decimal": (None, ",", "."),
    "date_order": (None, "dmy", "mdy", "ymd"),
    "on_existing": (None, "skip", "update", "reject"),
}


@dataclass(frozen=True)
class WrongDefault:
    """A default that cannot be, and what could."""

    option: str
    value: Any
    remedy: str


def wrong_default(defaults: "SenderOptions", *, has_key: bool) -> WrongDefault | None:
    """The first default that is not allowed; None if all are.

    Args:
        has_key: whether the dataset has a key; without one there is nothing that exists.
    """
    for option, allowed in ALLOWED.items():
        value = getattr(defaults, option)
        if value not in allowed:
            names = ", ".join(repr(name) for name in allowed if name is not None)
            return WrongDefault(option, value, f"Use one of: {names}.")
    if defaults.encoding is not None and not _is_text_encoding(defaults.encoding):
        return WrongDefault("encoding", defaults.encoding, "Use one such as 'utf-8', 'cp1252' or 'latin-1'.")
    row = defaults.header_row
    if row is not None and (not isinstance(row, int) or isinstance(row, bool) or row < 0):
        return WrongDefault("header_row", row, "Give the row of the header, from 1, or 0 for none.")
    if defaults.sheet is not None and not (isinstance(defaults.sheet, str) and defaults.sheet.strip()):
        return WrongDefault("sheet", defaults.sheet, "Give the name of a sheet.")
    if defaults.on_existing is not None and not has_key:
        return WrongDefault("on_existing", defaults.on_existing, "Remove it: the dataset has no key.")
    return None


def _is_text_encoding(name: str) -> bool:
    try:
        # Python's own mark of codecs that turn text into bytes; hex and rot13 are none.
        return bool(codecs.lookup(name)._is_text_encoding)
    except (LookupError, ValueError, TypeError):
        return False
