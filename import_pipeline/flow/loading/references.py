"""Rows that other tables point at by a foreign key: an undo lets them be.

Whatever the key does on delete (refuse, cascade, set null) counts: none of it is an undo's to cause.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from import_pipeline.errors import NotUndoable


@dataclass(frozen=True)
class Reference:
    """One foreign key that points at a table.

    Attributes:
        columns: of the table that has the key; `referenced`: those they point at, in the same order.
        collations: of `referenced`, as SQL; None for types without one.
        own: whether the key is of the same table.
        readable: whether this role sees every row of that table.
    """

    name: str
    schema: str
    table: str
    columns: list[str]
    referenced: list[str]
    collations: list[str | None]
    own: bool
    readable: bool


def references_to(conn: psycopg.Connection, table: sql.Identifier) -> list[Reference]:
    """The foreign keys that point at a table.

    Raises:
        NotUndoable: this role may not read, or not in full, a table that has one.
    """
    with conn.cursor(row_factory=class_row(Reference)) as cursor:
        found = cursor.execute(_REFERENCES, [table.as_string(conn)]).fetchall()
    for reference in found:
        if not reference.readable:
            raise _unreadable(conn, reference)
    return found


def points_at(reference: Reference, alias: str) -> sql.Composed:
    """Condition: row `o` of the table with the foreign key points at the row `alias`."""
    pairs = []
    for column, referenced, collation in zip(
        reference.columns, reference.referenced, reference.collations, strict=True
    ):
        compared = sql.SQL("{} = {}{}").format(
            sql.Identifier("o", column),
            sql.Identifier(alias, referenced),
            sql.SQL(f" COLLATE {collation}" if collation else ""),
        )
        pairs.append(compared)
    return sql.SQL(" AND ").join(pairs)


def touches(reference: Reference, columns: Iterable[str]) -> bool:
    """Whether a change of `columns` may change what the foreign key points at."""
    return not set(columns).isdisjoint(reference.referenced)


def _unreadable(conn: psycopg.Connection, reference: Reference) -> NotUndoable:
    table = sql.Identifier(reference.schema, reference.table).as_string(conn)
    role = conn.info.user
    return NotUndoable(
        f"Rows of {table} may point at rows of this upload (foreign key {reference.name}), and the role "
        f"{role!r} cannot see all of them.",
        remedy=f"GRANT SELECT ON {table} TO {role}, with a policy USING (true) if it has row-level security.",
        why="not_readable",
        table=table,
    )


_REFERENCES = """
SELECT c.conname AS name, n.nspname AS schema, r.relname AS table, c.conrelid = c.confrelid AS own,
       k.columns, k.referenced, k.collations,
       has_schema_privilege(n.oid, 'USAGE')
           AND (has_table_privilege(r.oid, 'SELECT') OR k.all_readable)
           AND (NOT row_security_active(r.oid) OR coalesce(p.all_rows, false)) AS readable
FROM pg_constraint c
JOIN pg_class r ON r.oid = c.conrelid
JOIN pg_namespace n ON n.oid = r.relnamespace
CROSS JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY k.place) AS columns,
           array_agg(b.attname::text ORDER BY k.place) AS referenced,
           array_agg(quote_ident(ln.nspname) || '.' || quote_ident(l.collname) ORDER BY k.place)
               AS collations,
           bool_and(has_column_privilege(r.oid, a.attnum, 'SELECT')) AS all_readable
    FROM unnest(c.conkey, c.confkey) WITH ORDINALITY AS k (own, other, place)
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.own
    JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = k.other
    LEFT JOIN pg_collation l ON l.oid = b.attcollation LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
) AS k
LEFT JOIN LATERAL (
    SELECT bool_or(polpermissive AND pg_get_expr(polqual, polrelid) = 'true') AND bool_and(polpermissive)
           AS all_rows
    FROM pg_policy
    WHERE polrelid = r.oid AND polcmd IN ('*', 'r')
      AND EXISTS (SELECT FROM unnest(polroles) AS g
                  WHERE CASE WHEN g = 0 THEN true ELSE pg_has_role(g, 'USAGE') END)
) AS p ON true
WHERE c.contype = 'f' AND c.confrelid = to_regclass(%s)
ORDER BY n.nspname, r.relname, c.conname
"""
