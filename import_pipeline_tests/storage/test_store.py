"""Both stores behave alike; Parquet goes through either."""

from pathlib import Path

import pyarrow as pa
import pytest

from import_pipeline.errors import StoredObjectMissing
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.store import LocalStore, Store


@pytest.fixture(params=["local", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return LocalStore(tmp_path / "store")
    return Bucket(request.getfixturevalue("s3"), request.getfixturevalue("bucket_name"))


def test_what_is_put_is_what_comes_back(store: Store, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"from a file")
    store.put_bytes("staging/a/1", b"\x00bytes")
    store.put_file("staging/a/2", tmp_path / "in", "text/csv")
    store.get_file("staging/a/1", tmp_path / "out")
    assert store.get_bytes("staging/a/2") == b"from a file"
    assert (tmp_path / "out").read_bytes() == b"\x00bytes"


def test_a_prefix_lists_and_deletes_only_what_begins_with_it(store: Store) -> None:
    for key in ("staging/a/2", "staging/a/1", "staging/ab/3", "staging/b/4"):
        store.put_bytes(key, b"x")
    assert store.list_keys("staging/a/") == ["staging/a/1", "staging/a/2"]
    assert store.delete_prefix("staging/a/") == 2
    assert store.list_keys("staging/") == ["staging/ab/3", "staging/b/4"]
    assert not store.exists("staging/a/1")
    assert store.exists("staging/ab/3")


def test_a_missing_object_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoredObjectMissing, match="staging/none"):
        store.get_bytes("staging/none")
    with pytest.raises(StoredObjectMissing):
        store.get_file("staging/none", tmp_path / "out")


def test_a_table_keeps_types_and_nulls_and_gives_single_columns(store: Store) -> None:
    table = pa.table({"_row_number": pa.array([2, 3]), "c0": pa.array(["", None], pa.string())})
    store.put_table("staging/t.parquet", table)
    assert store.get_table("staging/t.parquet").equals(table)
    assert store.get_table("staging/t.parquet", ["c0"]).column_names == ["c0"]


@pytest.mark.parametrize("key", ["../outside", "/etc/passwd", "a/../../b", ""])
def test_a_key_never_leads_out_of_a_local_store(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        LocalStore(tmp_path).put_bytes(key, b"x")


@pytest.mark.parametrize("prefix", ["", "u", "uploads/", "uploads/acme/"])
def test_originals_are_never_deleted_by_prefix(s3, bucket_name: str, prefix: str) -> None:
    s3.put_object(Bucket=bucket_name, Key="uploads/acme/leads/a.csv", Body=b"x")
    with pytest.raises(ValueError, match="never deleted"):
        Bucket(s3, bucket_name).delete_prefix(prefix)


def test_tables_are_kept_in_memory_while_there_is_room_and_are_files_beyond(tmp_path: Path) -> None:
    table = pa.table({"n": pa.array(range(1000), pa.int64())})
    store = LocalStore(tmp_path, table_bytes=table.nbytes)
    for key in ("t/1", "t/2", "t/1"):
        store.put_table(key, table)
    assert store.list_keys("t/") == ["t/1", "t/2"]
    assert [store.path(key).exists() for key in ("t/1", "t/2")] == [False, True]
    assert all(store.get_table(key, ["n"]).equals(table) and store.exists(key) for key in ("t/1", "t/2"))
    assert store.delete_prefix("t/") == 2
    store.put_table("t/3", table)
    assert not store.path("t/3").exists()  # what was deleted made room
    assert not store.exists("t/1")
