"""Who may write an upload: a run claims it, and every later transaction of the run guards its claim.

A run's token is compared with the one in the ledger under the row's lock; the greatest is current.
The lock is `NO KEY UPDATE`: timeline and batches of other transactions stay writable beside it.
"""

from typing import Literal

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from import_pipeline.errors import PartitionMissing, Superseded
from import_pipeline.ledger.rows import Action, Claim, UploadRow, columns_of
from import_pipeline.ledger.states import PUBLISHED_STATES, UNSTARTED_STATES
from import_pipeline.records import Token, UploadState

Lock = Literal["FOR SHARE", "FOR NO KEY UPDATE"]
ENDED_STATES: tuple[UploadState, ...] = ("failed", "cancelled", *UNSTARTED_STATES)
_SELECT = sql.SQL("SELECT {} FROM imports.uploads WHERE upload_id = %s").format(columns_of(UploadRow))
# What a run found out and did; gone when another run begins anew. What corrections put right stays, in
# `corrected_rows` as in `imports.rejects`, until a publish says which rows are rejects now.
_OUTCOME = sql.SQL(
    "error_code = NULL, error_message = NULL, error_remedy = NULL, duplicate_of = NULL,"
    " published_at = NULL, reported_at = NULL, undone_at = NULL, report_prefix = NULL,"
    " read = NULL, inserted = NULL, updated = NULL, unchanged = NULL, duplicate = NULL, rejected = NULL,"
    " row_errors = NULL, row_errors_cap = NULL,"
    " publish_number = NULL, undo_removed = NULL, undo_restored = NULL, undo_left = NULL"
)


def outcome_reset() -> sql.SQL:
    """The assignments that forget how an upload ended, for runs that begin anew."""
    return _OUTCOME


def fetch_upload(
    conn: psycopg.Connection, upload_id: str, *, lock: Lock | Literal[""] = ""
) -> UploadRow | None:
    """The upload's row, locked by `lock` until the transaction ends."""
    with conn.cursor(row_factory=class_row(UploadRow)) as cursor:
        query = sql.SQL("{} {}").format(_SELECT, sql.SQL(lock))
        return cursor.execute(query, [upload_id]).fetchone()


def claim(
    conn: psycopg.Connection,
    upload_id: str,
    token: Token,
    attempt: str,
    launch: int | None = None,
    *,
    reporting: bool = False,
) -> Claim:
    """Make this run the upload's owner: the first ledger call of any op of a run.

    Begun anew: `detected`, `queued`, and after their end `failed`, `cancelled`, `checked`, `undone`,
    `refused`, `duplicate_file`. A published one only gets its missing report, else nothing is
    changed, also if it was undone before its report. A `running` one is taken over. One that was ended or
    sent back is not begun anew by the run that had it. Commits nothing.

    Args:
        token: of the run; `attempt`: its `root_run_id`.
        launch: that the sensor asked the run for; one of before a cancellation does not bring it back.
        reporting: the op only reports: it begins nothing anew, and has nothing to do after the report,
            whoever wrote it.

    Raises:
        Superseded: a newer run owns the upload, or this one was ended or sent back; nor is there
            anything to report.
        PartitionMissing: the ledger does not know the upload, or ignores it.
    """
    seen = fetch_upload(conn, upload_id)
    if seen is not None and seen.token == token and seen.state == "running":
        return Claim(seen, "import")
    row = _known(fetch_upload(conn, upload_id, lock="FOR NO KEY UPDATE"), upload_id)
    if row.token is not None and token < row.token:
        raise _superseded(row, "A newer run owns it.")
    if row.state == "cancelled" and launch not in (None, row.launch_number):
        raise _superseded(row, "It was cancelled after the run was asked for.")
    action: Action = "nothing" if reporting and row.reported_at is not None else _action(row, token, attempt)
    if reporting and action == "import":
        raise _superseded(row, f"It is {row.state} now.")
    taken_over = row.run_id if action == "import" and row.state == "running" else None
    if action == "import":
        _begin(conn, row, token, attempt)
    elif action == "report":
        conn.execute(
            "UPDATE imports.uploads SET token_created = %s, token_run_id = %s, run_id = %s"
            " WHERE upload_id = %s",
            [token.created, token.run_id, token.run_id, upload_id],
        )
    return Claim(_known(fetch_upload(conn, upload_id), upload_id), action, taken_over)


