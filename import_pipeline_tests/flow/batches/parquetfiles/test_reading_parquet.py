"""Parquet: every type comes out as exact text with its kind, and goes back to the same value."""

import io
import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.parquet import encryption

from import_pipeline.catalog.dataset import Dataset, column
from import_pipeline.catalog.types import Text
from import_pipeline.errors import CorruptFile, EncryptedFile, ExpandsTooFar, MissingColumns
from import_pipeline.flow.batches.kinds import BOOLEAN, DATE, IMPRECISE, JSON, NUMBER, TEXT, TIME, TIMESTAMP
from import_pipeline.flow.batches.parquetfiles import inspecting, reading
from import_pipeline.flow.batches.parquetfiles.inspecting import schema_of
from import_pipeline.flow.batches.parquetfiles.restoring import restore
from import_pipeline_tests.flow.batches.reading_back import ReadBack, inspect, read_back


class Noted(pandera.DataFrameModel):
    note: Text = column()


NOTED = Dataset(name="noted", model=Noted)


def written(table: pa.Table, **options: Any) -> bytes:
    target = io.BytesIO()
    pq.write_table(table, target, **options)
    return target.getvalue()


def read(table: pa.Table, **options: Any) -> ReadBack:
    return read_back(written(table, **options), NOTED, name="rows.parquet")


MOMENT = datetime(2026, 2, 28, 14, 30, tzinfo=UTC)
NAIVE = datetime(2026, 2, 28, 14, 30)
INNER = pa.struct([("a", pa.list_(pa.struct([("b", pa.decimal128(5, 2))]))), ("c", pa.string())])
VALUES: list[tuple[str, pa.Array, list[str], list[int] | None]] = [
    ("text", pa.array(["Ana", ' "é"\n', ""]), ["Ana", ' "é"\n', ""], None),
    ("large text", pa.array(["a", "b"], pa.large_string()), ["a", "b"], None),
    ("dictionary", pa.array(["x", "y", "x"]).dictionary_encode(), ["x", "y", "x"], None),
    ("bytes that are text", pa.array([b"abc", "é".encode()]), ["abc", "é"], None),
    ("bytes that are none", pa.array([b"\xff\x00", b""]), ["\\xff00", ""], None),
    ("fixed bytes", pa.array([b"ab", b"\x80\x81"], pa.binary(2)), ["ab", "\\x8081"], None),
    ("uuid", pa.array([uuid.UUID(int=5).bytes], pa.uuid()), [str(uuid.UUID(int=5))], None),
    ("int64", pa.array([1, -(2**63), 2**63 - 1]), ["1", str(-(2**63)), str(2**63 - 1)], [NUMBER] * 3),
    ("uint64", pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)], [NUMBER]),
    ("int8", pa.array([-128], pa.int8()), ["-128"], [NUMBER]),
    ("float", pa.array([0.1, 1e-7, 100.0, -0.5]), ["0.1", "0.0000001", "100", "-0.5"], [NUMBER] * 4),
    ("large float", pa.array([1e20, 2.0**53]), ["1e+20", "9.007199254740992e+15"], [IMPRECISE] * 2),
    ("no number", pa.array([float("nan"), float("inf")], from_pandas=False), ["nan", "inf"], [TEXT] * 2),
    ("float32", pa.array([0.1, 16777216.0], pa.float32()), ["0.1", "16777216"], [NUMBER, IMPRECISE]),
    ("float16", pa.array([1.5], pa.float16()), ["1.5"], [NUMBER]),
    ("decimal", pa.array([Decimal("1.50"), Decimal("-0.01"), Decimal(100)], pa.decimal128(10, 2)),
     ["1.5", "-0.01", "100"], [NUMBER] * 3),
    ("decimal256", pa.array([Decimal("1" * 50)], pa.decimal256(60, 3)), ["1" * 50], [NUMBER]),
    ("date", pa.array([date(2026, 2, 28), date(1, 1, 1)]), ["2026-02-28", "0001-01-01"], [DATE] * 2),
    ("timestamp", pa.array([NAIVE, NAIVE.replace(microsecond=120)], pa.timestamp("us")),
     ["2026-02-28 14:30:00", "2026-02-28 14:30:00.00012"], [TIMESTAMP] * 2),
    ("nanoseconds", pa.array([1], pa.timestamp("ns")), ["1970-01-01 00:00:00.000000001"], [TIMESTAMP]),
    ("utc", pa.array([MOMENT], pa.timestamp("ms", "UTC")), ["2026-02-28 14:30:00+00:00"], [TIMESTAMP]),
    ("zone", pa.array([MOMENT, MOMENT.replace(microsecond=5000)], pa.timestamp("ms", "America/Sao_Paulo")),
     ["2026-02-28 11:30:00-03:00", "2026-02-28 11:30:00.005-03:00"], [TIMESTAMP] * 2),
    ("beyond the calendar", pa.array([10**17, 0], pa.timestamp("ms")),
     ["<value out of range: 100000000000000000>", "1970-01-01 00:00:00"], [TEXT, TIMESTAMP]),
    ("time", pa.array([time(1, 2, 3, 40), time(0)], pa.time64("us")),
     ["01:02:03.00004", "00:00:00"], [TIME] * 2),
    ("time32", pa.array([time(1, 2, 3)], pa.time32("s")), ["01:02:03"], [TIME]),
    ("duration", pa.array([1500, -1], pa.duration("ms")), ["1.5", "-0.001"], [NUMBER] * 2),
    ("bool", pa.array([True, False]), ["true", "false"], [BOOLEAN] * 2),
    ("list", pa.array([[1, None], []], pa.list_(pa.int64())), ["[1,null]", "[]"], [JSON] * 2),
    ("fixed list", pa.array([[1, 2]], pa.list_(pa.int8(), 2)), ["[1,2]"], [JSON]),
    ("struct", pa.array([{"a": [{"b": Decimal("1.50")}], "c": 'x\n"ç\\'}, {"a": None, "c": None}], INNER),
     ['{"a":[{"b":1.5}],"c":"x\\n\\"ç\\\\"}', '{"a":null,"c":null}'], [JSON] * 2),
    ("map", pa.array([[("k", 1.5), ("l", None)], []], pa.map_(pa.string(), pa.float64())),
     ['{"k":1.5,"l":null}', "{}"], [JSON] * 2),
    ("map of dates", pa.array([[(1, date(2026, 1, 1))]], pa.map_(pa.int32(), pa.date32())),
     ['{"1":"2026-01-01"}'], [JSON]),
]  # fmt: skip


