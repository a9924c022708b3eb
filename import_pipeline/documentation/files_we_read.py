"""docs/files-we-read.md: what is read, refused and assumed, with the limits and lists of the code.

The sentences stand in `files_we_read.md.j2`; what it names is taken from where it decides, so that the
page cannot tell anything else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.codes import CODES
from import_pipeline.flow.arrivals.identity import UNFINISHED
from import_pipeline.flow.arrivals.options import DATE_ORDERS, DELIMITER_WORDS, DELIMITERS, ON_EXISTING
from import_pipeline.flow.batches.archives import listing as archives
from import_pipeline.flow.batches.archives.zip_directory import MOST_MEMBERS
from import_pipeline.flow.batches.columns import headers
from import_pipeline.flow.batches.delimited import candidates, dialects, reading
from import_pipeline.flow.batches.jsonfiles import cutting, inspecting, objects
from import_pipeline.flow.batches.parquetfiles import inspecting as parquet
from import_pipeline.flow.batches.recognising import containers, formats, names
from import_pipeline.flow.batches.sources import compression
from import_pipeline.flow.batches.spreadsheets import cells, limits
from import_pipeline.flow.batches.spreadsheets.workbooks import WORKBOOK_FORMATS
from import_pipeline.flow.batches.text import encodings, guessing, whole
from import_pipeline.flow.checks.text import LONGEST_KEY, LONGEST_TEXT
from import_pipeline.flow.reports.returned import sheet_cells, workbook
from import_pipeline.flow.reports.returned.writers import CSV, FORMS, TSV
from import_pipeline.row_numbers import ROWS_OF_A_SHEET

_KNOWN_BY = {
    "csv": "text that is none of the others",
    "json": "text: an array of objects, or an object that holds one",
    "jsonl": "text: an object a line",
    "parquet": f"`{formats.PARQUET.decode()}` at both ends",
    "xlsx": "a zip with `xl/workbook.xml`",
    "xlsm": "the same with `xl/vbaProject.bin`",
    "xlsb": "a zip with `xl/workbook.bin`",
    "xls": "an OLE2 file with a part `Workbook` or `Book`",
    "ods": "a zip with the type of an OpenDocument spreadsheet",
    "zip": "any other zip",
}
_ROWS = {
    "csv": "the file's first row is 1, blank ones count; a row with line breaks inside is one",
    "json": "the array's first element is 1",
    "jsonl": "as the lines",
    "parquet": "the first row is 1",
    "zip": "of each file its own",
} | dict.fromkeys(WORKBOOK_FORMATS, "as in the sheet")
_SHORT = {"jsonl": "JSON Lines", "parquet": "Parquet"}
_COMPRESSION_NOTES = {
    "gz": "several members are one text",
    "zst": f"several frames are one text; windows of up to {compression.ZSTD_WINDOW // 1024**2} MiB",
    "xz": f"several streams are one text; up to {compression.XZ_MEMORY // 1024**2} MiB of memory",
    "bz2": "several streams are one text",
}
_RETURNED = {
    "rejected.csv": "UTF-8 with byte order mark, the file's own delimiter; an apostrophe before what a "
    "spreadsheet would run as a formula",
    "rejected.tsv": "the same, delimited by tabs",
    "rejected.json": "numbers with their digits; the text of a row that is no object as "
    f"`{headers.OUR_TEXT}`",
    "rejected.jsonl": "the same, an object a line",
    "rejected.parquet": "with the file's own types",
    "rejected.xlsx": "the sheets that have rejects; faulty cells highlighted, the first "
    f"{workbook.MOST_COMMENTS:,} with the message as a comment; no formulas",
}
# Codes that refuse a file of any format because of what it is.
_REFUSALS = ("empty_file", "file_too_large", "encrypted_file", "corrupt_file", "truncated_file",
             "expands_too_far", "too_large_for_a_spreadsheet", "unsupported_encoding")  # fmt: skip


def files_we_read_page() -> str:
    """The page's text."""
    environment = Environment(
        loader=PackageLoader("import_pipeline.documentation", "."),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown made of our own constants
    )
    environment.filters |= {"code": _code, "size": _size}
    template = environment.get_template("files_we_read.md.j2")
    return template.render(_of_files() | _of_text() | _of_formats_with_types() | _of_outcomes())


def _of_files() -> dict[str, Any]:
    """Formats, compression, archives."""
    return {
        "formats": [
            {
                "title": title,
                "suffixes": _promising(found),
                "known_by": _KNOWN_BY[found],
                "rows": _ROWS[found],
            }
            for found, title in names.FORMAT_NAMES.items()
        ],
        "largest_file": _policy("maximum_size"),
        "rows_of_a_sheet": ROWS_OF_A_SHEET,
        "compressions": [
            {"title": title, "suffixes": compression.SUFFIXES[kind], "note": _COMPRESSION_NOTES[kind]}
            for kind, title in compression.COMPRESSION_NAMES.items()
        ],
        "most_members": MOST_MEMBERS,
        "most_expansion": compression.MOST_EXPANSION,
        "expansion_free": compression.EXPANSION_FREE_BYTES,
        "skipped_folder": archives.SKIPPED_FOLDER,
        "unfinished": UNFINISHED,
        "unread_methods": archives.UNREAD_METHODS.values(),
    }


