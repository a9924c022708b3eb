"""Row-level security: two workspaces, a loader that sees both, readers that see only their own."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg
from psycopg import sql

from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.errors import ConfigurationError
from import_pipeline.ledger.access import (
    BY_UPLOAD,
    BY_WORKSPACE,
    KEPT_POLICY,
    WITHOUT_ROW_SECURITY,
)
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.dataset_tables import create_table
from import_pipeline.ledger.migrate import check_schema, migrate
from import_pipeline.ledger.readers import (
    ALL_SEEING,
    READERS_LEDGER,
    Reader,
    add_reader,
    grant_readers,
    list_readers,
    remove_reader,
)
from import_pipeline.services.postgres import LOADER_ROLE, OWNER_ROLE, SUPERUSER
from import_pipeline_tests.ledger.conftest import add, move
from import_pipeline_tests.ledger.test_migrate import BOATS, named

TABLES = ("leads", "vehicles")
WORKSPACES = ("acme", "globex")


@dataclass
class Database:
    """A migrated database of its own, and the roles that tests make in it."""

    url: str
    owner_url: str
    superuser: psycopg.Connection

    def role(self, *attributes: str) -> str:
        """A new role that may log in."""
        name = f"role_{secrets.token_hex(6)}"
        options = sql.SQL(" ").join(map(sql.SQL, ("LOGIN", "PASSWORD 'x'", *attributes)))
        self.superuser.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(name), options))
        return name

    def as_role(self, role: str) -> psycopg.Connection:
        """A connection of a role that `role` made."""
        return psycopg.connect(f"postgresql://{role}:x@{self.url.partition('@')[2]}", autocommit=True)

    def reader(self, *workspaces: str) -> psycopg.Connection:
        """A connection of a new role that reads these workspaces."""
        role = self.role()
        with connect(self.owner_url) as conn:
            add_reader(conn, role, workspaces, TABLES)
        return self.as_role(role)

    def fill(self) -> None:
        """Of each workspace an upload with everything that hangs on it, and a lead."""
        with connect(self.url) as conn:
            for workspace in WORKSPACES:
                upload = add(conn, f"{workspace}.csv", workspace=workspace)
                move(conn, upload, "running")
                for statement in ROWS:
                    conn.execute(statement, {"upload": upload, "workspace": workspace})
            add(conn, "lost.csv", workspace=None, ignored="There is no workspace.")


ROWS = (
    "INSERT INTO imports.attempts (upload_id, attempt, number, run_id) VALUES (%(upload)s, 'a', 1, 'r')",
    "INSERT INTO imports.batches (upload_id, attempt, batch, state) VALUES (%(upload)s, 'a', 1, 'split')",
    'INSERT INTO imports.row_errors (upload_id, row_number, "column", value, code, severity, message)'
    " VALUES (%(upload)s, 2, 'c', %(workspace)s, 'x', 'error', 'm')",
    "INSERT INTO imports.rejects (upload_id, row_number) VALUES (%(upload)s, 2)",
    "INSERT INTO leads (_workspace, _upload_id, email)"
    " VALUES (%(workspace)s, %(upload)s, %(workspace)s || '@x.example')",
)


@contextmanager
def made_database(services: Any, template: str) -> Iterator[Database]:
    """A copy of a database, dropped with the roles that were made meanwhile for it."""
    name = f"access_{secrets.token_hex(6)}"
    names = [sql.Identifier(part) for part in (name, template, OWNER_ROLE)]
    url = services.postgres.url(name, SUPERUSER)
    with services.superuser() as superuser:
        superuser.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(*names))
        with psycopg.connect(url, autocommit=True) as inside:
            made = Database(services.postgres.url(name), services.postgres.url(name, OWNER_ROLE), inside)
            yield made
            mine = values(
                inside,
                "SELECT DISTINCT rolname::text FROM pg_roles JOIN pg_shdepend ON refobjid = pg_roles.oid"
                " JOIN pg_database d ON d.oid = dbid AND d.datname = current_database()"
                " WHERE rolname LIKE 'role\\_%'",
            )
        superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(names[0]))
        for role in mine:
            superuser.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.fixture
def database(services, migrated_template) -> Iterator[Database]:
    """A database that the test may change."""
    with made_database(services, migrated_template) as made:
        yield made


@pytest.fixture(scope="module")
def filled(services, migrated_template) -> Iterator[Database]:
    """A database with rows of two workspaces, for tests that add nothing but roles."""
    with made_database(services, migrated_template) as made:
        made.fill()
        with connect(made.owner_url) as owner:
            owner.execute("ANALYZE leads, imports.uploads")
        yield made


@pytest.fixture(scope="module")
def shared_reader(filled) -> Iterator[psycopg.Connection]:
    """A reader of `acme`."""
    with filled.reader("acme") as conn:
        yield conn


def values(conn: psycopg.Connection, query: str) -> list[Any]:
    return [value for (value,) in conn.execute(query).fetchall()]


def test_a_reader_sees_its_workspace_in_tables_ledger_and_view_and_the_loader_sees_both(filled):
    with filled.reader("acme") as reader, connect(filled.url) as loader:
        for query in (
            "SELECT _workspace FROM leads",
            "SELECT workspace FROM imports.uploads",
            "SELECT workspace FROM imports.uploads_view",
            *(
                f"SELECT DISTINCT split_part(upload_id, '/', 1) FROM imports.{table}"
                for table in ("attempts", "batches", "events", "row_errors", "rejects")
            ),
        ):
            assert values(reader, query) == ["acme"], query
            assert set(values(loader, query)) - {None, "None"} == set(WORKSPACES), query


def test_a_reader_of_two_workspaces_sees_both_and_one_of_none_sees_nothing(filled):
    with filled.reader("acme", "globex") as both:
        assert sorted(values(both, "SELECT _workspace FROM leads")) == list(WORKSPACES)
    with filled.reader() as none:
        assert values(none, "SELECT _workspace FROM leads") == []
        assert values(none, "SELECT upload_id FROM imports.uploads_view") == []


def test_a_role_sees_only_its_own_lines_among_the_readers(filled):
    filled.reader("globex").close()
    with filled.reader("acme") as reader:
        assert values(reader, "SELECT workspace FROM imports.workspace_readers") == ["acme"]


FORBIDDEN = (
    f"SET ROLE {OWNER_ROLE}",
    f"SET ROLE {LOADER_ROLE}",
    f"SET SESSION AUTHORIZATION {LOADER_ROLE}",
    f"SELECT set_config('role', '{LOADER_ROLE}', false)",
    f"SELECT set_config('session_authorization', '{OWNER_ROLE}', false)",
    f"GRANT {LOADER_ROLE} TO CURRENT_USER",
    "ALTER ROLE CURRENT_USER BYPASSRLS",
    "INSERT INTO imports.workspace_readers VALUES (current_user, 'globex')",
    "UPDATE imports.workspace_readers SET workspace = 'globex'",
    "DELETE FROM imports.workspace_readers",
    "ALTER TABLE leads DISABLE ROW LEVEL SECURITY",
    "DROP POLICY import_readers ON leads",
    "CREATE POLICY mine ON leads USING (true)",
    "ALTER VIEW imports.uploads_view SET (security_invoker = false)",
    "UPDATE leads SET _workspace = 'acme'",
    "INSERT INTO leads (_workspace) VALUES ('acme')",
    "DELETE FROM leads",
    "SELECT * FROM leads FOR UPDATE",
    "CREATE TRIGGER t AFTER INSERT ON leads EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE TABLE public.mine (a int)",
    "CREATE TABLE staging.mine (a int)",
    "CREATE TABLE imports.mine (a int)",
    "COPY (SELECT 1) TO '/tmp/x'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT stavalues1 FROM pg_statistic",
)


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_a_reader_may_not(statement, shared_reader):
    with pytest.raises(psycopg.Error) as refused:
        shared_reader.execute(statement)
    assert refused.value.sqlstate in ("42501", "42704"), refused.value


LEAK = """
CREATE FUNCTION pg_temp.leak(value text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
$$ BEGIN RAISE NOTICE 'leak %', value; RETURN true; END $$
"""


def test_whatever_a_reader_sets_or_asks_it_sees_no_row_of_another_workspace(shared_reader):
    """Settings, functions of its own, views of its own, prepared statements, cursors, statistics, plans."""
    conn = shared_reader
    told: list[str] = []
    conn.add_notice_handler(lambda diagnostic: told.append(str(diagnostic.message_primary)))
    for name, value in (
        ("app.workspace", "globex"), ("search_path", "imports,public"), ("row_security", "on"),
        ("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"), ("jit", "off"),
        ("default_transaction_read_only", "off"), ("session_replication_role", "origin"),
    ):  # fmt: skip
        with suppress(pg.InsufficientPrivilege):
            conn.execute("SELECT set_config(%s, %s, false)", [name, value])
    conn.execute(LEAK)
    conn.execute("CREATE VIEW pg_temp.mine AS SELECT * FROM public.leads")
    conn.execute("PREPARE all_leads AS SELECT email FROM public.leads WHERE pg_temp.leak(email)")
    found = [
        *values(conn, "SELECT email FROM public.leads WHERE pg_temp.leak(email)"),
        *values(conn, "EXECUTE all_leads"),
        *values(conn, "SELECT email FROM pg_temp.mine WHERE pg_temp.leak(email)"),
        *values(conn, "SELECT upload_id FROM imports.uploads WHERE pg_temp.leak(upload_id)"),
        *values(conn, "SELECT upload_id FROM imports.uploads_view WHERE pg_temp.leak(upload_id)"),
        *values(conn, "SELECT value FROM imports.row_errors WHERE pg_temp.leak(value)"),
        *values(conn, "SELECT email FROM public.leads l RIGHT JOIN (VALUES ('globex')) v (w) ON true"),
        *values(conn, "SELECT max(email) FROM public.leads"),
        *values(conn, "SELECT most_common_vals::text FROM pg_stats WHERE tablename IN ('leads', 'uploads')"),
        *values(conn, "EXPLAIN (ANALYZE, VERBOSE, BUFFERS) SELECT * FROM public.leads"),
    ]
    with conn.cursor() as cursor, cursor.copy("COPY public.leads TO STDOUT") as copy:
        found += [bytes(block).decode() for block in copy]

    assert told and all("acme" in line for line in told)
    assert "acme@x.example" in found
    assert not [text for text in found if text and "globex" in text]


def test_switching_row_security_off_makes_queries_fail_not_show_more(shared_reader):
    shared_reader.execute("SET row_security = off")
    try:
        for table in ("public.leads", "imports.uploads", "imports.uploads_view", "imports.row_errors"):
            with pytest.raises(pg.InsufficientPrivilege, match="row-level security"):
                shared_reader.execute(sql.SQL("SELECT * FROM {}").format(sql.SQL(table)))
    finally:
        shared_reader.execute("SET row_security = on")


def test_a_reader_that_may_be_another_reader_sees_that_ones_workspaces_only_as_that_one(filled):
    other = filled.role()
    with connect(filled.owner_url) as conn:
        add_reader(conn, other, ["globex"], TABLES)
    with filled.reader("acme") as reader:
        (name,) = values(reader, "SELECT current_user")
        filled.superuser.execute(
            sql.SQL("GRANT {} TO {}").format(sql.Identifier(other), sql.Identifier(name))
        )
        assert values(reader, "SELECT _workspace FROM leads") == ["acme"]
        reader.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(other)))
        assert values(reader, "SELECT _workspace FROM leads") == ["globex"]


def test_readers_have_no_way_into_staging(shared_reader):
    with pytest.raises(pg.InsufficientPrivilege, match="schema staging"):
        shared_reader.execute("SELECT * FROM staging.anything")


def test_every_table_of_the_ledger_is_bound_or_named_as_holding_nothing_of_a_workspace(database):
    """A revision that adds a table fails here until access.py says whose rows it holds."""
    with connect(database.owner_url) as conn:
        tables = dict(
            conn.execute(
                "SELECT relname, relrowsecurity FROM pg_class WHERE relnamespace = 'imports'::regnamespace"
                " AND relkind IN ('r', 'p')"
            ).fetchall()
        )
        views = values(
            conn,
            "SELECT reloptions FROM pg_class WHERE relnamespace = 'imports'::regnamespace AND relkind = 'v'",
        )
        forced = values(conn, "SELECT relname FROM pg_class WHERE relforcerowsecurity")
    open_ones = {name for name, bound in tables.items() if not bound}
    assert open_ones == set(WITHOUT_ROW_SECURITY)
    assert set(tables) - open_ones - {"workspace_readers"} <= {*BY_WORKSPACE, *BY_UPLOAD}
    assert views and all("security_invoker=true" in options for options in views)
    assert not forced, "migrate works as the owner, whom unforced row security does not bind"
    assert set(READERS_LEDGER) <= set(tables)


def test_what_the_owner_makes_elsewhere_is_not_the_loaders(database):
    """Default rights were given in every schema, those of other applications of the owner's included."""
    with connect(database.owner_url) as conn:
        conn.execute("CREATE SCHEMA elsewhere; GRANT USAGE ON SCHEMA elsewhere TO PUBLIC")
        conn.execute("CREATE TABLE elsewhere.a (a int); CREATE TABLE imports.later (a int)")
    with connect(database.url) as loader:
        loader.execute("SELECT * FROM imports.later")
        with pytest.raises(pg.InsufficientPrivilege):
            loader.execute("SELECT * FROM elsewhere.a")


def test_staging_has_no_row_security(filled):
    with connect(filled.url) as loader:
        loader.execute("CREATE UNLOGGED TABLE staging.u_1 (a int)")
        assert values(loader, "SELECT relrowsecurity FROM pg_class WHERE relname = 'u_1'") == [False]


# -- readers and policies, given and taken ---------------------------------------------------------


def test_readers_are_added_listed_and_removed_and_rights_go_with_the_last_workspace(database):
    role = database.role()
    with connect(database.owner_url) as conn:
        done = add_reader(conn, role, ["acme", "globex"], TABLES)
        assert f"granted SELECT on public.leads to {role}" in done
        assert add_reader(conn, role, ["acme"], TABLES) == []
        assert list_readers(conn) == [Reader(role, ("acme", "globex"), True)]
        assert remove_reader(conn, role, ["acme"]) == [f"{role} no longer reads workspace acme"]
        conn.commit()
        database.as_role(role).execute("SELECT FROM leads").close()
        assert f"took from {role} its SELECT on public.leads" in remove_reader(conn, role)
        assert remove_reader(conn, role) == []
        assert list_readers(conn) == []
    with database.as_role(role) as reader, pytest.raises(pg.InsufficientPrivilege):
        reader.execute("SELECT FROM leads")


def test_a_dataset_that_came_later_is_given_to_all_readers_by_migrate(database):
    with database.reader("acme") as reader:
        done = migrate(database.owner_url, named(BOATS), loader=LOADER_ROLE)
        assert "switched on row-level security of public.boats" in done
        with connect(database.url) as loader:
            for workspace in WORKSPACES:
                loader.execute("INSERT INTO boats (_workspace, hull) VALUES (%s, 'H1')", [workspace])
        assert values(reader, "SELECT _workspace FROM boats") == ["acme"]
    assert migrate(database.owner_url, named(BOATS), loader=LOADER_ROLE) == []


@pytest.mark.parametrize("kind", ["missing", "superuser", "bypass", "loader", "owner"])
def test_a_role_that_no_policy_binds_cannot_become_a_reader(database, kind):
    """It would read every workspace while the list of readers says one."""
    attributes = {"superuser": ["SUPERUSER"], "bypass": ["BYPASSRLS"]}.get(kind, [])
    role = "nobody_at_all" if kind == "missing" else database.role(*attributes)
    if kind in ("loader", "owner"):
        group = sql.Identifier(LOADER_ROLE if kind == "loader" else OWNER_ROLE)
        database.superuser.execute(sql.SQL("GRANT {} TO {}").format(group, sql.Identifier(role)))
    with connect(database.owner_url) as conn, pytest.raises(ConfigurationError) as refused:
        add_reader(conn, role, ["acme"], TABLES)
    assert refused.value.remedy.startswith("Run: CREATE ROLE" if kind == "missing" else "Make a role")


@pytest.mark.parametrize("group", ["SUPERUSER", "BYPASSRLS", *ALL_SEEING])
def test_a_role_that_may_become_one_that_no_policy_binds_cannot_become_a_reader(database, group):
    """Through pg_read_all_data it read all of staging, through SET ROLE everything else."""
    between, role = database.role(), database.role()
    top = group if group.startswith("pg_") else database.role(group)
    for above, below in ((top, between), (between, role)):
        database.superuser.execute(sql.SQL("GRANT {} TO {}").format(*map(sql.Identifier, (above, below))))
    with connect(database.owner_url) as conn, pytest.raises(ConfigurationError, match=f"a member of {top}"):
        add_reader(conn, role, ["acme"], TABLES)


def test_migrate_names_a_reader_that_came_to_see_every_workspace_through_a_group(database):
    """A table of before stays visible to the roles that had rights on it; a reader may be in one of them."""
    group, role = database.role(), database.role()
    database.superuser.execute(sql.SQL("GRANT {} TO {}").format(*map(sql.Identifier, (group, role))))
    with connect(database.owner_url) as conn:
        add_reader(conn, role, ["acme"], TABLES)
        create_table(conn, BOATS)
        conn.execute(sql.SQL("GRANT SELECT ON boats TO {}").format(sql.Identifier(group)))
    named_it = f"reader {role} sees every workspace: policy import_kept of boats is for {group}"
    for _ in range(2):
        done = migrate(database.owner_url, named(BOATS), loader=LOADER_ROLE)
        assert [line for line in done if line.startswith(named_it)], "each time, until it is settled"
    with connect(database.owner_url) as conn:
        conn.execute("DROP POLICY import_kept ON boats")
    assert migrate(database.owner_url, named(BOATS), loader=LOADER_ROLE) == []


def test_a_reader_whose_role_was_dropped_is_shown_as_that_and_can_be_removed(database):
    with connect(database.owner_url) as conn:
        conn.execute("INSERT INTO imports.workspace_readers VALUES ('gone', 'acme')")
        assert list_readers(conn) == [Reader("gone", ("acme",), False)]
        assert grant_readers(conn, TABLES) == []
        assert remove_reader(conn, "gone") == ["gone no longer reads workspace acme"]


def test_a_table_of_before_keeps_its_rows_visible_to_the_roles_that_had_rights_on_it(database):
    """Row security switched on under an application would show it an empty table."""
    app, half = database.role(), database.role()
    with connect(database.owner_url) as conn:
        create_table(conn, BOATS)
        grant = "GRANT SELECT, INSERT ON boats TO {}; GRANT SELECT (hull) ON boats TO {}"
        conn.execute(sql.SQL(grant).format(sql.Identifier(app), sql.Identifier(half)))
        conn.execute("INSERT INTO boats (_workspace, hull) VALUES ('acme', 'H1')")
    (line,) = [
        line for line in migrate(database.owner_url, named(BOATS), loader=LOADER_ROLE) if KEPT_POLICY in line
    ]
    assert app in line and half in line
    with database.as_role(app) as conn:
        assert values(conn, "SELECT hull FROM boats") == ["H1"]
        conn.execute("INSERT INTO boats (_workspace, hull) VALUES ('globex', 'H1')")
    with database.as_role(half) as conn:
        assert values(conn, "SELECT hull FROM boats") == ["H1", "H1"]
    with connect(database.owner_url) as conn, pytest.raises(ConfigurationError, match="policy import_kept"):
        add_reader(conn, app, ["acme"], TABLES)
    assert migrate(database.owner_url, named(BOATS), loader=LOADER_ROLE) == []


def test_policies_of_somebody_elses_stay_and_go_on_deciding_for_their_roles(database):
    app = database.role()
    with connect(database.owner_url) as conn:
        create_table(conn, BOATS)
        conn.execute("ALTER TABLE boats ENABLE ROW LEVEL SECURITY")
        conn.execute("CREATE POLICY theirs ON boats USING (owner = 'ana')")
        conn.execute(sql.SQL("GRANT SELECT ON boats TO {}").format(sql.Identifier(app)))
        conn.execute("INSERT INTO boats (_workspace, hull, owner) VALUES ('a', '1', 'ana'), ('a', '2', 'bo')")
    done = migrate(database.owner_url, named(BOATS), loader=LOADER_ROLE)
    assert not [line for line in done if KEPT_POLICY in line or "switched on" in line]
    with database.as_role(app) as conn:
        assert values(conn, "SELECT hull FROM boats") == ["1"]
    with connect(database.url) as loader:
        assert sorted(values(loader, "SELECT hull FROM boats")) == ["1", "2"]


def test_a_table_of_another_owner_is_left_alone_and_gets_no_readers(database):
    """`migrate` may not change it, and a reader of it would see every workspace."""
    other = sql.Identifier(database.role())
    with connect(database.owner_url) as conn:
        create_table(conn, BOATS)
    database.superuser.execute(sql.SQL("ALTER TABLE boats OWNER TO {}").format(other))
    database.superuser.execute(
        sql.SQL("GRANT ALL ON boats TO {} WITH GRANT OPTION").format(sql.Identifier(OWNER_ROLE))
    )
    database.reader("acme").close()

    done = migrate(database.owner_url, named(BOATS), loader=LOADER_ROLE)

    assert done == [] or done == [f"granted SELECT, INSERT, UPDATE, DELETE on public.boats to {LOADER_ROLE}"]
    with connect(database.url) as loader:
        assert check_schema(loader, named(BOATS)) == []
    role = database.role()
    with (
        connect(database.owner_url) as conn,
        pytest.raises(ConfigurationError, match=r"public\.boats has no"),
    ):
        add_reader(conn, role, ["acme"], ["boats"])


def test_a_loader_from_whom_rows_are_hidden_is_told_before_it_takes_them_for_missing(database):
    datasets = load_datasets("")
    with connect(database.owner_url) as owner:
        owner.execute("DROP POLICY import_loader ON imports.uploads")
        owner.execute("DROP POLICY import_loader ON leads")
        owner.commit()
        with connect(database.url) as loader:
            problems = check_schema(loader, datasets)
        assert problems == [f"row-level security hides rows of imports.uploads from role {LOADER_ROLE}"]
        migrate(database.owner_url, datasets, loader=LOADER_ROLE)
    with connect(database.url) as loader:
        assert check_schema(loader, datasets) == []


def test_a_second_loader_is_let_in_beside_the_first(database):
    second = database.role()
    migrate(database.owner_url, load_datasets(""), loader=second)
    for role, conn in ((second, database.as_role(second)), (LOADER_ROLE, connect(database.url))):
        with conn:
            assert check_schema(conn, load_datasets("")) == [], role


# -- what it costs ---------------------------------------------------------------------------------

MERGE = """
INSERT INTO leads (_workspace, _upload_id, email, name)
SELECT 'acme', 'u', s.email, s.name FROM staged s
WHERE NOT EXISTS (SELECT FROM leads t WHERE t._workspace = 'acme' AND t.email = s.email)
ORDER BY s.email
"""
UPDATE = """
UPDATE leads t SET name = s.name FROM staged s WHERE t._workspace = 'acme' AND t.email = s.email
RETURNING t.email
"""
OTHERS = (
    "SELECT * FROM imports.uploads WHERE upload_id = 'x' FOR UPDATE",
    "UPDATE imports.uploads SET run_id = 'x' WHERE upload_id = 'x' RETURNING *",
    "INSERT INTO imports.rejects (upload_id, row_number) SELECT 'x', 1 FROM staged ON CONFLICT DO NOTHING",
    "SELECT * FROM imports.uploads_view",
    "DELETE FROM leads WHERE _upload_id = 'x' RETURNING _row_number",
)


def plan(conn: psycopg.Connection, query: str) -> str:
    return "\n".join(values(conn, f"EXPLAIN (VERBOSE, COSTS OFF) {query}"))


@pytest.mark.parametrize("query", [MERGE, UPDATE, *OTHERS])
def test_the_loaders_plan_is_the_owners_with_no_trace_of_a_policy(filled, query):
    """`true OR …` is folded away when a query is planned: no subplan, no filter, the same joins."""
    plans = []
    for url in (filled.url, filled.owner_url):
        with connect(url) as conn:
            conn.execute('CREATE TEMPORARY TABLE staged (email text COLLATE "C", name text)')
            plans.append(re.sub(r"pg_temp_\d+", "pg_temp", plan(conn, query)))
    assert plans[0] == plans[1]
    assert "workspace_readers" not in plans[0]


def test_a_readers_workspaces_are_looked_up_once_a_query(shared_reader):
    told = plan(shared_reader, "SELECT * FROM leads")
    assert "InitPlan" in told and "SubPlan" not in told.replace("(InitPlan", "")
