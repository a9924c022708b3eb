"""Unknown columns as one JSON object a row."""

import pyarrow as pa
import pytest

from import_pipeline.flow.checks.extra import build_extra


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([("", "")], [None]),
        ([("x", ""), ("", ""), ("", "y"), ("", "")],
         ['{"first":"x"}', None, '{"second":"y"}', None]),
        ([("x", "y,")], ['{"first":"x","second":"y,"}']),
    ],
)  # fmt: skip
def test_a_row_without_a_value_in_any_unknown_column_keeps_its_place(cells: list, expected: list) -> None:
    """pyarrow leaves such rows out of a join that skips nulls; every batch with one failed."""
    first, second = (pa.array(column, pa.string()) for column in zip(*cells, strict=True))
    table = pa.table({"c0": first, "c1": second})
    extra, faults = build_extra(table, ("first", "second"), (0, 1))
    assert extra.to_pylist() == expected
    assert faults == []
    alone, _ = build_extra(table, ("first", "second"), (0,))
    assert len(alone) == len(cells)
