"""The first rows of a loaded sheet as text, among which its header is looked for."""

from itertools import islice

from import_pipeline.flow.batches.spreadsheets.calamine import LoadedSheet
from import_pipeline.flow.batches.spreadsheets.cells import column_cells


def first_rows(sheet: LoadedSheet, rows: int) -> list[list[str]]:
    """Cells from row 1 and column A on, as the text that they are imported as."""
    values = list(islice(sheet.rows(), rows))
    if not values or not sheet.width:
        return []
    before = [""] * sheet.first_column
    columns = [column_cells(column, None, 1)[0].to_pylist() for column in zip(*values, strict=True)]
    return [before + list(row) for row in zip(*columns, strict=True)]