@pytest.mark.parametrize(("values", "texts", "kinds"), [v[1:] for v in VALUES], ids=[v[0] for v in VALUES])
def test_a_value_comes_out_as_exact_text_and_goes_back_to_what_it_was(
    values: pa.Array, texts: list[str], kinds: list[int] | None
) -> None:
    with_null = pa.concat_arrays([values, pa.nulls(1, values.type)])
    got = read(pa.table({"x": with_null}))
    assert [row["c0"] for row in got.rows] == [*texts, None]
    assert [row.get("k0") for row in got.rows] == (
        [None] * (len(texts) + 1) if kinds is None else [*kinds, TEXT]
    )
    kept = schema_of(got.inspected).field("x").type
    assert kept == pq.read_table(io.BytesIO(written(pa.table({"x": with_null})))).schema.field("x").type
    back = restore(pa.array([row["c0"] for row in got.rows], pa.string()), kept)
    assert back.type == kept
    expected = with_null.cast(kept)
    # NaN equals nothing, and is written the same.
    assert back.equals(expected) or back.to_string() == expected.to_string()


def test_a_column_of_nulls_is_nulls() -> None:
    got = read(pa.table({"note": pa.nulls(2)}))
    assert got.cells == [[None], [None]]
    assert restore(pa.nulls(2, pa.string()), pa.null()) == pa.nulls(2)


def test_text_that_is_none_is_a_reject_in_a_declared_column_and_shown_in_an_unknown_one() -> None:
    broken = pa.array([b"good", b"br\xf3ken"])
    as_text = pa.Array.from_buffers(pa.string(), 2, broken.buffers())
    got = read(pa.table({"note": as_text}))
    assert got.problems == [(2, "undecodable_text")]
    got = read(pa.table({"note": ["a", "b"], "other": as_text}))
    assert got.problems == []
    assert got.cells[1] == ["b", "\\x6272f36b656e"]


def test_rows_are_numbered_from_1_over_row_groups_and_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_ROWS", 300)
    table = pa.table({"note": [str(n) for n in range(1, 1001)]})
    got = read(table, row_group_size=400)
    assert got.numbers == list(range(1, 1001))
    assert [row["c0"] for row in got.rows] == [str(n) for n in range(1, 1001)]
    assert got.inspected.text is None


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
@pytest.mark.parametrize("version", ["1.0", "2.6"])
def test_every_codec_and_version_is_read(codec: str, version: str) -> None:
    assert read(pa.table({"note": ["a", "b"] * 500}), compression=codec, version=version).split.read == 1000


