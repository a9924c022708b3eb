"""Bringing a published upload in again: its original is copied inside the bucket, the ledger gets an upload.

The sensor launches it like any other. What it is called is `flow/arrivals/reimports.py`'s, what people type
`cli/undoing.py`'s.
"""

from dataclasses import dataclass

import psycopg

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.errors import NotReimportable
from import_pipeline.flow.arrivals.originals import locate_original
from import_pipeline.flow.arrivals.reimports import reimport_arrival
from import_pipeline.ledger.members import archive_of
from import_pipeline.ledger.reimports import of_the_same_file, record_reimport, reimports_of
from import_pipeline.ledger.rows import UploadRow
from import_pipeline.ledger.states import PUBLISHED_STATES, RERUN_STATES
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.places import archive_key

OPEN_STATES = ("detected", "queued", "running")


@dataclass(frozen=True)
class ReimportedUpload:
    """An upload that is being brought in again.

    Attributes:
        of: upload id of the one that it repeats.
        new: False if it was on its way already.
    """

    upload_id: str
    short_id: str
    of: str
    file_name: str
    new: bool


def reimport(
    conn: psycopg.Connection, bucket: Bucket, row: UploadRow, dataset: Dataset | None
) -> ReimportedUpload:
    """Record an upload that brings `row` in again, with its own copy of the original. Commits.

    One that is on its way already is not doubled. Killed in between, it leaves a copy that the next try
    writes over.

    Args:
        dataset: the upload's; None if there is none of that name any more.

    Raises:
        NotReimportable: it is not published, it is a correction, its rows have no key, or its original is
            gone; the remedy says what to do instead.
        StorageUnavailable: the store does not answer.
    """
    _require_reimportable(row, dataset)
    under_way = [one for one in reimports_of(conn, row.upload_id) if one.state in OPEN_STATES]
    if under_way:
        conn.commit()
        return _reimported(under_way[0], row, new=False)
    holder = archive_of(conn, row)
    number = len(of_the_same_file(conn, row.upload_id))
    conn.commit()  # no transaction stays open while bytes are copied
    arrival = reimport_arrival(row, number)
    source = locate_original(bucket, holder)
    if source is None:
        raise _gone(row)
    key = None
    if row.parent is None:
        key = archive_key(str(row.workspace), str(row.dataset), arrival.short_id, row.file_name)
        if bucket.copy(source, key, reimport=(row.upload_id, number)) != "copied":
            raise _gone(row)
    new = record_reimport(conn, arrival, row, key)
    conn.commit()
    return ReimportedUpload(arrival.upload_id, arrival.short_id, row.upload_id, row.file_name, new)


def _require_reimportable(row: UploadRow, dataset: Dataset | None) -> None:
    name = row.short_id
    state = row.state.replace("_", " ")
    if row.state in RERUN_STATES:
        raise _refused(
            f"{row.upload_id} is {state}, so nothing of it is in the table.",
            f"Type `import-pipeline retry {name}`: it is launched again as it is.",
        )
    if row.state not in PUBLISHED_STATES:
        raise _refused(f"{row.upload_id} is {state}, not published.", "Wait until it is.")
    if dataset is None:
        raise _refused(
            f"There is no dataset {row.dataset!r} any more.",
            "Declare it again; IMPORT_PIPELINE_DATASETS names where datasets are.",
        )
    if not dataset.key:
        raise _refused(
            f"Rows of {dataset.name} have no key: all rows of {row.upload_id} would come in a second time.",
            "It lacks none because of another upload; look for what else took them out.",
        )
    if row.details.get("split", {}).get("targets"):
        raise _refused(
            f"{row.upload_id} is a correction: each of its rows puts a reject right, and does so once.",
            f"Type `import-pipeline undo {name}`, then `import-pipeline retry {name}`.",
        )


def _gone(row: UploadRow) -> NotReimportable:
    return _refused(f"The original of {row.upload_id} is no longer in the bucket.", "Upload the file again.")


def _refused(message: str, remedy: str) -> NotReimportable:
    return NotReimportable(message, remedy=remedy)


def _reimported(found: UploadRow, of: UploadRow, *, new: bool) -> ReimportedUpload:
    return ReimportedUpload(found.upload_id, found.short_id, of.upload_id, of.file_name, new)
