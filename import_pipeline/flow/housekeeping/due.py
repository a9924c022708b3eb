"""What housekeeping may take away at a moment: pure decisions over plain records, no I/O and no clock.

Every one of them answers no while a run is at work on the upload, or could still need the thing. Taking it
away is `sweeping.py`'s, `placing.py`'s and the Dagster layer's.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from import_pipeline.flow.arrivals.members import ArchivePlace, place_of_archive
from import_pipeline.flow.housekeeping.days import KeptDays, is_past
from import_pipeline.ledger.states import PUBLISHED_STATES
from import_pipeline.records import UploadState

LIVE_STATES: tuple[UploadState, ...] = ("detected", "queued", "running")
STOPPED_STATES: tuple[UploadState, ...] = ("failed", "cancelled")
SET_ASIDE_STATES: tuple[UploadState, ...] = (*STOPPED_STATES, "ignored")
# Their report puts the original in its place; without one nobody did.
REPORTED_STATES: tuple[UploadState, ...] = ("refused", "duplicate_file", "undone")
# Their original goes with their report where the dataset keeps none.
UNKEPT_STATES: tuple[UploadState, ...] = (*PUBLISHED_STATES, "checked", "duplicate_file", "undone")
OUTCOMES = "outcomes"
STAGING_TABLE = re.compile(rf"u_([0-9a-f]{{12}})_([a-z0-9_]{{1,8}}|{OUTCOMES})")
FIRST_WAIT = timedelta(hours=1)
Place = Literal["archive", "quarantine", "reports"]


@dataclass(frozen=True)
class HousedUpload:
    """What housekeeping asks of the ledger's row of an upload.

    Attributes:
        attempt: the last one begun; None before the first.
        changed_at: when its state changed last.
        published_at: None if it is not; `reported` says whether its report is written.
    """

    upload_id: str
    short_id: str
    parent: str | None
    workspace: str | None
    dataset: str | None
    state: UploadState
    attempt: str | None
    changed_at: datetime
    published_at: datetime | None
    reported: bool

    @property
    def live(self) -> bool:
        """Whether a run is at work on it or is still to come by itself."""
        return self.state in LIVE_STATES or (self.state in PUBLISHED_STATES and not self.reported)


@dataclass(frozen=True)
class KeptRun:
    """A run of Dagster.

    Attributes:
        chain: id of the first run of its chain of re-executions.
        ended_at: None while it is not finished.
    """

    run_id: str
    chain: str
    ended_at: datetime | None


def staging_is_due(
    owners: Collection[HousedUpload], attempt: str, newest: datetime | None, now: datetime, days: KeptDays
) -> bool:
    """Whether staging of an attempt may go.

    What is not the upload's last attempt is dead. The last one is kept while it runs, until its report is
    written, and for some days after it failed: a re-execution goes on where it stopped.

    Args:
        owners: uploads with the short id that names it; empty if the ledger knows none.
        attempt: as its key or table says, or `OUTCOMES`, which belong to all attempts.
        newest: when its youngest object was written; None for a table.
    """
    if not owners:
        return newest is None or is_past(newest, days.staging, now)
    return all(_staging_is_over(owner, attempt, now, days) for owner in owners)


def attempt_part(attempt: str) -> str:
    """An attempt as keys and tables of staging name it: its first 8 characters, made safe."""
    return re.sub(r"[^a-z0-9]", "_", attempt.lower())[:8]


def object_is_due(
    place: Place, newest: datetime, family: Sequence[HousedUpload], now: datetime, days: KeptDays
) -> bool:
    """Whether an upload's objects in a place of ours may go.

    Args:
        newest: when the youngest of them was written.
        family: the upload and, of an archive, its files; empty if the ledger does not know it.
    """
    if not is_past(newest, getattr(days, place), now) or any(one.live for one in family):
        return False
    return place != "archive" or not _may_be_undone(family, now, days)


def partition_is_due(family: Sequence[HousedUpload], now: datetime, days: KeptDays) -> bool:
    """Whether an upload may stop being a partition: finished for long, and so is what is in it."""
    if not family or any(one.live or not is_past(one.changed_at, days.partitions, now) for one in family):
        return False
    return not _may_be_undone(family, now, days)


def original_is_due(upload: HousedUpload, now: datetime, days: KeptDays) -> bool:
    """Whether the original of an upload that did not make it may leave `uploads/`."""
    in_archive = upload.parent is not None
    left = upload.state in SET_ASIDE_STATES or (upload.state in REPORTED_STATES and not upload.reported)
    return not in_archive and left and is_past(upload.changed_at, days.set_aside, now)


def place_after(
    members: Sequence[HousedUpload], now: datetime, days: KeptDays, *, keep: bool
) -> ArchivePlace:
    """Where an archive belongs; files that failed, were cancelled or ignored long ago count as refused.

    Args:
        keep: the dataset's `keep_original`.
    """
    if any(member.live for member in members):
        return "stays"
    over: dict[str, UploadState] = {
        member.upload_id: "refused"
        for member in members
        if member.state in SET_ASIDE_STATES and is_past(member.changed_at, days.set_aside, now)
    }
    return place_of_archive([over.get(m.upload_id, m.state) for m in members], keep=keep)


def runs_due(runs: Collection[KeptRun], days: int, now: datetime) -> set[str]:
    """Runs that ended long enough ago, as did every other run of their chain.

    A re-execution reads what the first run of its chain left.

    Args:
        runs: all runs of the chains in question.
    """
    by_chain: dict[str, list[KeptRun]] = {}
    for run in runs:
        by_chain.setdefault(run.chain, []).append(run)
    over = [
        chain
        for chain in by_chain.values()
        if all(run.ended_at is not None and is_past(run.ended_at, days, now) for run in chain)
    ]
    return {run.run_id for chain in over for run in chain}


def records_due(
    newest: Mapping[str, datetime], runs: Collection[KeptRun], days: int, now: datetime
) -> set[str]:
    """Runs whose records under `dagster/` may go; those of a run that Dagster forgot go by their own age.

    Args:
        newest: when the youngest record of each run was written.
        runs: all runs of the chains of those that Dagster knows.
    """
    known = {run.run_id for run in runs}
    forgotten = {run for run, at in newest.items() if run not in known and is_past(at, days, now)}
    return (runs_due(runs, days, now) & newest.keys()) | forgotten


def report_is_due(published_at: datetime, last_ended: datetime | None, now: datetime) -> bool:
    """Whether a missing report is to be asked for again: after an hour, then at twice the time each.

    Args:
        last_ended: when the last run of the upload ended; None if Dagster knows none.
    """
    since = max(published_at, last_ended) if last_ended else published_at
    return now - since >= max(FIRST_WAIT, since - published_at)


def _staging_is_over(owner: HousedUpload, attempt: str, now: datetime, days: KeptDays) -> bool:
    last = OUTCOMES if attempt == OUTCOMES else attempt_part(owner.attempt or "")
    if attempt_part(attempt) != attempt_part(last):
        return True
    if owner.live:
        return False
    stopped = owner.state in STOPPED_STATES or not owner.reported
    return not stopped or is_past(owner.changed_at, days.staging, now)


def _may_be_undone(family: Sequence[HousedUpload], now: datetime, days: KeptDays) -> bool:
    published = [one.published_at for one in family if one.published_at is not None]
    return bool(published) and not is_past(max(published), days.history, now)
