"""What the loader role may do: read and write rows of ledger and datasets, and DDL in `staging` only."""

from collections.abc import Sequence

import psycopg
from psycopg import sql

from import_pipeline.errors import ConfigurationError
from import_pipeline.ledger.access import hidden_tables
from import_pipeline.ledger.connection import role_of
from import_pipeline.settings import Settings

WRITTEN_LEDGER = (
    "uploads", "attempts", "batches", "events", "row_errors", "rejects",
    "publish_numbers", "row_history", "dependencies",
)  # fmt: skip
PROTECTED_LEDGER = ("transitions", "schema_version", "workspace_readers")
READ_LEDGER = (*PROTECTED_LEDGER, "uploads_view")
WRITE, READ = "SELECT, INSERT, UPDATE, DELETE", "SELECT"


def loader_role(settings: Settings) -> str | None:
    """The role the pipeline runs as, if it is another than the owner's; else None."""
    loader = role_of(settings.require_database_url())
    return None if loader == role_of(settings.require_owner_database_url()) else loader


def grant_loader(conn: psycopg.Connection, loader: str, tables: Sequence[str]) -> list[str]:
    """Give the loader what it lacks; nothing is done, and nothing said, where it lacks nothing.

    Args:
        tables: dataset tables, in schema `public`.

    Returns:
        What was granted, one sentence each.

    Raises:
        ConfigurationError: there is no such role; the remedy is the SQL that makes it.
    """
    role = sql.Identifier(loader)
    if conn.execute("SELECT FROM pg_roles WHERE rolname = %s", [loader]).fetchone() is None:
        raise ConfigurationError(
            f"IMPORT_PIPELINE_DATABASE_URL names the role {loader!r}, which does not exist.",
            remedy=sql.SQL("Run: CREATE ROLE {} LOGIN PASSWORD '…';").format(role).as_string(conn),
            role=loader,
        )
    done = []
    for schema, rights in (("imports", "USAGE"), ("public", "USAGE"), ("staging", "USAGE, CREATE")):
        if not _has(conn, "has_schema_privilege", loader, schema, rights):
            conn.execute(_grant(rights, sql.SQL("SCHEMA {}").format(sql.Identifier(schema)), role))
            done.append(f"granted {rights} on schema {schema} to {loader}")
    wanted = [
        *(("imports", table, WRITE) for table in WRITTEN_LEDGER),
        *(("imports", table, READ) for table in READ_LEDGER),
        *(("public", table, WRITE) for table in tables),
    ]
    for schema, table, rights in wanted:
        name = sql.Identifier(schema, table)
        if not _has(conn, "has_table_privilege", loader, name.as_string(conn), rights):
            conn.execute(_grant(rights, name, role))
            done.append(f"granted {rights} on {schema}.{table} to {loader}")
    return done


def protect_ledger(conn: psycopg.Connection) -> list[str]:
    """Take back what default privileges gave on tables that only `migrate` may write.

    Returns:
        What was revoked, one sentence each.
    """
    given = conn.execute(
        """
        SELECT c.relname, coalesce(g.rolname, 'public'), string_agg(DISTINCT a.privilege_type, ', ')
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        CROSS JOIN aclexplode(c.relacl) AS a LEFT JOIN pg_roles g ON g.oid = a.grantee
        WHERE n.nspname = 'imports' AND c.relname = ANY(%s) AND a.grantee <> c.relowner
          AND a.privilege_type <> 'SELECT'
        GROUP BY 1, 2 ORDER BY 1, 2
        """,
        [list(PROTECTED_LEDGER)],
    ).fetchall()
    for table, role, rights in given:
        grantee = sql.SQL("PUBLIC") if role == "public" else sql.Identifier(role)
        conn.execute(
            sql.SQL("REVOKE {} ON {} FROM {}").format(
                sql.SQL(rights), sql.Identifier("imports", table), grantee
            )
        )
    return [f"revoked {rights} on imports.{table} from {role}" for table, role, rights in given]


def missing_rights(conn: psycopg.Connection, tables: Sequence[str]) -> list[str]:
    """What the role of this connection may not do or see, one sentence each; only of tables that exist."""
    role = str(conn.execute("SELECT current_user").fetchone()[0])  # type: ignore[index]
    problems = [
        f"role {role} may not {rights} in schema {schema}"
        for schema, rights in (("imports", "USAGE"), ("staging", "USAGE, CREATE"))
        if not _has(conn, "has_schema_privilege", role, schema, rights)
    ]
    if problems:
        return problems
    needed = [*(("imports", t) for t in WRITTEN_LEDGER), *(("public", t) for t in tables)]
    for schema, table in needed:
        name = sql.Identifier(schema, table).as_string(conn)
        if not _has(conn, "has_table_privilege", role, name, WRITE):
            problems.append(f"role {role} may not {WRITE} on {schema}.{table}")
    hidden = hidden_tables(conn, needed)
    return problems + [f"row-level security hides rows of {table} from role {role}" for table in hidden]


def _has(conn: psycopg.Connection, function: str, role: str, target: str, rights: str) -> bool:
    """Whether `role` has all of `rights`: PostgreSQL's function by itself asks for any of them."""
    query = sql.SQL("SELECT coalesce(bool_and({}(%s, %s, r)), false) FROM unnest(%s::text[]) AS r").format(
        sql.Identifier(function)
    )
    row = conn.execute(query, [role, target, rights.split(", ")]).fetchone()
    return bool(row and row[0])


def _grant(rights: str, target: sql.Composable, role: sql.Identifier) -> sql.Composed:
    return sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(rights), target, role)
