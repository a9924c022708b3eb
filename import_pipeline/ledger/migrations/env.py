"""Alembic's environment: runs on the connection that `migrate` hands in, never on one of its own."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="schema_version",
    version_table_schema="imports",
)
with context.begin_transaction():
    context.run_migrations()
