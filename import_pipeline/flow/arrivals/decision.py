"""What is new in the bucket and what to launch: pure decisions, no I/O and no clock.

Listing the bucket is `storage/bucket.py`'s, remembering is `ledger/`'s; the sensor puts the
three together. What became of launched runs is `reconciliation.py`'s.
"""

import difflib
from collections import defaultdict, deque
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from import_pipeline.flow.arrivals.identity import (
    KeyParts,
    identity,
    is_never_an_import,
    make_safe,
    parse_key,
    short_id,
    upload_id,
)
from import_pipeline.plain_text import one_line
from import_pipeline.records import ListedObject
from import_pipeline.storage.places import UPLOADS

SHOWN_NAME = 60


@dataclass(frozen=True)
class Arrival:
    """One object under `uploads/` that the ledger does not know yet.

    Attributes:
        workspace: the key's second part if it is a valid name, else None (then it is ignored).
        dataset: the key's third part if it could be a dataset's name, else None (then it is ignored).
        identity: 64 hex; `short_id`: its first 12.
        upload_id: Dagster's partition key.
        file_name: last part of the key, as sent, but on one line.
        ignored_reason: a sentence, if the upload is to be recorded as `ignored`; else None.
        parent: of a file in an archive, the archive's upload id; `listed` then has the file's own size.
        member: its path in the archive; else empty.
    """

    listed: ListedObject
    workspace: str | None
    dataset: str | None
    identity: str
    short_id: str
    upload_id: str
    file_name: str
    ignored_reason: str | None = None
    parent: str | None = None
    member: str = ""


@dataclass(frozen=True)
class KnownUpload:
    """An upload of the ledger that waits in state `detected`, or for its report.

    Attributes:
        size: bytes.
        last_modified: of the original, UTC.
        launch_number: part of the run key, from the ledger.
        attempts: that began; 0: no run of it ever claimed it.
    """

    upload_id: str
    workspace: str
    dataset: str
    size: int
    last_modified: datetime
    launch_number: int
    attempts: int = 0


def identify(listed: Iterable[ListedObject]) -> dict[str, ListedObject]:
    """Objects that may be imports, by identity; names that never are one are left out."""
    return {identity(o): o for o in listed if not is_never_an_import(o.key)}


def classify(
    listed: Iterable[ListedObject],
    *,
    datasets: Collection[str],
    workspaces: Collection[str] | None,
    known: Container[str],
) -> list[Arrival]:
    """The new arrivals among listed objects, oldest first.

    Args:
        datasets: names of all datasets.
        workspaces: those that may import; None: every valid name.
        known: identities that the ledger has.
    """
    new = [(found, o) for found, o in identify(listed).items() if found not in known]
    arrivals = [_arrival(o, found, datasets, workspaces) for found, o in new]
    return sorted(arrivals, key=lambda a: (a.listed.last_modified, a.upload_id))


def why_ignored(parts: KeyParts, datasets: Collection[str], workspaces: Collection[str] | None) -> str | None:
    """The sentence that says why an object is no import, and what to do; None if it is one."""
    if parts.named_workspace is None:
        return (
            f"The file lies directly in {UPLOADS}; drop it into {UPLOADS}<workspace>/<dataset>/, where "
            f"<dataset> is one of: {_list(datasets)}."
        )
    if parts.workspace is None:
        return (
            f"{_shown(parts.named_workspace)} cannot be a workspace: use a-z, 0-9, _ and -, at most 63 "
            "characters, and begin with a letter or digit."
        )
    if workspaces is not None and parts.workspace not in workspaces:
        return (
            f"There is no workspace {_shown(parts.workspace)}.{_did_you_mean(parts.workspace, workspaces)} "
            "An operator names the workspaces in IMPORT_PIPELINE_WORKSPACES."
        )
    if parts.named_dataset is None:
        return (
            f"The file lies directly in {UPLOADS}{parts.workspace}/; drop it into a dataset's folder there: "
            f"{_list(datasets)}."
        )
    if parts.dataset is None or parts.dataset not in datasets:
        name = parts.named_dataset
        return (
            f"There is no dataset {_shown(name)}.{_did_you_mean(name, datasets)} Datasets: {_list(datasets)}."
        )
    return None


