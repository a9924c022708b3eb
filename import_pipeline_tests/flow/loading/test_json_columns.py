"""A declared column of JSON is jsonb from the batch to the table."""

from datetime import timedelta

import pandera.pandas as pandera

from import_pipeline.catalog.dataset import Dataset, column
from import_pipeline.catalog.types import Json, Text
from import_pipeline_tests.flow.loading.world import NOON, World


class Documents(pandera.DataFrameModel):
    code: Text = column(required=True)
    body: Json = column()


def test_json_is_loaded_and_compared_as_what_it_means(world: World) -> None:
    dataset = Dataset(name="things", model=Documents, key=("code",), existing="update")
    world.install(dataset)
    world.load(
        world.make(
            dataset, [{"code": "a", "body": '{"x": 1, "y": [2]}'}, {"code": "b"}, {"code": "c", "body": "1"}]
        )
    )
    rows = [
        {"code": "a", "body": '{"y":[2],"x":1.0}'},
        {"code": "b", "body": "null"},
        {"code": "c", "body": "2"},
    ]
    published = world.load(world.make(dataset, rows, at=NOON + timedelta(seconds=1)))
    assert (published.counts.unchanged, published.counts.updated) == (1, 2)
    assert world.query("SELECT code, body FROM things ORDER BY code") == [
        ("a", {"x": 1, "y": [2]}),
        ("b", None),  # JSON's null, which psycopg gives as None
        ("c", 2),
    ]
    assert world.query("SELECT body IS NULL, jsonb_typeof(body) FROM things WHERE code = 'b'") == [
        (False, "null")
    ]
