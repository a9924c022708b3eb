"""What is new in the bucket and what to launch: pure decisions, no I/O and no clock.

Listing the bucket is `storage/bucket.py`'s, remembering is `ledger/`'s; the sensor puts the
three together.
"""

from dataclasses import dataclass
from datetime import datetime

from import_pipeline.records import ListedObject


@dataclass(frozen=True)
class Arrival:
    """One object under `uploads/` that the ledger does not know yet.

    Attributes:
        workspace: the key's second part if it is a valid name, else None (then it is ignored).
        dataset: the key's third part if it could be a dataset's name, else None (then it is ignored).
        identity: 64 hex; `short_id`: its first 12.
        upload_id: Dagster's partition key.
        file_name: last part of the key, as sent.
        ignored_reason: a sentence, if the upload is to be recorded as `ignored`; else None.
    """

    listed: ListedObject
    workspace: str | None
    dataset: str | None
    identity: str
    short_id: str
    upload_id: str
    file_name: str
    ignored_reason: str | None = None


@dataclass(frozen=True)
class KnownUpload:
    """An upload of the ledger that waits in state `detected`.

    Attributes:
        size: bytes.
        last_modified: of the original, UTC.
        launch_number: part of the run key, from the ledger.
    """

    upload_id: str
    workspace: str
    dataset: str
    size: int
    last_modified: datetime
    launch_number: int
