"""Markdown tables of text that strangers wrote: shown as text, whatever it holds.

Used for the Dagster UI, which renders Markdown, tables and links; CSV is `csv_lines.py`'s.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

LONGEST_CELL = 160
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", ":": "&#58;", "|": "&#124;", "`": "&#96;", '"': "&quot;"}
ESCAPED = str.maketrans(ENTITIES | {c: f"\\{c}" for c in "\\*_[]()!~#{}$"})


def markdown_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """A table of the named columns; no rows, no table: an empty string."""
    if not rows:
        return ""
    lines = [columns, ["---"] * len(columns)]
    lines += [[escape_markdown(str(row.get(column, ""))) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escape_markdown(text: str) -> str:
    """Text on one line, at most 160 characters, in which nothing is markup, a link or HTML."""
    line = "".join(c if c.isprintable() else " " for c in text)
    short = line if len(line) <= LONGEST_CELL else f"{line[: LONGEST_CELL - 1]}…"
    return re.sub(r"(?i)\bwww\.", "www&#46;", short.translate(ESCAPED)).replace("@", "&#64;")
