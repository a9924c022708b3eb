"""The closed set of codes: what each means and what to do about it.

File-level codes are those of the classes in `errors.py`; row-level codes carry the template of
their message. docs/error-codes.md is made from this file (`error_codes_page`); a test holds them equal.
"""

from dataclasses import dataclass
from typing import Literal

Level = Literal["file", "row", "duplicate", "warning", "system"]


@dataclass(frozen=True)
class Code:
    """One code of the closed set.

    Attributes:
        level: `file`: the whole file is refused; `row`: the row is a reject; `duplicate`: the row is
            not loaded because of its key; `warning`: listed, never counted; `system`: our own
            trouble, or the engineer's, never the sender's.
        meaning: one sentence for docs/error-codes.md.
        remedy: what to do; shown to the sender. `{detail}` is filled in as in `message`.
        message: row-level: the sentence after `Row 17, column "E-mail": `. `{value}` is the quoted
            cell, `{detail}` the rule's own words (`at least 1900`).
    """

    code: str
    level: Level
    meaning: str
    remedy: str
    message: str = ""


def _file(code: str, meaning: str, remedy: str) -> Code:
    return Code(code, "file", meaning, remedy)


def _row(code: str, meaning: str, message: str, remedy: str) -> Code:
    return Code(code, "row", meaning, remedy, message)


def _system(code: str, meaning: str, remedy: str) -> Code:
    return Code(code, "system", meaning, remedy)


_FILE = (
    _file("refused", "The file cannot be imported; the message says why.", "Do what the message says."),
    _file("empty_file", "The file has no content.", "Export it again and send it once more."),
    _file(
        "unsupported_format",
        "The content is of a type that is not read.",
        "Send the rows as CSV, a workbook (xlsx, xls, ods), JSON or Parquet.",
    ),
    _file(
        "unsupported_encoding",
        "The text is in an encoding that is not read, or not in the stated one.",
        "Save the file as UTF-8, or state the option `encoding`.",
    ),
    _file(
        "corrupt_file",
        "The content is damaged: it cannot be read as what it is.",
        "Save or export the file again and send it once more.",
    ),
    _file(
        "truncated_file",
        "The file ends too early: part of it is missing.",
        "Send the whole file again; an upload or a download may have broken off.",
    ),
    _file(
        "encrypted_file",
        "The file is protected by a password.",
        "Save it without a password and send that.",
    ),
    _file(
        "expands_too_far",
        "Compressed content is far larger than the file that holds it, beyond the stated ratio.",
        "Unpack it and send what is inside.",
    ),
    _file(
        "too_large_for_a_spreadsheet",
        "A workbook has over 50 million cells, 2 GB unpacked, 5,000 parts, or unpacks to 100 times its size.",
        "Send the rows as a CSV file, which has no such limit.",
    ),
    _file("missing_columns", "Required columns are not in the header.", "Add them, or rename the columns."),
    _file("duplicate_header", "Two header cells name the same column.", "Rename or remove one of them."),
    _file(
        "unknown_columns",
        "The header has columns that the dataset does not know, and the dataset refuses them.",
        "Remove or rename them.",
    ),
    _file("file_too_large", "The file is larger than the dataset allows.", "Send it in several files."),
    _file(
        "broken_quoting",
        "A quote in the header is never closed, or so many in rows that the file cannot be told apart.",
        "Close or remove the quote at the stated line; write a quote inside text twice.",
    ),
    _file(
        "too_many_rejects",
        "More rows have errors than the dataset allows.",
        "Look at errors.csv: one wrong column or setting is the usual cause.",
    ),
    _file(
        "checksum_mismatch",
        "The bytes are not those whose sha256 was stated at the upload.",
        "Upload the file again.",
    ),
    _file("bad_option", "A stated option has a value that is not allowed.", "Use one of the allowed values."),
    _file("object_vanished", "The object was deleted before it could be read.", "Upload it again."),
    _file(
        "overwritten_before_read",
        "Another file took its place before it could be read.",
        "Nothing: the newer file is imported. Send the older one under another name if both are needed.",
    ),
    _file(
        "nested_archive", "An archive lies inside the archive.", "Unpack the inner one and send its files."
    ),
    _file("too_many_members", "The archive has more than 1,000 files.", "Send them in several archives."),
    _file(
        "duplicate_member",
        "Two files in the archive have the same name.",
        "Rename or remove one of them and pack the archive again.",
    ),
    _file(
        "unsupported_compression",
        "A file in the archive is compressed in a way that is not read.",
        "Pack it again as an ordinary zip (method deflate).",
    ),
)