def choose_launches(
    waiting: Sequence[KnownUpload],
    queued_by_workspace: Mapping[str, int],
    *,
    at_most: int,
    per_workspace: int,
) -> list[KnownUpload]:
    """What to launch now: oldest first within a workspace, workspaces in turn.

    Args:
        waiting: all uploads in state `detected`.
        queued_by_workspace: runs that are queued already.
        at_most: launches of one tick.
        per_workspace: most queued runs of one workspace; the rest wait in the ledger.
    """
    lines: dict[str, deque[KnownUpload]] = defaultdict(deque)
    for upload in sorted(waiting, key=lambda u: (u.last_modified, u.upload_id)):
        room = per_workspace - queued_by_workspace.get(upload.workspace, 0)
        if len(lines[upload.workspace]) < room:
            lines[upload.workspace].append(upload)
    turn = deque(line for line in lines.values() if line)
    chosen: list[KnownUpload] = []
    while turn and len(chosen) < at_most:
        line = turn.popleft()
        chosen.append(line.popleft())
        if line:
            turn.append(line)
    return chosen


def priorities(launches: Sequence[KnownUpload], queued: Mapping[str, Collection[int]]) -> list[int]:
    """The priority of each launch in Dagster's queue: workspaces in turn there too, each one's oldest first.

    The queue takes the highest, of equals the first. A workspace's launch comes after those it has queued;
    the first of a workspace that has none queued comes as the head of the queue does, so that it waits for
    one run of each other workspace at most, not for the fifty that one of them may have there.

    Args:
        launches: in the order in which they are requested.
        queued: priorities of the runs that are queued, by workspace.
    """
    head = max((one for some in queued.values() for one in some), default=0)
    following = {workspace: min(some) - 1 for workspace, some in queued.items() if some}
    given = []
    for upload in launches:
        given.append(following.get(upload.workspace, head))
        following[upload.workspace] = given[-1] - 1
    return given


def run_key(upload_id: str, launch_number: int) -> str:
    """The run key of a launch: Dagster remembers one for ever, so each launch has its own."""
    return f"{upload_id}#{launch_number}"


def launch_of(upload_id: str, key: str | None) -> int | None:
    """The launch that a run key stands for; None for a run that no sensor asked for."""
    number = (key or "").rsplit("#", 1)[-1]
    if not number.isdigit() or key != run_key(upload_id, int(number)):
        return None
    return int(number)


def _arrival(
    listed: ListedObject, found: str, datasets: Collection[str], workspaces: Collection[str] | None
) -> Arrival:
    parts = parse_key(listed.key)
    path, dataset = parts.path, parts.dataset
    reason = why_ignored(parts, datasets, workspaces)
    if "\0" in listed.key:
        # Without a dataset it is never released: the ledger's key is not the object's.
        reason, dataset = "Its name has a NUL, which no database can hold; drop it under another name.", None
    if parts.workspace is None:
        path = listed.key.removeprefix(UPLOADS)
    elif parts.dataset is None and parts.named_dataset is not None:
        path = f"{parts.named_dataset}/{path}"
    return Arrival(
        listed=listed,
        workspace=parts.workspace,
        dataset=dataset,
        identity=found,
        short_id=short_id(found),
        upload_id=upload_id(parts.workspace, path, found),
        file_name=one_line(parts.file_name, "_"),
        ignored_reason=reason,
    )


def _shown(name: str) -> str:
    safe = make_safe(name)
    return f"`{safe if len(safe) <= SHOWN_NAME else safe[:SHOWN_NAME] + '…'}`"


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _did_you_mean(name: str, names: Collection[str]) -> str:
    near = difflib.get_close_matches(name.lower()[:100], sorted(names), n=1)
    return f" Did you mean `{near[0]}`?" if near else ""
