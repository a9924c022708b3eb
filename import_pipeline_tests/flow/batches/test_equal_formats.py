"""One table in every format and compression: the same rows, and the same columns of the dataset."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.flow.batches.kinds import NUMBER, TEXT
from import_pipeline.flow.batches.opening import inspect_file
from import_pipeline.flow.batches.sources.source import ObjectSource
from import_pipeline.flow.batches.splitting import split_file
from import_pipeline.storage.bucket import Bucket
from import_pipeline.storage.store import LocalStore
from import_pipeline_tests.flow.batches.reading_back import PEOPLE, read_back

HEADER = ("nome", "cidade", "valor", "filhos")
ROWS = [
    ("Ana", "São Paulo", "1.5", "2"),
    ('José "Zé"', "Rio; de Janeiro", "-0.01", "0"),
    ("00123", "linha\nquebrada", "12345678901234567890.25", "10"),
    ("ç😀", "{[,\\", "0.1", "1"),
]


def _csv() -> bytes:
    quoted = [";".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in (HEADER, *ROWS)]
    return "\r\n".join(quoted).encode()


def _object(row: tuple[str, ...]) -> str:
    """Text in quotes, numbers as they are."""
    values = [json.dumps(row[0]), json.dumps(row[1], ensure_ascii=False), row[2], row[3]]
    return "{" + ", ".join(f'"{key}": {value}' for key, value in zip(HEADER, values, strict=True)) + "}"


def _parquet() -> bytes:
    names, cities, amounts, children = zip(*ROWS, strict=True)
    columns = [
        pa.array(names),
        pa.array(cities).dictionary_encode(),
        pa.array(map(Decimal, amounts), pa.decimal128(30, 4)),
        pa.array(map(int, children), pa.int16()),
    ]
    target = io.BytesIO()
    pq.write_table(pa.table(columns, names=HEADER), target)
    return target.getvalue()


FORMATS = {
    "csv": _csv(),
    "json": ("[\n" + ",\n".join(map(_object, ROWS)) + "\n]").encode(),
    "jsonl": "\n".join(map(_object, ROWS)).encode("utf-16"),
    "parquet": _parquet(),
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, "gz": gzip.compress, "zst": zstandard.compress, "xz": lzma.compress, "bz2": bz2.compress,
}  # fmt: skip


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("compression", PACKERS)
def test_the_same_table_gives_equal_rows(file_format: str, compression: str) -> None:
    data = PACKERS[compression](FORMATS[file_format])
    got = read_back(data, name=f"people.{file_format}.{compression}".strip("."), chunk_bytes=100)
    assert (got.inspected.format, got.inspected.compression or "") == (file_format, compression)
    assert got.inspected.notices == ()
    assert [tuple(row) for row in got.cells] == ROWS
    assert got.inspected.mapping == {"name": 0, "city": 1, "amount": 2, "children": 3}
    assert got.problems == []
    kinds = [[row.get(f"k{position}", TEXT) for position in range(4)] for row in got.rows]
    typed = [TEXT, TEXT, TEXT, TEXT] if file_format == "csv" else [TEXT, TEXT, NUMBER, NUMBER]
    assert kinds == [typed] * len(ROWS)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("compression", ["", "zst"])
def test_an_object_in_the_bucket_is_read_like_a_file(
    file_format: str, compression: str, s3, bucket_name: str, tmp_path: Path
) -> None:
    data = PACKERS[compression](FORMATS[file_format])
    key = f"uploads/acme/people/people.{file_format}.{compression}".strip(".")
    s3.put_object(Bucket=bucket_name, Key=key, Body=data)
    bucket = Bucket(s3, bucket_name)
    found = bucket.head(key)
    assert found is not None
    source = ObjectSource(bucket, found[0])
    inspected = inspect_file(source, PEOPLE, SenderOptions())
    assert inspected.sha256 == hashlib.sha256(data).hexdigest()
    store = LocalStore(tmp_path)
    split = split_file(source, inspected, PEOPLE, options=SenderOptions(), store=store, staging="s/")
    rows = store.get_table(split.batches[0].key).to_pylist()
    assert [tuple(row[f"c{position}"] for position in range(4)) for row in rows] == ROWS
