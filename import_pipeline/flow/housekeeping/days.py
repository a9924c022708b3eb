"""How long each thing is kept, as the settings say and as the promises bound it; nothing is deleted here."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from import_pipeline.settings import Settings
from import_pipeline.storage.places import ARCHIVE, DAGSTER, QUARANTINE, REPORTS, STAGING

FOR_EVER = 0
# An undo that begins in the last minute of its days still finds what it needs.
GRACE_DAYS = 1
SAFETY_NET_DAYS = 7
# What a run left is needed from the end of its last re-execution on, which may come days after the object.
RELAUNCHED_DAYS = 30


@dataclass(frozen=True)
class KeptDays:
    """Days after which each thing may go; `FOR_EVER` (0): never.

    Attributes:
        history: images of overwritten rows, after the publish.
        staging: what a failed or cancelled attempt left, after its end.
        set_aside: originals of such uploads and of ignored ones, in `uploads/`.
        records: what ops handed each other, after the run's end.
    """

    history: int
    staging: int
    set_aside: int
    archive: int
    quarantine: int
    reports: int
    records: int
    partitions: int
    runs: int
    events: int


def kept_days(settings: Settings) -> KeptDays:
    """The days of the settings; what an undo needs is kept as long as one is possible.

    Runs are kept at least as long as partitions: Dagster forgets with a run that it filled a partition.
    """
    undo = settings.undo_days + GRACE_DAYS
    partitions = _at_least(undo, settings.partition_days)
    runs = FOR_EVER if partitions == FOR_EVER else _at_least(partitions, settings.run_days)
    return KeptDays(
        history=undo,
        staging=settings.staging_days,
        set_aside=settings.set_aside_days,
        archive=_at_least(undo, settings.archive_days),
        quarantine=settings.quarantine_days,
        reports=settings.report_days,
        records=settings.record_days,
        partitions=partitions,
        runs=runs,
        events=settings.event_days,
    )


def safety_net_days(days: KeptDays) -> dict[str, int]:
    """After how many days the bucket itself takes objects away, by place; what is kept for ever is left out.

    The bucket counts from when an object was written, the jobs may begin later: an original in `archive/`
    is kept while its upload can be undone, and that may have been launched again on the last of its days;
    staging and records are kept from the end of the last re-execution. So these days are the longest that
    a job keeps anything, and a week. What is re-executed for more than a month is the one exception.
    """
    longest = {
        STAGING: (days.staging, RELAUNCHED_DAYS),
        DAGSTER: (days.records, RELAUNCHED_DAYS),
        ARCHIVE: (days.archive, days.history),
        QUARANTINE: (days.quarantine, 0),
        REPORTS: (days.reports, 0),
    }
    return {
        place: kept + later + SAFETY_NET_DAYS for place, (kept, later) in longest.items() if kept != FOR_EVER
    }


def is_past(since: datetime, days: int, now: datetime) -> bool:
    """Whether something of `since` has been kept for its days; never, if it is kept for ever."""
    return days != FOR_EVER and since <= now - timedelta(days=days)


def _at_least(least: int, days: int) -> int:
    return FOR_EVER if days == FOR_EVER else max(least, days)
