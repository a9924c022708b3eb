"""The tables that loading reads and writes, as SQL: their names, columns, conditions.

Staging and outcomes tables are named by the short id, never by the sender's path, which
PostgreSQL's 63 characters would cut.
"""

import re
from dataclasses import dataclass
from functools import cached_property

import psycopg
from psycopg import sql

from import_pipeline.catalog.dataset import EXTRA_COLUMN, Dataset, Existing
from import_pipeline.catalog.types import postgres_type
from import_pipeline.records import OpenedUpload

STAGING_SCHEMA = "staging"
# Sorting and hashing in memory up to here; JIT costs more than it saves on statements run once; keys with
# a time read the same in every transaction. A machine that vanished gives its locks back after the last one.
TRANSACTION_SETTINGS = (
    "SELECT set_config('work_mem', '64MB', true), set_config('jit', 'off', true),"
    " set_config('timezone', 'UTC', true), set_config('idle_in_transaction_session_timeout', '10min', true)"
)
LOSERS = sql.Identifier("pg_temp", "losers")
DECIDED = sql.Identifier("pg_temp", "decided")
TARGETS = sql.Identifier("pg_temp", "targets")
LATE = sql.Identifier("pg_temp", "late")


def staging_table(opened: OpenedUpload) -> str:
    """The attempt's staging table, without schema: `u_<short id>_<first 8 of the attempt>`."""
    return staging_table_of(opened.short_id, opened.attempt)


def staging_table_of(short_id: str, attempt: str) -> str:
    """The staging table of an attempt that may not have opened its file."""
    return f"u_{short_id}_{re.sub(r'[^a-z0-9]', '_', attempt.lower())[:8]}"


def outcomes_table(opened: OpenedUpload) -> str:
    """The upload's outcomes table, without schema.

    It belongs to the upload, not to an attempt: a later attempt finishes a missing report from it.
    """
    return f"u_{opened.short_id}_outcomes"


def in_staging(table: str) -> sql.Identifier:
    """A table of the staging schema."""
    return sql.Identifier(STAGING_SCHEMA, table)


def unqualified(table: str) -> str:
    """A staging table's name without its schema."""
    return table.removeprefix(f"{STAGING_SCHEMA}.")


def table_exists(conn: psycopg.Connection, table: str) -> bool:
    """Whether the staging schema has this table."""
    row = conn.execute(
        "SELECT count(*) FROM pg_tables WHERE schemaname = %s AND tablename = %s",
        [STAGING_SCHEMA, unqualified(table)],
    ).fetchone()
    return row is not None and row[0] == 1


def libpq_url(url: str) -> str:
    """The URL as libpq reads it: without SQLAlchemy's driver name (`postgresql+psycopg2://`)."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}"


@dataclass(frozen=True)
class LoadTables:
    """Names and column lists of one upload's load, ready to be put into a statement.

    In every statement `s` is a staged row, `t` a row of the dataset's table and `c` the reject that
    a row of a correction puts right.
    """

    opened: OpenedUpload
    dataset: Dataset
    corrects: bool = False

    @property
    def staged(self) -> sql.Identifier:
        """The attempt's staging table."""
        return in_staging(staging_table(self.opened))

    @property
    def staged_rows(self) -> sql.Composed:
        """The attempt's staged rows, in a correction with the rejects they put right, as a FROM item."""
        if not self.corrects:
            return sql.SQL("{} s").format(self.staged)
        joined = sql.SQL("({} s JOIN {} c ON c._row_number = s._row_number)")
        return joined.format(self.staged, TARGETS)

    @property
    def row_number(self) -> sql.SQL:
        """The number that a row has in the dataset's table: a corrected one that of its reject."""
        return sql.SQL("c.row_number" if self.corrects else "s._row_number")

    @property
    def source_time(self) -> sql.Composable:
        """When the file came that a row is from; a corrected one is from the first file."""
        if self.corrects:
            return sql.SQL("c.source_time")
        return sql.SQL("{}::timestamptz").format(sql.Literal(self.opened.source_time))

    @property
    def outcomes(self) -> sql.Identifier:
        """The upload's outcomes table."""
        return in_staging(outcomes_table(self.opened))

    @property
    def target(self) -> sql.Identifier:
        """The dataset's table."""
        return sql.Identifier("public", self.dataset.table)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Declared columns in the model's order, then `extra` where the dataset keeps it."""
        extra = (EXTRA_COLUMN,) if self.dataset.unknown_columns == "keep" else ()
        return (*(c.name for c in self.dataset.columns), *extra)

    @property
    def existing(self) -> Existing:
        """What happens to a row whose key is in the table."""
        return self.dataset.existing_for(self.opened.options)

    @property
    def columns(self) -> sql.Composed:
        """`names`, separated by commas."""
        return listed(*(sql.Identifier(n) for n in self.names))

    @property
    def key(self) -> sql.Composed:
        """The key's columns of a staged row, separated by commas; the row number without a key."""
        names = self.dataset.key or ("_row_number",)
        return listed(*(sql.Identifier("s", n) for n in names))

    @property
    def same_key(self) -> sql.Composed:
        """Condition: `t` is the row of this workspace that has the key of `s`.

        The workspace stands in a query of its own, so that the planner takes it for any workspace. Of one
        that came after the table's last ANALYZE it would else expect a single row, and then read whole
        tables again for each of the thousands that there are.
        """
        pairs = [sql.SQL("{} = {}").format(sql.Identifier("t", k), sql.Identifier("s", k))
                 for k in self.dataset.key]  # fmt: skip
        workspace = sql.SQL("t._workspace = (SELECT {}::text)").format(sql.Literal(self.opened.workspace))
        return sql.SQL(" AND ").join([workspace, *pairs])

    @property
    def values(self) -> sql.Composed:
        """The values of `names` in a staged row, separated by commas."""
        return listed(*(sql.Identifier("s", n) for n in self.names))

    @property
    def differs(self) -> sql.Composed:
        """Condition: any declared column of `t` differs from that of `s`; NULL equals NULL."""
        stored = listed(*(sql.Identifier("t", n) for n in self.names))
        return sql.SQL("ROW({}) IS DISTINCT FROM ROW({})").format(stored, self.values)

    def column_definitions(self) -> sql.Composed:
        """The staging table's columns: where a row comes from, then the dataset's own.

        Keys sort and compare by bytes, as in the dataset's table.
        """
        own = [
            sql.SQL("{} {}{}").format(
                sql.Identifier(c.name),
                sql.SQL(postgres_type(c.arrow_type)),
                sql.SQL(' COLLATE "C"' if self._is_text_key(c.name) else ""),
            )
            for c in self.dataset.columns
        ]
        extra = [sql.SQL("{} jsonb").format(sql.Identifier(EXTRA_COLUMN))]
        ours = [sql.SQL("_load_id text"), sql.SQL("_batch integer"), sql.SQL("_row_number bigint")]
        return listed(*ours, *own, *(extra if EXTRA_COLUMN in self.names else []))

    def _is_text_key(self, name: str) -> bool:
        types = {c.name: postgres_type(c.arrow_type) for c in self.dataset.columns}
        return name in self.dataset.key and types[name] == "text"


def listed(*parts: sql.Composable) -> sql.Composed:
    """Parts separated by commas."""
    return sql.SQL(", ").join(parts)
