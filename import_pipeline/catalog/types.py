"""The types a dataset's columns are declared with: pandas dtypes backed by Arrow.

Each has one PostgreSQL type (`postgres_type`) and one parser (in `flow/checks/`).
"""

from typing import Any

import pandas as pd
import pyarrow as pa

Text: Any = pd.ArrowDtype(pa.string())
Integer: Any = pd.ArrowDtype(pa.int64())
Date: Any = pd.ArrowDtype(pa.date32())
Timestamp: Any = pd.ArrowDtype(pa.timestamp("us", tz="UTC"))
Boolean: Any = pd.ArrowDtype(pa.bool_())


def Number(precision: int = 14, scale: int = 2) -> Any:  # noqa: N802 - reads as a type
    """An exact decimal number of `precision` digits in all, `scale` of them after the point."""
    return pd.ArrowDtype(pa.decimal128(precision, scale))


def postgres_type(arrow_type: pa.DataType) -> str:
    """The PostgreSQL type that holds `arrow_type` without loss.

    Raises:
        TypeError: a type that no dataset column may have.
    """
    if pa.types.is_string(arrow_type):
        return "text"
    if pa.types.is_int64(arrow_type):
        return "bigint"
    if pa.types.is_decimal(arrow_type):
        return f"numeric({arrow_type.precision},{arrow_type.scale})"
    if pa.types.is_date32(arrow_type):
        return "date"
    if pa.types.is_timestamp(arrow_type):
        return "timestamp with time zone"
    if pa.types.is_boolean(arrow_type):
        return "boolean"
    raise TypeError(f"a dataset column cannot be of type {arrow_type}; use import_pipeline.catalog.types")
