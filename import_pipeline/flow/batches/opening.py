"""Look at a file once, as a whole, before a row is read: what it is, and whether it can be imported.

What each format looks for lies in the folders beside this file; what belongs to the upload and not to
the file (identity, token) is the caller's.
"""

from dataclasses import replace

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.errors import FileTooLarge
from import_pipeline.flow.batches.readers import inspector_of
from import_pipeline.flow.batches.source import HashingSource, Source
from import_pipeline.records import Detected, InspectedFile


def inspect_file(
    source: Source, dataset: Dataset, options: SenderOptions, *, rows_per_batch: int | None = None
) -> InspectedFile:
    """Everything that must be known before rows are read.

    Args:
        rows_per_batch: what the run's config asks for; raised if it gave over 64 batches.

    Raises:
        PermanentImportError: the file or an option cannot be used; see the classes in `errors.py`.
    """
    if source.size > dataset.maximum_size:
        raise FileTooLarge(
            f"{source.name} has {source.size:,} bytes; {dataset.name} takes at most "
            f"{dataset.maximum_size:,}.",
            remedy="Split it into smaller files.",
            size=source.size, limit=dataset.maximum_size,
        )  # fmt: skip
    hashing = HashingSource(source)
    inspected = inspector_of("csv")(hashing, dataset, options, rows_per_batch=rows_per_batch)
    what = Detected("format", inspected.format, "the content")
    return replace(inspected, sha256=hashing.sha256(), detected=(what, *inspected.detected))
