"""What every part of housekeeping is given, and what it leaves: numbers of what it did."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TypeVar

import psycopg

from import_pipeline.flow.housekeeping.days import KeptDays
from import_pipeline.storage.bucket import Bucket

T = TypeVar("T")
UPLOADS_A_CHUNK = 100


@dataclass(frozen=True)
class House:
    """Where a part of housekeeping works.

    Attributes:
        conn: in autocommit; each chunk is a transaction on it.
        now: the moment that everything is judged at.
        active: those of some uploads that Dagster has an unfinished run of.
        did: numbers of what was done so far, by what it was; bytes under a name that begins with `bytes`.
    """

    conn: psycopg.Connection
    bucket: Bucket
    days: KeptDays
    now: datetime
    active: Callable[[Sequence[str]], set[str]]
    did: Counter[str] = field(default_factory=Counter)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Items in lists of at most `size`, taken from their source as they are asked for."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