def guard(conn: psycopg.Connection, upload_id: str, token: Token, *, share: bool = False) -> UploadRow:
    """Lock the upload's row for this transaction and make sure the run still owns it.

    Args:
        share: lock so that other transactions of the same run may hold it as well (batches staged
            side by side); such a transaction must not change the upload's row itself.

    Raises:
        Superseded: a newer run owns the upload, or it was ended or sent back since.
    """
    row = lock_owned(conn, upload_id, token, share=share)
    if row.state in ENDED_STATES:
        raise _superseded(row, f"It is {row.state} now.")
    return row


def lock_owned(
    conn: psycopg.Connection, upload_id: str, token: Token | None, *, share: bool = False
) -> UploadRow:
    """Lock the row; with a token, only if it is the current one, whatever the state.

    Raises:
        Superseded: the token is not the current one.
        PartitionMissing: the ledger does not know the upload.
    """
    lock: Lock = "FOR SHARE" if share else "FOR NO KEY UPDATE"
    row = _known(fetch_upload(conn, upload_id, lock=lock), upload_id)
    if token is not None and row.token != token:
        raise _superseded(row, "Another run owns it.")
    return row


def _action(row: UploadRow, token: Token, attempt: str) -> Action:
    own = row.token == token
    if row.state == "ignored":
        raise PartitionMissing(
            f"Upload {row.upload_id!r} is ignored: {row.ignored_reason}",
            remedy="Add its dataset or workspace; the sensor then takes it up.",
        )
    # Nothing that its run waits for ends an upload: it took too long, or Dagster saw the run end.
    if own and row.state in ENDED_STATES:
        raise _superseded(row, f"It is {row.state} now.")
    if row.state in (*PUBLISHED_STATES, "expanded"):
        return "report" if row.reported_at is None else "nothing"
    if row.state in (*ENDED_STATES, "running"):
        return "import"
    # Finished in another way: its own attempt goes on to the report, any other begins anew.
    if row.attempt == attempt and row.reported_at is None:
        # Undone between publish and report: a retry of its own run must not load it again.
        return "nothing" if row.state == "undone" else "report"
    return "nothing" if own else "import"


def _begin(conn: psycopg.Connection, row: UploadRow, token: Token, attempt: str) -> None:
    """Record run and attempt; a new attempt forgets what earlier ones found out, and so does any run of an
    upload that was undone."""
    fresh = row.attempt != attempt
    if fresh and row.state == "running":
        conn.execute(
            "UPDATE imports.attempts SET state = 'superseded', ended_at = clock_timestamp()"
            " WHERE upload_id = %s AND attempt = %s",
            [row.upload_id, row.attempt],
        )
    conn.execute(
        sql.SQL(
            "UPDATE imports.uploads SET state = 'running', token_created = %s, token_run_id = %s,"
            " run_id = %s, attempt = %s, attempts = attempts + %s, {} WHERE upload_id = %s"
        ).format(_OUTCOME),
        [token.created, token.run_id, token.run_id, attempt, int(fresh), row.upload_id],
    )
    if fresh or row.state == "undone":
        conn.execute("DELETE FROM imports.row_errors WHERE upload_id = %s", [row.upload_id])
        conn.execute(
            "DELETE FROM imports.rejects WHERE upload_id = %s AND corrected_by IS NULL", [row.upload_id]
        )
        conn.execute("UPDATE imports.uploads SET details = '{}' WHERE upload_id = %s", [row.upload_id])
    conn.execute(
        "INSERT INTO imports.attempts (upload_id, attempt, number, run_id) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (upload_id, attempt) DO UPDATE SET runs = attempts.runs + 1,"
        " run_id = excluded.run_id, state = 'running', ended_at = NULL, error_code = NULL,"
        " error_message = NULL, percent = 0",
        [row.upload_id, attempt, row.attempts + 1, token.run_id],
    )


def _known(row: UploadRow | None, upload_id: str) -> UploadRow:
    if row is None:
        raise PartitionMissing(
            f"The ledger does not know an upload {upload_id!r}.",
            remedy="Drop the file again, with `import-pipeline upload` or any S3 client.",
            upload_id=upload_id,
        )
    return row


def _superseded(row: UploadRow, why: str) -> Superseded:
    return Superseded(
        f"This run no longer owns upload {row.upload_id!r}. {why}",
        remedy=f"Look at run {row.run_id}." if row.run_id else "",
        upload_id=row.upload_id,
        run_id=row.run_id,
    )
