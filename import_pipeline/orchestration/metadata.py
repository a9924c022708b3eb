"""Metadata of materializations and checks: numbers the UI plots, links, the first rejects."""

from collections.abc import Iterator

from dagster import AssetCheckResult, AssetCheckSeverity, MetadataValue

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.flow.reports.markdown import markdown_table
from import_pipeline.flow.reports.writing import WrittenReport
from import_pipeline.orchestration.tags import COUNTS_CHECK, REJECTS_CHECK, imported_key
from import_pipeline.records import Counts, OpenedUpload, PublishedUpload, SplitUpload
from import_pipeline.storage.bucket import Bucket

Metadata = dict[str, MetadataValue]
SESSION_TOKEN = "x-amz-security-token"  # noqa: S105 - a parameter's name
# As long as an S3 signature can live.
LINK_SECONDS = 7 * 24 * 3600


def imported_metadata(
    bucket: Bucket,
    opened: OpenedUpload,
    split: SplitUpload,
    published: PublishedUpload,
    written: WrittenReport,
) -> Metadata:
    """What the UI shows and plots for the rows in the table.

    Seconds are those of work, added up over batches that may have run side by side.
    """
    counts = published.counts
    seconds: dict[str, float] = written.summary["seconds"]
    total = sum(seconds.values())
    return {
        "dagster/partition_row_count": MetadataValue.int(counts.inserted + counts.updated),
        **_counts(counts),
        "state": MetadataValue.text(published.state),
        "share of rejects": MetadataValue.float(_share(counts)),
        "rows per second": MetadataValue.float(round(counts.read / total, 1) if total else 0.0),
        **{f"seconds {stage}": MetadataValue.float(float(value)) for stage, value in seconds.items()},
        "batches": MetadataValue.int(len(split.batches)),
        "bytes": MetadataValue.int(opened.source.size),
        **_detected(opened),
        **_links(bucket, written),
        "first rejects": _first_rejects(written),
    }


def _detected(opened: OpenedUpload) -> Metadata:
    """What was found out about the file; what each sheet has of its own stands in one entry."""
    found: dict[str, list[str]] = {}
    for thing in opened.file.detected:
        found.setdefault(thing.what, []).append(f"{thing.value!r} ({thing.why})")
    return {what: MetadataValue.text("; ".join(values)) for what, values in found.items()}


def rejected_metadata(bucket: Bucket, published: PublishedUpload, written: WrittenReport) -> Metadata:
    """What the UI shows and plots for the rows handed back."""
    return {
        "dagster/partition_row_count": MetadataValue.int(published.counts.rejected),
        "rejected": MetadataValue.int(published.counts.rejected),
        "share of rejects": MetadataValue.float(_share(published.counts)),
        **{f"code {code}": MetadataValue.int(number) for code, number in sorted(written.codes.items())},
        **_links(bucket, written),
        "first rejects": _first_rejects(written),
    }


def unpublished_metadata(bucket: Bucket, published: PublishedUpload, written: WrittenReport) -> Metadata:
    """What the UI shows of a dry run, or of a file that was imported before."""
    metadata: Metadata = {"state": MetadataValue.text(published.state)}
    if published.duplicate_of is not None:
        metadata["duplicate of"] = MetadataValue.text(published.duplicate_of)
    else:
        metadata |= {f"{name} (dry run)": value for name, value in _counts(published.counts).items()}
    return metadata | _links(bucket, written)


def check_results(dataset: Dataset, published: PublishedUpload, in_table: int) -> Iterator[AssetCheckResult]:
    """Verdicts on one upload; Dagster files them under the run's partition.

    Args:
        in_table: rows of the table that have this upload's id, counted apart.
    """
    counts = published.counts
    written = counts.inserted + counts.updated
    yield AssetCheckResult(
        asset_key=imported_key(dataset),
        check_name=COUNTS_CHECK,
        passed=counts.balanced and in_table == written,
        severity=AssetCheckSeverity.ERROR,
        metadata={
            **_counts(counts),
            "rows in the table": MetadataValue.int(in_table),
            "rows written": MetadataValue.int(written),
        },
    )
    yield AssetCheckResult(
        asset_key=imported_key(dataset),
        check_name=REJECTS_CHECK,
        passed=counts.rejected == 0,
        severity=AssetCheckSeverity.WARN,
        metadata={
            "rejected": MetadataValue.int(counts.rejected),
            "share of rejects": MetadataValue.float(_share(counts)),
        },
    )


def _counts(counts: Counts) -> Metadata:
    return {
        "read": MetadataValue.int(counts.read),
        "inserted": MetadataValue.int(counts.inserted),
        "updated": MetadataValue.int(counts.updated),
        "unchanged": MetadataValue.int(counts.unchanged),
        "duplicate": MetadataValue.int(counts.duplicate),
        "rejected": MetadataValue.int(counts.rejected),
    }


def _share(counts: Counts) -> float:
    return round(counts.rejected / counts.read, 4) if counts.read else 0.0


def _first_rejects(written: WrittenReport) -> MetadataValue:
    """A Markdown table; personal values are masked already."""
    sheet = ("sheet",) if any("sheet" in error for error in written.first_errors) else ()
    table = markdown_table(written.first_errors, ("row", *sheet, "column", "value", "code", "message"))
    return MetadataValue.md(table or "No row was rejected.")


def _links(bucket: Bucket, written: WrittenReport) -> Metadata:
    keys = {
        "page": written.page_key,
        "summary": written.summary_key,
        "errors.csv": written.errors_key,
        "rejected": written.rejected_key,
    }
    links: Metadata = {f"{name} link": _link(bucket, key) for name, key in keys.items() if key}
    return {"report": MetadataValue.path(f"s3://{bucket.name}/{written.prefix}"), **links}


def _link(bucket: Bucket, key: str) -> MetadataValue:
    """A link; with temporary credentials a path: the link would show their token, and end with it."""
    link = bucket.url(key, LINK_SECONDS)
    if SESSION_TOKEN in link.lower():
        return MetadataValue.path(f"s3://{bucket.name}/{key}")
    return MetadataValue.url(link)
