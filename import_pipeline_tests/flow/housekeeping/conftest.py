"""A bucket and a ledger with uploads in any state, without Dagster, at any moment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from import_pipeline.flow.arrivals.decision import classify
from import_pipeline.flow.housekeeping.days import kept_days
from import_pipeline.flow.housekeeping.house import House
from import_pipeline.ledger.arrivals import record_arrivals
from import_pipeline.ledger.connection import connect
from import_pipeline.settings import Settings
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.places import archive_key, quarantine_key, reports_prefix, staging_prefix
from import_pipeline_tests.ledger.conftest import move

ATTEMPT = "12345678-of-the-last-run"
DATASETS = ("leads", "vehicles")


@dataclass
class Yard:
    """What housekeeping works on; `active`: upload ids that Dagster would name."""

    conn: psycopg.Connection[Any]
    bucket: Bucket
    settings: Settings
    active: set[str] = field(default_factory=set)

    def house(self, days: float = 0, **settings: int) -> House:
        """A house so many days from now, under other settings."""
        kept = kept_days(self.settings.model_copy(update=settings))
        now = datetime.now(UTC) + timedelta(days=days)
        return House(self.conn, self.bucket, kept, now, self._active)

    def _active(self, upload_ids: Sequence[str]) -> set[str]:
        return self.active & set(upload_ids)

    def put(self, key: str, data: bytes = b"rows") -> str:
        self.bucket.put_bytes(key, data)
        return key

    def keys(self, prefix: str = "") -> list[str]:
        return self.bucket.list_keys(prefix)

    def sql(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with self.conn.cursor(row_factory=dict_row) as cursor:
            cursor.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def upload(self, name: str, state: str = "completed", *, dataset: str = "leads") -> dict[str, Any]:
        """A file that was dropped and noticed, its upload brought to a state; it still lies in uploads/."""
        key = self.put(f"uploads/acme/{dataset}/{name}", name.encode())
        listed = [one for one in self.bucket.list_objects() if one.key == key]
        arrivals = classify(listed, datasets=DATASETS, workspaces=None, known=())
        record_arrivals(self.conn, arrivals)
        upload_id = arrivals[0].upload_id
        if state not in ("detected", "ignored"):
            move(self.conn, upload_id, "running")
            self.sql("UPDATE imports.uploads SET attempt = %s WHERE upload_id = %s", ATTEMPT, upload_id)
            move(self.conn, upload_id, state)
        return self.row(upload_id)

    def reported(self, name: str, state: str = "completed") -> dict[str, Any]:
        """An upload that is done with: its original put away, its report written."""
        row = self.upload(name, state)
        place = quarantine_key if state == "refused" else archive_key
        target = place("acme", "leads", row["short_id"], name)
        listed = self.bucket.head(row["key"])
        assert listed is not None
        self.bucket.move(listed[0], target)
        report = reports_prefix("acme", "leads", row["short_id"])
        self.put(f"{report}summary.json")
        self.sql(
            "UPDATE imports.uploads SET original_key = %s, report_prefix = %s,"
            " reported_at = clock_timestamp() WHERE upload_id = %s",
            target, report, row["upload_id"],
        )  # fmt: skip
        return self.row(row["upload_id"])

    def row(self, upload_id: str) -> dict[str, Any]:
        return self.sql("SELECT * FROM imports.uploads WHERE upload_id = %s", upload_id)[0]

    def stage(self, row: dict[str, Any], attempt: str) -> tuple[str, str]:
        """Staging of an attempt: its object and its table."""
        key = self.put(f"{staging_prefix('leads', row['short_id'], attempt)}batches/0001.parquet")
        table = f"u_{row['short_id']}_{attempt[:8]}"
        self.conn.execute(
            sql.SQL("CREATE UNLOGGED TABLE {} (a int)").format(sql.Identifier("staging", table))
        )
        return key, table

    def tables(self) -> set[str]:
        found = self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'staging'")
        return {row["tablename"] for row in found}


@pytest.fixture
def yard(settings: Settings, s3: Any, bucket_name: str) -> Iterator[Yard]:
    with connect(settings.require_database_url()) as conn:
        conn.autocommit = True
        yield Yard(conn, Bucket(s3, bucket_name), settings)
