"""The columns of a batch, and what a format with types says about a cell beside its text.

Every cell is text in column `c<position>`. Where a format stores more than text (a workbook, JSON,
Parquet), an int8 column `k<position>` holds the kind of each cell; a batch without it has text only.
A cell of kind NUMBER, DATE, … has one reading whatever the rest of its column says, so it is no evidence.
"""

from collections.abc import Collection
from typing import Final

import pyarrow as pa

TEXT: Final = 0
# `-1234.5`: digits, at most one point, no exponent; whole numbers without `.0`.
NUMBER: Final = 1
# `2026-02-28`
DATE: Final = 2
# `2026-02-28 14:30:00`, with fraction and offset if there are any
TIMESTAMP: Final = 3
# `14:30:00`
TIME: Final = 4
# `true` or `false`
BOOLEAN: Final = 5
# A number shown as a percentage, as `15.5%`.
PERCENT: Final = 6
# An object or array, as compact JSON.
JSON: Final = 7
# An error of the spreadsheet, as `#N/A`: a fault of the cell.
ERROR_VALUE: Final = 8
# A formula whose result the file does not hold, as `=A1+B1`: a fault of the cell.
NO_RESULT: Final = 9
# A number with more digits than the format keeps exactly, as it shows them: a fault in text columns.
IMPRECISE: Final = 10


def batch_schema(columns: int, kinds: Collection[int] = ()) -> pa.Schema:
    """The columns of a batch of a file with `columns` header cells.

    Args:
        kinds: positions that have a column of kinds.
    """
    own = [("_row_number", pa.int64()), ("_line", pa.int64()), ("_problem", pa.string()),
           ("_overflow", pa.string())]  # fmt: skip
    cells = [(f"c{position}", pa.string()) for position in range(columns)]
    typed = [(f"k{position}", pa.int8()) for position in sorted(kinds)]
    return pa.schema([*own, *cells, *typed])
