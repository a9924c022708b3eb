"""A corrected file after its split: the ledger is asked which rejects its rows put right.

How rows are matched is `flow/batches/corrections.py`'s.
"""

from collections.abc import Sequence

from import_pipeline.flow.batches.corrections import (
    FirstUpload,
    mark_unmatched,
    match_corrections,
    take_as_plain,
)
from import_pipeline.ledger.rejects import first_uploads
from import_pipeline.orchestration.session import Session
from import_pipeline.records import OpenedUpload, SplitUpload


def match_rows(session: Session, opened: OpenedUpload, split: SplitUpload) -> SplitUpload:
    """Match the rows of a file with our three columns; any other file stays as it is.

    A report that is written later repeats what was matched when the upload was published: other
    corrections may have been published since.
    """
    if not opened.file.ours or not split.batches:
        return split
    if opened.action == "report":
        published = session.claim.row.details.get("split", {}).get("targets")
        if published == "":
            return take_as_plain(split, opened.file, file_name=opened.file_name, store=session.bucket)
        if published and session.bucket.list_keys(published):
            return mark_unmatched(split, published, session.bucket)

    def look_up(upload_ids: Sequence[str]) -> list[FirstUpload]:
        with session.ledger() as conn:
            return first_uploads(
                conn,
                upload_ids,
                workspace=opened.workspace,
                dataset=opened.dataset,
                correction=opened.upload_id,
            )

    return match_corrections(
        split,
        opened.file,
        file_name=opened.file_name,
        store=session.bucket,
        staging=opened.staging,
        look_up=look_up,
    )
