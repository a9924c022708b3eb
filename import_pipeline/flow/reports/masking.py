"""Error rows and facts of a file without personal values: what ledger, events and Dagster may see.

Messages are made anew from their template with the mask in the value's place, never by searching
for the value in the text. Only what goes back to the sender shows the values.
"""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.checks.messages import ERRORS_SCHEMA, MASK, mask_errors
from import_pipeline.records import OpenedUpload, SplitUpload


def masked(errors: pa.Table, dataset: Dataset) -> pa.Table:
    """The same rows in the same order, values of personal columns masked in `value` and `message`.

    A message about a key names rows, not values, and is kept.
    """
    about_key = pc.is_in(errors["code"], value_set=pa.array(KEY_CODES))
    hidden = mask_errors(errors, dataset)
    personal = {column.name for column in dataset.columns if column.personal}
    if personal.isdisjoint(dataset.key):
        value = pc.if_else(about_key, errors["value"], hidden["value"])
    else:
        value = pc.if_else(about_key, MASK, hidden["value"])
    message = pc.if_else(about_key, errors["message"], hidden["message"])
    return hidden.set_column(3, "value", value).set_column(6, "message", message).cast(ERRORS_SCHEMA)


def masked_opened(opened: OpenedUpload, dataset: Dataset) -> OpenedUpload:
    """What was found out about a file; where the dataset has personal columns, without names of its own.

    Those are headers that no column has (of a file without a header they are cells of its first row), keys
    of JSON objects among them, and a Parquet file's schema, which holds them once more.
    """
    if not dataset.has_personal:
        return opened
    file = opened.file
    unknown = set(file.unknown)
    header = tuple(MASK if at in unknown and cell else cell for at, cell in enumerate(file.header))
    detected = tuple(replace(found, value=MASK) if found.what == "rows" else found for found in file.detected)
    return replace(opened, file=replace(file, header=header, schema="", detected=detected))


def masked_split(split: SplitUpload, dataset: Dataset) -> SplitUpload:
    """What was split, without the text of ignored rows, in which a footer may quote personal columns."""
    if not dataset.has_personal:
        return split
    return replace(split, ignored=tuple(replace(row, text=MASK) for row in split.ignored))


KEY_CODES = ("repeated_in_file", "already_in_table", "newer_in_table")
