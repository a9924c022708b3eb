"""Which sheets of a workbook are one upload, where their headers stand, and how their columns fit together.

Sheets may name their columns in another order; the upload has one header, to which each sheet's columns
are assigned. What a header cell means is `headers.py`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from import_pipeline.catalog.dataset import Dataset, SenderOptions, normalise_header
from import_pipeline.catalog.workbook_columns import LISTS_SHEET
from import_pipeline.errors import BadOption, EmptyFile
from import_pipeline.flow.batches.columns.evidence import WHITE_SPACE
from import_pipeline.flow.batches.columns.headers import (
    OUR_COLUMNS,
    MappedHeader,
    declared_header,
    find_header,
    is_ours,
    map_header,
    matched_columns,
    stated_header_row,
)
from import_pipeline.flow.batches.spreadsheets.listed import ListedSheet
from import_pipeline.language import told
from import_pipeline.records import Detected, Notice, Sheet

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class SheetHeader:
    """What was found in a sheet's first rows.

    Attributes:
        row: of the header, from 1; 0: it has none, and the columns are the declared ones.
        named: number of declared columns that the header names.
        fits: whether it names all required columns.
    """

    name: str
    row: int
    header: tuple[str, ...]
    named: int
    fits: bool


@dataclass(frozen=True)
class ChosenSheets:
    """The sheets that are read as one upload; the other attributes as in `InspectedFile`."""

    mapped: MappedHeader
    sheets: tuple[Sheet, ...]
    detected: tuple[Detected, ...]
    notices: tuple[Notice, ...]


def candidates(
    sheets: Sequence[ListedSheet], options: SenderOptions, dataset: Dataset, file: str
) -> tuple[str, ...]:
    """Names of the sheets to look at: the stated one, else all that are visible.

    Raises:
        BadOption: there is no sheet of the stated name.
        EmptyFile: no sheet is visible.
    """
    stated = options.sheet if options.sheet is not None else dataset.defaults.sheet
    if stated is None:
        visible = tuple(sheet.name for sheet in sheets if sheet.visible)
        if not visible:
            raise EmptyFile(
                told("{file} has no visible sheet.", file=file),
                remedy=told("Show the sheet with the rows, or state its name in the option sheet."),
            )
        return visible
    found = [s.name for s in sheets if s.name == stated] or [
        s.name for s in sheets if s.name.strip().casefold() == stated.strip().casefold()
    ]
    if found:
        return (found[0],)
    raise BadOption(
        told("{file} has no sheet {sheet!r}. Its sheets: {sheets}.",
             file=file, sheet=stated, sheets=[repr(s.name) for s in sheets]),
        remedy=told("State the name of one of them in the option sheet, or leave it out."),
        option="sheet", value=stated,
    )  # fmt: skip


def choose_sheets(
    heads: Mapping[str, Rows],
    listed: Sequence[ListedSheet],
    options: SenderOptions,
    dataset: Dataset,
    file: str,
) -> ChosenSheets:
    """Find the headers, and the sheets whose header fits.

    Args:
        heads: first rows of the sheets looked at, in their order.

    Raises:
        MissingColumns: no header fits; names the sheet that comes nearest.
        DuplicateHeader, UnknownColumns: a header that fits cannot be used.
        BadOption: the stated header row cannot be.
        EmptyFile: the sheets have no cells.
    """
    stated = stated_header_row(options, dataset)
    filled = {name: rows for name, rows in heads.items() if any(any(row) for row in rows)}
    if not filled:
        raise EmptyFile(
            told("{file} has no rows in the sheets that were looked at: {sheets}.",
                 file=file, sheets=[repr(name) for name in heads]),
            remedy=told("Export it again; if the rows are in a hidden sheet, show it."),
        )  # fmt: skip
    found = [_header_of(name, rows, stated, dataset) for name, rows in filled.items()]
    assumed = stated is None and dataset.header == "optional" and not any(h.named for h in found)
    if assumed:
        found = [_header_of(name, rows, 0, dataset) for name, rows in filled.items()]
    chosen = [header for header in found if header.fits]
    if not chosen:
        nearest = max(found, key=lambda header: header.named)
        map_header(nearest.header, dataset, _place(file, nearest.name))
        chosen = [nearest]  # a header without required columns that names none of the others
    mapped, sheets = _united(chosen, dataset, file)
    return ChosenSheets(
        mapped,
        sheets,
        _detected(chosen, options, stated, assumed),
        (*_assumed(chosen, assumed, file), *_not_read(listed, filled, chosen, options, dataset, file)),
    )


def _header_of(name: str, rows: Rows, stated: int | None, dataset: Dataset) -> SheetHeader:
    """The header of one sheet: the stated row, else the one that names the columns."""
    if rows and is_ours(_trimmed(rows[0])):
        stated = 1  # rows that we handed back: whatever is stated of the file they came from
    if stated == 0:
        width = max(len(_trimmed(row)) for row in rows)
        header = declared_header(dataset, width)
        required = sum(1 for column in dataset.columns if column.required)
        reached = sum(1 for column in dataset.columns[: len(header)] if column.required)
        return SheetHeader(name, 0, header, len(header), required == reached)
    index = stated - 1 if stated else find_header(rows, dataset)
    if index is None:
        index = next(position for position, row in enumerate(rows) if any(row))
    header = _trimmed(rows[index]) if index < len(rows) else ()
    named = matched_columns(header, dataset)
    fits = all(column.name in named for column in dataset.columns if column.required)
    return SheetHeader(name, index + 1, header, len(named), fits and bool(named))


def _trimmed(row: Sequence[str]) -> tuple[str, ...]:
    """The row without the empty cells at its end."""
    end = next((at for at in range(len(row), 0, -1) if row[at - 1].strip(WHITE_SPACE)), 0)
    return tuple(row[:end])


def _united(
    chosen: Sequence[SheetHeader], dataset: Dataset, file: str
) -> tuple[MappedHeader, tuple[Sheet, ...]]:
    """One header for all sheets: the first sheet's, then what only the others have, then our columns."""
    united: list[str] = []
    places: dict[tuple[str, str, int], int] = {}
    ours = False
    columns: list[list[int]] = []
    for sheet in chosen:
        mapped = map_header(sheet.header, dataset, _place(file, sheet.name))
        theirs = mapped.header[: -len(OUR_COLUMNS)] if mapped.ours else mapped.header
        ours = ours or mapped.ours
        own = []
        for key, cell in zip(_keys(theirs, mapped), theirs, strict=True):
            if key not in places:
                places[key] = len(united)
                united.append(cell)
            own.append(places[key])
        columns.append(own + [-1, -2, -3] * mapped.ours)
    whole = map_header((*united, *(OUR_COLUMNS * ours)), dataset, file)
    sheets = tuple(
        Sheet(sheet.name, sheet.row, tuple(p if p >= 0 else len(united) - 1 - p for p in own))
        for sheet, own in zip(chosen, columns, strict=True)
    )
    return whole, sheets


