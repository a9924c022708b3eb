"""`datasets`: which kinds of file there are, and what each expects."""

from typing import Annotated, Any

import typer

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.cli.console import output, print_facts, print_json, print_table, size_text
from import_pipeline.cli.options import JsonOption, choose_dataset


def datasets(
    name: Annotated[str | None, typer.Argument(help="One dataset, in detail.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """List the datasets, or show the columns and policies of one."""
    from import_pipeline.catalog.discovery import load_datasets
    from import_pipeline.settings import load_settings

    found = load_datasets(load_settings().datasets)
    if name is not None:
        chosen = choose_dataset(found, name)
        if as_json:
            print_json(describe(chosen))
        else:
            _show(chosen)
    elif as_json:
        print_json([describe(dataset) for dataset in found.values()])
    else:
        print_table(
            ("dataset", "table", "key", "known key", "columns", "description"),
            [
                (d.name, f"public.{d.table}", ", ".join(d.key) or "none",
                 d.existing_for(d.defaults) if d.key else "append", len(d.columns), d.description)
                for d in found.values()
            ],
            right=("columns",),
        )  # fmt: skip


def describe(dataset: Dataset) -> dict[str, Any]:
    """A dataset as JSON-friendly facts: policies, then columns in the model's order."""
    return {
        "name": dataset.name,
        "description": dataset.description,
        "table": f"public.{dataset.table}",
        "key": list(dataset.key),
        "existing": dataset.existing_for(dataset.defaults),
        "winner": dataset.winner,
        "maximum_size": dataset.maximum_size,
        "maximum_reject_share": dataset.maximum_reject_share,
        "unknown_columns": dataset.unknown_columns,
        "keep_original": dataset.keep_original,
        "timezone": dataset.timezone,
        "defaults": {k: v for k, v in vars(dataset.defaults).items() if v},
        "fingerprint": dataset.fingerprint,
        "declared_in": dataset.where,
        "columns": [_column(dataset, position) for position in range(len(dataset.columns))],
    }


def _column(dataset: Dataset, position: int) -> dict[str, Any]:
    from import_pipeline.catalog.rules import describe_check
    from import_pipeline.catalog.types import postgres_type

    column = dataset.columns[position]
    declared = dataset.schema.columns[column.name]
    return {
        "name": column.name,
        "type": postgres_type(column.arrow_type),
        "required": column.required,
        "personal": column.personal,
        "headers": list((declared.metadata or {}).get("headers", ())),
        "checks": [" ".join(filter(None, describe_check(check))) for check in declared.checks],
    }


def _show(dataset: Dataset) -> None:
    facts = describe(dataset)
    print_facts(
        (
            ("dataset", dataset.name),
            ("description", dataset.description),
            ("table", facts["table"]),
            ("drop files into", f"uploads/<workspace>/{dataset.name}/"),
            ("key", ", ".join(dataset.key) or "none: rows are only appended"),
            ("a key that is in the table", dataset.existing_for(dataset.defaults) if dataset.key else ""),
            ("of rows with one key", f"the {dataset.winner} counts" if dataset.key else ""),
            ("largest file", size_text(dataset.maximum_size)),
            ("refused above", f"{dataset.maximum_reject_share:.0%} of rows with errors"),
            ("unknown columns", dataset.unknown_columns),
            ("time zone", dataset.timezone),
            ("assumed if nothing settles it", ", ".join(f"{k} {v}" for k, v in facts["defaults"].items())),
            ("declared in", dataset.where),
        )
    )
    output().print()
    print_table(
        ("column", "type", "required", "personal", "checks", "headers it answers to"),
        [
            (c["name"], c["type"], c["required"], c["personal"], ", ".join(c["checks"]),
             ", ".join([c["name"], *c["headers"]]))
            for c in facts["columns"]
        ],
    )  # fmt: skip
