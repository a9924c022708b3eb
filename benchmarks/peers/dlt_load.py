"""dlt, at its fastest: Arrow batches, CSV into COPY. `append` as they are, `merge` by the key."""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dlt
import pyarrow as pa
import pyarrow.csv

BLOCK_BYTES = 32 * 1024 * 1024


def main() -> None:
    """Load a file as text columns into a table of its own schema."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    parser.add_argument("--merge", metavar="KEY", help="merge by this column instead of appending")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DLT_DATA_DIR"] = folder
        started = time.perf_counter()
        pipeline = dlt.pipeline(
            pipeline_name="peer",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(asked.url),
            dataset_name="dlt_peer",
        )
        resource = dlt.resource(
            _batches(asked.file),
            name="leads",
            write_disposition="merge" if asked.merge else "append",
            primary_key=asked.merge,
        )
        pipeline.run(resource, loader_file_format="csv")
        seconds = time.perf_counter() - started
        with pipeline.sql_client() as client:
            ((rows,),) = client.execute_sql("SELECT count(*) FROM leads")
    sys.stdout.write(json.dumps({"seconds": seconds, "rows": rows}) + "\n")


def _batches(path: Path) -> Iterator[pa.Table]:
    names = path.open(encoding="utf-8").readline().strip().split(",")
    reader = pyarrow.csv.open_csv(
        path,
        pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )
    for batch in reader:
        yield pa.Table.from_batches([batch])


if __name__ == "__main__":
    main()