def _keys(theirs: Sequence[str], mapped: MappedHeader) -> list[tuple[str, str, int]]:
    """What names a column in any sheet: its declared name, else its text and how often it came before."""
    declared = {position: name for name, position in mapped.mapping.items()}
    seen: dict[str, int] = {}
    keys = []
    for position, cell in enumerate(theirs):
        if position in declared:
            keys.append(("declared", declared[position], 0))
            continue
        text = normalise_header(cell) or cell.strip(WHITE_SPACE)
        seen[text] = seen.get(text, 0) + 1
        keys.append(("unknown", text, seen[text]))
    return keys


def _detected(
    chosen: Sequence[SheetHeader], options: SenderOptions, stated: int | None, assumed: bool
) -> tuple[Detected, ...]:
    names = ", ".join(sheet.name for sheet in chosen)
    why = told("stated") if options.sheet is not None else told("their headers name the columns")
    found = [Detected("sheets", names, why, "sheet")]
    for sheet in chosen:
        where = f"{sheet.name}: {sheet.row}" if len(chosen) > 1 else str(sheet.row)
        found.append(Detected("header row", where, _why(sheet, stated), "header-row", assumed))
    return tuple(found)


def _why(sheet: SheetHeader, stated: int | None) -> str:
    if stated is not None:
        return told("stated")
    if sheet.row == 0:
        return told("no row names a column; they are taken in the declared order")
    if sheet.row == 1:
        return told("the first row names {named} columns", named=sheet.named)
    return told("it names {named} columns; the rows above it, {above}, are not read",
                named=sheet.named, above=sheet.row - 1)  # fmt: skip


def _assumed(chosen: Sequence[SheetHeader], assumed: bool, file: str) -> tuple[Notice, ...]:
    if not assumed:
        return ()
    sentence = told(
        "No row of {file} names a column, so its cells were taken in the declared order: {columns}.",
        file=file, columns=list(chosen[0].header),
    )  # fmt: skip
    return (Notice("header_assumed_missing", sentence),)


def _not_read(
    listed: Sequence[ListedSheet],
    filled: Mapping[str, Rows],
    chosen: Sequence[SheetHeader],
    options: SenderOptions,
    dataset: Dataset,
    file: str,
) -> tuple[Notice, ...]:
    """A notice for each sheet that may hold rows and is not read; none if the sender chose a sheet."""
    if options.sheet is not None or dataset.defaults.sheet is not None:
        return ()
    read = {sheet.name for sheet in chosen}
    notices = []
    for sheet in listed:
        if not sheet.visible and sheet.name == LISTS_SHEET:
            continue  # of the template that we make ourselves
        if not sheet.visible:
            sentence = told(
                "{file}: the sheet {sheet!r} is hidden and was not read.", file=file, sheet=sheet.name
            )
            notices.append(Notice("sheet_not_read", sentence))
        elif sheet.name in filled and sheet.name not in read:
            sentence = told(
                "{file}: the sheet {sheet!r} was not read, since no row of it names all required columns.",
                file=file, sheet=sheet.name,
            )  # fmt: skip
            notices.append(Notice("sheet_not_read", sentence))
    return tuple(notices)


def _place(file: str, sheet: str) -> str:
    return told("{file}, sheet {sheet!r}", file=file, sheet=sheet)
