from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

import pandera.pandas as pandera
import psycopg
import pytest
from psycopg import errors as pg
from psycopg import sql

from import_pipeline.catalog.dataset import Dataset, column
from import_pipeline.catalog.types import Integer, Number, Text
from import_pipeline.errors import ConfigurationError, SchemaOutOfDate
from import_pipeline.ledger import migrate as migrating
from import_pipeline.ledger.connection import connect
from import_pipeline.ledger.dataset_tables import dataset_table_problems, index_name
from import_pipeline.ledger.grants import loader_role
from import_pipeline.ledger.migrate import check_schema, migrate, require_current
from import_pipeline.ledger.states import TRANSITIONS
from import_pipeline.settings import Settings


class Boats(pandera.DataFrameModel):
    hull: Text = column(required=True)
    owner: Text = column()
    length: Number(8, 2) = column()


class BoatsWithYear(Boats):
    year: Integer = column()


class BoatsLongAsText(Boats):
    length: Text = column()


class BoatsWithAllRequired(Boats):
    owner: Text = column(required=True)


BOATS = Dataset(name="boats", model=Boats, key=("hull",))
ANCHORS = Dataset(name="anchors", model=Boats, unknown_columns="ignore")


def named(*datasets: Dataset) -> dict[str, Dataset]:
    return {dataset.name: dataset for dataset in datasets}


@pytest.fixture
def owner_url(database_url, as_owner) -> str:
    """The owner's URL of an empty database."""
    return as_owner(database_url)


@pytest.fixture
def loader(database_url) -> str:
    """The loader's role."""
    return str(urlsplit(database_url).username)


def columns(url: str, table: str) -> dict[str, tuple[str, str | None, str]]:
    """Type, collation and nullability of a table's columns, as PostgreSQL tells."""
    with psycopg.connect(url) as conn:
        rows = conn.execute(
            "SELECT column_name, data_type, collation_name, is_nullable FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position",
            [table],
        ).fetchall()
    return {name: (type_, collation, nullable) for name, type_, collation, nullable in rows}


def test_an_empty_database_gets_ledger_and_tables_and_the_second_time_nothing_is_done(owner_url, loader):
    done = migrate(owner_url, named(BOATS, ANCHORS), loader=loader)
    assert any(line.startswith("upgraded the ledger from revision none to 0") for line in done)
    assert "created table public.boats of dataset boats" in done
    assert migrate(owner_url, named(BOATS, ANCHORS), loader=loader) == []
    with connect(owner_url) as conn:
        assert check_schema(conn, named(BOATS, ANCHORS)) == []
        require_current(conn, named(BOATS, ANCHORS))


def test_a_table_has_its_columns_in_order_all_nullable_and_its_key_in_c_collation(owner_url):
    migrate(owner_url, named(BOATS, ANCHORS))
    found = columns(owner_url, "boats")
    assert list(found) == ["hull", "owner", "length", "extra", "_workspace", "_upload_id", "_row_number",
                           "_source_time", "_loaded_at", "_row_hash"]  # fmt: skip
    assert {nullable for _, _, nullable in found.values()} == {"YES"}
    assert (found["hull"][1], found["_workspace"][1], found["owner"][1]) == ("C", "C", None)
    assert found["extra"][0] == "jsonb"
    assert "extra" not in columns(owner_url, "anchors")


def test_a_key_is_unique_within_a_workspace_and_a_dataset_without_one_only_appends(owner_url):
    migrate(owner_url, named(BOATS, ANCHORS))
    with psycopg.connect(owner_url, autocommit=True) as conn:
        for workspace in ("a", "b"):
            conn.execute("INSERT INTO boats (_workspace, hull) VALUES (%s, 'H1')", [workspace])
        with pytest.raises(pg.UniqueViolation):
            conn.execute("INSERT INTO boats (_workspace, hull) VALUES ('a', 'H1')")
        for _ in range(2):
            conn.execute("INSERT INTO anchors (_workspace, hull) VALUES ('a', 'H1')")
        indexed = conn.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'boats'").fetchall()
    assert any("(_upload_id)" in definition for (definition,) in indexed)


