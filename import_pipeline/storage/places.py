"""Every key of the bucket, as pure functions; nothing else spells a key out.

Places we make are named by an upload's short id, never by the sender's path: S3 keys end at
1,024 bytes. What a sender's key means is `flow/arrivals/identity.py`'s.
"""

import re
from dataclasses import dataclass

UPLOADS = "uploads/"
STAGING = "staging/"
REPORTS = "reports/"
ARCHIVE = "archive/"
QUARANTINE = "quarantine/"
DAGSTER = "dagster/"
# What shows that the store works, deleted at once unless the process is killed. No dataset has such a name.
PROBES, DOCTOR = f"{STAGING}_probes/", f"{STAGING}_doctor/"
NOBODY = "_"  # stands for a workspace or dataset that an ignored upload does not have
MAXIMUM_NAME_BYTES = 255
_OWNED = re.compile(rf"({REPORTS}|{ARCHIVE}|{QUARANTINE})([^/]+)/([^/]+)/([0-9a-f]{{12}})/[^/].*", re.DOTALL)
_STAGED = re.compile(rf"{STAGING}([^/]+)/([0-9a-f]{{12}})/([^/]+)/.+", re.DOTALL)
_HANDED_ON = re.compile(rf"{DAGSTER}storage/([^/]+)/.+", re.DOTALL)


@dataclass(frozen=True)
class OwnedPlace:
    """What a key says of the upload that an object of ours belongs to.

    Attributes:
        prefix: below which all objects of the upload in this place lie.
        workspace: None if the upload is ignored and has none; `dataset` likewise.
    """

    prefix: str
    workspace: str | None
    dataset: str | None
    short_id: str


@dataclass(frozen=True)
class StagedPlace:
    """What a key says of the attempt that a staging object belongs to; `attempt`: as in the key."""

    prefix: str
    dataset: str
    short_id: str
    attempt: str


def staging_prefix(dataset: str, short_id: str, attempt: str) -> str:
    """Where an attempt's batches, clean rows and rejects lie; `attempt` is its root run id."""
    return f"{upload_staging_prefix(dataset, short_id)}{attempt[:8]}/"


def upload_staging_prefix(dataset: str, short_id: str) -> str:
    """Staging of all attempts of an upload."""
    return f"{STAGING}{dataset}/{short_id}/"


def reports_prefix(workspace: str | None, dataset: str | None, short_id: str) -> str:
    """Where an upload's summary.json, summary.html, errors.csv and rejected.<format> lie."""
    return f"{REPORTS}{workspace or NOBODY}/{dataset or NOBODY}/{short_id}/"


def archive_key(workspace: str, dataset: str, short_id: str, file_name: str) -> str:
    """Where the original goes after `completed`, `duplicate_file`, `checked`."""
    return f"{ARCHIVE}{workspace}/{dataset}/{short_id}/{short_name(file_name)}"


def quarantine_key(workspace: str | None, dataset: str | None, short_id: str, file_name: str) -> str:
    """Where the original goes after `refused`, later after `failed`, `cancelled`, `ignored`."""
    return f"{QUARANTINE}{workspace or NOBODY}/{dataset or NOBODY}/{short_id}/{short_name(file_name)}"


def short_name(file_name: str) -> str:
    """The last part of a sender's key as the last part of ours: one part, at most 255 bytes, its end kept."""
    name = file_name.replace("/", "_").replace("\\", "_")
    if name.strip(".") == "":
        name = "_" * max(len(name), 1)
    return name.encode()[-MAXIMUM_NAME_BYTES:].decode(errors="ignore")


def owned_place(key: str) -> OwnedPlace | None:
    """Whose a key below `reports/`, `archive/` or `quarantine/` is; None if we did not make it."""
    found = _OWNED.fullmatch(key)
    if found is None:
        return None
    place, workspace, dataset, short_id = found.groups()
    return OwnedPlace(
        prefix=f"{place}{workspace}/{dataset}/{short_id}/",
        workspace=None if workspace == NOBODY else workspace,
        dataset=None if dataset == NOBODY else dataset,
        short_id=short_id,
    )


def staged_place(key: str) -> StagedPlace | None:
    """Whose a key below `staging/` is; None if we did not make it."""
    found = _STAGED.fullmatch(key)
    if found is None:
        return None
    dataset, short_id, attempt = found.groups()
    return StagedPlace(f"{STAGING}{dataset}/{short_id}/{attempt}/", dataset, short_id, attempt)


def run_of_record(key: str) -> str | None:
    """The run that wrote a record below `dagster/`; None if it is no record of a run."""
    found = _HANDED_ON.fullmatch(key)
    return found.group(1) if found else None


def run_records_prefix(run_id: str) -> str:
    """Where the ops of a run leave what they hand each other."""
    return f"{DAGSTER}storage/{run_id}/"
