"""Live progress: at most one observation a second for an upload, whatever number of processes.

The ledger decides who may speak: the processes of a run share nothing else.
"""

import time
from dataclasses import dataclass, field

from dagster import AssetObservation, MetadataValue

from import_pipeline.ledger.progress import record_progress
from import_pipeline.orchestration.session import Session
from import_pipeline.orchestration.tags import imported_key

# Percent at which each stage ends. Splitting goes by bytes, checking and staging by batches; the
# shares follow where the seconds of a 200,000-row file go.
OPENED, SPLIT, STAGED, FOUND = 12.0, 25.0, 70.0, 74.0
CHECKED_SHARE = 0.55
ASK_SECONDS = 0.25


@dataclass
class Progress:
    """Says how far an upload is; cheap to call often."""

    session: Session
    asked: float = field(default=float("-inf"))

    def say(self, percent: float, rows_done: int, message: str) -> None:
        """Observe `percent` (0 to 100) if nobody spoke within the last second.

        Raises:
            TookTooLong: the import has run for as long as it may.
        """
        now = time.monotonic()
        if now - self.asked < ASK_SECONDS:
            return
        self.asked = now
        session = self.session
        session.require_time()
        with session.ledger() as conn:
            said = record_progress(conn, session.upload_id, session.token, percent, message)
        if said is None:
            return
        done, seconds = said
        metadata: dict[str, MetadataValue] = {
            "percent": MetadataValue.float(round(done, 1)),
            "rows done": MetadataValue.int(rows_done),
            "rows per second": MetadataValue.float(round(rows_done / seconds, 1) if seconds else 0.0),
            "stage": MetadataValue.text(message),
        }
        if done:
            metadata["seconds left"] = MetadataValue.float(round(seconds * (100 - done) / done, 1))
        session.context.log_event(
            AssetObservation(
                asset_key=imported_key(session.dataset), partition=session.upload_id, metadata=metadata
            )
        )
