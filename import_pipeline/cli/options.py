"""Options that several commands share, and what of them can be judged without any service."""

import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import BadOption
from import_pipeline.flow.arrivals.options import Statement, parse_statement

DEFAULT_WORKSPACE = "default"

FileArgument = Annotated[
    Path, typer.Argument(help="The file.", exists=True, dir_okay=False, readable=True, show_default=False)
]
FilesArgument = Annotated[
    list[Path],
    typer.Argument(help="The files.", exists=True, dir_okay=False, readable=True, show_default=False),
]
DatasetOption = Annotated[
    str, typer.Option("--dataset", "-d", help="Kind of file; `datasets` lists them.", show_default=False)
]
WorkspaceOption = Annotated[str, typer.Option("--workspace", "-w", help="Tenant that owns the rows.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
NameOption = Annotated[
    str | None, typer.Option(help="What people call this file; `status` and `report` know it by that too.")
]

EncodingOption = Annotated[
    str | None, typer.Option(help="Encoding of the text: `utf-8`, `cp1252` or `latin-1`. Default: found out.")
]
DelimiterOption = Annotated[
    str | None, typer.Option(help="Delimiter: `,` `;` `|` `tab` `:` `^` `~` `space`. Default: found out.")
]
DecimalOption = Annotated[
    str | None, typer.Option(help="Decimal mark, `,` or `.`. Default: by the whole column.")
]
DateOrderOption = Annotated[
    str | None, typer.Option(help="Order of dates: `dmy`, `mdy` or `ymd`. Default: by the whole column.")
]
HeaderRowOption = Annotated[
    int | None,
    typer.Option(min=0, help="Row with the column names, from 1; 0: there is none. Default: found out."),
]
SheetOption = Annotated[
    str | None, typer.Option(help="The one sheet to read. Default: every visible sheet whose header fits.")
]
OnExistingOption = Annotated[
    str | None,
    typer.Option(
        help="A row whose key is in the table: `skip`, `update` or `reject`. Default: as the dataset says."
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Do everything but load: report what an import would give.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Import even if the same bytes were before.")]


# What a sender can state about how a file is read, and what is done with its rows.
READING: dict[str, Any] = {
    "encoding": EncodingOption,
    "delimiter": DelimiterOption,
    "decimal": DecimalOption,
    "date_order": DateOrderOption,
    "header_row": HeaderRowOption,
    "sheet": SheetOption,
}
LOADING: dict[str, Any] = {
    "on_existing": OnExistingOption,
    "dry_run": DryRunOption,
    "force": ForceOption,
}


def takes(**options: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a sender; they reach it together, as its argument `options`.

    Args:
        options: annotation of each by its name, as in `READING` and `LOADING`.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**given: Any) -> None:
            stated = {name: given.pop(name) for name in options}
            command(**given, options=stated)

        own = [p for p in inspect.signature(command).parameters.values() if p.name != "options"]
        added = [_parameter(name, annotation) for name, annotation in options.items()]
        # Typer asks for both, and would find those of `command` itself.
        run.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in (*own, *added)}
        return run

    return decorate


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    default = False if annotation.__origin__ is bool else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def choose_dataset(datasets: Mapping[str, Dataset], name: str) -> Dataset:
    """The dataset of that name.

    Raises:
        typer.BadParameter: there is none; names the nearest.
    """
    if name in datasets:
        return datasets[name]
    near = difflib.get_close_matches(name.lower(), datasets, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(datasets)}."
    raise typer.BadParameter(f"There is no dataset {name!r}. {hint}", param_hint="--dataset")


def state_options(**stated: str | int | bool | None) -> Statement:
    """What a sender states on the command line, read by the same parser as object metadata.

    Args:
        stated: by the metadata's name, with `_` for `-`; None or False: not stated.

    Raises:
        typer.BadParameter: a value is not allowed; names those that are.
    """
    metadata = {
        name: "true" if value is True else str(value)
        for name, value in stated.items()
        if value is not None and value is not False
    }
    try:
        return parse_statement(metadata)
    except BadOption as error:
        raise typer.BadParameter(
            f"{stated[str(error.fields['option']).replace('-', '_')]!r} is not allowed. {error.remedy}",
            param_hint=f"--{error.fields['option']}",
        ) from error
