"""Row-level security: the loader sees every row, a reader those of its workspaces, anyone else none.

What a role may do with a table at all is grants.py's, who reads which workspace readers.py's. The
tables' owner is above all of it (row security is never forced), so `migrate` works as before.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

LOADER_POLICY, READERS_POLICY, KEPT_POLICY = "import_loader", "import_readers", "import_kept"
# An array is computed once a query, and an index on the workspace can be searched for it.
_OWN = sql.SQL("ANY (ARRAY(SELECT r.workspace FROM imports.workspace_readers r WHERE r.role = current_user))")
_OF_UPLOAD = sql.SQL("EXISTS (SELECT FROM imports.uploads u WHERE u.upload_id = {}.upload_id)")
BY_WORKSPACE = ("uploads", "row_history", "publish_numbers")
BY_UPLOAD = ("attempts", "batches", "events", "row_errors", "rejects", "dependencies")
# Everyone may see these as far as they are granted; they hold nothing of a workspace.
WITHOUT_ROW_SECURITY = ("transitions", "schema_version")


@dataclass(frozen=True)
class SecuredTable:
    """How a table stands with row-level security.

    Attributes:
        owner: the role that owns it; policies never bind it.
        mine: whether this connection's role owns it, and so may change its policies.
        enabled: whether row-level security is on.
        policies: roles of each policy by its name; an empty name is everyone.
    """

    owner: str
    mine: bool
    enabled: bool
    policies: Mapping[str, tuple[str, ...]]


def secure_ledger(conn: psycopg.Connection, loader: str | None) -> list[str]:
    """Switch row-level security on for every ledger table that holds something of a workspace.

    Returns:
        What was done, one sentence each.
    """
    done: list[str] = []
    for table in BY_WORKSPACE:
        condition = sql.SQL("workspace = {}").format(_OWN)
        done += _secure(conn, "imports", table, condition, loader)
    for table in BY_UPLOAD:
        done += _secure(conn, "imports", table, _OF_UPLOAD.format(sql.Identifier(table)), loader)
    return done + _bind_views(conn)


def secure_dataset_table(conn: psycopg.Connection, table: str, loader: str | None) -> list[str]:
    """Switch row-level security on for a dataset's table, beside whatever policies it has already.

    A role that had rights on the table before keeps seeing all of it, through a policy that says so.
    A table of another owner is left alone: nobody becomes its reader (see `is_secured`).

    Args:
        table: in schema `public`.
        loader: role of the pipeline, if it is not the owner's.

    Returns:
        What was done, one sentence each.
    """
    return _secure(conn, "public", table, sql.SQL("_workspace = {}").format(_OWN), loader)


def is_secured(conn: psycopg.Connection, schema: str, table: str) -> bool:
    """Whether a reader of the table sees the rows of its own workspaces only."""
    found = read_security(conn, schema, table)
    return found is not None and found.enabled and READERS_POLICY in found.policies


def read_security(conn: psycopg.Connection, schema: str, table: str) -> SecuredTable | None:
    """How a table stands with row-level security; None if there is none of that name."""
    row = conn.execute(
        """
        SELECT c.oid::bigint, pg_get_userbyid(c.relowner), pg_has_role(c.relowner, 'USAGE'), c.relrowsecurity
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p')
        """,
        [schema, table],
    ).fetchone()
    if row is None:
        return None
    oid, owner, mine, enabled = row
    policies = conn.execute(
        """
        SELECT p.polname::text,
               ARRAY(SELECT coalesce(g.rolname::text, '') FROM unnest(p.polroles) AS r (oid)
                     LEFT JOIN pg_roles g ON g.oid = r.oid ORDER BY 1)
        FROM pg_policy p WHERE p.polrelid = %s
        """,
        [oid],
    ).fetchall()
    return SecuredTable(owner, mine, enabled, {name: tuple(roles) for name, roles in policies})


def hidden_tables(conn: psycopg.Connection, tables: list[tuple[str, str]]) -> list[str]:
    """Of these (schema, table), those whose rows row-level security keeps from this connection's role."""
    rows = conn.execute(
        """
        SELECT n.nspname || '.' || c.relname
        FROM unnest(%s::text[], %s::text[]) AS wanted (schema, name)
        JOIN pg_namespace n ON n.nspname = wanted.schema
        JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
        WHERE row_security_active(c.oid) AND NOT EXISTS (
            SELECT FROM pg_policy p CROSS JOIN unnest(p.polroles) AS r (oid)
            WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd = '*'
              AND pg_get_expr(p.polqual, p.polrelid) = 'true'
              AND (r.oid = 0 OR pg_has_role(r.oid, 'USAGE')))
        ORDER BY 1
        """,
        [[schema for schema, _ in tables], [table for _, table in tables]],
    ).fetchall()
    return [name for (name,) in rows]


