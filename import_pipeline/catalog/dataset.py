"""What a dataset is: a pandera model (columns and rules) and one `Dataset` record (policies).

`column()` declares a column of a model; everything else (table, headers, parsers) is derived.
Finding dataset files is `discovery.py`'s, the rules are `rules.py`'s, tables are the ledger's.
"""

import copy
import hashlib
import inspect
import re
import sys
import unicodedata
import zoneinfo
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

import pandera.pandas as pandera
import pyarrow as pa

# Imported for its effect: it registers the rules that `column(is_email=True)` names.
from import_pipeline.catalog import rules  # noqa: F401
from import_pipeline.catalog.defaults import wrong_default
from import_pipeline.catalog.types import JSON_ARROW, Case, ColumnType, type_of
from import_pipeline.errors import ConfigurationError
from import_pipeline.language import Language

Existing = Literal["skip", "update", "reject"]
EXTRA_COLUMN = "extra"
_POLICIES = {
    "existing": ("skip", "update", "reject"),
    "winner": ("first", "last"),
    "unknown_columns": ("keep", "ignore", "refuse"),
    "header": ("required", "optional"),
    "language": (None, "en", "pt"),
}
PROVENANCE_COLUMNS = (
    "_workspace", "_upload_id", "_row_number", "_source_time", "_loaded_at", "_row_hash",
)  # fmt: skip


def column(
    *headers: str,
    required: bool = False,
    personal: bool = False,
    case: Case | None = None,
    remove: str = "",
    null_tokens: tuple[str, ...] | None = None,
    example: str = "",
    **checks: Any,
) -> Any:
    """Declare a column of a dataset's model.

    Args:
        headers: further names the column goes by in files; case, accents, spaces, `_` and `-`
            do not count. The attribute's own name always works.
        required: the header must be there and no cell may be empty.
        personal: masked in ledger, logs, events and Dagster metadata.
        case: text is stored in this case; else in that of its type.
        remove: characters taken out of text before it is checked, beside those of its type.
        null_tokens: what stands for an empty cell in this column; None: as the dataset says.
        example: a text that passes, for `import-pipeline template`; else that of its type.
        checks: pandera's own (`ge=1900`, `isin=[…]`, `str_matches=…`) and ours
            (`is_email=True`, see `catalog/rules.py`), beside those of its type.
    """
    metadata = {
        "headers": headers, "personal": personal, "case": case, "remove": remove, "null_tokens": null_tokens,
        "example": example,
    }  # fmt: skip
    wanted = {name: value for name, value in checks.items() if value is not False}
    return pandera.Field(nullable=not required, metadata=metadata, **wanted)


@dataclass(frozen=True)
class Column:
    """One declared column, derived from the model.

    Attributes:
        name: column in table and model.
        type: as declared; it has the parser.
        headers: normalised header names it answers to (`normalise_header`), own name first.
        null_tokens: what stands for an empty cell, compared exactly after trimming; None: as the dataset
            says.
    """

    name: str
    type: ColumnType
    headers: tuple[str, ...]
    required: bool
    personal: bool
    case: Case | None
    remove: str
    null_tokens: tuple[str, ...] | None = None

    @property
    def arrow_type(self) -> pa.DataType:
        """Type of its values after parsing."""
        return self.type.arrow_type


@dataclass(frozen=True)
class SenderOptions:
    """What a sender may state about a file; a dataset declares defaults with the same record.

    `None` means: not stated, look at the evidence.

    Attributes:
        header_row: the row with the column names, as a spreadsheet numbers rows; 0: there is none, the
            columns are the declared ones in their order.
        sheet: name of the one sheet to read.
        on_existing: what happens to a row whose key is in the table; None: as the dataset says.
    """

    encoding: str | None = None
    delimiter: str | None = None
    decimal: Literal[",", "."] | None = None
    date_order: Literal["dmy", "mdy", "ymd"] | None = None
    header_row: int | None = None
    sheet: str | None = None
    on_existing: Existing | None = None
    dry_run: bool = False
    force: bool = False


