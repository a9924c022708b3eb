"""The table of a dataset: what it should be, what it is, and the SQL between the two.

Nothing here changes a table that is in use but by adding nullable columns. All columns are
nullable: the rules are the model's, and applications write rows too.
"""

import hashlib
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from import_pipeline.catalog.dataset import EXTRA_COLUMN, Dataset
from import_pipeline.catalog.types import postgres_type

PROVENANCE = {
    "_workspace": 'text COLLATE "C"',
    "_upload_id": 'text COLLATE "C"',
    "_row_number": "bigint",
    "_source_time": "timestamp with time zone",
    "_loaded_at": "timestamp with time zone",
    "_row_hash": "bigint",
}
KEY_INDEX, UPLOAD_INDEX = "import_key", "import_upload"


@dataclass(frozen=True)
class TableColumn:
    """One column of a table as PostgreSQL has it; `collation` is empty for types without one."""

    name: str
    type: str
    collation: str
    not_null: bool
    has_default: bool


@dataclass(frozen=True)
class Misfit:
    """One way a table does not fit its dataset; `statements` mend it, when someone decides to run them."""

    message: str
    statements: tuple[str, ...]


@dataclass(frozen=True)
class ComparedTable:
    """A dataset's table beside its declaration.

    Attributes:
        exists: whether there is a table at all.
        gained: columns the dataset has and the table has not, with their SQL type.
        misfits: what `migrate` does not change by itself.
    """

    exists: bool
    gained: dict[str, str]
    misfits: tuple[Misfit, ...]


def declared_columns(dataset: Dataset) -> dict[str, str]:
    """Columns of the dataset's table in order, with their SQL type; text in the key is COLLATE "C"."""
    columns = {c.name: postgres_type(c.arrow_type) for c in dataset.columns}
    for name in dataset.key:
        if columns[name] == "text":
            columns[name] += ' COLLATE "C"'
    if dataset.unknown_columns == "keep":
        columns[EXTRA_COLUMN] = "jsonb"
    return columns | PROVENANCE


def create_table(conn: psycopg.Connection, dataset: Dataset) -> None:
    """Create the dataset's table with its two indexes."""
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), _type(type_))
        for name, type_ in declared_columns(dataset).items()
    )
    conn.execute(sql.SQL("CREATE TABLE {} ({})").format(_table(dataset), columns))
    for statement in _index_statements(dataset):
        conn.execute(statement)
    comment = dataset.description or f"Rows of dataset {dataset.name}"
    conn.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(_table(dataset), sql.Literal(comment)))


def add_columns(conn: psycopg.Connection, dataset: Dataset, gained: dict[str, str]) -> None:
    """Add columns to the dataset's table, nullable and without default: no row is rewritten."""
    additions = sql.SQL(", ").join(
        sql.SQL("ADD COLUMN {} {}").format(sql.Identifier(name), _type(type_))
        for name, type_ in gained.items()
    )
    conn.execute(sql.SQL("ALTER TABLE {} {}").format(_table(dataset), additions))


def compare_table(conn: psycopg.Connection, dataset: Dataset) -> ComparedTable:
    """What the dataset's table lacks, and where it differs from the declaration."""
    row = conn.execute(
        "SELECT c.oid::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' AND c.relname = %s",
        [dataset.table],
    ).fetchone()
    if row is None:
        return ComparedTable(False, declared_columns(dataset), ())
    (oid,) = row
    misfit = not_one_table(conn, dataset.table)
    if misfit is not None:
        return ComparedTable(True, {}, (misfit,))
    found = _read_columns(conn, oid)
    declared = declared_columns(dataset)
    misfits = [
        *(m for name, type_ in declared.items() if name in found
          for m in _column_misfits(conn, dataset, found[name], type_)),
        *_foreign_misfits(conn, dataset, [c for name, c in found.items() if name not in declared]),
        *_key_misfits(conn, dataset, oid),
    ]  # fmt: skip
    return ComparedTable(True, {n: t for n, t in declared.items() if n not in found}, tuple(misfits))


def not_one_table(conn: psycopg.Connection, table: str) -> Misfit | None:
    """What `table` in `public` is instead of one plain table; None if it is one, or is not there.

    Publishing and undoing know a row by its place (`ctid`), which is unique within one table only: several
    partitions, or children, each have a row at the same place.
    """
    name = sql.Identifier("public", table)
    found = conn.execute(
        "SELECT c.relkind::text, coalesce((SELECT array_agg(i.inhrelid::regclass::text ORDER BY 1)"
        " FROM pg_inherits i WHERE i.inhparent = c.oid), '{}') FROM pg_class c WHERE c.oid = to_regclass(%s)",
        [name.as_string(conn)],
    ).fetchone()
    if found is None:
        return None
    kind, children = found
    if kind == "p":
        return Misfit(
            f"table public.{table} is partitioned, and the pipeline needs one plain table: copy its rows "
            "into one, or load a table of its own and move rows from there",
            (),
        )
    if kind != "r":
        return Misfit(f"public.{table} is not a table", ())
    if children:
        leave = [f"ALTER TABLE {child} NO INHERIT {name.as_string(conn)};" for child in children]
        return Misfit(
            f"other tables inherit from table public.{table} ({', '.join(children)}), and the pipeline needs "
            "one plain table",
            tuple(leave),
        )
    return None