def test_a_declared_footer_is_ignored() -> None:
    footed = Dataset(name="noted", model=Noted, footer=("^Total",))
    got = read_back(written(pa.table({"note": ["a", "Total: 1"]})), footed, name="a.parquet")
    assert (got.cells, got.split.ignored_rows, got.split.read) == ([["a"]], 1, 1)


def test_a_row_that_says_what_its_column_is_called_is_data() -> None:
    assert read(pa.table({"note": ["note", "a"]})).cells == [["note"], ["a"]]


def test_a_file_without_rows_has_columns() -> None:
    got = read(pa.table({"note": pa.array([], pa.string())}))
    assert (got.split.read, got.split.batches, got.inspected.header) == (0, (), ("note",))


def test_required_columns_must_be_there() -> None:
    with pytest.raises(MissingColumns):
        inspect(written(pa.table({"x": [1]})))


def test_a_damaged_page_is_refused_by_name() -> None:
    data = bytearray(written(pa.table({"note": [str(n) for n in range(50_000)]}), use_dictionary=False))
    data[len(data) // 4 : len(data) // 2] = b"\xff" * (len(data) // 2 - len(data) // 4)
    with pytest.raises(CorruptFile, match=r"rows\.parquet is a Parquet file that cannot be read") as refused:
        read_back(bytes(data), NOTED, name="rows.parquet")
    assert refused.value.code == "corrupt_file"


def test_a_changed_letter_is_refused_where_the_file_has_checksums() -> None:
    data = bytearray(written(pa.table({"note": ["abcdefgh"]}), compression="none", write_page_checksum=True))
    data[data.index(b"abcdefgh")] = ord("X")
    with pytest.raises(CorruptFile):
        read_back(bytes(data), NOTED, name="rows.parquet")


def test_a_damaged_end_is_refused_by_name() -> None:
    data = bytearray(written(pa.table({"note": ["a"]})))
    data[-60:-8] = b"\x00" * 52
    with pytest.raises(CorruptFile):
        inspect(bytes(data), NOTED)


class _Vault(encryption.KmsClient):
    """Wraps keys by not wrapping them: the file is what is tested."""

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        return key_bytes.hex().encode()

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        return bytes.fromhex(wrapped_key.decode())


@pytest.mark.parametrize("plaintext_footer", [True, False])
def test_an_encrypted_file_is_refused_by_name(plaintext_footer: bool) -> None:
    factory = encryption.CryptoFactory(lambda _: _Vault())
    settings = encryption.EncryptionConfiguration(
        footer_key="f", column_keys={"c": ["note"]}, plaintext_footer=plaintext_footer
    )
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), settings)
    table, target = pa.table({"note": ["secret"]}), io.BytesIO()
    with pq.ParquetWriter(target, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    with pytest.raises(EncryptedFile, match="protected by a password"):
        read_back(target.getvalue(), NOTED, name="rows.parquet")


def test_a_file_of_cells_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspecting, "CELLS_FREE", 1000)
    monkeypatch.setattr(inspecting, "MOST_CELLS_A_BYTE", 100)
    data = written(pa.table({"note": pa.array(["x"] * 3_000_000).dictionary_encode()}))
    with pytest.raises(ExpandsTooFar, match=r"cells in .* bytes; at most 100 a byte"):
        inspect(data, NOTED)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(blacklist_categories=("Cs",))),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False),
            st.booleans(),
            st.dates(),
            st.binary(max_size=5),
        ),
        max_size=8,
    ),
    st.booleans(),
)
def test_any_table_is_read_back_and_restored_exactly(
    rows: list[tuple[Any, ...]], as_dictionary: bool
) -> None:
    kinds = [pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.date32(), pa.binary()]
    columns = [pa.array([row[at] for row in rows], kind) for at, kind in enumerate(kinds)]
    if as_dictionary:
        columns[0] = columns[0].dictionary_encode()
    got = read(pa.table(columns, names=["note", "i", "f", "b", "d", "x"]))
    types = [field.type for field in schema_of(got.inspected)]
    for at, values in enumerate(columns):
        back = restore(pa.array([row[f"c{at}"] for row in got.rows], pa.string()), types[at])
        assert back.to_pylist() == values.to_pylist() or _is_shown_bytes(values)


def _is_shown_bytes(values: pa.Array) -> bool:
    """Bytes that spell their own hexadecimal form are the one text that means two things."""
    return any(isinstance(v, bytes) and v.startswith(b"\\x") for v in values.to_pylist())
