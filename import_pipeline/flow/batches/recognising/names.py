"""What a file's name says it is, held against what it is: a notice for its sender, never a decision."""

from collections.abc import Mapping
from typing import Final

from import_pipeline.flow.batches.sources.compression import (
    COMPRESSION_NAMES,
    is_compressed_name,
    name_inside,
)
from import_pipeline.language import Told, told
from import_pipeline.records import Compression, Notice

FORMAT_NAMES: Final[Mapping[str, Told]] = {
    "csv": told("delimited text (CSV)"),
    "json": told("JSON"),
    "jsonl": told("JSON Lines"),
    "parquet": told("Parquet"),
    "xlsx": told("an Excel workbook (xlsx)"),
    "xlsm": told("an Excel workbook with macros (xlsm)"),
    "xlsb": told("a binary Excel workbook (xlsb)"),
    "xls": told("an old Excel workbook (xls)"),
    "ods": told("an OpenDocument spreadsheet (ods)"),
    "zip": told("a zip archive"),
}
# Which formats a suffix promises; a suffix that is not here promises nothing.
PROMISES: Final[Mapping[str, tuple[str, ...]]] = {
    ".csv": ("csv",), ".tsv": ("csv",), ".tab": ("csv",), ".psv": ("csv",),
    ".json": ("json", "jsonl"), ".jsonl": ("jsonl",), ".ndjson": ("jsonl",),
    ".parquet": ("parquet",), ".pq": ("parquet",),
    ".xlsx": ("xlsx", "xlsm"), ".xlsm": ("xlsm", "xlsx"), ".xlsb": ("xlsb",), ".xls": ("xls",),
    ".ods": ("ods",), ".zip": ("zip",), ".pdf": (), ".doc": (), ".docx": (), ".html": (), ".xml": (),
}  # fmt: skip


def name_notices(name: str, found: str, compression: Compression | None) -> tuple[Notice, ...]:
    """Warnings where the name promises another format, or another compression."""
    notices = []
    if compression is not None and not _is_named_so(name, compression):
        notices.append(
            told("{file} is compressed with {compression}, which its name does not say; it was read so.",
                 file=name, compression=COMPRESSION_NAMES[compression])
        )  # fmt: skip
    if compression is None and is_compressed_name(name):
        notices.append(told("{file} is named like a compressed file, but is none; it was read as it is.",
                            file=name))  # fmt: skip
    plain = _without_compression(name)
    suffix = plain[plain.rfind(".") :].lower() if "." in plain else ""
    if suffix in PROMISES and found not in PROMISES[suffix]:
        notices.append(
            told("{file} is named {suffix}, but holds {what}; it was read as that.",
                 file=name, suffix=suffix, what=FORMAT_NAMES[found])
        )  # fmt: skip
    return tuple(Notice("name_mismatch", message) for message in notices)


def _is_named_so(name: str, compression: Compression) -> bool:
    return name_inside(name, compression) != name


def _without_compression(name: str) -> str:
    for compression in COMPRESSION_NAMES:
        name = name_inside(name, compression)
    return name