def _of_text() -> dict[str, Any]:
    """Encodings, CSV and TSV, JSON."""
    return {
        "marked_encodings": dict.fromkeys(encoding for _, encoding in encodings.BYTE_ORDER_MARKS),
        "western": guessing.CP1252,
        "latin_1": guessing.LATIN_1,
        "other_encodings": guessing.OTHERS,
        "fitting": f"{guessing.FITTING:.0%}",
        "confidence": f"{guessing.CONFIDENCE:.0%}",
        "delimiters": _named(dialects.DELIMITERS),
        "rare_delimiters": _named(candidates.RARE_DELIMITERS),
        "rare_columns": candidates.RARE_COLUMNS,
        "rare_share": f"{candidates.RARE_SHARE:.0%}",
        "header_searched": headers.HEADER_SEARCHED,
        "most_unclosed": reading.MOST_UNCLOSED,
        "longest_record": reading.LONGEST_RECORD,
        "head": whole.HEAD_BYTES,
        "most_keys": inspecting.MOST_KEYS,
        "deepest": objects.DEEPEST,
        "longest_row": cutting.LONGEST_ROW,
    }


def _of_formats_with_types() -> dict[str, Any]:
    """Workbooks, Parquet."""
    return {
        "workbook_formats": [found.upper() for found in WORKBOOK_FORMATS],
        "digits": cells.DIGITS_KEPT,
        "workbook_limits": (
            (f"{limits.MOST_CELLS:,}", "cells from the first to the last filled one, all sheets together"),
            (_size(limits.MOST_EXPANDED), "unpacked"),
            (
                f"{limits.MOST_RATIO} times",
                f"its packed size, of a part of over {_size(limits.RATIO_FREE_BYTES)}",
            ),
            (f"{limits.MOST_PARTS:,}", "parts: sheets, pictures, drawings"),
            (f"{limits.LAST_ROW:,} × {limits.LAST_COLUMN:,}", "rows and columns of a sheet"),
        ),
        "cells_free": parquet.CELLS_FREE,
        "cells_a_byte": parquet.MOST_CELLS_A_BYTE,
    }


def _of_outcomes() -> dict[str, Any]:
    """Values, refusals, options, what comes back."""
    return {
        "null_tokens": [f'"{token}"' for token in _policy("null_tokens")],
        "longest_text": LONGEST_TEXT,
        "longest_key": LONGEST_KEY,
        "refused": _refused(),
        "refusals": [CODES[code] for code in _REFUSALS],
        "options": [
            {"name": option.name.replace("_", "-"), "values": values, "otherwise": otherwise}
            for option in fields(SenderOptions)
            for values, otherwise in [_options()[option.name]]
        ],
        "our_columns": headers.OUR_COLUMNS,
        "returned": _returned(),
        "longest_cell": sheet_cells.LONGEST_TEXT,
        "most_columns": sheet_cells.MOST_COLUMNS - len(headers.OUR_COLUMNS) - 1,
    }


def _options() -> dict[str, tuple[str, str]]:
    """Values of each option, and what holds where nobody states it."""
    column = "the column's evidence, then the dataset's default (warning "
    delimiters = [DELIMITER_WORDS.get(one, one) for one in dict.fromkeys(DELIMITERS.values())]
    return {
        "encoding": ("any that Python knows", "the evidence [above](#text-csv-tsv-json-json-lines)"),
        "delimiter": (_code(delimiters), "the evidence [above](#csv-and-tsv)"),
        "decimal": ("`,` or `.`", f"{column}`assumed_decimal`)"),
        "date_order": (
            _code(DATE_ORDERS),
            f"{column}`assumed_date_order`)",
        ),
        "header_row": ("the row, from 1; 0: there is none", "the row that names the columns"),
        "sheet": ("its name", "all visible sheets whose header fits"),
        "on_existing": (
            _code(ON_EXISTING),
            "a row whose key is in the table: as the dataset says",
        ),
        "dry_run": ("`true`", "rows are loaded; with it, only the report is made"),
        "force": ("`true`", "the same bytes are not imported again"),
    }


def _refused() -> dict[str, list[str]]:
    """What a file may look like, by what its sender is told to do."""
    found: dict[str, list[str]] = {}
    for what, remedy in (
        *((what, remedy) for _, _, what, remedy in formats.SIGNATURES),
        *formats.NO_TABLE.values(),
        *((what, containers.SAVE_AS_XLSX) for _, what in (*containers.DOCUMENTS, *containers.OLE_DOCUMENTS)),
    ):
        found.setdefault(remedy, []).append(what)
    return found


def _returned() -> list[dict[str, Any]]:
    """The forms in which rejected rows go back, with the formats that came."""
    came: dict[str, list[str]] = {}
    for file_format, form in FORMS.items():
        came.setdefault(form.name, []).append(_SHORT.get(file_format, file_format.upper()))
    # The delimiter decides, not the format.
    came = {CSV.name: came[CSV.name], TSV.name: ["CSV delimited by tabs"]} | came
    return [{"name": name, "came_as": formats, "how": _RETURNED[name]} for name, formats in came.items()]


def _policy(name: str) -> Any:
    """The default of a dataset's policy."""
    return next(field.default for field in fields(Dataset) if field.name == name)


def _promising(found: str) -> list[str]:
    """The suffixes that promise a format first."""
    return [suffix for suffix, promised in names.PROMISES.items() if promised[:1] == (found,)]


def _named(delimiters: Iterable[str]) -> list[str]:
    return [DELIMITER_WORDS.get(delimiter, delimiter) for delimiter in delimiters]


def _code(texts: Iterable[str]) -> str:
    """`a`, `b`; a bar is written so that it does not end a cell of the table."""
    return ", ".join("`" + text.replace("|", r"\|") + "`" for text in texts)


def _size(number: int) -> str:
    """Bytes in the largest unit that divides them."""
    units: Mapping[str, int] = {"GiB": 1024**3, "MiB": 1024**2, "KiB": 1024}
    return next(f"{number // size} {unit}" for unit, size in units.items() if number % size == 0)
