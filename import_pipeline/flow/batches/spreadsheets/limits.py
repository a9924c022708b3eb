"""How large a workbook may be: stated numbers, and the refusal when one is exceeded.

Every number is checked before what it limits is expanded into memory. Row formats (CSV, JSON Lines,
Parquet) have no such limits.
"""

from import_pipeline.errors import TooLargeForASpreadsheet
from import_pipeline.language import Told, told

# Cells between the first and the last filled one of a sheet, over all sheets read: what memory follows.
# calamine holds xlsx, xlsb and xls as a whole, about 90 bytes a cell: 9.9 million cells of an xlsx took
# 1,021 MB at the peak, so fifty million take 4 to 5 GB. An ods is read row by row and takes none for them.
MOST_CELLS = 50_000_000
# Bytes of all parts, unpacked.
MOST_EXPANDED = 2 * 1024**3
# A part of over 100 MB that shrank below a hundredth: real sheets shrink 5 to 40 times.
MOST_RATIO, RATIO_FREE_BYTES = 100, 100 * 1024**2
# Files inside the workbook: one a sheet, drawing or picture.
MOST_PARTS = 5_000
# Rows and columns of a sheet, in every format.
LAST_ROW, LAST_COLUMN = 1_048_576, 16_384
# Bytes of a part that is held as a whole: names of sheets, styles.
MOST_OF_A_SMALL_PART = 32 * 1024**2


def too_large(file: str, what: Told, found: int, limit: int) -> TooLargeForASpreadsheet:
    """The refusal of a workbook beyond a limit.

    Args:
        what: a plural, such as `cells`, that names what is counted.
    """
    return TooLargeForASpreadsheet(
        told("{file} has {found:,} {what}; a spreadsheet may have at most {limit:,}.",
             file=file, found=found, what=what, limit=limit),
        remedy=told("Send the rows as a CSV file: it has no such limit."),
        what=str(what), found=found, limit=limit,
    )  # fmt: skip


def check_cells(file: str, cells: int) -> None:
    """Refuse a workbook of more cells than are held in memory.

    Args:
        cells: of all sheets that are read together, empty ones between filled ones included.

    Raises:
        TooLargeForASpreadsheet: over 50 million.
    """
    if cells > MOST_CELLS:
        raise too_large(file, told("cells"), cells, MOST_CELLS)
