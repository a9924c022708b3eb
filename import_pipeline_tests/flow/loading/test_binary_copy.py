"""Binary COPY: what PostgreSQL has afterwards is what Arrow had, to the last bit."""

from datetime import UTC, date, datetime
from decimal import Decimal

import psycopg
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from import_pipeline.catalog.types import JSON_ARROW, postgres_type
from import_pipeline.flow.loading import binary_copy
from import_pipeline.flow.loading.binary_copy import copy_rows, encode_rows
from import_pipeline_tests.flow.loading.world import World

COLUMNS = {
    "words": pa.string(),
    "whole": pa.int64(),
    "money": pa.decimal128(14, 2),
    "fraction": pa.decimal128(4, 4),
    "round_number": pa.decimal128(5, 0),
    "wide": pa.decimal128(38, 10),
    "nearly_wide": pa.decimal128(18, 3),
    "day": pa.date32(),
    "moment": pa.timestamp("us", tz="UTC"),
    "flag": pa.bool_(),
}


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    limit = 10**precision - 1
    return st.integers(-limit, limit).map(lambda unscaled: Decimal(unscaled).scaleb(-scale))


VALUES = {
    "words": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    "whole": st.integers(-(2**63), 2**63 - 1),
    "money": decimals(14, 2),
    "fraction": decimals(4, 4),
    "round_number": decimals(5, 0),
    "wide": decimals(28, 10),
    "nearly_wide": decimals(18, 3),
    "day": st.dates(),
    "moment": st.datetimes(timezones=st.just(UTC)),
    "flag": st.booleans(),
}
ROWS = st.lists(st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()}))


def copied(world: World, rows: pa.Table) -> list[dict[str, object]]:
    """The rows as PostgreSQL holds them after a COPY that is rolled back."""
    definitions = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(f.name), sql.SQL(postgres_type(f.type))) for f in rows.schema
    )
    with psycopg.connect(world.url, row_factory=psycopg.rows.dict_row) as conn:
        conn.execute("SET LOCAL TimeZone = 'UTC'")
        conn.execute(
            sql.SQL("CREATE TABLE staging.copied (n serial, _load_id text, _batch int, {})").format(
                definitions
            )
        )
        with conn.cursor() as cursor:
            table = sql.Identifier("staging", "copied")
            copy_rows(cursor, table, rows, load_id="ação", batch=7)
        found = conn.execute("SELECT * FROM staging.copied ORDER BY n").fetchall()
        conn.rollback()
    assert all(
        (row.pop("_load_id"), row.pop("_batch"), row.pop("n") > 0) == ("ação", 7, True) for row in found
    )
    return found


def test_any_value_of_any_type_arrives_as_it_was(world: World) -> None:
    @settings(max_examples=30, deadline=None)
    @given(ROWS, st.integers(0, 3))
    def same(rows: list[dict[str, object]], skipped: int) -> None:
        table = pa.Table.from_pylist(rows, pa.schema(list(COLUMNS.items()))).slice(skipped)
        assert copied(world, table) == rows[skipped:]

    same()


def test_the_ends_of_every_type_arrive_as_they_were(world: World) -> None:
    rows = [
        {"words": "", "whole": -(2**63), "money": Decimal("-999999999999.99"), "fraction": Decimal("-0.9999"),
         "round_number": Decimal("-99999"), "wide": Decimal("-9999999999999999999999999999.9999999999"),
         "nearly_wide": Decimal("-999999999999999.999"), "day": date(1, 1, 1),
         "moment": datetime(1, 1, 1, tzinfo=UTC), "flag": False},
        {"words": "á\n\t\\N\"'😀", "whole": 2**63 - 1, "money": Decimal("0.01"),
         "fraction": Decimal("0.0001"), "round_number": Decimal(10000),
         "wide": Decimal("9999999999999999999999999999.9999999999"),
         "nearly_wide": Decimal("100000000000000.001"), "day": date(9999, 12, 31),
         "moment": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "flag": True},
        dict.fromkeys(COLUMNS),
    ]  # fmt: skip
    assert copied(world, pa.Table.from_pylist(rows, pa.schema(list(COLUMNS.items())))) == rows


def test_rows_that_make_many_blocks_arrive_in_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary_copy, "BLOCK_ROWS", 7)
    chunks = [pa.table({"words": [f"{c} {i}" for i in range(13)]}) for c in "abc"]
    table = pa.concat_tables(chunks)
    assert copied(world, table) == table.to_pylist()


def test_blocks_are_bounded_by_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary_copy, "BLOCK_BYTES", 10_000)
    table = pa.table({"words": ["x" * 1000] * 100})
    sizes = [block.num_rows for block in binary_copy._blocks(table)]
    assert sum(sizes) == 100
    assert max(sizes) <= 10


def test_a_type_without_a_binary_form_is_refused() -> None:
    with pytest.raises(TypeError, match="double"):
        encode_rows(pa.table({"x": [1.5]}), pa.scalar(b""))


def test_a_json_column_arrives_as_jsonb(world: World) -> None:
    texts = ['{"a": [1, 2.5, null]}', None, '"ação"', "-1e5", "[]"]
    column = pa.chunked_array(
        [
            pa.ExtensionArray.from_storage(JSON_ARROW, pa.array(part, pa.string()))
            for part in (texts, texts[:1])
        ]
    )
    found = copied(world, pa.table({"document": column}))
    expected = [{"a": [1, 2.5, None]}, None, "ação", -1e5, [], {"a": [1, 2.5, None]}]
    assert [row["document"] for row in found] == expected
