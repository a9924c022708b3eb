"""Who reads the rows of which workspace; the policies that ask for it are access.py's.

Policies name the pipeline's role, which a revision does not know: `migrate` makes them after it.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Everyone may read the table, and sees the own lines: policies ask it with the reader's rights.
READERS = """
CREATE TABLE imports.workspace_readers (
    role      name NOT NULL,
    workspace text COLLATE "C" NOT NULL,
    PRIMARY KEY (role, workspace)
);
COMMENT ON TABLE imports.workspace_readers IS 'Written by import-pipeline readers';
ALTER TABLE imports.workspace_readers ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_lines ON imports.workspace_readers FOR SELECT USING (role = current_user);
GRANT SELECT ON imports.workspace_readers TO PUBLIC;
"""


def upgrade() -> None:
    """Add the table."""
    op.get_bind().connection.cursor().execute(READERS)


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError("Restore a backup: the ledger goes forward only.")
