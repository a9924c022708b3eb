"""Any table of typed values, written by pandas, openpyxl or pyarrow in any format, is loaded as it was."""

import datetime
import io
import json
from collections.abc import Callable, Mapping
from decimal import Decimal

import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from import_pipeline.catalog.dataset import Dataset, SenderOptions, column
from import_pipeline.catalog.types import Boolean, Date, Identifier, Integer, Number, Text, Timestamp
from import_pipeline.local_check import check_file
from import_pipeline_tests.sample_files.writers import COMPRESSORS, delimited


class Fact(pandera.DataFrameModel):
    """A column of each type that formats store as such."""

    code: Identifier = column(required=True)
    words: Text = column()
    whole: Integer = column()
    amount: Number(15, 3) = column()
    day: Date = column()
    moment: Timestamp = column()
    flag: Boolean = column()


FACTS = Dataset(name="facts", model=Fact, unknown_columns="refuse")
NAMES = tuple(column.name for column in FACTS.columns)
Row = Mapping[str, object]
# Text that is the same after trimming, in XML too.
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Co", "Cn", "Zs")), min_size=1)
DAYS = st.dates(datetime.date(1901, 1, 1), datetime.date(2099, 12, 31))
MOMENTS = st.datetimes(datetime.datetime(1901, 1, 1), datetime.datetime(2099, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0)
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "words": TEXT | st.none(),
            "whole": st.integers(-(10**11), 10**11) | st.none(),
            "amount": st.decimals(-(10**9), 10**9, places=3) | st.none(),
            "day": DAYS | st.none(),
            "moment": MOMENTS | st.none(),
            "flag": st.booleans() | st.none(),
        }
    ),
    min_size=1,
    max_size=6,
)


def _frame(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in NAMES})


def _as_text(rows: list[Row]) -> list[list[str]]:
    return [["" if row[name] is None else str(row[name]).lower() if name == "flag" else str(row[name])
             for name in NAMES] for row in rows]  # fmt: skip


def _csv(rows: list[Row]) -> bytes:
    return delimited(";")(NAMES, _as_text(rows))


def _pandas_csv(rows: list[Row]) -> bytes:
    return _frame(rows).to_csv(index=False).encode()


def _pandas_json(rows: list[Row]) -> bytes:
    return json.dumps(
        [dict(zip(NAMES, row, strict=True)) for row in _plain(rows)], ensure_ascii=False
    ).encode()


def _json_lines(rows: list[Row]) -> bytes:
    return b"".join(json.dumps(dict(zip(NAMES, row, strict=True))).encode() + b"\n" for row in _plain(rows))


def _plain(rows: list[Row]) -> list[list[object]]:
    """Values as JSON has them: numbers, true and false, dates as text."""
    plain = {Decimal: float, datetime.date: str, datetime.datetime: str}
    return [[plain.get(type(row[name]), lambda same: same)(row[name]) for name in NAMES] for row in rows]


def _parquet(rows: list[Row]) -> bytes:
    types = {"whole": pa.int64(), "amount": pa.decimal128(15, 3), "day": pa.date32(),
             "moment": pa.timestamp("us"), "flag": pa.bool_()}  # fmt: skip
    file = io.BytesIO()
    columns = {name: pa.array([r[name] for r in rows], types.get(name, pa.string())) for name in NAMES}
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def _workbook(rows: list[Row]) -> bytes:
    frame = _frame(rows)
    frame["amount"] = [None if value is None else float(value) for value in frame["amount"]]
    file = io.BytesIO()
    frame.to_excel(file, index=False, engine="openpyxl")
    return file.getvalue()


def _compressed(rows: list[Row]) -> bytes:
    return COMPRESSORS["zst"](_csv(rows))


WRITTEN: Mapping[str, Callable[[list[Row]], bytes]] = {
    "facts.csv": _csv, "pandas.csv": _pandas_csv, "facts.json": _pandas_json, "facts.jsonl": _json_lines,
    "facts.parquet": _parquet, "facts.xlsx": _workbook, "facts.csv.zst": _compressed,
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
@given(rows=ROWS)
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_a_table_is_loaded_exactly_whatever_format_it_came_in(name, rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    rows = [{"code": f"{number:05d}", **row} for number, row in enumerate(rows, 1)]
    (folder / name).write_bytes(WRITTEN[name](rows))
    options = SenderOptions(decimal=".") if "csv" in name else SenderOptions()
    checked = check_file(folder / name, FACTS, options, folder / "report")
    errors = folder / "report" / "errors.csv"
    assert checked.error is None, checked.error
    assert checked.counts.rejected == 0, errors.read_text(encoding="utf-8-sig")
    clean = pq.read_table(folder / "report" / "clean.parquet")
    assert clean.select(NAMES).to_pylist() == [_stored(row) for row in rows]


def _stored(row: Row) -> Row:
    moment = row["moment"]
    return {**row, "moment": moment and moment.replace(tzinfo=datetime.UTC)}