_ROW = (
    _row("missing_value", "A required cell is empty.", "the cell is empty.", "Fill it in."),
    _row(
        "not_a_number",
        "The cell is not a number in the notation of its column.",
        "{value} is not a number{detail}.",
        "Write digits with one decimal mark, without units.",
    ),
    _row(
        "not_a_whole_number",
        "A column of whole numbers has a fraction.",
        "{value} is not a whole number.",
        "Write it without decimals.",
    ),
    _row(
        "ambiguous_number",
        "The cell can be read as thousands or as decimals, and nothing in the file settles it.",
        "{value} can be read in two ways.",
        "Write it without thousands separators, or state the option `decimal`.",
    ),
    _row(
        "too_many_decimals",
        "The number has more decimals than the column keeps; it is never rounded.",
        "{value} has more than {detail} decimals.",
        "Round it to {detail} decimals.",
    ),
    _row(
        "number_too_large",
        "The number has more digits than the column holds.",
        "{value} is too large.",
        "Write a number of at most {detail} digits before the decimal mark.",
    ),
    _row(
        "not_a_date",
        "The cell is not a date of the calendar in the notation of its column.",
        "{value} is not a date{detail}.",
        "Write it as 2026-02-28, or in the order of the other dates of the column.",
    ),
    _row(
        "not_a_timestamp",
        "The cell is not a date and time in the notation of its column.",
        "{value} is not a date and time{detail}.",
        "Write it as 2026-02-28 14:30, or in the order of the other dates of the column.",
    ),
    _row(
        "ambiguous_date",
        "Day and month can be read in either order, and nothing in the file settles it.",
        "{value} can be read day first or month first.",
        "Write it as 2026-02-28, or state the option `date-order`.",
    ),
    _row(
        "two_digit_year",
        "The year has two digits; its century is never guessed.",
        "{value} has a year of two digits.",
        "Write the year with four digits.",
    ),
    _row(
        "not_a_boolean",
        "The cell is neither yes nor no.",
        "{value} is neither yes nor no.",
        "Write sim or não, true or false, 1 or 0.",
    ),
    _row(
        "nul_character",
        "The text has a NUL character, which the database cannot hold.",
        "the text has a NUL character.",
        "Remove it; the program that wrote the file usually left it at the end of the cell.",
    ),
    _row(
        "text_too_long",
        "The text is longer than 1 MiB (1,048,576 bytes of UTF-8).",
        "the text is longer than {detail} bytes.",
        "Shorten it. A quote that is never closed may have swallowed the rows that follow.",
    ),
    _row(
        "key_too_long",
        "The columns that identify the row are together longer than 2,000 bytes.",
        "the text is too long for a column that identifies the row.",
        "Shorten it to at most {detail} bytes.",
    ),
    _row(
        "too_few_cells",
        "The row has fewer cells than the header.",
        "the row has fewer cells than the header.",
        "Add the missing cells, or put text with a line break or delimiter between quotes.",
    ),
    _row(
        "too_many_cells",
        "The row has more cells than the header.",
        "the row has more cells than the header: {value}.",
        "Remove them, or put text that has the delimiter in it between quotes.",
    ),
    _row(
        "stray_quote",
        "A quote stands where none can, so the end of the cell is uncertain.",
        "the row has a quote in the wrong place.",
        'Write a quote inside a quoted cell twice: "".',
    ),
    _row(
        "unclosed_quote",
        "A quote opens a cell and is never closed; the rows after it are read as if it were text.",
        "a quote opens a cell in line {detail} and is never closed.",
        'Close the quote, or remove it; write a quote inside a quoted cell twice: "".',
    ),
    _row(
        "cell_without_header",
        "A cell stands in a column without a name, and the dataset refuses unknown columns.",
        "{value} stands in a column without a name.",
        "Remove it, or move it to the column that it belongs to.",
    ),
    _row(
        "undecodable_text",
        "The row has bytes that are no text in the file's encoding.",
        "the row has characters that cannot be read in the file's encoding.",
        "Save the file as UTF-8, or state the option `encoding`.",
    ),
    _row("invalid_json", "The row's text is not valid JSON.", "the text is not valid JSON: {value}.",
         "Write the row as one JSON object, as the rows before it."),
    _row("not_an_object", "The row is valid JSON, but no object.", "{value} is no JSON object.",
         "Write the row as an object with the column names as keys."),
    _row("repeated_key", "The row's object names a key twice.", "a key occurs twice in {value}.",
         "Keep one value for each key."),
    _row("not_an_email", "The cell is not an e-mail address.", "{value} is not an e-mail address.",
         "Write it as name@company.com."),
    _row("not_a_uf", "The cell is not the abbreviation of a Brazilian state.",
         "{value} is not a Brazilian state.", "Write its two letters, such as SP or RJ."),
    _row("not_a_plate", "The cell is not a Brazilian licence plate.", "{value} is not a licence plate.",
         "Write it as ABC1D23 or ABC-1234."),
    _row("not_a_phone", "The cell is not a Brazilian phone number with area code, nor an international one.",
         "{value} is not a phone number with its area code.",
         "Write it as (11) 98765-4321, or with + and the country's code."),
    _row("not_a_cpf", "The cell is not a CPF, or its check digits are wrong.", "{value} is not a valid CPF.",
         "Compare it with the document; write it as 529.982.247-25."),
    _row("not_a_cnpj", "The cell is not a CNPJ, or its check digits are wrong.",
         "{value} is not a valid CNPJ.", "Compare it with the document; write it as 12.ABC.345/01DE-35."),
    _row("not_a_cep", "The cell is not a Brazilian postal code.", "{value} is not a CEP.",
         "Write its eight digits, such as 01310-100."),
    _row("lost_zeros", "The number lacks digits, as if a spreadsheet had dropped the zeros at its beginning.",
         "{value} lacks the zeros at its beginning.",
         "Write all {detail} digits; in a spreadsheet, format the column as text first."),
    _row("imprecise_number", "A program has shortened the number, so its last digits are lost.",
         "{value} has lost its last digits.",
         "Type it again into a column formatted as text, or send the file from where it comes as CSV."),
    _row("serial_date", "A date column has a number, as spreadsheets store dates inside.",
         "{value} is a number, not a date.",
         "Format the column as a date in the spreadsheet, or write it as 2026-02-28."),
    _row("spreadsheet_error", "The cell has an error of the spreadsheet, such as #N/A.",
         "the cell has the error {value}.", "Correct the formula, or type the value."),
    _row("formula_without_result", "The file has a formula without its result; formulas are not calculated.",
         "the result of the formula {value} is not in the file.",
         "Open the file in a spreadsheet program, save it, and send it again."),
    _row("wrong_currency", "The amount is in another currency than the column.",
         "{value} is not an amount in {detail}.", "Write the amount in {detail}."),
    _row("not_a_url", "The cell is not a web address.", "{value} is not a web address.",
         "Write it as https://www.company.com/page."),
    _row("not_json", "The cell is not JSON that the database can hold.", "{value} is not valid JSON.",
         'Write it as {"name": "value"}.'),
    _row("not_allowed", "The value is not one of those allowed.", "{value} is not allowed here.",
         "{detail}"),
    _row("out_of_range", "The value is below or above what is allowed.", "{value} is not {detail}.",
         "Write a value that is {detail}."),
    _row("wrong_pattern", "The text does not have the form that the column needs.",
         "{value} does not have the right form.", "Write text that {detail}."),
    _row("wrong_length", "The text is too short or too long.", "{value} does not have the right length.",
         "Write text of {detail} characters."),
    _row("not_a_reject",
         "A row of a corrected file names no row that was rejected and still waits for its correction.",
         "`_import_row` and `_import_upload` name no row that waits for a correction.",
         "Remove the row if it was corrected before; send a new one in a file without these columns."),
    _row("check_failed", "A check of the dataset without a code of its own failed.",
         "{value} fails the check: {detail}.", "Correct the value so that it passes the check."),
)  # fmt: skip