@dataclass(frozen=True, eq=False)
class Dataset:
    """One kind of file and its table.

    Attributes:
        name: `[a-z][a-z0-9_]{0,39}`; the folder people drop files into, and Dagster's names.
        model: pandera `DataFrameModel` class; the only place of columns and checks.
        table: table in schema `public`; default: the name.
        key: columns that identify a row within a workspace; empty: rows are only appended.
        existing: what happens to a row whose key is in the table.
        winner: which of several valid rows with one key in one file is loaded.
        maximum_size: bytes.
        maximum_reject_share: share (0 to 1) of rows with validation errors above which the file is
            refused; not applied under 20 rows.
        unknown_columns: what happens to headers that the model does not have; `keep` stores them
            as JSON in the column `extra`.
        keep_original: archive the original after its import (else it is deleted, though never by a dry run).
        timezone: IANA name; timestamps without a zone are read in it.
        personal_extra: whether the unknown columns kept in `extra` are masked like personal ones.
        defaults: sender's options assumed where neither sender nor evidence settles them.
        null_tokens: what stands for an empty cell, compared exactly after trimming.
        footer: regular expressions (RE2); a row whose first filled cell one of them matches is no data.
        header: `optional` accepts a file without a header row: its columns are the declared ones, in order.
        language: of messages to senders; None: the setting IMPORT_PIPELINE_LANGUAGE.
        where: file and line of the declaration, for messages to the engineer.
    """

    name: str
    model: type[pandera.DataFrameModel]
    table: str = ""
    key: tuple[str, ...] = ()
    existing: Existing = "skip"
    winner: Literal["first", "last"] = "first"
    maximum_size: int = 50 * 1024**3
    maximum_reject_share: float = 0.5
    unknown_columns: Literal["keep", "ignore", "refuse"] = "keep"
    keep_original: bool = True
    timezone: str = "UTC"
    description: str = ""
    personal_extra: bool = True
    null_tokens: tuple[str, ...] = ("",)
    footer: tuple[str, ...] = ()
    header: Literal["required", "optional"] = "required"
    language: Language | None = None
    defaults: SenderOptions = field(default_factory=SenderOptions)
    where: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "where", _declared_at())
        if not self.table:
            object.__setattr__(self, "table", self.name)
        _validate(self)

    @cached_property
    def schema(self) -> pandera.DataFrameSchema:
        """The model as a pandera schema, with the rules that its columns' types bring."""
        schema = copy.deepcopy(self.model.to_schema())
        for declared in schema.columns.values():
            kind = type_of(declared.dtype)
            own = {check.name for check in declared.checks}
            rules_of_type = kind.checks.items() if kind is not None else ()
            declared.checks += [getattr(pandera.Check, n)(v) for n, v in rules_of_type if n not in own]
        return schema

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Declared columns in the model's order, without `extra`."""
        return tuple(_column(name, c) for name, c in self.schema.columns.items())

    @cached_property
    def has_personal(self) -> bool:
        """Whether any column is personal: what a stranger's text holds may then be a person's, too."""
        return any(column.personal for column in self.columns)

    def existing_for(self, options: SenderOptions) -> Existing:
        """What happens to a row whose key is in the table, for a file sent with these options."""
        return options.on_existing or self.defaults.on_existing or self.existing

    @cached_property
    def header_owners(self) -> dict[str, str]:
        """Declared column by each of its headers, normalised."""
        return {name: column.name for column in self.columns for name in column.headers}

    @cached_property
    def fingerprint(self) -> str:
        """First 16 hex of sha256 over columns, checks and policies: what decides how a file is read."""
        policies = (self.key, self.existing, self.winner, self.maximum_reject_share,
                    self.unknown_columns, self.timezone, self.null_tokens, self.footer, self.header,
                    asdict(self.defaults))  # fmt: skip
        text = repr((self.name, self.table, policies, _model_facts(self.model, self.schema)))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def normalise_header(text: str) -> str:
    """A header without case, accents, punctuation and spaces: `E-mail *` gives `email`."""
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKD", text).lower())


def _column(name: str, declared: Any) -> Column:
    meta = declared.metadata or {}
    kind = type_of(declared.dtype)
    if kind is None:
        raise TypeError(f"column {name}: use a type of import_pipeline.catalog.types")
    names = dict.fromkeys(normalise_header(h) for h in (name, *meta.get("headers", ())))
    return Column(
        name=name,
        type=kind,
        headers=tuple(names),
        required=not declared.nullable,
        personal=bool(meta.get("personal")),
        case=meta.get("case") or kind.case,
        remove=kind.remove + meta.get("remove", ""),
        null_tokens=meta.get("null_tokens"),
    )


def _declared_at() -> str:
    """File and line of the `Dataset(...)` call that is being carried out."""
    frame = sys._getframe(1)
    # Skips this file and the __init__ that dataclass generates in it.
    while frame.f_back is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _model_facts(model: type[pandera.DataFrameModel], schema: pandera.DataFrameSchema) -> list[Any]:
    """What of the model decides about rows: types, headers, checks with their source."""
    facts: list[Any] = [
        (n, _type_facts(c.dtype), c.nullable, sorted((c.metadata or {}).items(), key=str),
         [(k.name, str(k.statistics)) for k in c.checks])
        for n, c in schema.columns.items()
    ]  # fmt: skip
    for cls in model.__mro__:
        if cls is pandera.DataFrameModel:
            break
        try:
            facts.append(inspect.getsource(cls))
        except (OSError, TypeError):
            facts.append(cls.__qualname__)
    return facts


