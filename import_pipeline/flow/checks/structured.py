"""Cells with a grammar of their own: web addresses and JSON."""

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.arrays import as_mask, rows_where
from import_pipeline.flow.checks.parsing import FaultCollector, How, Parsed, is_written
from import_pipeline.flow.checks.text import add_text_faults, as_declared, empty_as_null

# RFC 3986 with a host of RFC 1123 (or an address), letters of any language, no user and password.
_LABEL = r"[\p{L}\p{N}](?:[\p{L}\p{N}_-]*[\p{L}\p{N}])?"
URL = (
    rf"(?i)^https?://(?:{_LABEL}(?:\.{_LABEL})+|localhost|\[[0-9a-f:.]+\])(?::\d{{1,5}})?"
    r"(?:[/?#][^\s<>\"\\^`{|}]*)?$"
)
# What browsers and servers take at least; longer ones are most often two addresses glued together.
LONGEST_URL = 2048
_STRING = r'"(?:[^"\\]|\\.)*"'
# What DuckDB takes for JSON and PostgreSQL does not, strings taken out: NaN and infinity, a comma
# before a closing bracket, exponents and digits beyond numeric's.
_NOT_FOR_POSTGRESQL = r"(?i)nan|inf|,\s*[\]}]|e[+-]?\d{5}|\d{1000}"
_NUL = r"(?:^|[^\\])(?:\\\\)*\\u0000"
# PostgreSQL's parser goes as deep as its stack allows, about 6,000 levels as it is delivered.
DEEPEST = 500


def parse_url(cells: pa.Array, how: How) -> Parsed:
    """Web addresses with `http://` or `https://`, as written. Fault: `not_a_url`."""
    text = as_declared(cells, how)
    found = FaultCollector(len(text))
    good = as_mask(pc.match_substring_regex(text, URL)) & as_mask(
        pc.less_equal(pc.utf8_length(text), LONGEST_URL)
    )
    found.add("not_a_url", is_written(text) & ~good)
    return found.parsed(empty_as_null(text))


def parse_json(cells: pa.Array, how: How) -> Parsed:
    """JSON that PostgreSQL's jsonb holds, as written. Faults: `not_json`, those of text."""
    text = as_declared(cells, how)
    found = FaultCollector(len(text))
    add_text_faults(text, found)
    written = is_written(text)
    with duckdb.connect() as connection:
        connection.register("cells", pa.table({"text": text}))
        valid = connection.sql(
            "SELECT coalesce(json_valid(text), false) AS valid FROM cells"
        ).to_arrow_table()
    good = np.asarray(valid["valid"].to_numpy(), dtype=bool)
    outside = pc.replace_substring_regex(text, _STRING, '""')
    good &= ~as_mask(pc.match_substring_regex(outside, _NOT_FOR_POSTGRESQL))
    good &= ~as_mask(pc.match_substring_regex(text, _NUL))
    found.add("not_json", written & ~good)
    _add_too_deep(outside, found)
    return found.parsed(empty_as_null(text))


def _add_too_deep(outside: pa.Array, found: FaultCollector) -> None:
    """Note texts nested too deep; only those with very many brackets are looked at one by one."""
    brackets = as_mask(pc.greater(pc.count_substring_regex(outside, r"[\[{]"), DEEPEST))
    if not brackets.any():
        return
    deep = brackets.copy()
    for place, text in zip(
        np.flatnonzero(brackets), rows_where(pa.table({"t": outside}), brackets)["t"], strict=True
    ):
        deep[place] = _depth(text.as_py()) > DEEPEST
    found.add("not_json", deep)


def _depth(text: str) -> int:
    steps = np.array([1 if c in "[{" else -1 if c in "]}" else 0 for c in text])
    return int(steps.cumsum().max(initial=0))
