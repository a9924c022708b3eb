"""The design that companies build by hand: chunks of 1,000 rows, each row looked at in Python, one query for
the chunk's known addresses, SQLAlchemy's bulk insert, a commit a chunk.
"""

import argparse
import csv
import json
import re
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

CHUNK = 1000
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class Base(DeclarativeBase):
    """Tables of this script."""


class Lead(Base):
    """A lead as such systems keep it."""

    __tablename__ = "row_by_row_peer"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str | None]
    phone: Mapped[str | None]
    company: Mapped[str | None]
    position: Mapped[str | None]
    source: Mapped[str | None]
    city: Mapped[str | None]
    state: Mapped[str | None]
    estimated_value: Mapped[Decimal | None]
    created_at: Mapped[datetime | None]
    notes: Mapped[str | None]
    campaign: Mapped[str | None]


def main() -> None:
    """Load the good rows of a file into a new table, the first of each address."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    asked = parser.parse_args()
    engine = sa.create_engine(asked.url.replace("postgresql://", "postgresql+psycopg2://", 1))
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    started = time.perf_counter()
    with asked.file.open(encoding="utf-8", newline="") as file, Session(engine) as session:
        reader = csv.DictReader(file)
        while chunk := list(islice(reader, CHUNK)):
            rows = {row["email"]: row for row in reversed(list(_good(chunk)))}
            known = set(session.scalars(sa.select(Lead.email).where(Lead.email.in_(rows))))
            session.bulk_insert_mappings(Lead.__mapper__, [r for e, r in rows.items() if e not in known])
            session.commit()
        seconds = time.perf_counter() - started
        count = session.scalar(sa.select(sa.func.count()).select_from(Lead))
    sys.stdout.write(json.dumps({"seconds": seconds, "rows": count}) + "\n")


def _good(chunk: list[dict[str, str]]) -> Iterator[dict[str, object]]:
    for row in chunk:
        email = row["email"].strip().lower()
        if not EMAIL.fullmatch(email) or len(row["state"]) != 2:
            continue
        try:
            value = Decimal(row["estimated_value"])
            created = datetime.strptime(row["created_at"], "%Y-%m-%d %H:%M:%S")
        except (InvalidOperation, ValueError):
            continue
        yield {**row, "email": email, "estimated_value": value, "created_at": created}


if __name__ == "__main__":
    main()
