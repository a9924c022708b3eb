"""pandas: `read_csv` and `to_sql(method="multi")`, in chunks that PostgreSQL's 65,535 parameters allow."""

import argparse
import json
import sys
import time

import pandas as pd
import sqlalchemy as sa

MOST_PARAMETERS = 65_535


def main() -> None:
    """Load a file as text columns into a new table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("file")
    asked = parser.parse_args()
    engine = sa.create_engine(asked.url.replace("postgresql://", "postgresql+psycopg2://", 1))
    started = time.perf_counter()
    rows = pd.read_csv(asked.file, dtype=str, keep_default_na=False)
    chunk = MOST_PARAMETERS // len(rows.columns)
    rows.to_sql("pandas_peer", engine, if_exists="replace", index=False, method="multi", chunksize=chunk)
    seconds = time.perf_counter() - started
    with engine.connect() as conn:
        count = conn.execute(sa.text("SELECT count(*) FROM pandas_peer")).scalar_one()
    sys.stdout.write(json.dumps({"seconds": seconds, "rows": count}) + "\n")


if __name__ == "__main__":
    main()