def dataset_table_problems(conn: psycopg.Connection, dataset: Dataset) -> list[str]:
    """What keeps the dataset from being loaded, one sentence each; empty if its table fits."""
    compared = compare_table(conn, dataset)
    if not compared.exists:
        return [f"table public.{dataset.table} of dataset {dataset.name} does not exist"]
    problems = []
    if compared.gained:
        problems.append(f"table public.{dataset.table} has no column {', '.join(compared.gained)}")
    return [*problems, *(misfit.message for misfit in compared.misfits)]


def _read_columns(conn: psycopg.Connection, oid: int) -> dict[str, TableColumn]:
    with conn.cursor(row_factory=class_row(TableColumn)) as cursor:
        columns = cursor.execute(
            """
            SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
                   coalesce(l.collname, '') AS collation, a.attnotnull AS not_null,
                   a.atthasdef OR a.attidentity <> '' AS has_default
            FROM pg_attribute a LEFT JOIN pg_collation l ON l.oid = a.attcollation
            WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
            """,
            [oid],
        ).fetchall()
    return {column.name: column for column in columns}


def _column_misfits(
    conn: psycopg.Connection, dataset: Dataset, found: TableColumn, declared: str
) -> list[Misfit]:
    """A declared column that has another type or collation, or that may not be empty."""
    misfits = []
    type_, _, collation = declared.partition(" COLLATE ")
    where = f"column {found.name} of table public.{dataset.table}"
    name, table = sql.Identifier(found.name), _table(dataset)
    if found.type != type_ or (collation and found.collation != collation.strip('"')):
        change = sql.SQL("ALTER TABLE {table} ALTER COLUMN {name} TYPE {type} USING {name}::{plain};").format(
            table=table, name=name, type=_type(declared), plain=_type(type_)
        )
        has = found.type + (f' COLLATE "{found.collation}"' if found.collation else "")
        message = f"{where} is {has}, dataset {dataset.name} declares {declared}"
        misfits.append(Misfit(message, (change.as_string(conn),)))
    optional = all(not c.required for c in dataset.columns if c.name == found.name)
    if found.not_null and not found.has_default and optional:
        change = sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL;").format(table, name)
        message = f"{where} is NOT NULL, dataset {dataset.name} lets it be empty"
        misfits.append(Misfit(message, (change.as_string(conn),)))
    return misfits


def _foreign_misfits(conn: psycopg.Connection, dataset: Dataset, columns: list[TableColumn]) -> list[Misfit]:
    """Columns of somebody else's that no row of ours could fill."""
    return [
        Misfit(
            f"column {c.name} of table public.{dataset.table} is NOT NULL without a default,"
            f" and dataset {dataset.name} has no such column",
            (
                sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL;")
                .format(_table(dataset), sql.Identifier(c.name))
                .as_string(conn),
            ),
        )
        for c in columns
        if c.not_null and not c.has_default
    ]


def _key_misfits(conn: psycopg.Connection, dataset: Dataset, oid: int) -> list[Misfit]:
    """The unique index is not over the dataset's key: of an older key, or missing."""
    unique = conn.execute(
        """
        SELECT c.relname, coalesce(array_agg(a.attname::text ORDER BY k.place), '{}')
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        CROSS JOIN unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k (attnum, place)
        LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
        GROUP BY c.relname
        """,
        [oid],
    ).fetchall()
    wanted = {"_workspace", *dataset.key} if dataset.key else set()
    ours = index_name(dataset.table, KEY_INDEX)
    fits = any(set(columns) == wanted for _, columns in unique)
    old = [columns for name, columns in unique if name == ours and set(columns) != wanted]
    if not old and (fits or not wanted):
        return []
    statements = [sql.SQL("DROP INDEX public.{};").format(sql.Identifier(ours))] if old else []
    if wanted and not fits:
        statements.append(sql.SQL("{};").format(_index_statements(dataset)[-1]))
    key = ", ".join(dataset.key) or "no key"
    was = f"has a unique index on ({', '.join(old[0])})" if old else "has no unique index on it"
    return [
        Misfit(
            f"dataset {dataset.name} declares the key ({key}), table public.{dataset.table} {was}",
            tuple(statement.as_string(conn) for statement in statements),
        )
    ]


def _index_statements(dataset: Dataset) -> list[sql.Composed]:
    """The index on the upload, then, for a dataset with a key, the unique one."""
    statements = [
        sql.SQL("CREATE INDEX {} ON {} (_upload_id)").format(
            sql.Identifier(index_name(dataset.table, UPLOAD_INDEX)), _table(dataset)
        )
    ]
    if dataset.key:
        columns = sql.SQL(", ").join(sql.Identifier(name) for name in ("_workspace", *dataset.key))
        statements.append(
            sql.SQL("CREATE UNIQUE INDEX {} ON {} ({})").format(
                sql.Identifier(index_name(dataset.table, KEY_INDEX)), _table(dataset), columns
            )
        )
    return statements


def index_name(table: str, purpose: str) -> str:
    """`<table>_<purpose>`; a table's name that leaves no room is cut and made unique by its hash."""
    name = f"{table}_{purpose}"
    if len(name) <= 63:
        return name
    digest = hashlib.sha256(table.encode()).hexdigest()[:8]
    return f"{table[: 63 - len(purpose) - 10]}_{digest}_{purpose}"


def _table(dataset: Dataset) -> sql.Identifier:
    return sql.Identifier("public", dataset.table)


def _type(text: str) -> sql.SQL:
    """A type as `declared_columns` writes it: of our own making, never from outside."""
    return sql.SQL(text)
