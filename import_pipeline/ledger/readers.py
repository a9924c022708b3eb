"""Readers of workspaces: roles that see the dataset tables and the ledger of some workspaces only.

Which rows they see is decided by the policies of access.py; here stand who they are and what they
are granted. All of it runs as the tables' owner.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from import_pipeline.errors import ConfigurationError
from import_pipeline.ledger.access import (
    KEPT_POLICY,
    LOADER_POLICY,
    READERS_POLICY,
    is_secured,
    read_security,
)

# Not row_history: images of overwritten rows are the pipeline's, for an undo.
READERS_LEDGER = ("uploads", "attempts", "batches", "events", "row_errors", "rejects")
READERS_VIEW = "uploads_view"
SCHEMAS = ("imports", "public")
# Roles of PostgreSQL whose members read all tables, those of staging too, or the files of the server.
ALL_SEEING = ("pg_read_all_data", "pg_write_all_data", "pg_read_server_files", "pg_write_server_files",
              "pg_execute_server_program")  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """A role and the workspaces it reads; `exists` is false for a role that was dropped since."""

    role: str
    workspaces: tuple[str, ...]
    exists: bool


def add_reader(
    conn: psycopg.Connection, role: str, workspaces: Sequence[str], tables: Sequence[str]
) -> list[str]:
    """Let a role read the rows of workspaces, in dataset tables and ledger.

    Args:
        tables: dataset tables, in schema `public`.

    Returns:
        What was done, one sentence each.

    Raises:
        ConfigurationError: there is no such role, no policy binds it, or a table is not protected.
    """
    _require_bound(conn, role)
    for table in tables:
        _require_secured(conn, table)
    done = []
    for workspace in workspaces:
        added = conn.execute(
            "INSERT INTO imports.workspace_readers (role, workspace) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [role, workspace],
        )
        if added.rowcount:
            done.append(f"{role} reads workspace {workspace}")
    return done + _grant(conn, role, tables)


def remove_reader(conn: psycopg.Connection, role: str, workspaces: Sequence[str] = ()) -> list[str]:
    """Stop a role reading these workspaces, or all; with its last one go its rights.

    Returns:
        What was done, one sentence each.
    """
    gone = conn.execute(
        "DELETE FROM imports.workspace_readers WHERE role = %s AND (%s OR workspace = ANY(%s))"
        " RETURNING workspace",
        [role, not workspaces, list(workspaces)],
    ).fetchall()
    done = [f"{role} no longer reads workspace {workspace}" for (workspace,) in sorted(gone)]
    if any(reader.role == role for reader in list_readers(conn)) or not _exists(conn, role):
        return done
    return done + _revoke(conn, role)


def list_readers(conn: psycopg.Connection) -> list[Reader]:
    """All readers, by name."""
    rows = conn.execute(
        """
        SELECT w.role::text, array_agg(w.workspace ORDER BY w.workspace), g.rolname IS NOT NULL
        FROM imports.workspace_readers w LEFT JOIN pg_roles g ON g.rolname = w.role
        GROUP BY w.role, g.rolname ORDER BY 1
        """
    ).fetchall()
    return [Reader(role, tuple(workspaces), exists) for role, workspaces, exists in rows]


def grant_readers(conn: psycopg.Connection, tables: Sequence[str]) -> list[str]:
    """Give every reader what it lacks: tables that came since. For `migrate`.

    A dataset table without row-level security (another owner's) is given to nobody. A reader that sees
    every workspace by now, as a member of what it was no member of or of a role that a table of before
    was kept for, is named each time.
    """
    safe = [table for table in tables if is_secured(conn, "public", table)]
    done = []
    for reader in list_readers(conn):
        if reader.exists:
            done += _grant(conn, reader.role, safe)
            why = _unbound(conn, reader.role)
            seen = f"reader {reader.role} sees every workspace: {why}; take that from it or remove the reader"
            done += [seen] * bool(why)
    return done


def _require_bound(conn: psycopg.Connection, role: str) -> None:
    """Refuse a role that would see everything: one that reads a workspace and sees all is a leak."""
    if not _exists(conn, role):
        make = sql.SQL("CREATE ROLE {} LOGIN PASSWORD '…';").format(sql.Identifier(role)).as_string(conn)
        raise ConfigurationError(f"There is no role {role!r}.", remedy=f"Run: {make}", role=role)
    why = _unbound(conn, role)
    if why:
        raise ConfigurationError(
            f"The role {role!r} would see every workspace: {why}.",
            remedy="Make a role of its own for the reader, or take that from it.",
            role=role,
        )


def _unbound(conn: psycopg.Connection, role: str) -> str:
    """By what no policy binds a role, whether of its own or by roles that it is a member of; or empty."""
    row = conn.execute(
        """
        SELECT rolname::text, rolsuper OR rolbypassrls FROM pg_roles
        WHERE (rolsuper OR rolbypassrls OR rolname = ANY(%(seeing)s)) AND pg_has_role(%(role)s, oid, 'MEMBER')
        ORDER BY rolname <> %(role)s, 1 LIMIT 1
        """,
        {"seeing": list(ALL_SEEING), "role": role},
    ).fetchone()
    if row is None:
        return _seen_through(conn, role)
    member = "it is" if row[0] == role else f"it is a member of {row[0]},"
    return f"{member} a superuser or bypasses row-level security" if row[1] else member.rstrip(",")


def _seen_through(conn: psycopg.Connection, role: str) -> str:
    """By what a role sees all rows of a table: membership in its owner, or a policy of ours; or empty."""
    row = conn.execute(
        """
        SELECT t.name, t.policy, g.rolname::text FROM (
            SELECT c.oid::regclass::text AS name, c.relowner AS oid, 'ownership' AS policy FROM pg_class c
            WHERE EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = %(ours)s)
            UNION ALL
            SELECT p.polrelid::regclass::text, r.oid, 'policy ' || p.polname
            FROM pg_policy p CROSS JOIN unnest(p.polroles) AS r (oid) WHERE p.polname = ANY(%(all)s)
        ) AS t JOIN pg_roles g ON g.oid = t.oid
        WHERE pg_has_role(%(role)s, t.oid, 'MEMBER') ORDER BY 1, 2 LIMIT 1
        """,
        {"ours": READERS_POLICY, "all": [LOADER_POLICY, KEPT_POLICY], "role": role},
    ).fetchone()
    return f"{row[1]} of {row[0]} is for {row[2]}" if row else ""


def _require_secured(conn: psycopg.Connection, table: str) -> None:
    found = read_security(conn, "public", table)
    if found is None or (found.enabled and READERS_POLICY in found.policies):
        return
    remedy = (
        "Type `import-pipeline migrate`."
        if found.mine
        else f"It belongs to {found.owner}: make the pipeline's owner its owner, then type"
        " `import-pipeline migrate`."
    )
    raise ConfigurationError(
        f"Table public.{table} has no row-level security: a reader would see every workspace.",
        remedy=remedy,
        table=table,
    )


def _grant(conn: psycopg.Connection, role: str, tables: Sequence[str]) -> list[str]:
    done, name = [], sql.Identifier(role)
    for schema in SCHEMAS:
        row = conn.execute("SELECT has_schema_privilege(%s, %s, 'USAGE')", [role, schema]).fetchone()
        if row is not None and not row[0]:
            conn.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), name))
            done.append(f"granted USAGE on schema {schema} to {role}")
    wanted = [("imports", table) for table in (*READERS_LEDGER, READERS_VIEW)]
    wanted += [("public", table) for table in tables if read_security(conn, "public", table)]
    for schema, table in wanted:
        target = sql.Identifier(schema, table)
        row = conn.execute(
            "SELECT has_table_privilege(%s, %s, 'SELECT')", [role, target.as_string(conn)]
        ).fetchone()
        if row is not None and not row[0]:
            conn.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(target, name))
            done.append(f"granted SELECT on {schema}.{table} to {role}")
    return done


def _revoke(conn: psycopg.Connection, role: str) -> list[str]:
    """Take back SELECT on whatever has our policy, datasets that are declared no longer included."""
    tables = conn.execute(
        """
        SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE EXISTS (SELECT FROM aclexplode(c.relacl) AS a JOIN pg_roles g ON g.oid = a.grantee
                      WHERE g.rolname = %s AND a.privilege_type = 'SELECT')
          AND (EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = %s)
               OR (n.nspname = 'imports' AND c.relname = %s))
        ORDER BY 1, 2
        """,
        [role, READERS_POLICY, READERS_VIEW],
    ).fetchall()
    name = sql.Identifier(role)
    for schema, table in tables:
        conn.execute(sql.SQL("REVOKE SELECT ON {} FROM {}").format(sql.Identifier(schema, table), name))
    conn.execute(sql.SQL("REVOKE USAGE ON SCHEMA {} FROM {}").format(sql.Identifier("imports"), name))
    return [f"took from {role} its SELECT on {schema}.{table}" for schema, table in tables]


def _exists(conn: psycopg.Connection, role: str) -> bool:
    return conn.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None
