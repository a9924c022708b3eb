"""Which row is the header, which of its cells is which declared column, and when the file is refused.

Names are compared by `normalise_header`: case, accents, spaces and punctuation do not count. Every format
with a header asks here; how its rows are cut into cells is the format's.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from import_pipeline.catalog.dataset import Dataset, SenderOptions, normalise_header
from import_pipeline.errors import BadOption, DuplicateHeader, MissingColumns, UnknownColumns
from import_pipeline.flow.batches.columns.evidence import WHITE_SPACE
from import_pipeline.formula_guard import unguard
from import_pipeline.language import told

# The columns that a rejected.* of ours ends with.
OUR_COLUMNS = ("_import_row", "_import_upload", "_import_errors")
# In a rejected.json or .jsonl, the text of a row that is no object, which has no cells to go back in.
OUR_TEXT = "_import_text"
# Rows, blank ones included, among which a header is looked for.
HEADER_SEARCHED = 50
# A row that names so many columns, all required ones among them, is no title.
_ENOUGH_NAMES = 2


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
    found: dict[str, list[int]] = {}
    for position, cell in enumerate(header):
        name = dataset.header_owners.get(normalise_header(cell))
        if name is not None:
            found.setdefault(name, []).append(position)
    return found


def find_header(rows: Sequence[Sequence[str]], dataset: Dataset) -> int | None:
    """Index of the header among the first rows of a file; None if none of them names a declared column.

    The first row that names two declared columns and all required ones; where there is none, the first
    of those that name most. So a longer header further down never turns the rows above it into titles.

    Args:
        rows: cells of the file's rows from its first on, blank ones included; 50 are looked at.
    """
    required = {column.name for column in dataset.columns if column.required}
    best, most = None, 0
    for index, row in enumerate(rows[:HEADER_SEARCHED]):
        named = matched_columns(row, dataset)
        if len(named) >= _ENOUGH_NAMES and required <= named.keys():
            return index
        if len(named) > most:
            best, most = index, len(named)
    return best


def stated_header_row(options: SenderOptions, dataset: Dataset) -> int | None:
    """The header's row as the sender or the dataset states it, from 1; 0: there is none; None: not stated.

    Raises:
        BadOption: it is below 0, or 0 in a dataset whose files must have a header.
    """
    row = options.header_row if options.header_row is not None else dataset.defaults.header_row
    if row is None or row > 0 or (row == 0 and dataset.header == "optional"):
        return row
    if row == 0:
        raise BadOption(
            told("The option header-row says 0, but files for {dataset} must have a header.",
                 dataset=dataset.name),
            remedy=told("Add a first row that names the columns, and leave the option out."),
            option="header_row", value=row,
        )  # fmt: skip
    raise BadOption(
        told("The option header-row says {row}.", row=row),
        remedy=told("State the number of the row that names the columns, or leave the option out."),
        option="header_row", value=row,
    )  # fmt: skip


def declared_header(dataset: Dataset, cells: int) -> tuple[str, ...]:
    """The header of a file without one: the declared columns in their order.

    Args:
        cells: number of cells of the file's rows; columns beyond them are not there.
    """
    return tuple(column.name for column in dataset.columns)[:cells]


def is_ours(header: Sequence[str]) -> bool:
    """Whether a header ends with our three columns: it is that of a `rejected.*`."""
    return tuple(cell.strip(WHITE_SPACE).lower() for cell in header[-len(OUR_COLUMNS) :]) == OUR_COLUMNS


def map_header(
    written: Sequence[str], dataset: Dataset, file_name: str, *, guarded: bool = False
) -> MappedHeader:
    """Find the declared columns in a header.

    Two unknown columns of one name are both kept (`extra` numbers them). A column without a name is
    unknown, but no reason to refuse the file: exports often end each line with a delimiter. Where the
    dataset refuses unknown columns, a row that has something in it is a reject.

    Args:
        guarded: whether cells of a file of ours carry formula guards, as they do in text.

    Raises:
        DuplicateHeader: two headers name the same declared column.
        MissingColumns: a required column is not there.
        UnknownColumns: there are others, and the dataset refuses them.
    """
    ours = is_ours(written)
    header = tuple(unguard(pa.array(written, pa.string())).to_pylist() if ours and guarded else written)
    theirs = header[: -len(OUR_COLUMNS)] if ours else header
    found = matched_columns(theirs, dataset)
    _refuse_duplicates(theirs, found, file_name)
    missing = [c.name for c in dataset.columns if c.required and c.name not in found]
    if missing:
        what = f"has no column for {_listed(missing)}"
        masked = _for_others(file_name, what, theirs, found, dataset)
        raise _missing(missing, theirs, dataset, file_name, masked)
    mapping = {column.name: found[column.name][0] for column in dataset.columns if column.name in found}
    unknown = tuple(p for p in range(len(theirs)) if p not in mapping.values())
    named = [theirs[p].strip(WHITE_SPACE) for p in unknown if theirs[p].strip(WHITE_SPACE)]
    if named and dataset.unknown_columns == "refuse":
        raise UnknownColumns(
            told("{file} has columns that {dataset} does not know: {headers}.",
                 file=file_name, dataset=dataset.name, headers=_listed(named)),
            remedy=told("Remove or rename them and send the file again."),
            masked=_for_others(
                file_name, f"has columns that {dataset.name} does not know", theirs, found, dataset
            ),
            headers=named,
        )  # fmt: skip
    return MappedHeader(header, mapping, unknown, ours)


def _refuse_duplicates(header: Sequence[str], found: dict[str, list[int]], file_name: str) -> None:
    for name, positions in found.items():
        if len(positions) > 1:
            cells = [header[position].strip(WHITE_SPACE) for position in positions]
            numbers = [position + 1 for position in positions]
            raise DuplicateHeader(
                told("{file}: columns {numbers} are all {name!r} (headers {headers}).",
                     file=file_name, numbers=_listed(numbers), name=name, headers=_listed(cells)),
                remedy=told("Keep one of them, or give the others a different header."),
                headers=cells,
                positions=numbers,
            )  # fmt: skip


def _for_others(
    file_name: str, what: str, header: Sequence[str], found: dict[str, list[int]], dataset: Dataset
) -> str:
    """The refusal for all but the sender: a header that no column has may be a cell of a person.

    One cell of a row of data that happens to be a column's header makes no header of the row.
    """
    if not dataset.has_personal:
        return ""
    if not found:
        return f"{file_name}: none of its {len(header)} headers names a column of {dataset.name}."
    others = len(header) - sum(len(positions) for positions in found.values())
    more = f" and {others} others" if others > 1 else " and 1 other" if others else ""
    return f"{file_name} {what}. Columns found: {_listed(list(found))}{more}."


def _missing(
    missing: list[str], header: Sequence[str], dataset: Dataset, file_name: str, masked: str
) -> MissingColumns:
    """The refusal, naming for each missing column the headers that look most like it."""
    by_name = {normalise_header(cell): cell.strip(WHITE_SPACE) for cell in header}
    by_name.pop("", None)
    accepted = {column.name: column.headers for column in dataset.columns}
    nearest: dict[str, list[str]] = {}
    for column in missing:
        near = [n for a in accepted[column] for n in difflib.get_close_matches(a, by_name, n=3, cutoff=0.6)]
        nearest[column] = [by_name[n] for n in dict.fromkeys(near)][:3]
    found = [header_name(header, position) for position in range(len(header))]
    facts = {"file": file_name, "missing": _listed(missing), "found": _listed(found[:30])}
    hints = [f"{column}: {_listed(headers)}" for column, headers in nearest.items() if headers]
    if hints:
        message = told(
            "{file} has no column for {missing}. Columns found: {found}. Nearest: {nearest}.",
            **facts, nearest="; ".join(hints),
        )  # fmt: skip
    else:
        message = told("{file} has no column for {missing}. Columns found: {found}.", **facts)
    return MissingColumns(
        message,
        remedy=told(
            "Name the column so in the header. If the columns found are not what the file holds, "
            "state the option delimiter, encoding or header-row."
        ),
        masked=masked,
        missing=missing,
        found=found,
        nearest=nearest,
    )


def _listed(names: Sequence[object]) -> str:
    return ", ".join(repr(n) if isinstance(n, str) else str(n) for n in names)