def _bind_views(conn: psycopg.Connection) -> list[str]:
    """Let views ask with the rights of who looks, not with their owner's, whom no policy binds.

    Not left to a revision: one that replaces a view forgets its options.
    """
    views = conn.execute(
        """
        SELECT c.relname FROM pg_class c
        WHERE c.relnamespace = 'imports'::regnamespace AND c.relkind = 'v'
          AND NOT coalesce(c.reloptions, '{}') @> '{security_invoker=true}' ORDER BY 1
        """
    ).fetchall()
    for (view,) in views:
        name = sql.Identifier("imports", view)
        conn.execute(sql.SQL("ALTER VIEW {} SET (security_invoker = true)").format(name))
    return [f"bound view imports.{view} to the rights of who looks through it" for (view,) in views]


def _secure(
    conn: psycopg.Connection, schema: str, table: str, condition: sql.Composable, loader: str | None
) -> list[str]:
    found = read_security(conn, schema, table)
    if found is None or not found.mine:
        return []
    name, done = sql.Identifier(schema, table), []
    if loader is not None and loader not in found.policies.get(LOADER_POLICY, ()):
        _give_all(conn, name, LOADER_POLICY, [*found.policies.get(LOADER_POLICY, ()), loader], found)
        done.append(f"policy {LOADER_POLICY} shows all rows of {schema}.{table} to {loader}")
    if READERS_POLICY not in found.policies:
        conn.execute(
            sql.SQL("CREATE POLICY {} ON {} FOR SELECT USING ({})").format(
                sql.Identifier(READERS_POLICY), name, condition
            )
        )
        done.append(f"policy {READERS_POLICY} shows rows of {schema}.{table} to readers of their workspace")
    if found.enabled:
        return done
    kept = _with_rights(conn, schema, table, loader)
    if kept and KEPT_POLICY not in found.policies:
        _give_all(conn, name, KEPT_POLICY, kept, found)
    conn.execute(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(name))
    still = f"; policy {KEPT_POLICY} goes on showing all of it to {', '.join(kept)}" if kept else ""
    return [f"switched on row-level security of {schema}.{table}{still}"]


def _give_all(
    conn: psycopg.Connection, table: sql.Identifier, policy: str, roles: list[str], found: SecuredTable
) -> None:
    """Let roles see and write every row: a constant, which costs the planner's work nothing."""
    verb, rights = (
        ("ALTER", "") if policy in found.policies else ("CREATE", " USING (true) WITH CHECK (true)")
    )
    conn.execute(
        sql.SQL("{} POLICY {} ON {} TO {}{}").format(
            sql.SQL(verb),
            sql.Identifier(policy),
            table,
            sql.SQL(", ").join(map(sql.Identifier, roles)),
            sql.SQL(rights),
        )
    )


def _with_rights(conn: psycopg.Connection, schema: str, table: str, loader: str | None) -> list[str]:
    """Roles, by name, that were granted something on the table, but for its owner and the loader."""
    rows = conn.execute(
        """
        SELECT DISTINCT g.rolname::text
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL (
            SELECT grantee FROM aclexplode(c.relacl)
            UNION SELECT e.grantee FROM pg_attribute t CROSS JOIN aclexplode(t.attacl) AS e
                  WHERE t.attrelid = c.oid
        ) AS a JOIN pg_roles g ON g.oid = a.grantee
        WHERE n.nspname = %s AND c.relname = %s AND a.grantee <> c.relowner
          AND g.rolname IS DISTINCT FROM %s
          AND NOT EXISTS (SELECT FROM imports.workspace_readers w WHERE w.role = g.rolname)
        ORDER BY 1
        """,
        [schema, table, loader],
    ).fetchall()
    return [name for (name,) in rows]