_DUPLICATE = (
    Code(
        "repeated_in_file",
        "duplicate",
        "Another valid row of the same file has the same key and is the one that counts.",
        "Nothing, if the rows mean the same; otherwise keep one of them.",
        "row {detail} of this file has the same key and is the one that counts.",
    ),
    Code(
        "already_in_table",
        "duplicate",
        "A row with the same key was there before; the dataset keeps it (or rejects the new one).",
        "Nothing, if the older row is right; otherwise have it changed where it is.",
        "a row with the same key is already in the table.",
    ),
    Code(
        "newer_in_table",
        "duplicate",
        "The row of the table with the same key comes from a newer file.",
        "Nothing: the newer data is kept. Send the row again if it is meant to win.",
        "the table has this row from a newer file.",
    ),
)

_WARNING = (
    Code(
        "header_assumed_missing",
        "warning",
        "No row names a column of the dataset; the columns were taken in the declared order.",
        "Add a first row that names the columns, if the order is another.",
    ),
    Code(
        "sheet_not_read",
        "warning",
        "A sheet of the workbook is hidden, or has no column that the dataset needs; it was not read.",
        "Nothing, if it holds no rows to import; otherwise show it, or correct its header.",
    ),
    Code(
        "merged_cells",
        "warning",
        "Cells below the header are merged; the value counts for the first of them, the others are empty.",
        "Unmerge them and fill in each cell, if the value is meant for all.",
    ),
    Code("no_rows", "warning", "The file has a header and no rows.", "Check the export, if rows were meant."),
    Code(
        "name_mismatch",
        "warning",
        "The file's name says another format than its content; the content counts.",
        "Name it by what it is.",
    ),
    Code(
        "assumed_decimal",
        "warning",
        "Nothing in the file settles the decimal mark; the dataset's default was used.",
        "State the option `decimal` if the default is wrong.",
    ),
    Code(
        "assumed_date_order",
        "warning",
        "Nothing in the file settles the order of day and month; the dataset's default was used.",
        "State the option `date-order` if the default is wrong.",
    ),
    Code(
        "not_a_correction",
        "warning",
        "The file has the three `_import_` columns, but no row names an import of its dataset and workspace.",
        "Nothing, if the rows are meant as new ones; otherwise drop it where the first file was dropped.",
    ),
    Code(
        "corrections_not_matched",
        "warning",
        "A check on a single machine does not know which rows of a corrected file were rejected before.",
        "Nothing: import the file; rows that correct nothing come back then.",
    ),
)

