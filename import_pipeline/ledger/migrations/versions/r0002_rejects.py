"""The rejects of each published upload, and by which correction each was put right.

An undo has this to do with them: of a correction, set `corrected_by` of its rows back to NULL and
take their number off `corrected_rows` of the uploads they belong to; of an upload with rejects, nothing
(its corrections are uploads of their own, and nobody can correct rejects of an undone upload).
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# No foreign keys: checking them for each of millions of rejects would double the publish transaction.
REJECTS = """
CREATE TABLE imports.rejects (
    upload_id    text COLLATE "C" NOT NULL,
    row_number   bigint NOT NULL,
    corrected_by text COLLATE "C",
    PRIMARY KEY (upload_id, row_number)
);
CREATE INDEX rejects_corrected ON imports.rejects (corrected_by) WHERE corrected_by IS NOT NULL;
ALTER TABLE imports.uploads
    ADD COLUMN corrected_rows bigint NOT NULL DEFAULT 0 CHECK (corrected_rows >= 0),
    ADD CONSTRAINT corrected_are_rejects CHECK (corrected_rows <= coalesce(rejected, 0));
"""

VIEW = """
CREATE OR REPLACE VIEW imports.uploads_view AS
WITH waiting AS (
    SELECT upload_id, state, queued_at, last_modified,
           row_number() OVER (PARTITION BY state, workspace ORDER BY last_modified, upload_id) AS turn
    FROM imports.uploads WHERE state IN ('detected', 'queued')
), queue AS (
    SELECT upload_id, row_number() OVER (
        ORDER BY (state = 'queued') DESC, CASE WHEN state = 'queued' THEN queued_at END,
                 turn, last_modified, upload_id) AS place
    FROM waiting
)
SELECT u.upload_id, u.short_id, u.workspace, u.dataset, u.file_name, u.human_name, u.uploaded_by, u.size,
       u.state,
       CASE WHEN u.state = 'running' THEN a.percent END AS percent,
       q.place AS queue_place,
       u.read, u.inserted, u.updated, u.unchanged, u.duplicate, u.rejected,
       u.rejected::double precision / nullif(u.read, 0) AS share_rejected,
       extract(epoch FROM coalesce(u.finished_at, clock_timestamp()) - u.running_at)::double precision
           AS seconds,
       u.attempts, u.run_id, u.duplicate_of, u.error_code, u.error_message, u.error_remedy,
       u.ignored_reason,
       CASE WHEN u.report_prefix IS NOT NULL THEN 's3://' || u.bucket || '/' || u.report_prefix END AS report,
       u.detected_at, u.queued_at, u.running_at, u.finished_at, u.published_at, u.reported_at, u.undone_at,
       u.corrected_rows
FROM imports.uploads u
LEFT JOIN queue q USING (upload_id)
LEFT JOIN imports.attempts a ON a.upload_id = u.upload_id AND a.attempt = u.attempt;
"""


def upgrade() -> None:
    """Add the table and the counter; uploads of before have no rejects that could be corrected."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(REJECTS)
    cursor.execute(VIEW)


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError("Restore a backup: going back would drop the list of rejects.")
