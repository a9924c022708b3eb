"""Which header cell is which declared column, and what of the header is a reason to refuse the file.

Names are compared by `normalise_header`: case, accents, spaces and punctuation do not count.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from import_pipeline.catalog.dataset import Dataset, normalise_header
from import_pipeline.errors import DuplicateHeader, MissingColumns, UnknownColumns
from import_pipeline.flow.batches.evidence import WHITE_SPACE
from import_pipeline.formula_guard import unguard

# The columns that a rejected.csv of ours ends with.
OUR_COLUMNS = ("_import_row", "_import_upload", "_import_errors")


@dataclass(frozen=True)
class MappedHeader:
    """A header and what it means for a dataset; see `OpenedUpload` for the attributes."""

    header: tuple[str, ...]
    mapping: dict[str, int]
    unknown: tuple[int, ...]
    ours: bool


def header_name(header: Sequence[str], position: int) -> str:
    """What a column is called: its header, or `column 3` where the header cell is empty."""
    return header[position].strip(WHITE_SPACE) or f"column {position + 1}"


def matched_columns(header: Sequence[str], dataset: Dataset) -> dict[str, list[int]]:
    """Declared column to the positions of headers that name it."""
    owners = {name: column.name for column in dataset.columns for name in column.headers}
    found: dict[str, list[int]] = {}
    for position, cell in enumerate(header):
        name = owners.get(normalise_header(cell))
        if name is not None:
            found.setdefault(name, []).append(position)
    return found


def map_header(written: Sequence[str], dataset: Dataset, file_name: str) -> MappedHeader:
    """Find the declared columns in a header.

    Raises:
        DuplicateHeader: two headers name the same column, or are the same text.
        MissingColumns: a required column is not there.
        UnknownColumns: there are others, and the dataset refuses them.
    """
    ours = tuple(cell.strip(WHITE_SPACE).lower() for cell in written[-len(OUR_COLUMNS) :]) == OUR_COLUMNS
    header = tuple(unguard(pa.array(written, pa.string())).to_pylist() if ours else written)
    theirs = header[: -len(OUR_COLUMNS)] if ours else header
    found = matched_columns(theirs, dataset)
    _refuse_duplicates(theirs, found, file_name)
    missing = [c.name for c in dataset.columns if c.required and c.name not in found]
    if missing:
        raise _missing(missing, theirs, dataset, file_name)
    mapping = {column.name: found[column.name][0] for column in dataset.columns if column.name in found}
    unknown = tuple(p for p in range(len(theirs)) if p not in mapping.values())
    if unknown and dataset.unknown_columns == "refuse":
        names = [header_name(theirs, position) for position in unknown]
        raise UnknownColumns(
            f"{file_name} has columns that {dataset.name} does not know: {_listed(names)}.",
            remedy="Remove or rename them and send the file again.",
            headers=names,
        )
    return MappedHeader(header, mapping, unknown, ours)


def _refuse_duplicates(header: Sequence[str], found: dict[str, list[int]], file_name: str) -> None:
    same: dict[str, list[int]] = {}
    for position, cell in enumerate(header):
        if cell.strip(WHITE_SPACE):
            same.setdefault(cell.strip(WHITE_SPACE), []).append(position)
    for name, positions in [*found.items(), *same.items()]:
        if len(positions) > 1:
            cells = [header[position].strip(WHITE_SPACE) for position in positions]
            numbers = [position + 1 for position in positions]
            raise DuplicateHeader(
                f"{file_name}: columns {_listed(numbers)} are all {name!r} (headers {_listed(cells)}).",
                remedy="Keep one of them, or give the others a different header.",
                headers=cells,
                positions=numbers,
            )


def _missing(missing: list[str], header: Sequence[str], dataset: Dataset, file_name: str) -> MissingColumns:
    """The refusal, naming for each missing column the headers that look most like it."""
    by_name = {normalise_header(cell): cell.strip(WHITE_SPACE) for cell in header}
    accepted = {column.name: column.headers for column in dataset.columns}
    nearest: dict[str, list[str]] = {}
    for column in missing:
        near = [n for a in accepted[column] for n in difflib.get_close_matches(a, by_name, n=3, cutoff=0.6)]
        nearest[column] = [by_name[n] for n in dict.fromkeys(near)][:3]
    hints = [f"{_listed(headers)} looks like {column!r}" for column, headers in nearest.items() if headers]
    hint = f" {'; '.join(hints)}." if hints else ""
    found = [header_name(header, position) for position in range(len(header))]
    return MissingColumns(
        f"{file_name} has no column for {_listed(missing)}. Columns found: {_listed(found[:30])}.{hint}",
        remedy="Name the column so in the first line. If the columns found are not what the file holds, "
        "state the option delimiter or encoding.",
        missing=missing,
        found=found,
        nearest=nearest,
    )


def _listed(names: Sequence[object]) -> str:
    return ", ".join(repr(n) if isinstance(n, str) else str(n) for n in names)
