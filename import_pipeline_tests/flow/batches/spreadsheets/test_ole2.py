import random

import pytest

from import_pipeline.errors import CorruptFile
from import_pipeline.flow.batches.spreadsheets.ole2 import as_ole2, workbook_stream
from import_pipeline_tests.flow.batches.reading_back import inspect, read_back
from import_pipeline_tests.flow.batches.spreadsheets import books


@pytest.mark.parametrize("length", [1, 4096, 4097, 6_000_000])
def test_a_stream_comes_back_from_the_file_that_is_made_of_it(tmp_path, length):
    stream = random.Random(1).randbytes(length)
    path = tmp_path / "a.xls"
    path.write_bytes(as_ole2(stream, "a.xls"))
    found = workbook_stream(path, "a.xls")
    assert found[:length] == stream and not any(found[length:])


def test_a_large_old_workbook_is_read_over_its_many_sectors():
    rows = [["Nome", "Valor"], *[[f"Pessoa número {n}", n] for n in range(20_000)]]
    found = read_back(books.xls({"Plan1": rows}))
    assert found.cells[-1] == ["Pessoa número 19999", "19999"]


def test_a_chain_of_sectors_that_never_ends_is_refused():
    """calamine would follow it until memory is full."""
    book = bytearray(books.xls({"Plan1": [["Nome"], *[["x" * 50]] * 400]}))
    table = int.from_bytes(book[76:80], "little")
    start = (table + 1) * 512
    book[start : start + 4] = (0).to_bytes(4, "little")
    with pytest.raises(CorruptFile):
        inspect(bytes(book))


@pytest.mark.parametrize(
    ("record", "place"), [(b"\xfc\x00", 4), (b"\x00\x02\x0e\x00", 0), (b"\x00\x02\x0e\x00", 4)]
)  # SST: number of texts; DIMENSIONS: first and last row
def test_announced_numbers_are_not_believed(record, place):
    """calamine takes memory for as many before it looks for the first."""
    book = bytearray(books.xls({"Plan1": [["Nome"], ["Ana"]]}))
    at = book.index(record, 512) + 4 + place
    book[at : at + 4] = (0x7FFFFFFF).to_bytes(4, "little")
    with pytest.raises(CorruptFile):
        inspect(bytes(book))
