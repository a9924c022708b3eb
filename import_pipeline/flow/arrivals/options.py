"""What a sender states about a file, as object metadata or command-line options: the one parser.

`statement_metadata` writes what `parse_statement` reads. Where neither sender nor evidence settles
something, the dataset's defaults do; that is `flow/batches/`'s, after it has seen the evidence.
"""

import codecs
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.errors import BadOption
from import_pipeline.language import Told, told
from import_pipeline.records import ListedObject
from import_pipeline.storage.bucket import Bucket

ENCODING_ALIASES = {"ansi": "cp1252", "utf8": "utf-8", "latin1": "latin-1"}
DELIMITERS = {
    ",": ",", "comma": ",", ";": ";", "semicolon": ";", "\t": "\t", "\\t": "\t", "tab": "\t",
    "|": "|", "pipe": "|", ":": ":", "colon": ":",
    "^": "^", "caret": "^", "~": "~", "tilde": "~", "space": " ",
}  # fmt: skip
# Those that no metadata can hold as they are.
DELIMITER_WORDS = {"\t": "tab", " ": "space"}
DECIMALS = {",": ",", "comma": ",", ".": ".", "point": "."}
DATE_ORDERS = {order: order for order in ("dmy", "mdy", "ymd")}
ON_EXISTING = {policy: policy for policy in ("skip", "update", "reject")}
SWITCHES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
LONGEST_NAME = 200
# A spreadsheet has no more rows than this; a header further down is a slip of the keyboard.
LAST_HEADER_ROW = 1_048_576

T = TypeVar("T")


@dataclass(frozen=True)
class StatedFacts:
    """What a sender says about a file beside how to read it.

    Attributes:
        name: what people call it.
        sha256: 64 hex, to be compared with the bytes.
        uploaded_by: who sent it, as they say.
    """

    name: str | None = None
    sha256: str | None = None
    uploaded_by: str | None = None


@dataclass(frozen=True)
class Statement:
    """All that a sender states about a file."""

    options: SenderOptions = field(default_factory=SenderOptions)
    facts: StatedFacts = field(default_factory=StatedFacts)


def read_statement(bucket: Bucket, source: ListedObject) -> Statement:
    """What the object's metadata state; nothing if the object is gone (reading it says so).

    Raises:
        BadOption: a stated value is not allowed.
    """
    found = bucket.head(source.key, source.version_id)
    return parse_statement(found[1]) if found else Statement()


def parse_statement(metadata: Mapping[str, str]) -> Statement:
    """What metadata state; names without regard to case and `_`, those of other tools ignored.

    Raises:
        BadOption: a stated value is not allowed; the remedy names those that are.
    """
    stated = {name.lower().replace("_", "-"): value.strip(" ") for name, value in metadata.items()}
    options = SenderOptions(
        encoding=_encoding(stated.get("encoding")),
        delimiter=_one_of("delimiter", stated, DELIMITERS),
        decimal=_one_of("decimal", stated, DECIMALS),  # type: ignore[arg-type]
        date_order=_one_of("date-order", stated, DATE_ORDERS),  # type: ignore[arg-type]
        header_row=_header_row(stated.get("header-row")),
        sheet=_sheet(stated.get("sheet")),
        on_existing=_one_of("on-existing", stated, ON_EXISTING),  # type: ignore[arg-type]
        dry_run=bool(_one_of("dry-run", stated, SWITCHES)),
        force=bool(_one_of("force", stated, SWITCHES)),
    )
    facts = StatedFacts(
        name=_text(stated.get("name")),
        sha256=_sha256(stated.get("sha256")),
        uploaded_by=_text(stated.get("uploaded-by")),
    )
    return Statement(options, facts)


def statement_metadata(statement: Statement) -> dict[str, str]:
    """The metadata that state it: what `upload` sends along."""
    options, facts = statement.options, statement.facts
    stated = {
        "encoding": options.encoding,
        "delimiter": DELIMITER_WORDS.get(options.delimiter or "", options.delimiter),
        "decimal": options.decimal,
        "date-order": options.date_order,
        "header-row": None if options.header_row is None else str(options.header_row),
        "sheet": options.sheet,
        "on-existing": options.on_existing,
        "dry-run": "true" if options.dry_run else None,
        "force": "true" if options.force else None,
        "name": facts.name,
        "sha256": facts.sha256,
        "uploaded-by": facts.uploaded_by,
    }
    return {name: value for name, value in stated.items() if value}


