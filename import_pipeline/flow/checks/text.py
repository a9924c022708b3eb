"""Text cells: trimmed, in the declared case, empty is null; and yes-or-no cells."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Column
from import_pipeline.flow.batches.evidence import WHITE_SPACE
from import_pipeline.flow.checks.parsing import FaultCollector, Parsed, as_mask, is_written

# Zero-width characters and joiners, beside the white space that numbers and dates are freed of.
TRIMMED = (
    WHITE_SPACE
    + "\u200c\u200d\u2060\u180e\u3000\u1680\u2028\u2029\u0085"
    + "".join(chr(c) for c in range(0x2000, 0x200B))
)
LONGEST_TEXT = 1024 * 1024
# A row of a PostgreSQL B-tree index holds 2,704 bytes; workspace and row header need their share.
LONGEST_KEY = 2000
YES = ("sim", "s", "yes", "y", "true", "t", "verdadeiro", "v", "1")
NO = ("não", "nao", "n", "no", "false", "f", "falso", "0")


def parse_text(cells: pa.Array, column: Column) -> Parsed:
    """Text without the white space around it, in the column's case; empty is null.

    Faults: `nul_character`, `text_too_long` (over `LONGEST_TEXT` bytes).
    """
    text = trimmed(cells)
    for character in column.remove:
        text = pc.replace_substring(text, character, "")
    if column.remove:
        text = trimmed(text)
    if column.case is not None:
        text = pc.utf8_lower(text) if column.case == "lower" else pc.utf8_upper(text)
    found = FaultCollector(len(text))
    add_text_faults(text, found)
    return found.parsed(empty_as_null(text))


def parse_boolean(cells: pa.Array) -> Parsed:
    """Yes or no, in Portuguese, English or as 1 and 0, without regard to case. Fault: `not_a_boolean`."""
    text = pc.utf8_lower(trimmed(cells))
    yes = as_mask(pc.is_in(text, value_set=pa.array(YES)))
    no = as_mask(pc.is_in(text, value_set=pa.array(NO)))
    found = FaultCollector(len(text))
    found.add("not_a_boolean", is_written(text) & ~yes & ~no)
    return found.parsed(pa.array(yes, mask=~(yes | no)))


def trimmed(cells: pa.Array) -> pa.Array:
    """Without white space around: normal, no-break, zero-width."""
    return pc.utf8_trim(cells, TRIMMED)


def empty_as_null(text: pa.Array) -> pa.Array:
    """Empty cells as null."""
    empty = pc.equal(text, "")
    if not pc.any(empty).as_py():
        return text
    return pc.if_else(empty, pa.scalar(None, text.type), text)


def add_text_faults(text: pa.Array, found: FaultCollector) -> None:
    """Note what PostgreSQL cannot hold: NUL characters, and text without end."""
    if has_nul(text):
        found.add("nul_character", pc.match_substring(text, "\0"))
    lengths = pc.binary_length(text)
    if (pc.max(lengths).as_py() or 0) > LONGEST_TEXT:
        found.add("text_too_long", pc.greater(lengths, LONGEST_TEXT), f"{LONGEST_TEXT:,}")


def has_nul(text: pa.Array) -> bool:
    """Whether any text has a NUL character: one look at the bytes, much quicker than a search."""
    _, offsets, data = text.buffers()
    if data is None or len(text) == 0:
        return False
    width = np.int64 if pa.types.is_large_string(text.type) else np.int32
    ends = np.frombuffer(offsets, width)[text.offset : text.offset + len(text) + 1]
    used = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    return bool(used.size) and int(used.min()) == 0