def _type_facts(dtype: Any) -> tuple[Any, ...]:
    kind = type_of(dtype)
    return (str(dtype),) if kind is None else kind.facts()


def _validate(dataset: Dataset) -> None:
    """Fail at load on a declaration that cannot work.

    Raises:
        ConfigurationError: names dataset, file and line.
    """
    try:
        columns = {c.name: c for c in dataset.columns}
        schema = dataset.schema
    except (TypeError, pandera.errors.SchemaInitError) as error:
        raise _wrong(dataset, f"{error}.", "See docs/add-a-dataset.md.") from error
    _validate_policies(dataset)
    _validate_defaults(dataset)
    _validate_model(dataset, schema)
    _validate_columns(dataset, columns)
    _validate_key(dataset, columns)


def _wrong(dataset: Dataset, what: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(
        f"Dataset {dataset.name!r} ({dataset.where}): {what}", remedy=remedy, dataset=dataset.name
    )


def _validate_policies(dataset: Dataset) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", dataset.name):
        raise _wrong(dataset, "its name is not allowed.", "Use [a-z][a-z0-9_]{0,39}.")
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", dataset.table):
        raise _wrong(dataset, f"its table {dataset.table!r} is not allowed.", "Use [a-z_][a-z0-9_]{0,62}.")
    for name, allowed in _POLICIES.items():
        if getattr(dataset, name) not in allowed:
            raise _wrong(
                dataset,
                f"{name}={getattr(dataset, name)!r} is not allowed.",
                f"Use one of: {', '.join(str(value) for value in allowed)}.",
            )
    if not 0 <= dataset.maximum_reject_share <= 1:
        raise _wrong(dataset, "its maximum_reject_share is no share.", "Use a number from 0 to 1.")
    if dataset.maximum_size <= 0:
        raise _wrong(dataset, "its maximum_size is not above 0.", "Give it in bytes.")
    try:
        zoneinfo.ZoneInfo(dataset.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        raise _wrong(
            dataset, f"there is no time zone {dataset.timezone!r}.", "Use one such as America/Sao_Paulo."
        ) from error


def _validate_defaults(dataset: Dataset) -> None:
    """Refuse defaults that no file could be read with."""
    wrong = wrong_default(dataset.defaults, has_key=bool(dataset.key))
    if wrong is not None:
        raise _wrong(dataset, f"its default {wrong.option}={wrong.value!r} is not allowed.", wrong.remedy)


def _validate_model(dataset: Dataset, schema: pandera.DataFrameSchema) -> None:
    """Refuse what pandera offers but a file read in batches cannot keep."""
    if schema.unique or any(c.unique for c in schema.columns.values()):
        raise _wrong(dataset, "`unique` sees one batch only.", "Name the columns in the dataset's key.")
    if schema.index is not None:
        raise _wrong(dataset, "the model declares an index.", "Remove it: the index is the row number.")
    if schema.parsers or any(c.parsers for c in schema.columns.values()):
        raise _wrong(dataset, "the model has parsers.", "Use `case` and `remove` of column().")
    for check in [*schema.checks, *(k for c in schema.columns.values() for k in c.checks)]:
        if check.groupby is not None or check.n_failure_cases is not None:
            raise _wrong(
                dataset, f"check {check.name!r} uses groupby or n_failure_cases.", "Judge each row by itself."
            )


def _validate_columns(dataset: Dataset, columns: Mapping[str, Column]) -> None:
    owners: dict[str, str] = {}
    for col in columns.values():
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", col.name) or col.name == EXTRA_COLUMN:
            raise _wrong(
                dataset,
                f"column {col.name!r} has a name that is not allowed.",
                "Use [a-z][a-z0-9_]*, not `extra`.",
            )
        if (col.case or col.remove) and not pa.types.is_string(col.arrow_type):
            raise _wrong(
                dataset, f"column {col.name!r} has case or remove and is not text.", "Declare it as Text."
            )
        for header in col.headers:
            other = owners.setdefault(header, col.name)
            if other != col.name:
                raise _wrong(
                    dataset, f"columns {other!r} and {col.name!r} share the header {header!r}.", "Rename one."
                )


def _validate_key(dataset: Dataset, columns: Mapping[str, Column]) -> None:
    if len(set(dataset.key)) != len(dataset.key):
        raise _wrong(dataset, "its key names a column twice.", "Name each once.")
    for name in dataset.key:
        if name not in columns:
            raise _wrong(
                dataset, f"its key names {name!r}, which is no column.", f"Columns: {', '.join(columns)}."
            )
        if columns[name].arrow_type == JSON_ARROW:
            raise _wrong(dataset, f"its key column {name!r} is JSON.", "Name one of another type.")
        if not columns[name].required:
            raise _wrong(dataset, f"its key column {name!r} may be empty.", "Declare it with required=True.")
