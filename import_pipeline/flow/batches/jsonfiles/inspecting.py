"""What of a JSON or JSON Lines text must be known before its rows are read: encoding, keys, number of rows.

Every key of the file is a column, in the order of first appearance; so all of it is read once.
"""

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.errors import EmptyFile, UnsupportedFormat
from import_pipeline.flow.batches.columns.headers import (
    OUR_COLUMNS,
    OUR_TEXT,
    MappedHeader,
    declared_header,
    map_header,
)
from import_pipeline.flow.batches.jsonfiles.cells import keys_of
from import_pipeline.flow.batches.jsonfiles.cutting import Cutter, Cutting, cutter_of
from import_pipeline.flow.batches.jsonfiles.objects import parse_rows
from import_pipeline.flow.batches.sizes import choose_rows_per_batch
from import_pipeline.flow.batches.sources.source import Source
from import_pipeline.flow.batches.text.whole import FileFacts, read_whole
from import_pipeline.language import told
from import_pipeline.records import Detected, FileFormat, InspectedFile, TextFacts

MOST_KEYS = 2000


def inspect_json(
    source: Source, dataset: Dataset, options: SenderOptions, *, rows_per_batch: int | None = None
) -> InspectedFile:
    """Everything that must be known of a JSON file (an array of objects) before rows are read.

    Raises:
        PermanentImportError: the file or an option cannot be used; see the classes in `errors.py`.
    """
    return _inspect("json", source, dataset, options, rows_per_batch)


def inspect_json_lines(
    source: Source, dataset: Dataset, options: SenderOptions, *, rows_per_batch: int | None = None
) -> InspectedFile:
    """Everything that must be known of JSON Lines (an object a line) before rows are read.

    Raises:
        PermanentImportError: the file or an option cannot be used; see the classes in `errors.py`.
    """
    return _inspect("jsonl", source, dataset, options, rows_per_batch)


def _inspect(
    file_format: FileFormat, source: Source, dataset: Dataset, options: SenderOptions, wanted: int | None
) -> InspectedFile:
    facts = read_whole(source, encoding=options.encoding, default=dataset.defaults.encoding)
    cutter = cutter_of(file_format, source.name)
    keys, rows = _all_keys(Cutting(source, facts.encoding, cutter), source.name)
    if not rows and file_format == "jsonl":
        raise EmptyFile(
            told("{file} has nothing but blank lines.", file=source.name), remedy=told("Send the file again.")
        )
    # An empty array says nothing about columns, and lacks none.
    keys = _ours_last(keys)
    mapped = map_header(keys, dataset, source.name) if rows else _nothing(dataset)
    lines = facts.physical_lines if file_format == "jsonl" else 0
    return InspectedFile(
        format=file_format,
        header=tuple(keys) if rows else mapped.header,  # keys carry no guard against formulas
        mapping=mapped.mapping,
        unknown=mapped.unknown,
        ours=mapped.ours,
        rows_per_batch=choose_rows_per_batch(rows, facts.size, wanted),
        text=TextFacts(encoding=facts.encoding, physical_lines=lines),
        detected=_detected(facts, cutter),
    )


def _all_keys(cutting: Cutting, name: str) -> tuple[list[str], int]:
    """The keys of all objects, and the number of rows.

    Raises:
        UnsupportedFormat: there are too many keys, or no object among the rows.
    """
    keys: dict[str, None] = {}
    rows = 0
    for cut in cutting.cuts():
        rows += len(cut.texts)
        keys.update(dict.fromkeys(keys_of(parse_rows(cut.texts).objects)))
        if len(keys) > MOST_KEYS:
            raise UnsupportedFormat(
                told("{file} has more than {limit:,} different keys.", file=name, limit=MOST_KEYS),
                remedy=told("Write values that differ from row to row as values, not as keys."),
                limit=MOST_KEYS,
            )
    if rows and not keys:
        raise UnsupportedFormat(
            told("{file} has no row that is a JSON object with a key.", file=name),
            remedy=told("Write each row as an object with the column names as keys."),
        )
    return list(keys), rows


def _ours_last(keys: list[str]) -> list[str]:
    """The keys, in a file of ours with our three last: their order in an object says nothing."""
    if not set(OUR_COLUMNS) <= set(keys):
        return keys
    return [*(key for key in keys if key not in (*OUR_COLUMNS, OUR_TEXT)), *OUR_COLUMNS]


def _nothing(dataset: Dataset) -> MappedHeader:
    header = declared_header(dataset, len(dataset.columns))
    return MappedHeader(header, {name: position for position, name in enumerate(header)}, (), ours=False)


def _detected(facts: FileFacts, cutter: Cutter) -> tuple[Detected, ...]:
    encoding = Detected("encoding", facts.encoding, facts.encoding_evidence, "encoding")
    if not cutter.key:
        return (encoding,)
    return (encoding, Detected("rows", cutter.key, told("the only array of the file's object")))
