"""What a text is by its beginning: JSON, JSON Lines, a web page, XML, or rows of cells.

Only the form is decided here, by evidence; whether all of the text keeps to it is for its reader.
"""

import json
import re
from typing import Any, Literal

TextForm = Literal["csv", "json", "jsonl", "html", "mht", "spreadsheet_xml", "xml"]
LINES_LOOKED_AT = 100
_SPACE = " \t\r\n"
_HTML = re.compile(
    r"(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|table|meta|style|title|div)\b", re.I | re.S
)
_XML = re.compile(r"<\?xml\s|<!DOCTYPE\s|<([A-Za-z_][\w.:-]*)(?:\s[^<>]*)?>\s*<")
_OFFICE_2003 = "urn:schemas-microsoft-com:office:spreadsheet"
# `[{"key":` or `[{}`, and `{"key":`: what no first row of a CSV begins with by chance.
_OBJECT = r'\{\s*(?:"(?:[^"\\\x00-\x1f]|\\.)*"\s*:|\})'
_ARRAY_OF_OBJECTS = re.compile(r"\[\s*" + _OBJECT)
_ONE_OBJECT = re.compile(_OBJECT)
_LINE_NAMES = (".jsonl", ".ndjson")


def text_form(text: str, *, complete: bool, name: str) -> TextForm:
    """The form of a text.

    Args:
        text: its beginning, without byte order mark.
        complete: whether that is all of it.
        name: of the file; asked only where the text allows both JSON and JSON Lines.
    """
    start = text.lstrip(_SPACE)
    if start.startswith("<"):
        return _markup(start)
    if start.startswith("MIME-Version:") and "multipart/related" in start[:2000]:
        return "mht"
    if start.startswith(("[", "{")) or name.lower().endswith(_LINE_NAMES):
        return _json(start, complete, name)
    return "csv"


def _markup(start: str) -> TextForm:
    if _OFFICE_2003 in start[:4000]:
        return "spreadsheet_xml"
    if _HTML.match(start) or (start.startswith("<?xml") and "<html" in start[:2000].lower()):
        return "html"
    return "xml" if _XML.match(start) else "csv"


def _json(start: str, complete: bool, name: str) -> TextForm:
    """JSON, JSON Lines, or a CSV whose first cell begins with a bracket."""
    if start.startswith("["):
        return (
            "json" if _ARRAY_OF_OBJECTS.match(start) or (complete and _parsed(start) is not None) else "csv"
        )
    lines = [line for line in start.splitlines() if line.strip(_SPACE)]
    if not complete and len(lines) > 1:
        lines = lines[:-1]
    lines = lines[:LINES_LOOKED_AT]
    objects = [value for value in map(_parsed, lines) if isinstance(value, dict)]
    named_lines = name.lower().endswith(_LINE_NAMES)
    if len(lines) == 1 and objects and complete and not named_lines and _rows_inside(objects[0]):
        return "json"
    if objects and 2 * len(objects) >= len(lines):
        return "jsonl"
    if not _ONE_OBJECT.match(start):
        return "csv"
    return _one_object_or_many(start, lines, complete, name)


def _one_object_or_many(start: str, lines: list[str], complete: bool, name: str) -> TextForm:
    """`{"key": …` where hardly a line is an object: one object over many lines, broken lines, or a CSV."""
    try:
        _, end = json.JSONDecoder().raw_decode(start)
    except (ValueError, RecursionError):
        pass
    else:
        # `{"a":1};x` is a cell of JSON with other cells behind it.
        behind = start[end:].lstrip(" \t")
        if behind and behind[0] not in "\r\n{":
            return "csv"
        return "jsonl" if behind.strip(_SPACE) else "json"
    if len(lines) == 1 and not complete:
        return "jsonl" if name.lower().endswith(_LINE_NAMES) else "json"
    beginning = sum(_ONE_OBJECT.match(line.strip(_SPACE)) is not None for line in lines)
    return "jsonl" if len(lines) > 1 and 2 * beginning >= len(lines) else "json"


def _rows_inside(value: dict[str, Any]) -> bool:
    """Whether an object is the wrapping of an array of objects, not a row itself."""
    arrays = [v for v in value.values() if isinstance(v, list) and v and all(isinstance(r, dict) for r in v)]
    return len(arrays) == 1 and sum(isinstance(v, list) for v in value.values()) == 1


def _parsed(text: str) -> Any:
    """A JSON value; None if it is none (or null)."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