_SYSTEM = (
    _system("temporary_trouble", "Something around us did not answer.", "Nothing: it is tried again."),
    _system("database_unavailable", "PostgreSQL did not answer.", "Nothing: it is tried again."),
    _system("storage_unavailable", "The bucket did not answer.", "Nothing: it is tried again."),
    _system(
        "no_room_on_disk", "A temporary copy of the file does not fit on the machine's disk.",
        "Free some space in its folder for temporary files; it is tried again.",
    ),
    _system(
        "concurrent_change", "Another writer changed the same rows at the same time.",
        "Nothing: it is tried again.",
    ),
    _system("internal_error", "A fault of the pipeline's own.", "Launch it again; report it if it stays."),
    _system(
        "counts_do_not_balance", "Rows counted apart do not add up; nothing was loaded.",
        "Launch it again; report it if it stays.",
    ),
    _system("batches_missing", "Fewer batches arrived than were split.", "Launch it again."),
    _system(
        "first_import_gone", "The first import of the same file was undone while this one was decided.",
        "Launch it again.",
    ),
    _system(
        "corrected_meanwhile", "Another correction put the same rows right while this one was checked.",
        "Launch it again.",
    ),
    _system(
        "stored_object_missing", "An object that an earlier step left in the bucket is gone.",
        "Launch it again from the beginning, not from the failed step.",
    ),
    _system(
        "table_does_not_fit", "The dataset's table is missing or differs from its declaration.",
        "Run `import-pipeline migrate`.",
    ),
    _system(
        "dataset_changed", "The dataset was changed after an earlier step of this import.",
        "Nothing: it is launched again from the beginning.",
    ),
    _system(
        "took_too_long", "The import ran longer than `IMPORT_PIPELINE_MAX_HOURS`.",
        "Find out what held it up, or allow more hours; then launch it again.",
    ),
    _system(
        "partition_missing", "The upload's partition is no longer in Dagster.",
        "Type `import-pipeline retry` or `undo` with its name: either brings the partition back.",
    ),
    _system(
        "not_reimportable", "The upload cannot be brought in again.",
        "Do what the message says: `retry` what is not in the table, send again what is gone.",
    ),
    _system(
        "not_undoable", "The upload cannot be undone, or not any more; nothing was changed.",
        "Do what the message says; its rows are those with its id in `_upload_id`.",
    ),
    _system(
        "undo_blocked", "The table's own rules do not let rows go or come back; nothing was changed.",
        "Look at the constraint that the message names, change what it meets, and undo again.",
    ),
    _system("run_failed", "Dagster's run ended without a word of its own.", "Launch it again."),
    _system("cancelled", "Someone cancelled the import.", "Launch it again if it is wanted after all."),
    _system("superseded", "A newer run of the same upload took over.", "Nothing: look at the newer run."),
    _system("configuration_error", "A setting or a dataset is declared wrongly.", "Correct what it names."),
    _system(
        "schema_out_of_date", "The database is older than the code.", "Run `import-pipeline migrate`."
    ),
)  # fmt: skip

