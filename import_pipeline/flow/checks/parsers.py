"""The table of parsers by type, and the way from a column's cells to its values: empty ones, typed ones.

A dataset's own type brings its parser itself (`ColumnType.parser`). What a parser may use is in
`parsing.py`; which rules values must keep is the model's.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.arrays import as_mask, byte_lengths
from import_pipeline.catalog.types import ColumnType
from import_pipeline.flow.batches import kinds
from import_pipeline.flow.checks.brazil import parse_cep, parse_cnpj, parse_cpf, parse_phone, parse_uf
from import_pipeline.flow.checks.dates import parse_date, parse_timestamp
from import_pipeline.flow.checks.numerals import parse_decimal, parse_integer, parse_money
from import_pipeline.flow.checks.parsing import FaultCollector, How, Parsed, Parser
from import_pipeline.flow.checks.structured import parse_json, parse_url
from import_pipeline.flow.checks.text import (
    parse_boolean,
    parse_choice,
    parse_identifier,
    parse_text,
    trimmed,
)

PARSERS: Mapping[str, Parser] = {
    "text": parse_text,
    "identifier": parse_identifier,
    "phone": parse_phone,
    "cpf": parse_cpf,
    "cnpj": parse_cnpj,
    "cep": parse_cep,
    "uf": parse_uf,
    "url": parse_url,
    "choice": parse_choice,
    "integer": parse_integer,
    "decimal": parse_decimal,
    "money": parse_money,
    "date": parse_date,
    "timestamp": parse_timestamp,
    "boolean": parse_boolean,
    "json": parse_json,
}
# How a cell that the format stores as a number or a date is written here, whatever the rest of its column.
_TYPED_READING = {"decimal": ".", "date": "ymd"}
_CELL_FAULTS = {
    kinds.ERROR_VALUE: "spreadsheet_error",
    kinds.NO_RESULT: "formula_without_result",
    kinds.IMPRECISE: "imprecise_number",
}


def parser_of(kind: ColumnType) -> Parser:
    """The parser of a declared type."""
    return PARSERS[kind.parser] if isinstance(kind.parser, str) else kind.parser


def parse_cells(
    cells: pa.Array, cell_kinds: pa.Array | None, how: How, null_tokens: tuple[str, ...]
) -> Parsed:
    """The values of one column.

    Args:
        cells: texts as in a batch; null: not there. Parsers get them trimmed.
        cell_kinds: of each cell (`flow/batches/kinds.py`); None: all are text.
        null_tokens: what stands for an empty cell, beside the empty cell itself.
    """
    cells = _without(trimmed(cells), null_tokens)
    parse = parser_of(how.column.type)
    if cell_kinds is None:
        return parse(cells, how)
    typed = np.asarray(pc.fill_null(cell_kinds, kinds.TEXT)) != kinds.TEXT
    if not typed.any():
        return parse(cells, how)
    found = cell_faults(cell_kinds)
    if how.column.type.evidence == "date":
        found.add("serial_date", pc.equal(cell_kinds, kinds.NUMBER))
    typed_how = replace(
        how, typed=True, reading=_TYPED_READING.get(how.column.type.evidence or "", how.reading)
    )
    nothing = pa.scalar(None, cells.type)
    stored = parse(pc.if_else(pa.array(typed & ~found.bad), cells, nothing), typed_how)
    written = parse(pc.if_else(pa.array(typed), nothing, cells), how)
    everywhere = np.arange(len(cells))
    found.add_faults(stored.faults, everywhere)
    found.add_faults(written.faults, everywhere)
    return found.parsed(pc.if_else(pa.array(typed), stored.values, written.values))


def cell_faults(cell_kinds: pa.Array) -> FaultCollector:
    """The faults of cells that hold no usable value in any column."""
    found = FaultCollector(len(cell_kinds))
    for kind, code in _CELL_FAULTS.items():
        found.add(code, pc.equal(cell_kinds, kind))
    return found


def _without(cells: pa.Array, tokens: tuple[str, ...]) -> pa.Array:
    """The trimmed cells, null where one says that it is empty."""
    said = [token for token in tokens if token]
    if not said:
        return cells
    longest = max(len(token.encode()) for token in said)
    # Looking at lengths costs next to nothing, and few columns have cells so short.
    short = np.flatnonzero(byte_lengths(cells) <= longest)
    if not short.size:
        return cells
    empty = np.zeros(len(cells), dtype=bool)
    empty[short] = as_mask(pc.is_in(cells.take(pa.array(short)), value_set=pa.array(said)))
    return pc.if_else(pa.array(empty), pa.scalar(None, cells.type), cells) if empty.any() else cells
