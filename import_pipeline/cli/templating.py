"""`template`: a workbook to fill in, made from a dataset's declaration."""

from pathlib import Path
from typing import Annotated

import typer

from import_pipeline.cli.console import output as standard_output
from import_pipeline.cli.options import choose_dataset
from import_pipeline.language import LOCALES

SUFFIX = ".xlsx"


def template(
    name: Annotated[str, typer.Argument(metavar="DATASET", help="Kind of file; `datasets` lists them.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The workbook. Default: <dataset>.xlsx.", show_default=False),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Language of the notes: `en` or `pt`. Default: the dataset's.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write an Excel workbook to fill in: header, notes, validations and one example row."""
    from import_pipeline.catalog.discovery import load_datasets
    from import_pipeline.catalog.workbook import write_template
    from import_pipeline.settings import load_settings

    settings = load_settings()
    chosen = choose_dataset(load_datasets(settings.datasets), name)
    if language is not None and language not in LOCALES:
        raise typer.BadParameter(
            f"{language!r} is not one of: {', '.join(LOCALES)}.", param_hint="--language"
        )
    path = output or Path(f"{chosen.name}{SUFFIX}")
    _require_place(path, force=force)
    write_template(chosen, path, language or chosen.language or settings.language)  # type: ignore[arg-type]
    standard_output().print(str(path), soft_wrap=True, markup=False)


def _require_place(path: Path, *, force: bool) -> None:
    """Refuse a place where no workbook should go.

    Raises:
        typer.BadParameter: says why, and what to type instead.
    """
    wrong = ""
    if path.suffix.lower() != SUFFIX:
        wrong = f"{path} does not end with {SUFFIX}, which Excel needs."
    elif not path.parent.is_dir():
        wrong = f"There is no folder {path.parent}."
    elif path.is_dir():
        wrong = f"{path} is a folder."
    elif path.exists() and not force:
        wrong = f"{path} is there already; --force replaces it."
    if wrong:
        raise typer.BadParameter(wrong, param_hint="--output")