CODES: dict[str, Code] = {c.code: c for c in (*_FILE, *_ROW, *_DUPLICATE, *_WARNING, *_SYSTEM)}

_HEADINGS: tuple[tuple[Level, str, str], ...] = (
    ("row", "Rows", "Such a row is not loaded; it comes back in `rejected.*`, its errors in `errors.csv`."),
    ("duplicate", "Duplicates", "Such a row is valid and not loaded, because of its key."),
    ("file", "Files", "Such a file is refused as a whole; nothing of it is loaded."),
    ("warning", "Warnings", "Listed in the report, never counted."),
    ("system", "The pipeline itself", "Never the sender's fault; seen in the ledger and in Dagster."),
)


def error_codes_page() -> str:
    """The text of docs/error-codes.md."""
    lines = ["# Error codes", "", "Made from `import_pipeline/codes.py`; the set is closed."]
    for level, heading, note in _HEADINGS:
        lines += ["", f"## {heading}", "", note, "", "| code | meaning | what to do |", "|---|---|---|"]
        for code in sorted((c for c in CODES.values() if c.level == level), key=lambda c: c.code):
            remedy = code.remedy.replace("{detail}", "…")
            if remedy == "…":
                remedy = "Use one of the values that the message names."
            lines.append(f"| `{code.code}` | {code.meaning} | {remedy} |")
    return "\n".join(lines) + "\n"
