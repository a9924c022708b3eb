"""How many rows a batch has."""

from import_pipeline.errors import BadOption

SMALLEST_BATCH, FEWEST, MANY, MOST_BATCHES = 1000, 8, 32, 64
# A step costs as much as checking so much: smaller batches gain nothing by working side by side.
SMALLEST_BYTES, SMALLEST_ROWS = 2 * 1024 * 1024, 20_000
# A batch is held in memory as a whole by every later step.
BATCH_BYTES, BATCH_BYTES_OF_LARGE = 12 * 1024 * 1024, 32 * 1024 * 1024
BATCH_ROWS, BATCH_ROWS_OF_LARGE = 100_000, 250_000


def choose_rows_per_batch(rows: int, size: int, wanted: int | None = None) -> int:
    """Rows of one batch: 8 to 32 batches a file, up to 64 for one of gigabytes, fewer for a small one.

    One of less than 4 MB and 40,000 rows is one batch.

    Args:
        rows: the most rows that the file can have.
        size: bytes of the file.
        wanted: overrides all but the limit of 64 batches.

    Raises:
        BadOption: `wanted` is below 1.
    """
    if wanted is not None:
        if wanted < 1:
            raise BadOption(
                f"The option rows_per_batch says {wanted}.",
                remedy="State 1 or more, or leave it out.",
                option="rows_per_batch", value=wanted,
            )  # fmt: skip
        return max(wanted, -(-rows // MOST_BATCHES))
    of_small = max(1, size // SMALLEST_BYTES, rows // SMALLEST_ROWS)
    batches = min(max(size // BATCH_BYTES, rows // BATCH_ROWS, min(of_small, FEWEST)), MANY)
    of_large = max(size // BATCH_BYTES_OF_LARGE, rows // BATCH_ROWS_OF_LARGE)
    batches = max(batches, min(of_large, MOST_BATCHES))
    return max(SMALLEST_BATCH, -(-rows // batches))
