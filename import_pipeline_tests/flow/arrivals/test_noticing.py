"""A listing in slices: every object is seen once, whatever a slice holds; what is new is recorded."""

import time
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from import_pipeline.flow.arrivals import decision, noticing
from import_pipeline.flow.arrivals.noticing import Importable, Recorded, notice_listed, record_new
from import_pipeline.flow.arrivals.pace import Pace
from import_pipeline.records import ListedObject
from import_pipeline.storage.bucket import Bucket

IMPORTABLE = Importable(["leads"], None)
NAMES = ["a+b.csv", "a b.csv", "a/b.csv", "\u00e1.csv", "a\u0301.csv", "z.csv", ".hidden", "50%25", "A"]
KEYS = sorted(f"uploads/acme/leads/{name}" for name in NAMES)


@pytest.fixture
def bucket(s3, bucket_name: str) -> Bucket:
    made = Bucket(s3, bucket_name)
    for number, key in enumerate(KEYS):
        made.put_bytes(key, b"x" * number)
    return made


@pytest.fixture
def conn(migrated_url: str):
    with psycopg.connect(migrated_url) as made:
        yield made


def recorded(conn: psycopg.Connection) -> list[tuple]:
    return conn.execute("SELECT key, etag, size, last_modified FROM imports.uploads").fetchall()


@pytest.mark.parametrize("at_once", [1, 2, 3, 1000])
def test_slices_together_record_what_one_listing_shows(
    bucket: Bucket, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(noticing, "LISTED_OBJECTS", at_once)
    monkeypatch.setattr(noticing, "PAGE", at_once)
    pace, new, seen = Pace(), 0, 0
    while pace.ended is None:
        done = notice_listed(conn, bucket, IMPORTABLE, pace)
        pace, new, seen = done.pace, new + done.new, seen + done.listed

    wanted = [o for o in bucket.list_objects() if not o.key.endswith(".hidden")]
    assert (seen, new) == (len(KEYS), len(wanted))
    assert sorted(recorded(conn)) == sorted((o.key, o.etag, o.size, o.last_modified) for o in wanted)
    assert pace.after is None


def test_a_slice_over_time_goes_on_where_it_stopped(
    bucket: Bucket, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noticing, "LISTING_SECONDS", -1)
    monkeypatch.setattr(noticing, "PAGE", 4)

    first = notice_listed(conn, bucket, IMPORTABLE, Pace())

    assert (first.listed, first.pace.after, first.pace.ended) == (4, KEYS[3], None)


def test_what_a_slice_has_no_time_to_record_is_recorded_by_the_next_ones(
    bucket: Bucket, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick is cut after 60 s and begins anew: with a whole slice of new objects it would never end."""
    monkeypatch.setattr(noticing, "NOTICING_SECONDS", -1)
    monkeypatch.setattr(noticing, "PAGE", 2)
    pace, found = Pace(), []
    while pace.ended is None:
        done = notice_listed(conn, bucket, IMPORTABLE, pace)
        pace, found = done.pace, [*found, done.new]

    assert max(found) <= 2
    assert sum(found) == len(recorded(conn)) == len(KEYS) - 1


def test_recording_what_is_new_does_not_put_the_next_listing_off(
    bucket: Bucket, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: clock.now, time=time.time, now=0.0)

    def record_slowly(*asked: Any) -> Recorded:
        clock.now += 100
        return record_new(*asked)

    monkeypatch.setattr(noticing, "time", clock)
    monkeypatch.setattr(noticing, "record_new", record_slowly)

    done = notice_listed(conn, bucket, IMPORTABLE, Pace())

    assert (clock.now, done.new) == (100, len(KEYS) - 1)
    assert done.pace.wait(time.time(), interval=5, queue=False) == 0


def test_a_slice_asks_the_ledger_one_question_however_many_pages_it_has(
    bucket: Bucket, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noticing, "PAGE", 2)
    statements: list[str] = []
    execute = psycopg.Cursor.execute

    def executed(cursor: psycopg.Cursor, query: Any, *more: Any, **options: Any) -> Any:
        statements.append(" ".join(str(query).split()[:2]))
        return execute(cursor, query, *more, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", executed)
    first = notice_listed(conn, bucket, IMPORTABLE, Pace())
    assert (first.listed, first.new) == (len(KEYS), len(KEYS) - 1)
    assert statements == ["SELECT identity"] + ["INSERT INTO"] * -(-len(KEYS) // 2)

    statements.clear()
    assert notice_listed(conn, bucket, IMPORTABLE, Pace()).listed == len(KEYS)
    assert statements == ["SELECT identity"]


def test_a_known_object_is_asked_about_and_not_recorded_again(
    bucket: Bucket, conn: psycopg.Connection
) -> None:
    notice_listed(conn, bucket, IMPORTABLE, Pace())
    before = recorded(conn)
    bucket.put_bytes("uploads/acme/leads/late.csv", b"y")

    assert notice_listed(conn, bucket, IMPORTABLE, Pace()).new == 1
    assert set(before) < set(recorded(conn))


def test_two_files_of_one_short_id_do_not_stop_the_others(
    bucket: Bucket, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """48 bits: whoever may drop files finds two such names within a minute: they stopped the sensor."""
    clashing, real = [KEYS[1], KEYS[4]], decision.identity

    def identity(listed: ListedObject) -> str:
        return "0" * 12 + real(listed)[12:] if listed.key in clashing else real(listed)

    monkeypatch.setattr(decision, "identity", identity)

    done = notice_listed(conn, bucket, IMPORTABLE, Pace())

    assert (done.new, len(recorded(conn)), len(done.clashing)) == (len(KEYS) - 2, len(KEYS) - 2, 1)
    again = notice_listed(conn, bucket, IMPORTABLE, Pace())
    assert (again.new, again.clashing) == (0, done.clashing)
