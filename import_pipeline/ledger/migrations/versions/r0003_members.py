"""Files of an archive beside it: found by their archive, and shown with it to people."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MEMBERS = "CREATE INDEX uploads_members ON imports.uploads (parent) WHERE parent IS NOT NULL"

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
       u.corrected_rows, u.parent, u.member
FROM imports.uploads u
LEFT JOIN queue q USING (upload_id)
LEFT JOIN imports.attempts a ON a.upload_id = u.upload_id AND a.attempt = u.attempt;
"""


def upgrade() -> None:
    """Add an index, and two columns to the view."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(MEMBERS)
    cursor.execute(VIEW)


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError("Restore a backup: the ledger goes forward only.")
