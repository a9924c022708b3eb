"""The statements of an undo, over sets of rows; in which order they run is `undoing.py`'s.

Two temporary tables hold what is decided: `found`, the upload's rows in the dataset's table, and `passed`,
its rows in the images of uploads that overwrote them.
"""

from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from import_pipeline.flow.loading.history import from_image, key_of
from import_pipeline.flow.loading.loaded import Loaded
from import_pipeline.flow.loading.references import Reference, points_at
from import_pipeline.flow.loading.tables import listed
from import_pipeline.ledger.rows import UploadRow

FOUND = sql.Identifier("pg_temp", "found")
PASSED = sql.Identifier("pg_temp", "passed")
# What says that a row is an upload's; a row that is left keeps its workspace only.
CLAIMS = ("_upload_id", "_row_number", "_source_time", "_loaded_at", "_row_hash")


@dataclass(frozen=True)
class UndoTables:
    """The statements about one upload. `t` is a row of the dataset's table, `h` an entry of the upload's
    own history, `e` an entry of another upload whose image is a row of this one, `i` an image's columns.
    """

    row: UploadRow
    loaded: Loaded

    @property
    def target(self) -> sql.Identifier:
        """The dataset's table."""
        return sql.Identifier("public", self.loaded.table)

    @property
    def values(self) -> dict[str, object]:
        """Values of the placeholders that statements share."""
        row = self.row
        return {
            "upload_id": row.upload_id,
            "workspace": row.workspace,
            "dataset": row.dataset,
            "number": row.publish_number,
        }

    def count_entries(self, conn: psycopg.Connection) -> int:
        """Images that the upload's publish left behind."""
        return _number(conn.execute(sql.SQL("SELECT count(*) FROM {} AS h").format(_OWN), self.values))

    def find(self, conn: psycopg.Connection, *, lock: bool) -> None:
        """List the upload's rows in the dataset's table: what is to become of each.

        `restores`: the row before comes back; else it goes. `code`: neither, for this reason.

        Args:
            lock: hold the rows, so that they stay as they were found.
        """
        conn.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE {} (tid tid, row_number bigint, entry tid, restores boolean,"
                " code text) ON COMMIT DROP"
            ).format(FOUND)
        )
        query = sql.SQL(
            "INSERT INTO {found} SELECT t.tid, t._row_number, h.entry, coalesce(h.restores, false),"
            " CASE WHEN {hash} IS DISTINCT FROM t._row_hash THEN 'changed_since' END"
            " FROM (SELECT ctid AS tid, _row_number, _row_hash, {columns} FROM {target}"
            " WHERE _workspace = %(workspace)s AND _upload_id = %(upload_id)s{lock}) AS t"
            " LEFT JOIN {own} AS h ON h.key = {key}"
        ).format(
            found=FOUND,
            hash=self._hash_of("t"),
            columns=listed(*(sql.Identifier(name) for name in self.loaded.columns)),
            target=self.target,
            lock=sql.SQL(" FOR UPDATE" if lock else ""),
            own=_OWN,
            key=key_of("t", self.loaded.key),
        )
        conn.execute(query, self.values)
        conn.execute(sql.SQL("ANALYZE {}").format(FOUND))

    def find_passed(self, conn: psycopg.Connection) -> None:
        """List the upload's rows in the images of others; `same`: they are as it wrote them."""
        conn.execute(
            sql.SQL("CREATE TEMPORARY TABLE {} (entry tid, own tid, same boolean) ON COMMIT DROP").format(
                PASSED
            )
        )
        query = sql.SQL(
            "INSERT INTO {passed} SELECT e.ctid, h.entry, {hash} IS NOT DISTINCT FROM i._row_hash"
            " FROM imports.row_history AS e CROSS JOIN {image} LEFT JOIN {own} AS h ON h.key = {key}"
            " WHERE e.image_upload_id = %(upload_id)s AND e.workspace = %(workspace)s"
            " AND e.dataset = %(dataset)s"
        ).format(
            passed=PASSED,
            hash=self._hash_of("i"),
            image=from_image(sql.SQL("e.image"), self.loaded.written),
            own=_OWN,
            key=key_of("i", self.loaded.key),
        )
        conn.execute(query, self.values)
        conn.execute(sql.SQL("ANALYZE {}").format(PASSED))

    def keep_referenced(self, conn: psycopg.Connection, reference: Reference) -> int:
        """Let the rows be that would go though a row that stays points at them; how many."""
        stays = sql.SQL(
            " AND NOT EXISTS (SELECT FROM {} g WHERE g.tid = o.ctid AND g.code IS NULL AND NOT g.restores)"
        ).format(FOUND)
        query = sql.SQL(
            "UPDATE {found} f SET code = 'referenced' FROM {target} t WHERE t.ctid = f.tid AND f.code IS NULL"
            " AND NOT f.restores AND EXISTS (SELECT FROM {other} o WHERE {points}{stays})"
        ).format(
            found=FOUND,
            target=self.target,
            other=sql.Identifier(reference.schema, reference.table),
            points=points_at(reference, "t"),
            stays=stays if reference.own else sql.SQL(""),
        )
        return conn.execute(query).rowcount

    def keep_pointed_at(self, conn: psycopg.Connection, reference: Reference) -> int:
        """Let the rows be whose columns a foreign key points at would change; how many."""
        columns = [name for name in reference.referenced if name in self.loaded.written]
        query = sql.SQL(
            "UPDATE {found} f SET code = 'referenced' FROM {target} t, imports.row_history h, {image}"
            " WHERE t.ctid = f.tid AND h.ctid = f.entry AND f.code IS NULL AND f.restores"
            " AND ROW({now}) IS DISTINCT FROM ROW({before}) AND EXISTS (SELECT FROM {other} o WHERE {points})"
        ).format(
            found=FOUND,
            target=self.target,
            image=from_image(sql.SQL("h.image"), self.loaded.written),
            now=listed(*(sql.Identifier("t", name) for name in columns)),
            before=listed(*(sql.Identifier("i", name) for name in columns)),
            other=sql.Identifier(reference.schema, reference.table),
            points=points_at(reference, "t"),
        )
        return conn.execute(query).rowcount

    def remove(self, conn: psycopg.Connection) -> int:
        """Delete the rows that nothing was before; how many."""
        query = sql.SQL(
            "DELETE FROM {} t USING {} f WHERE t.ctid = f.tid AND f.code IS NULL AND NOT f.restores"
        )
        return conn.execute(query.format(self.target, FOUND)).rowcount

    def restore(self, conn: psycopg.Connection) -> int:
        """Bring the rows before back; how many."""
        names = tuple(self.loaded.written)
        query = sql.SQL(
            "UPDATE {target} t SET ({names}) = ROW({values})"
            " FROM {found} f JOIN imports.row_history h ON h.ctid = f.entry CROSS JOIN {image}"
            " WHERE t.ctid = f.tid AND f.code IS NULL AND f.restores"
        ).format(
            target=self.target,
            names=listed(*(sql.Identifier(name) for name in names)),
            values=listed(*(sql.Identifier("i", name) for name in names)),
            found=FOUND,
            image=from_image(sql.SQL("h.image"), self.loaded.written),
        )
        return conn.execute(query).rowcount

    def give_up(self, conn: psycopg.Connection) -> int:
        """Rows that are left are no upload's any more; how many."""
        cleared = listed(*(sql.SQL("{} = NULL").format(sql.Identifier(name)) for name in CLAIMS))
        query = sql.SQL("UPDATE {} t SET {} FROM {} f WHERE t.ctid = f.tid AND f.code IS NOT NULL")
        return conn.execute(query.format(self.target, cleared, FOUND)).rowcount

    def pass_on(self, conn: psycopg.Connection) -> int:
        """Give those who overwrote the upload's rows what it had found itself; how many.

        Columns that this upload did not write stay in their image as they are.
        """
        query = sql.SQL(
            "UPDATE imports.row_history e SET image_upload_id = CASE WHEN p.same THEN h.image_upload_id END,"
            " image = CASE WHEN NOT p.same THEN e.image || %(unclaimed)s WHEN h.image IS NOT NULL"
            " THEN e.image || (h.image - ARRAY(SELECT jsonb_object_keys(h.image) EXCEPT"
            " SELECT unnest(%(written)s::text[]))) END"
            " FROM {} p LEFT JOIN imports.row_history h ON h.ctid = p.own WHERE e.ctid = p.entry"
        ).format(PASSED)
        values = {"unclaimed": Jsonb(dict.fromkeys(CLAIMS)), "written": list(self.loaded.written)}
        return conn.execute(query, values).rowcount

    def _hash_of(self, alias: str) -> sql.Composed:
        """The hash of a row, as publishing computed it."""
        columns = listed(*(sql.Identifier(alias, name) for name in self.loaded.columns))
        return sql.SQL("hash_record_extended(ROW({}), 0)").format(columns)


_OWN = sql.SQL(
    "(SELECT ctid AS entry, key, image IS NOT NULL AS restores FROM imports.row_history"
    " WHERE workspace = %(workspace)s AND dataset = %(dataset)s AND publish_number = %(number)s OFFSET 0)"
)


def _number(cursor: psycopg.Cursor) -> int:
    row = cursor.fetchone()
    assert row is not None  # noqa: S101 - count(*) always gives a row
    return int(row[0])
