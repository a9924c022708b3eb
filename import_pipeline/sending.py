"""Puts a local file where the pipeline looks for it, with what its sender states about it.

What a name in the metadata means is `flow/arrivals/options.py`'s; showing progress is the caller's.
"""

import difflib
import hashlib
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import BadOption, FileTooLarge, StorageUnavailable
from import_pipeline.flow.arrivals.identity import (
    WORKSPACE_NAME,
    identity,
    is_never_an_import,
    parse_key,
    short_id,
    upload_id,
)
from import_pipeline.flow.arrivals.options import Statement, statement_metadata
from import_pipeline.records import ListedObject
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.places import UPLOADS


@dataclass(frozen=True)
class SentUpload:
    """A file that was put into the bucket, by the names that the ledger will know it under.

    Attributes:
        renamed: whether it got a folder of its own, because another file waits at the plain key.
    """

    path: Path
    dataset: str
    workspace: str
    listed: ListedObject
    upload_id: str
    short_id: str
    sha256: str
    renamed: bool


def check_sendable(
    path: Path, dataset: Dataset, workspace: str, workspaces: Collection[str] | None = None
) -> None:
    """Refuse what the pipeline would never import, before a byte is sent.

    Args:
        workspaces: those that may import; None: every valid name.

    Raises:
        BadOption: the workspace or the file's name cannot be used.
        FileTooLarge: it is larger than the dataset allows.
    """
    if WORKSPACE_NAME.fullmatch(workspace) is None:
        raise BadOption(
            f"{workspace!r} is no name of a workspace.",
            remedy="Use 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit.",
            option="workspace",
        )
    if workspaces is not None and workspace not in workspaces:
        near = difflib.get_close_matches(workspace, list(workspaces), n=1)
        raise BadOption(
            f"The workspace {workspace!r} may not import.",
            remedy=f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(sorted(workspaces))}.",
            option="workspace",
        )
    if is_never_an_import(path.name):
        raise BadOption(
            f"A file named {path.name!r} is never imported: such names mean hidden or unfinished files.",
            remedy="Rename it.",
            option="file",
        )
    size = path.stat().st_size
    if size > dataset.maximum_size:
        raise FileTooLarge(
            f"{path.name} has {size:,} bytes; {dataset.name} takes at most {dataset.maximum_size:,}.",
            remedy="Send it in several files.",
            size=size,
            limit=dataset.maximum_size,
        )


def send_file(
    bucket: Bucket,
    path: Path,
    *,
    dataset: str,
    workspace: str,
    statement: Statement,
    progress: Callable[[int], None] | None = None,
) -> SentUpload:
    """Upload a file with its sha256 and the sender's statement.

    A file of the same name that still waits is never overwritten: the new one then gets a folder
    of its own below the dataset's.

    Args:
        progress: called with the number of bytes sent since the last call.

    Raises:
        StorageUnavailable: the store does not answer.
    """
    sha256 = _sha256(path)
    stated = replace(statement, facts=replace(statement.facts, sha256=sha256))
    folder = f"{UPLOADS}{workspace}/{dataset}/"
    key = folder + path.name
    renamed = bucket.exists(key)
    if renamed:
        key = f"{folder}{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}/{path.name}"
    bucket.upload_file(path, key, statement_metadata(stated), progress)
    found = bucket.head(key)
    if found is None:
        raise StorageUnavailable(f"{key} was uploaded and is not there.", remedy="Upload it again.", key=key)
    listed = found[0]
    whole = identity(listed)
    return SentUpload(
        path=path,
        dataset=dataset,
        workspace=workspace,
        listed=listed,
        upload_id=upload_id(workspace, parse_key(key).path, whole),
        short_id=short_id(whole),
        sha256=sha256,
        renamed=renamed,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
