"""Compressed files as sources: the same bytes come out, whatever is wrong is named, bombs end early."""

import bz2
import gzip
import lzma
import random
from typing import get_args

import pytest
import zstandard

from import_pipeline.errors import CorruptFile, ExpandsTooFar, FileTooLarge, TruncatedFile
from import_pipeline.flow.batches.sources import compression as compressing
from import_pipeline.flow.batches.sources.compression import ExpandedSource, compression_of, name_inside
from import_pipeline.records import Compression
from import_pipeline_tests.flow.batches.reading_back import BytesSource

PACKERS = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "zst": zstandard.ZstdCompressor().compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
}
ALL = get_args(Compression)
# Text of which a good part does not compress, so that cuts and flips fall inside of data.
TEXT = b"".join(b"%d;%d\n" % (n, random.Random(n).getrandbits(64)) for n in range(20_000))
GIB = 1024**3


def expanded(
    data: bytes, compression: Compression, *, chunk_bytes: int = 8 * 1024**2, limit: int = GIB
) -> bytes:
    return b"".join(ExpandedSource(BytesSource(data, chunk_bytes), compression, limit).chunks())


@pytest.mark.parametrize("compression", ALL)
@pytest.mark.parametrize("chunk_bytes", [1, 1000, 8 * 1024**2])
def test_what_was_packed_comes_out(compression: Compression, chunk_bytes: int) -> None:
    packed = PACKERS[compression](TEXT if chunk_bytes > 1 else TEXT[:5000])
    assert compression_of(packed[:10]) == compression
    assert expanded(packed, compression, chunk_bytes=chunk_bytes) == (
        TEXT if chunk_bytes > 1 else TEXT[:5000]
    )


@pytest.mark.parametrize("compression", ALL)
@pytest.mark.parametrize("chunk_bytes", [7, 8 * 1024**2])
def test_several_members_are_one_text(compression: Compression, chunk_bytes: int) -> None:
    pack = PACKERS[compression]
    packed = pack(b"a\n") + pack(b"") + pack(b"b\n")
    assert expanded(packed, compression, chunk_bytes=chunk_bytes) == b"a\nb\n"


@pytest.mark.parametrize("compression", ALL)
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.999])
def test_a_file_that_ends_too_early_is_refused_by_name(compression: Compression, kept: float) -> None:
    packed = PACKERS[compression](TEXT)
    with pytest.raises(TruncatedFile, match=r"people\.csv ends before its"):
        expanded(packed[: int(len(packed) * kept)], compression)


@pytest.mark.parametrize("compression", ALL)
def test_a_last_member_that_ends_too_early_is_refused(compression: Compression) -> None:
    packed = PACKERS[compression](TEXT)
    with pytest.raises(TruncatedFile):
        expanded(packed + packed[:-3], compression)


@pytest.mark.parametrize("compression", ALL)
def test_bytes_behind_the_end_are_refused(compression: Compression) -> None:
    with pytest.raises(CorruptFile) as refused:
        expanded(PACKERS[compression](TEXT) + b"more text that is not compressed", compression)
    assert refused.value.code == "corrupt_file"


@pytest.mark.parametrize("compression", ["gz", "xz"])
def test_zeros_behind_the_end_are_padding(compression: Compression) -> None:
    pack = PACKERS[compression]
    assert expanded(pack(b"a\n") + bytes(512) + pack(b"b\n") + bytes(8), compression) == b"a\nb\n"


@pytest.mark.parametrize("compression", ALL)
def test_a_flipped_byte_is_refused_never_read(compression: Compression) -> None:
    pack = (
        zstandard.ZstdCompressor(write_checksum=True).compress
        if compression == "zst"
        else PACKERS[compression]
    )
    packed = bytearray(pack(TEXT))
    packed[len(packed) // 2] ^= 0x55
    with pytest.raises(CorruptFile, match=r"damaged|ends before"):
        expanded(bytes(packed), compression)


@pytest.mark.parametrize("compression", ALL)
def test_a_bomb_ends_at_the_ratio(compression: Compression, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressing, "EXPANSION_FREE_BYTES", 1024**2)
    packed = PACKERS[compression](bytes(30 * 1024**2))
    with pytest.raises(ExpandsTooFar, match="over 200 times"):
        expanded(packed, compression)


def test_a_small_file_may_expand_as_far_as_it_likes() -> None:
    assert len(expanded(gzip.compress(bytes(20 * 1024**2)), "gz")) == 20 * 1024**2


@pytest.mark.parametrize("compression", ALL)
def test_the_limit_counts_what_comes_out(compression: Compression) -> None:
    packed = PACKERS[compression](TEXT)
    assert expanded(packed, compression, limit=len(TEXT)) == TEXT
    with pytest.raises(FileTooLarge) as refused:
        expanded(packed, compression, limit=len(TEXT) - 1)
    assert refused.value.fields == {"limit": len(TEXT) - 1}


def test_no_piece_is_larger_than_memory_allows() -> None:
    source = BytesSource(zstandard.ZstdCompressor().compress(bytes(200 * 1024**2)))
    assert max(map(len, ExpandedSource(source, "zst", GIB).chunks())) < 100 * 1024**2


def test_a_frame_that_asks_for_too_much_memory_is_refused() -> None:
    long = zstandard.ZstdCompressionParameters(window_log=30)
    packer = zstandard.ZstdCompressor(compression_params=long).compressobj()
    with pytest.raises(CorruptFile, match="memory"):
        expanded(packer.compress(TEXT) + packer.flush(), "zst")


def test_an_expanded_source_is_a_file_with_a_size_and_its_own_name() -> None:
    packed = gzip.compress(TEXT)
    source = ExpandedSource(BytesSource(packed, name="people.csv.GZ"), "gz", GIB)
    assert (source.name, source.size, source.bytes_taken) == ("people.csv", len(TEXT), len(packed))
    with source.open() as file:
        file.seek(5)
        assert file.read() == TEXT[5:]


@pytest.mark.parametrize(
    ("name", "compression", "inside"),
    [
        ("a.csv.gz", "gz", "a.csv"),
        ("a.csv.zstd", "zst", "a.csv"),
        ("a.csv", "gz", "a.csv"),
        (".gz", "gz", ".gz"),
    ],
)
def test_the_name_inside_is_the_one_without_the_suffix(
    name: str, compression: Compression, inside: str
) -> None:
    assert name_inside(name, compression) == inside


def test_text_is_not_taken_for_a_compressed_file() -> None:
    assert compression_of(b"BZhello;wo") is None
    assert compression_of(b"") is None
