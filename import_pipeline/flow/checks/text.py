"""Text cells: trimmed, in the declared case, empty is null; identifiers, choices and yes-or-no cells."""

import unicodedata

import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.arrays import as_mask, byte_lengths, text_bytes
from import_pipeline.flow.batches.columns.evidence import clean
from import_pipeline.flow.checks.parsing import FaultCollector, How, Parsed, is_written
from import_pipeline.language import told

LONGEST_TEXT = 1024 * 1024
# A row of a PostgreSQL B-tree index holds 2,704 bytes; workspace and row header need their share.
LONGEST_KEY = 2000
YES = ("sim", "s", "yes", "y", "true", "t", "verdadeiro", "v", "1", "x")
NO = ("não", "nao", "n", "no", "false", "f", "falso", "0")
# As spreadsheets show a long number in a narrow column and write it into CSV: the digits are lost.
SHORTENED_NUMBER = r"^[+-]?\d(?:[.,]\d+)?[eE]\+\d+$"
# What nobody sees and no identifier has: zero-width characters, soft hyphens, direction marks.
_UNSEEN = "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"


def parse_text(cells: pa.Array, how: How) -> Parsed:
    """Text without the white space around it, in the column's case; empty is null.

    Faults: `nul_character`, `text_too_long` (over `LONGEST_TEXT` bytes).
    """
    text = as_declared(cells, how)
    found = FaultCollector(len(text))
    add_text_faults(text, found)
    return found.parsed(empty_as_null(text))


def parse_identifier(cells: pa.Array, how: How) -> Parsed:
    """Text that stays as written, zeros at its beginning too; without characters that nobody sees.

    Faults: `imprecise_number` (`1,23457E+11`), those of `parse_text`.
    """
    text = pc.replace_substring_regex(pc.replace_substring(cells, "\u00a0", " "), _UNSEEN, "")
    text = as_declared(trimmed(text), how)
    found = FaultCollector(len(text))
    found.add("imprecise_number", pc.match_substring_regex(text, SHORTENED_NUMBER))
    add_text_faults(text, found)
    return found.parsed(empty_as_null(text))


def parse_choice(cells: pa.Array, how: How) -> Parsed:
    """One of the declared options, as it is declared. Fault: `not_allowed`."""
    choices = how.column.type.choices
    stored = looked_up(cells, dict(choices))
    found = FaultCollector(len(cells))
    options = sorted(set(choices.values()))
    unknown = is_written(cells) & ~as_mask(pc.is_valid(stored))
    found.add("not_allowed", unknown, told("Use one of: {options}.", options=options))
    return found.parsed(stored)


def parse_boolean(cells: pa.Array, how: How) -> Parsed:
    """Yes or no, in Portuguese, English, as 1 and 0 or with a cross, without regard to case.

    Fault: `not_a_boolean`.
    """
    text = pc.utf8_lower(cells)
    yes = as_mask(pc.is_in(text, value_set=pa.array(YES)))
    no = as_mask(pc.is_in(text, value_set=pa.array(NO)))
    found = FaultCollector(len(text))
    found.add("not_a_boolean", is_written(text) & ~yes & ~no)
    return found.parsed(pa.array(yes, mask=~(yes | no)))


def as_declared(cells: pa.Array, how: How) -> pa.Array:
    """Trimmed texts without the characters that the column removes, in its case."""
    text = cells
    for character in how.column.remove:
        text = pc.replace_substring(text, character, "")
    if how.column.remove:
        text = trimmed(text)
    if how.column.case is not None:
        text = pc.utf8_lower(text) if how.column.case == "lower" else pc.utf8_upper(text)
    return text


def looked_up(text: pa.Array, table: dict[str, str]) -> pa.Array:
    """What a table of plain texts says for each text, without regard to case and accents; null: nothing."""
    by_plain = {plain(said): meant for said, meant in table.items()}
    encoded = text.dictionary_encode()
    # Once for each different text of the column, which are few in a column of choices.
    known = [by_plain.get(plain(value)) for value in encoded.dictionary.to_pylist()]
    return pa.array(known, pa.string()).take(encoded.indices)


def plain(text: str) -> str:
    """Lower case without accents, with single spaces."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(c for c in apart if not unicodedata.combining(c)).split())


def trimmed(cells: pa.Array) -> pa.Array:
    """Without white space around: normal, no-break, zero-width."""
    return clean(cells)


def empty_as_null(text: pa.Array) -> pa.Array:
    """Empty cells as null."""
    empty = byte_lengths(text) == 0
    return pc.if_else(pa.array(empty), pa.scalar(None, text.type), text) if empty.any() else text


def add_text_faults(text: pa.Array, found: FaultCollector) -> None:
    """Note what PostgreSQL cannot hold: NUL characters, and text without end."""
    if has_nul(text):
        found.add("nul_character", pc.match_substring(text, "\0"))
    if byte_lengths(text).max(initial=0) > LONGEST_TEXT:
        lengths = pc.binary_length(text)
        found.add("text_too_long", pc.greater(lengths, LONGEST_TEXT), f"{LONGEST_TEXT:,}")


def has_nul(text: pa.Array) -> bool:
    """Whether any text has a NUL character: one look at the bytes, much quicker than a search."""
    used = text_bytes(text)
    return bool(used.size) and int(used.min()) == 0
