"""Undoing in tables that have rules of their own: foreign keys, unique columns, triggers."""

import pytest
from psycopg import conninfo

from import_pipeline_tests.flow.loading.test_undoing import UPDATING, loaded, numbers, undo
from import_pipeline_tests.flow.loading.world import World, thing


@pytest.mark.parametrize("points_at", ["(id)", "(stock, code)"])
def test_a_foreign_key_on_a_column_that_is_no_text_keeps_its_row_as_any_other(
    world: World, points_at: str
) -> None:
    """A number has no collation, and naming the one of each column failed every undo of such a table."""
    world.install(UPDATING)
    role = conninfo.conninfo_to_dict(world.url)["user"]
    world.as_owner(
        "ALTER TABLE things ADD id bigserial PRIMARY KEY, ADD UNIQUE (stock, code);"
        f"GRANT USAGE ON SEQUENCE things_id_seq TO {role}"
    )
    made = loaded(world, UPDATING, thing("a", stock=1), thing("b", stock=2))
    world.as_owner(
        "CREATE TABLE sales (id bigint, stock bigint, code text);"
        f"ALTER TABLE sales ADD FOREIGN KEY {points_at} REFERENCES things {points_at}"
    )
    world.query("INSERT INTO sales SELECT id, stock, code FROM things WHERE code = 'a'")
    assert numbers(undo(world, made)) == (1, 0, {"referenced": 1}, 0, 0)
    assert world.query("SELECT code FROM things") == [("a",)]