def test_two_migrates_at_once_do_the_work_once(owner_url, loader):
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(migrate, owner_url, named(BOATS, ANCHORS), loader=loader) for _ in range(3)]
        done = [line for run in runs for line in run.result(timeout=60)]
    assert len(done) == len(set(done))
    assert migrate(owner_url, named(BOATS, ANCHORS), loader=loader) == []


def test_a_column_that_a_dataset_gained_is_added_beside_the_rows(owner_url):
    migrate(owner_url, named(BOATS))
    with psycopg.connect(owner_url) as conn:
        conn.execute("INSERT INTO boats (_workspace, hull) VALUES ('a', 'H1')")
    gained = replace(BOATS, model=BoatsWithYear)
    with connect(owner_url) as conn:
        assert check_schema(conn, named(gained)) == ["table public.boats has no column year"]
    assert migrate(owner_url, named(gained)) == ["added column year to public.boats"]
    assert columns(owner_url, "boats")["year"] == ("bigint", None, "YES")
    with psycopg.connect(owner_url) as conn:
        assert conn.execute("SELECT hull, year FROM boats").fetchall() == [("H1", None)]


def test_a_dataset_that_keeps_unknown_columns_now_gains_the_place_for_them(owner_url):
    migrate(owner_url, named(ANCHORS))
    assert migrate(owner_url, named(replace(ANCHORS, unknown_columns="keep"))) == [
        "added column extra to public.anchors"
    ]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (replace(BOATS, model=BoatsLongAsText), "length of table public.boats is numeric(8,2)"),
        (
            replace(BOATS, key=("hull", "owner"), model=BoatsWithAllRequired),
            "owner of table public.boats is text",
        ),
        (replace(BOATS, key=()), "declares the key (no key)"),
    ],
)
def test_a_changed_type_or_key_is_refused_with_sql_that_mends_it(owner_url, changed, problem):
    migrate(owner_url, named(BOATS))
    with psycopg.connect(owner_url) as conn:
        conn.execute("INSERT INTO boats (_workspace, hull, owner, length) VALUES ('a', 'H1', 'o', 7.5)")
    before = columns(owner_url, "boats")
    with pytest.raises(ConfigurationError) as caught:
        migrate(owner_url, named(changed, ANCHORS))
    assert problem in caught.value.message
    assert caught.value.fields["sql"] in caught.value.remedy
    assert columns(owner_url, "boats") == before
    assert columns(owner_url, "anchors"), "the other datasets are done all the same"
    with connect(owner_url) as conn:
        assert problem in "; ".join(dataset_table_problems(conn, changed))
        conn.execute(caught.value.fields["sql"])
    assert migrate(owner_url, named(changed, ANCHORS)) == []
    with psycopg.connect(owner_url) as conn:
        assert conn.execute("SELECT hull, length::text FROM boats").fetchall() == [("H1", "7.50")]


def test_a_key_is_given_to_a_table_that_had_none(owner_url):
    migrate(owner_url, named(replace(BOATS, key=())))
    with pytest.raises(ConfigurationError, match="has no unique index on it") as caught:
        migrate(owner_url, named(BOATS))
    with connect(owner_url) as conn:
        conn.execute(caught.value.fields["sql"])
    assert migrate(owner_url, named(BOATS)) == []


def test_a_table_of_somebody_elses_is_taken_on_if_it_can_hold_the_rows(owner_url):
    with psycopg.connect(owner_url) as conn:
        conn.execute(
            "CREATE TABLE boats (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, flag text NOT NULL,"
            ' hull text COLLATE "C" NOT NULL, owner text NOT NULL, length numeric(8,2))'
        )
    with pytest.raises(ConfigurationError) as caught:
        migrate(owner_url, named(BOATS))
    message = caught.value.message
    assert "column flag of table public.boats is NOT NULL without a default" in message
    assert "column owner of table public.boats is NOT NULL, dataset boats lets it be empty" in message
    assert "has no unique index on it" in message
    assert "hull" not in message.replace("key (hull)", ""), "a required column may be NOT NULL"
    assert "column id" not in message
    with connect(owner_url) as conn:
        conn.execute(caught.value.fields["sql"])
    assert migrate(owner_url, named(BOATS)) == []


