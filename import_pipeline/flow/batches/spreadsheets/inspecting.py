"""What of a workbook must be known before its rows are read: sheets, headers, extent, limits.

Rows are `reading.py`'s; which sheets are one upload is decided in `sheets.py`.
"""

from dataclasses import replace

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.flow.batches.columns.headers import HEADER_SEARCHED, stated_header_row
from import_pipeline.flow.batches.sizes import choose_rows_per_batch
from import_pipeline.flow.batches.sources.source import Source, spooled
from import_pipeline.flow.batches.spreadsheets.listed import SheetExtent
from import_pipeline.flow.batches.spreadsheets.sheets import candidates, choose_sheets
from import_pipeline.flow.batches.spreadsheets.workbooks import opened_workbook, workbook_format
from import_pipeline.language import told
from import_pipeline.records import InspectedFile, Notice, Sheet


def inspect_workbook(
    source: Source, dataset: Dataset, options: SenderOptions, *, rows_per_batch: int | None = None
) -> InspectedFile:
    """Everything that must be known of a workbook before rows are read.

    Raises:
        TooLargeForASpreadsheet: it is beyond the limits of `limits.py`.
        CorruptFile, EncryptedFile: it cannot be read.
        PermanentImportError: its headers or an option cannot be used; see the classes in `errors.py`.
    """
    stated = stated_header_row(options, dataset) or 0
    with spooled(source) as path:
        file_format = workbook_format(path)
        with opened_workbook(path, source.name, file_format) as workbook:
            names = candidates(workbook.sheets, options, dataset, source.name)
            heads = workbook.heads(names, max(HEADER_SEARCHED, stated))
            chosen = choose_sheets(heads, workbook.sheets, options, dataset, source.name)
            extents = [workbook.extent(sheet.name) for sheet in chosen.sheets]
    pairs = list(zip(chosen.sheets, extents, strict=True))
    rows = sum(max(extent.last_row - sheet.header_row, 0) for sheet, extent in pairs)
    size = sum(extent.bytes for extent in extents)
    return InspectedFile(
        format=file_format,
        header=chosen.mapped.header,
        mapping=chosen.mapped.mapping,
        unknown=chosen.mapped.unknown,
        ours=chosen.mapped.ours,
        rows_per_batch=choose_rows_per_batch(rows, size, rows_per_batch),
        sheets=tuple(replace(sheet, marked=extent.marked) for sheet, extent in pairs),
        detected=chosen.detected,
        notices=(*chosen.notices, *_merged(pairs, source.name)),
    )


def _merged(pairs: list[tuple[Sheet, SheetExtent]], file: str) -> tuple[Notice, ...]:
    """A notice for each sheet with merged cells among its rows: only the first cell has the value."""
    notices = []
    for sheet, extent in pairs:
        below = [(first, last) for first, last in extent.merged if last > sheet.header_row]
        if below:
            first, last = min(below)
            sentence = told(
                "{file}, sheet {sheet!r}: {ranges} merged ranges lie below the header, the first in rows "
                "{first} to {last}; a value counts for the first cell of its range, the others are empty.",
                file=file, sheet=sheet.name, ranges=len(below), first=first, last=last,
            )  # fmt: skip
            notices.append(Notice("merged_cells", sentence))
    return tuple(notices)
