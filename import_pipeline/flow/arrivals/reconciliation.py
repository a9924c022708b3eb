"""What became of launched runs: the ledger's `queued` and `running` against Dagster's runs, purely.

The sensor asks this first, every tick: a run that died cannot say so itself. Doing what is
decided is `ledger/`'s.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

SECONDS_WITHOUT_RUN = 120.0
RunStatus = Literal["active", "abandoned", "succeeded", "failed", "cancelled"]
Do = Literal["fail", "cancel", "launch_again", "ask_again", "time_out"]


class InFlight(Protocol):
    """What is asked of the ledger's row of an upload in state `queued` or `running`."""

    @property
    def upload_id(self) -> str:
        """Dagster's partition key."""

    @property
    def state(self) -> Literal["queued", "running"]:
        """Where the ledger sees it."""

    @property
    def run_id(self) -> str | None:
        """The run that claimed it; None while queued."""

    @property
    def launch_number(self) -> int:
        """The launch that is waited for."""

    @property
    def queued_seconds(self) -> float | None:
        """Seconds since it was queued, by the database's clock."""

    @property
    def running_seconds(self) -> float | None:
        """Seconds that its attempt has been running; None while queued."""


@dataclass(frozen=True)
class RunFact:
    """One run of an upload, as Dagster knows it.

    Attributes:
        status: `active`: anything not finished, queued or cancelling included; `abandoned`: created two
            minutes ago and still not submitted, by a daemon that died.
        launch_number: from its run key; None for a run that a person launched.
        created: seconds since 1970.
        timed_out: whether it was stopped because it took too long.
    """

    run_id: str
    status: RunStatus
    created: float
    launch_number: int | None = None
    timed_out: bool = False


@dataclass(frozen=True)
class ReconciledUpload:
    """What to do with an upload whose run is over, never came or takes too long.

    Attributes:
        reason: a sentence for the ledger.
        stop: ids of runs that are to be stopped.
    """

    upload_id: str
    do: Do
    reason: str
    run_id: str | None = None
    stop: tuple[str, ...] = ()


def reconcile(
    in_flight: Sequence[InFlight],
    runs: Mapping[str, Sequence[RunFact]],
    most_seconds: float = math.inf,
) -> list[ReconciledUpload]:
    """What to do; nothing for an upload that any active run works on or waits for in good time.

    A run that somebody launched by hand does not end an upload that it never claimed.

    Args:
        runs: every run of each upload in flight, by upload id; one without runs may be left out.
        most_seconds: that an attempt may be running.
    """
    found = (_reconciled(upload, runs.get(upload.upload_id, ()), most_seconds) for upload in in_flight)
    return [action for action in found if action is not None]


def _reconciled(upload: InFlight, runs: Sequence[RunFact], most_seconds: float) -> ReconciledUpload | None:
    own = [run for run in runs if run.run_id == upload.run_id]
    late = upload.state == "running" and (upload.running_seconds or 0.0) > most_seconds
    if late and any(run.status == "active" or run.timed_out for run in own):
        return _timed_out(upload, own, most_seconds)
    if any(run.status == "active" for run in runs):
        return None
    if upload.state == "running":
        return _ended(upload, own[0] if own else None)
    launched = [run for run in runs if run.launch_number == upload.launch_number]
    if launched:
        return _ended(upload, max(launched, key=lambda run: (run.created, run.run_id)))
    if (upload.queued_seconds or 0.0) >= SECONDS_WITHOUT_RUN:
        reason = "No run came within two minutes; it is launched again."
        return ReconciledUpload(upload.upload_id, "launch_again", reason)
    return None


def _timed_out(upload: InFlight, own: Sequence[RunFact], most_seconds: float) -> ReconciledUpload:
    """Its own run goes on beyond the limit, or was stopped for it before the ledger could be told."""
    return ReconciledUpload(
        upload.upload_id,
        "time_out",
        f"It ran for more than {most_seconds / 3600:g} hours and was stopped.",
        upload.run_id,
        stop=tuple(run.run_id for run in own if run.status == "active" and not run.timed_out),
    )


def _ended(upload: InFlight, run: RunFact | None) -> ReconciledUpload:
    if run is None:
        reason = f"Its run {upload.run_id} is gone from Dagster."
        return ReconciledUpload(upload.upload_id, "fail", reason, upload.run_id)
    if run.status == "abandoned":
        reason = "Its run was created and never submitted; it is asked for again."
        return ReconciledUpload(upload.upload_id, "ask_again", reason, run.run_id)
    if run.status == "cancelled":
        waiting = " before it started" if upload.state == "queued" else ""
        return ReconciledUpload(upload.upload_id, "cancel", f"Its run was cancelled{waiting}.", run.run_id)
    reason = (
        "Its run failed; Dagster shows why."
        if run.status == "failed"
        else "Its run ended without finishing the import."
    )
    return ReconciledUpload(upload.upload_id, "fail", reason, run.run_id)