PARTITIONED = (
    "ALTER TABLE boats RENAME TO former; CREATE TABLE boats (LIKE former) PARTITION BY LIST (_workspace);"
    "CREATE UNIQUE INDEX ON boats (_workspace, hull)"
)


@pytest.mark.parametrize(
    ("change", "words", "statements"),
    [
        (PARTITIONED, "is partitioned", ""),
        (
            "CREATE TABLE old_boats () INHERITS (boats)",
            "inherit",
            'ALTER TABLE old_boats NO INHERIT "public"."boats";',
        ),
    ],
)
def test_a_table_of_several_tables_is_refused_since_a_rows_place_is_unique_in_one_only(
    owner_url, change, words, statements
):
    migrate(owner_url, named(BOATS))
    with psycopg.connect(owner_url) as conn:
        conn.execute(change)
        assert words in "; ".join(dataset_table_problems(conn, BOATS))
    with pytest.raises(ConfigurationError, match=words) as caught:
        migrate(owner_url, named(BOATS))
    assert caught.value.fields.get("sql", "") == statements


def test_a_view_in_a_tables_place_is_named(owner_url):
    with psycopg.connect(owner_url) as conn:
        conn.execute("CREATE VIEW boats AS SELECT 1")
    with pytest.raises(ConfigurationError, match=r"public\.boats is not a table"):
        migrate(owner_url, named(BOATS))


def test_the_loader_writes_rows_and_makes_tables_in_staging_only(owner_url, database_url, loader):
    migrate(owner_url, named(BOATS), loader=loader)
    with connect(database_url) as conn:
        assert check_schema(conn, named(BOATS)) == []
        conn.execute("CREATE UNLOGGED TABLE staging.u_1 (a int)")
        conn.execute("DROP TABLE staging.u_1")
        conn.execute("INSERT INTO boats (_workspace, hull) VALUES ('a', 'H1')")
        conn.execute("UPDATE boats SET hull = 'H2'")
        conn.execute("DELETE FROM boats")
        conn.commit()
        for statement in (
            "DROP TABLE boats", "ALTER TABLE boats ADD COLUMN x int", "TRUNCATE boats",
            "DROP TABLE imports.uploads", "ALTER TABLE imports.uploads DISABLE TRIGGER ALL",
            "CREATE TABLE public.mine (a int)", "CREATE TABLE imports.mine (a int)", "CREATE SCHEMA mine",
            "INSERT INTO imports.transitions VALUES ('completed', 'running', 'mine')",
            "DELETE FROM imports.schema_version",
        ):  # fmt: skip
            with pytest.raises(pg.InsufficientPrivilege):
                conn.execute(statement)
            conn.rollback()


def test_a_loader_that_nobody_prepared_gets_its_rights(owner_url, as_superuser):
    name = sql.Identifier("lone_loader")
    with psycopg.connect(as_superuser(owner_url), autocommit=True) as superuser:
        superuser.execute(sql.SQL("CREATE ROLE {}").format(name))
        try:
            migrate(owner_url, named(BOATS))
            superuser.execute(sql.SQL("SET ROLE {}").format(name))
            assert "not there" in check_schema(superuser, named(BOATS))[0]
            superuser.execute("RESET ROLE")
            done = migrate(owner_url, named(BOATS), loader="lone_loader")
            assert "granted USAGE, CREATE on schema staging to lone_loader" in done
            superuser.execute(sql.SQL("SET ROLE {}").format(name))
            assert check_schema(superuser, named(BOATS)) == []
            superuser.execute("RESET ROLE")
            superuser.execute(sql.SQL("REVOKE INSERT ON boats FROM {}").format(name))
            superuser.execute(sql.SQL("SET ROLE {}").format(name))
            problems = check_schema(superuser, named(BOATS))
            assert problems == ["role lone_loader may not SELECT, INSERT, UPDATE, DELETE on public.boats"]
        finally:
            superuser.execute("RESET ROLE")
            superuser.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(name))


