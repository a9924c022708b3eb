"""Uploads that bring another one in again: which one, so that both histories can be told."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

REIMPORTS = """
ALTER TABLE imports.uploads ADD COLUMN reimport_of text COLLATE "C" REFERENCES imports.uploads;
CREATE INDEX uploads_reimports ON imports.uploads (reimport_of) WHERE reimport_of IS NOT NULL;
"""


def upgrade() -> None:
    """Add the column; no upload of before is a reimport."""
    op.get_bind().connection.cursor().execute(REIMPORTS)


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError("Restore a backup: the ledger goes forward only.")
