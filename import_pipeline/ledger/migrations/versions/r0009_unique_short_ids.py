"""A short id names one upload's places in the bucket and in `staging`: two uploads never have the same."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

INDEX = """
DROP INDEX imports.uploads_short_id;
CREATE UNIQUE INDEX uploads_short_id ON imports.uploads (short_id);
"""


def upgrade() -> None:
    """Replace the index."""
    op.get_bind().connection.cursor().execute(INDEX)


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError("Restore a backup: the ledger goes forward only.")
