"""Lines of CSV that any reader takes apart into the same cells."""

import csv
import io

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.flow.reports.csv_lines import csv_lines

# White space at an end is quoted too: some programs trim what is not.
CELL = st.text(st.sampled_from('ab;"\r\n\t \u00a0é'), max_size=4) | st.just("plain")
DELIMITER = st.sampled_from(";,\t|")


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6), st.integers(0, 2), DELIMITER)
def test_cells_come_back_from_their_lines_as_they_were(
    rows: list[tuple[str, str]], start: int, delimiter: str
) -> None:
    columns = [
        pa.array(["before"] * start + [row[n] for row in rows], pa.string()).slice(start) for n in range(2)
    ]
    lines = csv_lines(columns, delimiter).decode()
    assert list(csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter)) == [
        list(row) for row in rows
    ]
    for cell in {cell for row in rows for cell in row if cell != cell.strip(" \t\r\n")}:
        assert '"' + cell.replace('"', '""') + '"' in lines
