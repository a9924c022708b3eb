"""What publishing writes down so that it can be undone: images of overwritten rows, and who depends on whom.

Runs between `deciding.py` and `merging.py` in the publish transaction. Undoing is `undoing.py`'s; why
it is done this way stands in docs/adr/0012-undo-follows-each-rows-chain.md.
"""

from collections.abc import Mapping, Sequence

import psycopg
from psycopg import sql

from import_pipeline.catalog.dataset import EXTRA_COLUMN, PROVENANCE_COLUMNS, Dataset
from import_pipeline.catalog.types import postgres_type
from import_pipeline.errors import ConcurrentChange
from import_pipeline.flow.loading.tables import DECIDED, LoadTables, listed
from import_pipeline.ledger.undoing import next_publish_number

COLUMNS_A_CALL = 50  # PostgreSQL's functions take 100 arguments; this is faster than to_jsonb of a row


def write_history(conn: psycopg.Connection, tables: LoadTables, expected: int) -> int:
    """Keep the rows about to be overwritten, and which uploads' rows kept ours out of the table.

    A row that is merely inserted leaves no trace here: taking it away is undoing it.

    Args:
        expected: rows decided `updated`.

    Returns:
        The number of this publish, counted within its workspace and dataset.

    Raises:
        ConcurrentChange: an application changed or deleted one of the rows since it was compared.
    """
    opened = tables.opened
    number, ever_loaded = next_publish_number(conn, opened.workspace, opened.dataset, tables.names)
    if expected:
        written = _write_images(conn, tables, number, ever_loaded)
        if written != expected:
            raise ConcurrentChange(
                f"{expected - written} rows of table {tables.dataset.table!r} were changed by someone else "
                "during the import.",
                remedy="The import is repeated; nothing was written.",
                table=tables.dataset.table,
            )
    _write_dependencies(conn, tables)
    return number


def loaded_columns(dataset: Dataset) -> list[tuple[str, str]]:
    """The columns that `_row_hash` is computed over, in that order, with their PostgreSQL type."""
    columns = [(c.name, postgres_type(c.arrow_type)) for c in dataset.columns]
    return [*columns, (EXTRA_COLUMN, "jsonb")] if dataset.unknown_columns == "keep" else columns


def table_columns(conn: psycopg.Connection, table: str) -> dict[str, str]:
    """Columns of a table in `public` with their type, as PostgreSQL has them now."""
    rows = conn.execute(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a"
        " WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped",
        [sql.Identifier("public", table).as_string(conn)],
    ).fetchall()
    return dict(rows)


def key_of(alias: str, key: Sequence[str]) -> sql.Composable:
    """A row's key as history knows it: a JSON array of its values, in the key's order."""
    return sql.SQL("jsonb_build_array({})").format(listed(*(sql.Identifier(alias, name) for name in key)))


def image_of(alias: str, columns: Mapping[str, str]) -> sql.Composed:
    """A row as an image: JSON of its columns.

    A JSON column is kept as text, since NULL and the JSON value `null` would else become the same.
    """
    pairs = [
        sql.SQL("{}, {}{}").format(
            sql.Literal(name),
            sql.Identifier(alias, name),
            sql.SQL("::text" if type_ == "jsonb" else ""),
        )
        for name, type_ in columns.items()
    ]
    parts = [pairs[n : n + COLUMNS_A_CALL] for n in range(0, len(pairs), COLUMNS_A_CALL)]
    objects = [sql.SQL("jsonb_build_object({})").format(listed(*part)) for part in parts]
    return sql.SQL("({})").format(sql.SQL(" || ").join(objects))


def from_image(image: sql.Composable, columns: Mapping[str, str]) -> sql.Composed:
    """FROM item: the columns of an image as they were; the way back from `image_of`."""
    definitions = [
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL("text" if type_ == "jsonb" else type_))
        for name, type_ in columns.items()
    ]
    values = [
        sql.SQL("r.{0}{1} AS {0}").format(
            sql.Identifier(name), sql.SQL("::jsonb" if type_ == "jsonb" else "")
        )
        for name, type_ in columns.items()
    ]
    return sql.SQL("LATERAL (SELECT {} FROM jsonb_to_record({}) AS r ({})) AS i").format(
        listed(*values), image, listed(*definitions)
    )


def _write_images(
    conn: psycopg.Connection, tables: LoadTables, number: int, ever_loaded: Sequence[str]
) -> int:
    """Images of the rows decided `updated`; their number.

    An image also has columns that the dataset declared once: the row's hash was computed over them.
    """
    wanted = dict.fromkeys((*tables.names, *ever_loaded, *PROVENANCE_COLUMNS))
    in_table = table_columns(conn, tables.dataset.table)
    query = sql.SQL(
        "INSERT INTO imports.row_history"
        " (workspace, dataset, publish_number, upload_id, key, image, image_upload_id)"
        " SELECT %s, %s, %s, %s, {key}, {image}, t._upload_id"
        " FROM {decided} d JOIN {target} t ON t.ctid = d.tid WHERE d.outcome = 'updated'"
    ).format(
        key=key_of("t", tables.dataset.key),
        image=image_of("t", {name: in_table[name] for name in wanted if name in in_table}),
        decided=DECIDED,
        target=tables.target,
    )
    opened = tables.opened
    return conn.execute(query, [opened.workspace, opened.dataset, number, opened.upload_id]).rowcount


def _write_dependencies(conn: psycopg.Connection, tables: LoadTables) -> None:
    """Count the rows that were kept out of the table, by the upload whose row they met there."""
    upload_id = tables.opened.upload_id
    conn.execute("DELETE FROM imports.dependencies WHERE upload_id = %s", [upload_id])
    query = sql.SQL(
        "INSERT INTO imports.dependencies (upload_id, depends_on, rows)"
        " SELECT %s, t._upload_id, count(*) FROM {} d JOIN {} t ON t.ctid = d.tid"
        " WHERE d.outcome <> 'updated' AND t._upload_id <> %s GROUP BY t._upload_id"
    ).format(DECIDED, tables.target)
    conn.execute(query, [upload_id, upload_id])
