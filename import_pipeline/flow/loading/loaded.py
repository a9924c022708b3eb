"""How an upload was loaded when it was published: table, key and columns, whatever the dataset says today."""

import re
from dataclasses import dataclass

import psycopg

from import_pipeline.catalog.dataset import PROVENANCE_COLUMNS, Dataset
from import_pipeline.errors import NotUndoable
from import_pipeline.flow.loading.history import loaded_columns, table_columns
from import_pipeline.ledger.dataset_tables import PROVENANCE, not_one_table
from import_pipeline.ledger.rows import UploadRow


@dataclass(frozen=True)
class Loaded:
    """Facts of a publish.

    Attributes:
        table: in schema `public`.
        key: columns of the key then; empty without one.
        columns: those that `_row_hash` was computed over, in that order, with their type.
    """

    table: str
    key: tuple[str, ...]
    columns: dict[str, str]

    @property
    def written(self) -> dict[str, str]:
        """All columns that the upload wrote, with their type: its own, and where the row is from."""
        return self.columns | {name: PROVENANCE[name].partition(" COLLATE")[0] for name in PROVENANCE_COLUMNS}


def loaded_by(conn: psycopg.Connection, row: UploadRow, dataset: Dataset) -> Loaded:
    """How the upload was loaded; the table still has all of these columns.

    Raises:
        NotUndoable: a column is gone or of another type, so that nobody can tell which rows are as they
            were written.
    """
    facts = row.details.get("loaded")
    if facts is not None:
        loaded = Loaded(facts["table"], tuple(facts["key"]), dict(facts["columns"]))
    elif row.fingerprint == dataset.fingerprint:
        loaded = Loaded(dataset.table, dataset.key, dict(loaded_columns(dataset)))
    else:
        raise _changed(row, "the dataset was declared otherwise, and nobody noted how")
    misfit = not_one_table(conn, loaded.table)
    if misfit is not None:
        raise _changed(row, misfit.message, loaded.table)
    found = table_columns(conn, loaded.table)
    wrong = [
        f"column {name} was {type_}, " + (f"now it is {found[name]}" if name in found else "now it is gone")
        for name, type_ in loaded.written.items()
        if _plain(found.get(name, "")) != _plain(type_)
    ]
    if wrong:
        raise _changed(row, "; ".join(wrong) if found else f"table {loaded.table!r} is gone", loaded.table)
    return loaded


def _plain(type_: str) -> str:
    """A type without its precision: that does not change what a value's hash is."""
    return re.sub(r"\(.*\)", "", type_)


def _changed(row: UploadRow, what: str, table: str | None = None) -> NotUndoable:
    return NotUndoable(
        f"The table is not as it was when upload {row.upload_id!r} was published: {what}.",
        remedy="Change the table back for the undo. Or take the rows out by SQL: those with its id in "
        "`_upload_id`.",
        upload_id=row.upload_id,
        why="table_changed",
        table=table,
    )