def merged_options(
    statement: Statement | SenderOptions,
    *,
    defaults: SenderOptions | None = None,
    dry_run: bool = False,
    force: bool = False,
) -> SenderOptions:
    """The options of one run: what the sender states, and the switches of run config and dataset.

    A switch that anyone turns on is on. How to read the file is taken from the sender alone:
    evidence comes before the dataset's defaults.

    Args:
        defaults: the dataset's.
        dry_run: from the run's config; `force` likewise.
    """
    stated = statement.options if isinstance(statement, Statement) else statement
    others = defaults or SenderOptions()
    return replace(
        stated,
        dry_run=stated.dry_run or dry_run or others.dry_run,
        force=stated.force or force or others.force,
    )


def require_applicable(options: SenderOptions, dataset: Dataset) -> None:
    """Refuse an option that could not do what its sender expects of it.

    Raises:
        BadOption: `on-existing` for a dataset without a key, which only appends.
    """
    if options.on_existing is not None and not dataset.key:
        raise BadOption(
            told(
                "The option `on-existing` cannot be used: rows of {dataset} have no key; all are new.",
                dataset=dataset.name,
            ),
            remedy=told("Leave the option out."),
            option="on-existing",
            value=options.on_existing,
        )


def _one_of(option: str, stated: Mapping[str, str], allowed: Mapping[str, T]) -> T | None:
    value = stated.get(option)
    if value is None or value == "":
        return None
    if value.lower() in allowed:
        return allowed[value.lower()]
    names = [_written(name) for name in allowed]
    raise _bad(option, value, told("Use one of: {options}.", options=list(dict.fromkeys(names))))


def _encoding(value: str | None) -> str | None:
    """The name of a text encoding; whether files can be read in it is `flow/batches/`'s to say."""
    if not value:
        return None
    name = ENCODING_ALIASES.get(value.lower(), value.lower())
    try:
        codecs.lookup(name)
    except (LookupError, ValueError):
        raise _bad(
            "encoding", value, told("Use one such as utf-8, cp1252, latin-1 or utf-16, or leave it out.")
        ) from None
    return name


def _header_row(value: str | None) -> int | None:
    if not value:
        return None
    if re.fullmatch(r"[0-9]{1,7}", value) is None or int(value) > LAST_HEADER_ROW:
        raise _bad(
            "header-row",
            value,
            told("State the row with the column names, counted from 1; 0 if there is none."),
        )
    return int(value)


def _sheet(value: str | None) -> str | None:
    """A sheet's name, with anything in it that a workbook and the ledger can hold."""
    if value and any(c == "\0" or unicodedata.category(c) == "Cs" for c in value):
        raise _bad("sheet", value, told("State the sheet's name as the workbook shows it, or leave it out."))
    return value or None


def _written(name: str) -> str:
    return "tab" if name in ("\t", "\\t") else name


def _sha256(value: str | None) -> str | None:
    if not value:
        return None
    if re.fullmatch(r"[0-9a-fA-F]{64}", value) is None:
        remedy = told("State the file's sha256 as 64 hexadecimal digits, or leave it out.")
        raise _bad("sha256", value, remedy)
    return value.lower()


def _bad(option: str, value: str, remedy: Told) -> BadOption:
    shown = _text(value) or ""
    return BadOption(
        told(
            "The option `{option}` of the file is {value!r}, which is not allowed.",
            option=option,
            value=shown[:60],
        ),
        remedy=remedy,
        option=option,
        value=shown,
    )


def _text(value: str | None) -> str | None:
    """Text as it may stand in a ledger or log: on one line, of at most 200 characters."""
    if not value:
        return None
    plain = "".join(c if c.isprintable() else " " for c in value).strip()
    return plain[:LONGEST_NAME] or None
