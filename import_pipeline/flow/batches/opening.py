"""Look at a file once, as a whole, before a row is read: what it is, and whether it can be imported.

What each format looks for lies in the folders beside this file; what belongs to the upload and not to
the file (identity, token) is the caller's. A zip is no file of rows: `archives/` says what is in it.
"""

from dataclasses import replace

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.errors import FileTooLarge
from import_pipeline.flow.batches.readers import expanded, inspector_of
from import_pipeline.flow.batches.recognising.containers import unsupported
from import_pipeline.flow.batches.recognising.formats import Recognised, recognise
from import_pipeline.flow.batches.sources.compression import COMPRESSION_NAMES
from import_pipeline.flow.batches.sources.source import HashingSource, Source
from import_pipeline.language import told
from import_pipeline.records import Detected, InspectedFile


def inspect_file(
    source: Source,
    dataset: Dataset,
    options: SenderOptions,
    *,
    rows_per_batch: int | None = None,
    recognised: Recognised | None = None,
) -> InspectedFile:
    """Everything that must be known before rows are read.

    Args:
        rows_per_batch: what the run's config asks for; raised if it gave over 64 batches.
        recognised: what the file is, if the caller has asked already.

    Raises:
        PermanentImportError: the file or an option cannot be used; see the classes in `errors.py`.
    """
    refuse_too_large(source, dataset)
    hashing = HashingSource(source)
    found = recognised or recognise(hashing, encoding=options.encoding, limit=dataset.maximum_size)
    if found.format == "zip":
        raise unsupported(
            source.name, told("a zip archive"), told("Unpack it and send the files inside one by one.")
        )
    inside = expanded(hashing, found.compression, dataset)
    inspected = inspector_of(found.format)(inside, dataset, options, rows_per_batch=rows_per_batch)
    what = [Detected("format", inspected.format, told("the content"))]
    if found.compression is not None:
        what.append(Detected("compression", COMPRESSION_NAMES[found.compression], told("the content")))
    return replace(
        inspected,
        sha256=hashing.sha256(),
        compression=found.compression,
        detected=(*what, *inspected.detected),
        notices=(*found.notices, *inspected.notices),
    )


def refuse_too_large(source: Source, dataset: Dataset) -> None:
    """See that a file is not larger than its dataset allows, before a byte is read.

    Raises:
        FileTooLarge: fields `size` and `limit`, bytes.
    """
    if source.size > dataset.maximum_size:
        raise FileTooLarge(
            told("{file} has {size:,} bytes; {dataset} takes at most {limit:,}.",
                 file=source.name, size=source.size, dataset=dataset.name, limit=dataset.maximum_size),
            remedy=told("Split it into smaller files."),
            size=source.size, limit=dataset.maximum_size,
        )  # fmt: skip
