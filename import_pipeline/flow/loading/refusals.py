"""What a dataset's table refuses, in words: its constraints are quoted, its triggers may quote rows."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import TableDoesNotFit, UndoBlocked


@contextmanager
def refused_writes(dataset: Dataset) -> Iterator[None]:
    """Name what of the table refuses rows that are valid by the dataset's declaration.

    A row that an application inserted meanwhile under the same key is a `ConcurrentChange` instead.

    Raises:
        TableDoesNotFit: a constraint, column or type of the table that the declaration does not have.
    """
    try:
        yield
    except (pg.IntegrityError, pg.UndefinedTable, pg.UndefinedColumn, pg.DatatypeMismatch) as error:
        if error.diag.schema_name == "imports":
            raise
        reason = reason_of(error, dataset)
        # The cause is cut off: its detail quotes the row, which may hold personal values.
        raise TableDoesNotFit(
            f"Table {dataset.table!r} does not take the rows: {reason}.",
            remedy="Compare the table with the dataset: `import-pipeline migrate`. Nothing was written.",
            table=dataset.table,
            problems=[reason],
        ) from None


@contextmanager
def refused_undo(dataset: Dataset) -> Iterator[None]:
    """Name what of the table does not let rows go or come back.

    Raises:
        UndoBlocked: a constraint, or a trigger that raises.
    """
    try:
        yield
    except (pg.IntegrityError, pg.RaiseException) as error:
        if error.diag.schema_name == "imports":
            raise
        reason = reason_of(error, dataset)
        # The cause is cut off, as above.
        raise UndoBlocked(
            f"Table {dataset.table!r} does not let the undo be: {reason}.",
            remedy="Change or delete the rows that this constraint or trigger is about, then undo again. "
            "Nothing was changed.",
            table=dataset.table,
            reason=reason,
        ) from None


def reason_of(error: psycopg.Error, dataset: Dataset) -> str:
    """Why PostgreSQL refused a statement, without values of personal columns.

    A trigger or function may quote the row, so its words are not repeated where a column is personal.
    """
    diag = error.diag
    personal = dataset.has_personal or (dataset.unknown_columns == "keep" and dataset.personal_extra)
    # What a function raises has a context; one in C may not, but then it names no constraint or column.
    named = diag.constraint_name or diag.column_name or not isinstance(error, pg.IntegrityError)
    said_by_postgres = named and not diag.context and not isinstance(error, pg.RaiseException)
    if diag.message_primary and (said_by_postgres or not personal):
        return diag.message_primary
    what = f"constraint {diag.constraint_name!r}" if diag.constraint_name else "a trigger or function"
    where = f" on table {diag.table_name!r}" if diag.table_name else ""
    return f"{what}{where} (SQLSTATE {diag.sqlstate}; PostgreSQL's log has its words)"
