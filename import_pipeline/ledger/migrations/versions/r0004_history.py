"""Rows as they were before an upload overwrote them, so that any publish can be undone.

`row_history` holds whole rows, personal values too, as the dataset's table does: only loader and owner
read it, and retention empties it when nothing is left to undo.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# row_history has no foreign keys and no primary key: an update of millions of rows writes as many of
# these, within the publish transaction. Its key is unique within a publish as it is in the table.
HISTORY = """
CREATE TABLE imports.publish_numbers (
    workspace text COLLATE "C" NOT NULL,
    dataset   text COLLATE "C" NOT NULL,
    number    bigint NOT NULL CHECK (number >= 1),
    columns   text[] NOT NULL,
    PRIMARY KEY (workspace, dataset)
);
COMMENT ON TABLE imports.publish_numbers IS
    'The last publish or undo, counted under the publish lock; all columns that were ever loaded';

CREATE TABLE imports.row_history (
    workspace       text COLLATE "C" NOT NULL,
    dataset         text COLLATE "C" NOT NULL,
    publish_number  bigint NOT NULL,
    upload_id       text COLLATE "C" NOT NULL,
    key             jsonb NOT NULL,
    image           jsonb,
    image_upload_id text COLLATE "C"
);
CREATE INDEX row_history_publish ON imports.row_history (workspace, dataset, publish_number);
CREATE INDEX row_history_image_upload ON imports.row_history (image_upload_id)
    WHERE image_upload_id IS NOT NULL;
COMMENT ON COLUMN imports.row_history.image IS
    'The row before upload_id overwrote it; NULL once there was none, after an undo of who inserted it';
COMMENT ON COLUMN imports.row_history.image_upload_id IS 'Whose row the image is, as in the image';

CREATE TABLE imports.dependencies (
    upload_id  text COLLATE "C" NOT NULL REFERENCES imports.uploads ON DELETE CASCADE,
    depends_on text COLLATE "C" NOT NULL,
    rows       bigint NOT NULL CHECK (rows > 0),
    PRIMARY KEY (upload_id, depends_on)
);
CREATE INDEX dependencies_on ON imports.dependencies (depends_on);
COMMENT ON TABLE imports.dependencies IS
    'How many rows of an upload were not loaded because they met a row of which other one';

ALTER TABLE imports.uploads
    ADD COLUMN publish_number bigint CHECK (publish_number >= 1),
    ADD COLUMN undo_removed bigint CHECK (undo_removed >= 0),
    ADD COLUMN undo_restored bigint CHECK (undo_restored >= 0),
    ADD COLUMN undo_left bigint CHECK (undo_left >= 0),
    ADD CONSTRAINT undo_counted CHECK (num_nulls(undo_removed, undo_restored, undo_left) IN (0, 3));
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
       u.corrected_rows, u.parent, u.member, u.undo_removed, u.undo_restored, u.undo_left
FROM imports.uploads u
LEFT JOIN queue q USING (upload_id)
LEFT JOIN imports.attempts a ON a.upload_id = u.upload_id AND a.attempt = u.attempt;
"""


def upgrade() -> None:
    """Add three tables and four columns; what was published before has no images to bring back."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(HISTORY)
    cursor.execute(VIEW)


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError("Restore a backup: going back would drop what undoing needs.")
