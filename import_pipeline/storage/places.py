"""Every key of the bucket, as pure functions; nothing else spells a key out.

Places we make are named by an upload's short id, never by the sender's path: S3 keys end at
1,024 bytes. What a sender's key means is `flow/arrivals/identity.py`'s.
"""

UPLOADS = "uploads/"
STAGING = "staging/"
REPORTS = "reports/"
ARCHIVE = "archive/"
QUARANTINE = "quarantine/"
DAGSTER = "dagster/"
NOBODY = "_"  # stands for a workspace or dataset that an ignored upload does not have
MAXIMUM_NAME_BYTES = 255


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
