"""The library of types as documentation, fingerprints and PostgreSQL see it."""

import re
from pathlib import Path

import pandera.pandas as pandera
import pyarrow as pa
import pytest

import import_pipeline
from import_pipeline.catalog.dataset import Dataset, column
from import_pipeline.catalog.types import (
    JSON_ARROW,
    LIBRARY,
    Choice,
    ColumnType,
    Email,
    Json,
    Money,
    Number,
    Text,
    postgres_type,
)
from import_pipeline.errors import ConfigurationError
from import_pipeline.flow.checks.parsing import FaultCollector
from import_pipeline_tests.flow.checks.tables import check

PAGE = (Path(import_pipeline.__file__).parents[1] / "docs" / "add-a-dataset.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)(\(.*?\))?` \|.*\| `(.+?)` → `(.+?)` \| `(.+?)` \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE)
READINGS = {"decimal": ",", "date": "dmy"}


def types_of_the_page() -> dict[str, ColumnType]:
    """The types as the page spells them, by name."""
    names: dict[str, object] = {}
    exec("from import_pipeline.catalog.types import *", names)
    return {name: eval(name + arguments, names) for name, arguments, *_ in ROWS}


def test_the_page_lists_every_type_with_its_postgresql_type() -> None:
    found = types_of_the_page()
    assert set(found) == {kind.name.partition("(")[0] for kind in LIBRARY}
    assert {name: postgres_type(kind.arrow_type) for name, kind in found.items()} == {
        row[0]: row[-1] for row in ROWS
    }


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_the_pages_example_of_a_type_is_stored_as_it_says(row: tuple[str, ...]) -> None:
    name, _, cell, stored, _ = row
    kind = types_of_the_page()[name]
    model = type("Model", (pandera.DataFrameModel,), {"__annotations__": {"c": kind}, "c": column()})
    dataset = Dataset(name="one", model=model)
    checked = check(dataset, [(cell,)], readings={"c": READINGS.get(kind.evidence or "")})
    assert checked.errors.num_rows == 0
    assert str(checked.clean["c"][0].as_py()) == stored


def test_the_pages_own_type_works() -> None:
    code = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
    names: dict[str, object] = {}
    exec(code, names)
    model = type(
        "Model", (pandera.DataFrameModel,), {"__annotations__": {"c": names["BatchCode"]}, "c": column()}
    )
    checked = check(Dataset(name="own", model=model), [("Lote 12/2026",), ("12/2026",), ("",)])
    assert checked.clean["c"].to_pylist() == ["2026-12", None]
    assert checked.errors["message"].to_pylist() == [
        'Row 3, column "c": "12/2026" does not have the right form.'
    ]
    assert checked.errors["remedy"].to_pylist() == ["Write text that looks like lote 12/2026."]


def one(kind: ColumnType, **policies: object) -> Dataset:
    """A dataset of one column; all of them have the same source."""
    model = type("Model", (pandera.DataFrameModel,), {"__annotations__": {"c": kind}, "c": column()})
    return Dataset(name="one", model=model, **policies)


def nothing(cells: pa.Array, how: object) -> object:
    return FaultCollector(len(cells)).parsed(cells)


def test_the_fingerprint_changes_with_the_type_of_a_column() -> None:
    kinds = [
        Text, Email, Number(12, 2), Number(14, 2), Money("BRL"), Money("USD"), Choice("a", "b"),
        Choice("b", "a"), Choice("a", "b", aliases={"c": "a"}), ColumnType("Text", pa.string(), nothing),
    ]  # fmt: skip
    assert len({one(kind).fingerprint for kind in kinds}) == len(kinds)
    assert one(Number(12, 2)).fingerprint == one(Number(12, 2)).fingerprint
    assert one(Text, null_tokens=("", "-")).fingerprint != one(Text).fingerprint


def test_a_type_brings_its_rules_and_a_column_may_add_its_own() -> None:
    class Contact(pandera.DataFrameModel):
        first: Email = column(is_email=True, str_endswith=".br")
        second: Email = column(case="upper")

    dataset = Dataset(name="contacts", model=Contact)
    assert sorted(c.name for c in dataset.schema.columns["first"].checks) == ["is_email", "str_endswith"]
    checked = check(dataset, [("ANA@x.com.br", "ana@x.com"), ("ana@x.com", "ana@")])
    assert checked.errors.select(["column", "code"]).to_pylist() == [
        {"column": "first", "code": "wrong_pattern"},
        {"column": "second", "code": "not_an_email"},
    ]
    assert checked.clean.select(["first", "second"]).to_pylist() == [
        {"first": "ana@x.com.br", "second": "ANA@X.COM"}
    ]
    assert Contact.to_schema().columns["second"].checks == [], "the model itself is left alone"


def test_a_json_column_is_jsonb_and_never_a_key() -> None:
    assert postgres_type(JSON_ARROW) == "jsonb"

    class Document(pandera.DataFrameModel):
        body: Json = column(required=True)

    with pytest.raises(ConfigurationError, match="'body' is JSON"):
        Dataset(name="documents", model=Document, key=("body",))


@pytest.mark.parametrize(
    ("declare", "told"),
    [
        (Choice, "needs options"),
        (lambda: Choice("a", aliases={"b": "c"}), "needs options"),
        (lambda: Money("XYZ"), "'XYZ' is not one of: BRL"),
        (lambda: postgres_type(pa.float64()), "cannot be of type double"),
    ],
)
def test_a_type_that_cannot_work_is_refused_where_it_is_declared(declare, told) -> None:
    with pytest.raises((ValueError, TypeError), match=told):
        declare()
