"""Which arrival an object is, and what it is called: identity, upload id, the parts of a key.

Pure functions over names; whether an arrival is new or wanted is `decision.py`'s.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC

from import_pipeline.records import ListedObject
from import_pipeline.storage.places import NOBODY, UPLOADS

SHORT_ID_LENGTH = 12
MAXIMUM_PATH_LENGTH = 120
WORKSPACE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
DATASET_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
UNSAFE_CHARACTERS = frozenset("|,[]")
UNFINISHED = (".part", ".tmp")


@dataclass(frozen=True)
class KeyParts:
    """What a key under `uploads/` says.

    Attributes:
        workspace: the second part, if it is a valid name; `named_workspace`: as written, or None.
        dataset: the third part, if a dataset could have that name; `named_dataset`: as written, or None.
        path: what follows the dataset's folder (or the last folder that is there), as written.
        file_name: the last part.
    """

    workspace: str | None
    dataset: str | None
    path: str
    file_name: str
    named_workspace: str | None
    named_dataset: str | None


def identity(listed: ListedObject, member: str = "") -> str:
    """The 64 hex that tell one arrival from every other.

    Each part goes into the sha256 after its length, so that no two lists of parts run together.

    Args:
        member: path inside an archive; empty for the object itself.
    """
    modified = listed.last_modified.astimezone(UTC).isoformat(timespec="microseconds")
    parts = (listed.bucket, listed.key, listed.etag, str(listed.size), modified, member)
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def short_id(identity: str) -> str:
    """The 12 hex that name an upload's places."""
    return identity[:SHORT_ID_LENGTH]


def upload_id(workspace: str | None, dataset_relative_path: str, identity: str) -> str:
    """Dagster's partition key: `<workspace>/<path, made safe, at most 120 characters>@<short id>`."""
    path = _last_characters(make_safe(dataset_relative_path), MAXIMUM_PATH_LENGTH)
    return f"{workspace or NOBODY}/{path}@{short_id(identity)}"


def make_safe(path: str) -> str:
    """A sender's path as it may stand in a partition key, a log line, a tag.

    NFC; control, format and line-separating characters and `| , [ ]` become `_`; runs of dots
    become one dot.
    """
    composed = unicodedata.normalize("NFC", path)
    replaced = "".join("_" if _is_unsafe(c) else c for c in composed)
    return re.sub(r"\.{2,}", ".", replaced)


def parse_key(key: str) -> KeyParts:
    """The parts of `uploads/<workspace>/<dataset>/…`."""
    parts = key.removeprefix(UPLOADS).split("/", 2)
    named_workspace = parts[0] if len(parts) > 1 else None
    named_dataset = parts[1] if len(parts) > 2 else None
    return KeyParts(
        workspace=named_workspace if _fits(WORKSPACE_NAME, named_workspace) else None,
        dataset=named_dataset if _fits(DATASET_NAME, named_dataset) else None,
        path=parts[-1],
        file_name=key.rsplit("/", 1)[-1],
        named_workspace=named_workspace,
        named_dataset=named_dataset,
    )


def is_never_an_import(key: str) -> bool:
    """Whether the name is a folder's marker, a hidden, temporary or half-written file, or `_SUCCESS`."""
    name = key.rsplit("/", 1)[-1]
    marker = name in ("", "_SUCCESS") or name.startswith((".", "~$"))
    return marker or name.casefold().endswith(UNFINISHED)


def _is_unsafe(character: str) -> bool:
    return character in UNSAFE_CHARACTERS or unicodedata.category(character) in UNSAFE_CATEGORIES


def _fits(pattern: re.Pattern[str], name: str | None) -> bool:
    return name is not None and pattern.fullmatch(name) is not None


def _last_characters(text: str, most: int) -> str:
    """The end of a path, where its file name is; never beginning with an accent cut from its letter."""
    if len(text) <= most:
        return text
    start = len(text) - most
    while start < len(text) and (text[start] == "/" or unicodedata.category(text[start])[0] == "M"):
        start += 1
    return text[start:]
