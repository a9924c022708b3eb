"""The statements of an undo, over sets of rows; in which order they run is `undoing.py`'s.

Temporary tables hold what is decided: `found`, the upload's rows in the dataset's table, `passed`, its
rows in the images of uploads that overwrote them, and `left_rows`: which of `found` are left, with their key.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pyarrow as pa
from psycopg import errors as pg
from psycopg import sql
from psycopg.types.json import Jsonb

from import_pipeline.flow.loading.history import from_image, key_of
from import_pipeline.flow.loading.loaded import Loaded
from import_pipeline.flow.loading.references import Reference, points_at
from import_pipeline.flow.loading.tables import listed
from import_pipeline.ledger.rows import UploadRow
from import_pipeline.ledger.undoing import ever_loaded

OWN = sql.Identifier("pg_temp", "own")
WRITTEN = sql.Identifier("pg_temp", "written")
COVERED = sql.Identifier("pg_temp", "covered")
FOUND = sql.Identifier("pg_temp", "found")
PASSED = sql.Identifier("pg_temp", "passed")
LEFT = sql.Identifier("pg_temp", "left_rows")
BLOCK_ROWS = 50_000
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
    def left_key(self) -> tuple[sql.Identifier, ...]:
        """What the key's columns are called in `left_rows`, beside columns of ours."""
        return tuple(sql.Identifier(f"key {place}") for place in range(len(self.loaded.key)))

    def collect(self, conn: psycopg.Connection) -> int:
        """List what the upload left behind, and hold its rows in the dataset's table as they were found.

        What belongs together is joined by `match`, set by set. Statistics of the tables may be old, and
        nobody but their owner may renew them: joining them as they are could take a nested loop over
        millions.

        Returns:
            Number of images that the upload's publish left.
        """
        entries = self._make(
            conn,
            OWN,
            "SELECT ctid AS entry, key, image IS NOT NULL AS restores FROM imports.row_history"
            " WHERE workspace = %(workspace)s AND dataset = %(dataset)s AND publish_number = %(number)s",
        )
        self._make(
            conn,
            WRITTEN,
            "SELECT t.ctid AS tid, t._row_number AS row_number, {key} AS key,"
            " CASE WHEN {hash} IS DISTINCT FROM t._row_hash THEN 'changed_since' END AS code"
            " FROM {target} t WHERE t._workspace = %(workspace)s AND t._upload_id = %(upload_id)s FOR UPDATE",
            key=key_of("t", self.loaded.key),
            hash=self._hash_of("t"),
            target=self.target,
        )
        self._make(
            conn,
            COVERED,
            "SELECT e.ctid AS entry, {key} AS key, {hash} IS NOT DISTINCT FROM i._row_hash AS same"
            " FROM imports.row_history e CROSS JOIN {image} WHERE e.image_upload_id = %(upload_id)s"
            " AND e.workspace = %(workspace)s AND e.dataset = %(dataset)s",
            key=key_of("i", self.loaded.key),
            hash=self._hash_of("i"),
            image=from_image(sql.SQL("e.image"), self.loaded.written),
        )
        return entries

    def match(self, conn: psycopg.Connection) -> None:
        """Join the upload's rows with what it found before it.

        In `found`, `restores`: the row before comes back, else it goes; `code`: neither, for this reason.
        In `passed`, `same`: the image is as the upload wrote the row.
        """
        self._make(
            conn,
            FOUND,
            "SELECT w.tid, w.row_number, o.entry, coalesce(o.restores, false) AS restores, w.code"
            " FROM {written} w LEFT JOIN {own} o USING (key)",
            written=WRITTEN,
            own=OWN,
        )
        self._make(
            conn,
            PASSED,
            "SELECT c.entry, o.entry AS own, c.same FROM {covered} c LEFT JOIN {own} o USING (key)",
            covered=COVERED,
            own=OWN,
        )

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

    def list_left(self, conn: psycopg.Connection) -> None:
        """Keep what the rows that are left have as their key now, in the order of the file."""
        keys = [
            sql.SQL(", {}::text AS {}").format(sql.Identifier("t", name), alias)
            for name, alias in zip(self.loaded.key, self.left_key, strict=True)
        ]
        self._make(
            conn,
            LEFT,
            "SELECT row_number() OVER (ORDER BY f.row_number, f.tid) - 1 AS place, f.row_number, f.code{keys}"
            " FROM {found} f JOIN {target} t ON t.ctid = f.tid WHERE f.code IS NOT NULL",
            keys=sql.SQL("").join(keys),
            found=FOUND,
            target=self.target,
        )

    def left_blocks(self, conn: psycopg.Connection) -> Iterator[list[pa.Array]]:
        """The rows that are left, in the order of the file: number, code, and the key's columns as text."""
        columns = (sql.Identifier("row_number"), sql.Identifier("code"), *self.left_key)
        arrays = [sql.SQL("array_agg({} ORDER BY place)").format(column) for column in columns]
        query = sql.SQL("SELECT {} FROM {} GROUP BY place / %s ORDER BY min(place)").format(
            listed(*arrays), LEFT
        )
        types = (pa.int64(), *(pa.string() for _ in columns[1:]))
        with conn.cursor(name="left_blocks") as cursor:
            cursor.itersize = 1
            for block in cursor.execute(query, [BLOCK_ROWS]):
                yield [pa.array(values, type_) for values, type_ in zip(block, types, strict=True)]

    def remove(self, conn: psycopg.Connection) -> int:
        """Delete the rows that nothing was before; how many."""
        query = sql.SQL(
            "DELETE FROM {} t USING {} f WHERE t.ctid = f.tid AND f.code IS NULL AND NOT f.restores"
        )
        return conn.execute(query.format(self.target, FOUND)).rowcount

    def restore(self, conn: psycopg.Connection) -> int:
        """Bring the rows before back; how many.

        PostgreSQL checks a unique index row by row, so a row may meet a value that another one is about to
        give up. Then they come back in rounds, each time those whose values are free by now.

        Raises:
            UniqueViolation: values that a row which stays has, or that rows would have to swap.
        """
        try:
            with conn.transaction():
                return self._restore(conn, sql.SQL("true"))
        except pg.UniqueViolation:
            free = self._free(conn)
        restored = 0
        while done := self._restore(conn, free):
            restored += done
        return restored + self._restore(conn, sql.SQL("true"))

    def _free(self, conn: psycopg.Connection) -> sql.Composable:
        """Condition: no other row has, in the columns of a unique index, what the row had before."""
        changing = set(self.loaded.written) - set(self.loaded.key)
        name = self.target.as_string(conn)
        conditions: list[sql.Composable] = [sql.SQL("true")]
        for (columns,) in conn.execute(_UNIQUE, [name]).fetchall():
            if changing.isdisjoint(columns):
                continue
            same = [
                sql.SQL("o.{0} = {1}.{0}").format(
                    sql.Identifier(column), sql.SQL("i" if column in self.loaded.written else "t")
                )
                for column in columns
            ]
            conditions.append(
                sql.SQL("NOT EXISTS (SELECT FROM {} o WHERE o.ctid <> t.ctid AND {})").format(
                    self.target, sql.SQL(" AND ").join(same)
                )
            )
        return sql.SQL(" AND ").join(conditions)

    def _restore(self, conn: psycopg.Connection, condition: sql.Composable) -> int:
        """Bring those back that are not back yet and fulfil a condition; how many."""
        names = tuple(self.loaded.written)
        query = sql.SQL(
            "UPDATE {target} t SET ({names}) = ROW({values})"
            " FROM {found} f JOIN imports.row_history h ON h.ctid = f.entry CROSS JOIN {image}"
            " WHERE t.ctid = f.tid AND f.code IS NULL AND f.restores AND {condition}"
        ).format(
            target=self.target,
            condition=condition,
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
        written = self.loaded.written
        others = [n for n in ever_loaded(conn, self.row.workspace, self.row.dataset) if n not in written]
        query = sql.SQL(
            "UPDATE imports.row_history e SET image_upload_id = CASE WHEN p.same THEN h.image_upload_id END,"
            " image = CASE WHEN NOT p.same THEN e.image || %(unclaimed)s"
            " WHEN h.image IS NOT NULL THEN e.image || {before} END"
            " FROM {passed} p LEFT JOIN imports.row_history h ON h.ctid = p.own WHERE e.ctid = p.entry"
        ).format(before=sql.SQL("(h.image - %(others)s::text[])" if others else "h.image"), passed=PASSED)
        return conn.execute(query, {"unclaimed": Jsonb(dict.fromkeys(CLAIMS)), "others": others}).rowcount

    def _make(
        self, conn: psycopg.Connection, table: sql.Identifier, query: str, **parts: sql.Composable
    ) -> int:
        """Keep a query's rows in a temporary table, with statistics; their number."""
        row = self.row
        values = {
            "upload_id": row.upload_id,
            "workspace": row.workspace,
            "dataset": row.dataset,
            "number": row.publish_number,
        }
        filled = sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS {}").format(
            table, sql.SQL(query).format(**parts)
        )
        made = psycopg.ClientCursor(conn).execute(filled, values).rowcount
        conn.execute(sql.SQL("ANALYZE {}").format(table))
        return made

    def _hash_of(self, alias: str) -> sql.Composed:
        """The hash of a row, as publishing computed it."""
        columns = listed(*(sql.Identifier(alias, name) for name in self.loaded.columns))
        return sql.SQL("hash_record_extended(ROW({}), 0)").format(columns)


# Of unique indexes on plain columns; one on an expression only speaks when it is violated.
_UNIQUE = """
SELECT array_agg(a.attname::text) FROM pg_index i
CROSS JOIN unnest(i.indkey[0:i.indnkeyatts - 1]) AS k (attnum)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indexprs IS NULL
GROUP BY i.indexrelid
"""
