"""The apostrophe that keeps a spreadsheet from running a cell: put on by reports, taken off by the reader.

The rule, over whole cells, with F = one of `=` `+` `-` `@` tab CR:

- `guard` puts one apostrophe before a cell that is any number (or none) of apostrophes and then F.
- `unguard` takes one apostrophe off a cell that is at least one apostrophe and then F.

So `unguard(guard(cell)) == cell` for every cell: `=1` goes `'=1` and back, `'=1` goes `''=1` and back,
`'tis` is left alone by both. A plain number or phone that begins with a sign may stay bare in a column
of that kind: it begins with no apostrophe, so `unguard` leaves it alone too.

A workbook says itself what is text, so its cells need no guard against running. There the same rule with
F = `=` alone (`guard_equals`, `unguard_equals`) tells text apart from a formula without result, which goes
back as the bare text of the formula.
"""

from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

ColumnKind = Literal["text", "number", "phone"]
CELL = r"\A'*[=+\-@\t\r]"
GUARDED = r"\A'('*[=+\-@\t\r])"
HARMLESS: dict[str, str] = {
    "number": r"\A[+-] ?(?:R\$ ?)?[0-9][0-9., \x{A0}]*%?\z",
    "phone": r"\A\+ ?[0-9(][0-9 ().\-]*\z",
}


def guard(cells: Any, kind: ColumnKind = "text") -> Any:
    """Cells that a spreadsheet only shows; nulls stay null.

    Args:
        cells: Arrow string array or chunked array; the same comes back.
        kind: `number` and `phone` leave a cell bare that is nothing but a signed number or a phone.
    """
    risky = pc.match_substring_regex(cells, CELL)
    if not pc.any(risky).as_py():
        return cells
    if kind != "text":
        risky = pc.and_not(risky, pc.match_substring_regex(cells, HARMLESS[kind]))
    apostrophe = pa.scalar("'", cells.type)
    return pc.if_else(risky, pc.binary_join_element_wise(apostrophe, cells, pa.scalar("", cells.type)), cells)


def unguard(cells: Any) -> Any:
    """The cells that `guard` was given, from what it gave; Arrow string array or chunked array."""
    return pc.replace_substring_regex(cells, GUARDED, r"\1", max_replacements=1)


def guard_equals(cells: Any) -> Any:
    """Text of a workbook, so that none of it looks like a formula of the sender's file; nulls stay null."""
    return pc.replace_substring_regex(cells, r"\A('*=)", r"'\1", max_replacements=1)


def unguard_equals(cells: Any) -> Any:
    """The cells that `guard_equals` was given, from what it gave."""
    return pc.replace_substring_regex(cells, r"\A'('*=)", r"\1", max_replacements=1)
