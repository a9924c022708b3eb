"""What retention jobs note in the ledger."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# When housekeeping last looked for the original of an upload that did not make it: each is asked for once.
SET_ASIDE = """
ALTER TABLE imports.uploads ADD COLUMN set_aside_at timestamptz;
CREATE INDEX uploads_reports ON imports.uploads (report_prefix) WHERE report_prefix IS NOT NULL;
CREATE INDEX uploads_originals ON imports.uploads (original_key) WHERE original_key IS NOT NULL;
CREATE INDEX events_age ON imports.events (at);
"""


def upgrade() -> None:
    """Add a column, and the indexes that retention looks through."""
    op.get_bind().connection.cursor().execute(SET_ASIDE)


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError("Restore a backup.")