def test_a_loader_that_does_not_exist_is_named_with_the_sql_that_makes_it(owner_url):
    with pytest.raises(ConfigurationError, match="nobody") as caught:
        migrate(owner_url, named(BOATS), loader="nobody")
    assert 'CREATE ROLE "nobody" LOGIN' in caught.value.remedy


def test_a_role_that_may_not_migrate_is_told_which_variable_to_set(database_url):
    with pytest.raises(ConfigurationError, match="IMPORT_PIPELINE_OWNER_DATABASE_URL"):
        migrate(database_url, named(BOATS))


@pytest.mark.parametrize(
    ("owner", "expected"),
    [("postgresql://boss:x@h/d", "pipe"), ("postgresql://pipe:x@h/d", None), (None, None)],
)
def test_the_loader_is_the_pipelines_role_where_it_is_not_the_owner(owner, expected):
    settings = Settings(database_url="postgresql://pipe:x@h/d", owner_database_url=owner)
    assert loader_role(settings) == expected


def test_an_older_ledger_says_what_to_type(database_url, owner_url):
    with connect(database_url) as conn, pytest.raises(SchemaOutOfDate, match="import-pipeline migrate"):
        require_current(conn, named(BOATS))
    migrate(owner_url, named(BOATS))
    with connect(owner_url) as conn:
        assert check_schema(conn, named(BOATS, ANCHORS)) == [
            "table public.anchors of dataset anchors does not exist"
        ]
        conn.execute("UPDATE imports.schema_version SET version_num = '0999'")
        (problem,) = check_schema(conn, named(BOATS))
    assert "0999" in problem and "upgrade import_pipeline" in problem


def test_transitions_of_another_version_are_noticed_and_written_again(owner_url):
    migrate(owner_url, {})
    with connect(owner_url) as conn:
        conn.execute("DELETE FROM imports.transitions WHERE to_state = 'undone'")
        assert "transitions" in check_schema(conn, {})[0]
    assert migrate(owner_url, {}) == [f"wrote {len(TRANSITIONS)} transitions between states"]


def test_migrate_waits_for_a_running_import_and_lets_others_pass(
    owner_url, database_url, loader, monkeypatch
):
    """A queue behind migrate's own lock request would stop every import of that table."""
    migrate(owner_url, named(BOATS), loader=loader)
    monkeypatch.setattr(migrating, "_LOCK_TIMEOUT", "SET LOCAL lock_timeout = '20ms'")
    monkeypatch.setattr(migrating, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(migrating, "LOCK_TRIES", 1000)
    with connect(database_url) as running, connect(database_url) as other, ThreadPoolExecutor(1) as pool:
        running.execute("INSERT INTO boats (_workspace, hull) VALUES ('a', 'H1')")
        result = pool.submit(migrate, owner_url, named(replace(BOATS, model=BoatsWithYear)))
        while not _refused_locks(other):
            pass
        other.execute("SET lock_timeout = '10s'")
        other.execute("INSERT INTO boats (_workspace, hull) VALUES ('a', 'H2')")
        other.commit()
        assert not result.done()
        running.commit()
        assert result.result(timeout=60) == ["added column year to public.boats"]


def test_a_long_table_name_leaves_room_for_its_indexes(owner_url):
    long = ["t" * 62 + end for end in "ab"]
    datasets = named(
        *(Dataset(name=f"d{i}", table=t, model=Boats, key=("hull",)) for i, t in enumerate(long))
    )
    migrate(owner_url, datasets)
    assert migrate(owner_url, datasets) == []
    names = {index_name(table, "import_key") for table in long}
    assert len(names) == 2 and {len(name) for name in names} == {63}


def _refused_locks(conn: psycopg.Connection) -> bool:
    """Whether migrate is waiting for its lock on the table."""
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'boats'::regclass)"
    ).fetchone()
    conn.rollback()
    return bool(row and row[0])
