"""Error rows without personal values: what ledger, events and Dagster may see.

Messages are made anew from their template with the mask in the value's place, never by searching
for the value in the text. Only what goes back to the sender shows the values.
"""

import pyarrow as pa
import pyarrow.compute as pc

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.checks.messages import ERRORS_SCHEMA, MASK, mask_errors


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


KEY_CODES = ("repeated_in_file", "already_in_table", "newer_in_table")
