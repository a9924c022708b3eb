"""What a bucket hands out from memory, once, and what it then reads again."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from import_pipeline.errors import ObjectVanished, StoredObjectMissing
from import_pipeline.records import ListedObject
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.recent import OriginalInMemory, Recent, TablesInMemory


def test_a_bucket_hands_out_a_recent_table_once_and_then_reads_it(s3, bucket_name: str) -> None:
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    bucket = Bucket(s3, bucket_name, recent=Recent(TablesInMemory(table.nbytes)))
    for key in ("staging/1", "staging/2"):
        bucket.put_table(key, table)

    assert Bucket(s3, bucket_name).get_table("staging/1").equals(table), "it is in the bucket all the same"
    assert bucket.recent is not None
    bucket.delete_prefix("staging/")
    assert bucket.get_table("staging/1", ["b"]).equals(table.select(["b"]))
    for key in ("staging/1", "staging/2"):  # read already; no room for it
        with pytest.raises(StoredObjectMissing):
            bucket.get_table(key)
    bucket.put_table("staging/2", table)
    assert bucket.recent.tables.take("staging/2") is table, "there is room again"


def test_an_original_read_whole_is_handed_out_once_more_and_then_fetched(s3, bucket_name: str) -> None:
    bucket = Bucket(s3, bucket_name, recent=Recent(original=OriginalInMemory(10)))
    for key, data in (("uploads/a/leads/1.csv", b"0123456789"), ("uploads/a/leads/2.csv", b"larger than 10")):
        s3.put_object(Bucket=bucket_name, Key=key, Body=data)
        listed = next(bucket.list_objects(key))
        assert b"".join(bucket.read_pinned(listed, 3)) == data
        s3.delete_object(Bucket=bucket_name, Key=key)
        if len(data) <= 10:
            assert b"".join(bucket.read_pinned(listed, 3)) == data
        with pytest.raises(ObjectVanished):
            next(bucket.read_pinned(listed, 3))


ARRIVED = datetime(2026, 11, 2, tzinfo=UTC)
ORIGINALS = [b"abcdefgh", b"ABCDEFGH", b"larger than the room", b""]


@given(passes=st.lists(st.tuples(st.integers(0, len(ORIGINALS) - 1), st.integers(0, 9)), max_size=8))
@example(passes=[(0, 9), (0, 1), (0, 2), (0, 9)])
def test_every_pass_over_an_original_gives_its_bytes_wherever_passes_ended(
    passes: list[tuple[int, int]],
) -> None:
    kept, whole_before = OriginalInMemory(8), None
    for number, length in passes:
        data = ORIGINALS[number]
        listed = ListedObject("bucket", f"uploads/a/leads/{number}", str(number), len(data), ARRIVED)
        chunks = [data[start : start + 3] for start in range(0, len(data), 3)]
        fetched: list[bytes] = []
        passing = kept.chunks(listed, (fetched.append(chunk) or chunk for chunk in chunks))
        given_out = [chunk for _, chunk in zip(range(length), passing, strict=False)]
        passing.close()

        assert given_out == chunks[:length]
        assert fetched == ([] if whole_before == number else given_out)
        if length > 0:
            ended = length > len(chunks) and 0 < len(data) <= 8
            whole_before = number if (length == 1 if whole_before == number else ended) else None
