"""What an upload left behind: rows, ledger, reports, original, staging; and where two uploads differ.

Times, runs and names of places are taken out: what is left of two imports of one file is equal.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from import_pipeline_tests.torture.scene import Scene

# When it was, how often it was tried, by whom: an import that was disturbed may differ in these.
PASSING = frozenset(
    ("launch_number", "token_created", "token_run_id", "run_id", "attempt", "attempts", "details", "identity",
     "last_modified", "detected_at", "queued_at", "running_at", "id", "at", "image_number",
     "publish_number", "version_id")
)  # fmt: skip
# Only whether there is one.
TIMES = frozenset(("finished_at", "published_at", "reported_at", "undone_at", "_loaded_at", "_source_time"))
NOT_COMPARED = frozenset(("attempts", "batches", "events", "uploads_view", "transitions"))
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(\+00:00|Z| UTC|\+00)?")
WRITTEN_MOMENT = re.compile(r"[A-Z][a-z]{2} \d{1,2}, \d{4}, [\d:]+\s[AP]M")
SECONDS = re.compile(r'("seconds"|"[a-z_ ]*seconds"|"rows_per_second")\s*:\s*(\{[^}]*\}|[\d.e-]+|null)')


@dataclass(frozen=True)
class Snapshot:
    """An upload's traces, comparable with those of another upload of the same file.

    Attributes:
        rows: of the dataset's table, in this workspace, each as text with the number of times it is there.
        ledger: rows of each table of the ledger.
        objects: bytes below `reports/` and `archive/`, and what is left under `uploads/`.
        staging: tables and objects that are left; empty when all is done.
        counts: read, inserted, updated, unchanged, duplicate, rejected; and rows in the table by this upload.
    """

    rows: Counter[str]
    ledger: Mapping[str, tuple[str, ...]]
    objects: Mapping[str, str]
    staging: tuple[str, ...]
    counts: Mapping[str, int | None]


def take_snapshot(scene: Scene, workspace: str, dataset: str) -> Snapshot:
    """Look at everything that belongs to the upload of a workspace."""
    upload = scene.upload(workspace, dataset)
    upload_id, short_id = str(upload["upload_id"]), str(upload["short_id"])
    names = {upload_id: "UPLOAD", short_id: "SHORT", f"{workspace}/": "WORKSPACE/", workspace: "WORKSPACE"}
    with psycopg.connect(scene.url, row_factory=dict_row) as conn:
        table = conn.execute(
            sql.SQL("SELECT * FROM public.{} WHERE _workspace = %s").format(sql.Identifier(dataset)),
            [workspace],
        ).fetchall()
        ledger = {
            name: tuple(sorted(_text(row, names) for row in _of_upload(conn, name, upload_id)))
            for name in _ledger_tables(conn)
        }
        staged = conn.execute(
            "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'staging' AND tablename LIKE %s",
            [f"%{short_id}%"],
        ).fetchall()
    counts: dict[str, Any] = {
        name: upload[name] for name in ("read", "inserted", "updated", "unchanged", "duplicate", "rejected")
    }
    counts["in table"] = sum(row["_upload_id"] == upload_id for row in table)
    return Snapshot(
        rows=Counter(_text(row, names) for row in table),
        ledger=ledger,
        objects=_objects(scene, workspace, names),
        staging=(
            *(f"table {row['name']}" for row in staged),
            *scene.world.keys(f"staging/{dataset}/{short_id}/"),
        ),
        counts=counts,
    )


def differences(undisturbed: Snapshot, disturbed: Snapshot) -> list[str]:
    """Where a disturbed import is not as an undisturbed one, a line each; empty: nowhere."""
    found = [f"row lost: {row}" for row in (undisturbed.rows - disturbed.rows)]
    found += [f"row too many: {row}" for row in (disturbed.rows - undisturbed.rows)]
    for name in sorted({*undisturbed.ledger, *disturbed.ledger}):
        was, now = Counter(undisturbed.ledger.get(name, ())), Counter(disturbed.ledger.get(name, ()))
        found += [f"{name} lacks: {row}" for row in (was - now)]
        found += [f"{name} has: {row}" for row in (now - was)]
    for key in sorted({*undisturbed.objects, *disturbed.objects}):
        was_text, now_text = undisturbed.objects.get(key), disturbed.objects.get(key)
        if was_text != now_text:
            found.append(f"{key}: {_first_difference(was_text, now_text)}")
    counts = disturbed.counts
    parts = ("inserted", "updated", "unchanged", "duplicate", "rejected")
    if counts["read"] is None or counts["read"] != sum(counts[part] or 0 for part in parts):
        found.append(f"counts do not balance: {counts}")
    if (counts["inserted"] or 0) + (counts["updated"] or 0) != counts["in table"]:
        found.append(f"the table has {counts['in table']} rows of the upload: {counts}")
    return found


def lost_and_twice(undisturbed: Snapshot, disturbed: Snapshot) -> tuple[int, int]:
    """Number of rows of the table that are missing, and of those that are too many."""
    lost = (undisturbed.rows - disturbed.rows).total()
    return lost, (disturbed.rows - undisturbed.rows).total()


def _ledger_tables(conn: psycopg.Connection[Any]) -> list[str]:
    found = conn.execute(
        "SELECT c.table_name AS name FROM information_schema.columns c JOIN information_schema.tables t"
        " USING (table_schema, table_name) WHERE c.table_schema = 'imports' AND c.column_name = 'upload_id'"
        " AND t.table_type = 'BASE TABLE'"
    ).fetchall()
    return sorted(row["name"] for row in found if row["name"] not in NOT_COMPARED)


def _of_upload(conn: psycopg.Connection[Any], table: str, upload_id: str) -> list[dict[str, Any]]:
    query = sql.SQL("SELECT * FROM imports.{} WHERE upload_id = %s").format(sql.Identifier(table))
    return conn.execute(query, [upload_id]).fetchall()


def _text(row: Mapping[str, Any], names: Mapping[str, str]) -> str:
    kept = {
        key: value is not None if key in TIMES else value for key, value in row.items() if key not in PASSING
    }
    return _normal(json.dumps(kept, default=str, sort_keys=True, ensure_ascii=False), names)


def _objects(scene: Scene, workspace: str, names: Mapping[str, str]) -> dict[str, str]:
    prefixes = (f"reports/{workspace}/", f"archive/{workspace}/", f"quarantine/{workspace}/")
    keys = [key for prefix in prefixes for key in scene.world.keys(prefix)]
    read = {key: scene.world.get(key).decode("utf-8", errors="replace") for key in keys}
    read |= dict.fromkeys(scene.world.keys(f"uploads/{workspace}/"), "")
    return {_normal(key, names): _normal(text, names) for key, text in read.items()}


def _normal(text: str, names: Mapping[str, str]) -> str:
    for name, put in names.items():
        text = text.replace(name, put)
    text = WRITTEN_MOMENT.sub("TIME", MOMENT.sub("TIME", UUID.sub("UUID", text)))
    return SECONDS.sub(r"\1: SECONDS", text)


def _first_difference(was: str | None, now: str | None) -> str:
    if was is None or now is None:
        return "is not there" if now is None else "should not be there"
    pairs = zip(was.split("\n"), now.split("\n"), strict=False)
    for number, (left, right) in enumerate(pairs, start=1):
        if left != right:
            return f"line {number} was {left[:300]!r}, is {right[:300]!r}"
    return f"was {len(was)} characters, is {len(now)}"
