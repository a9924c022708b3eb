"""What cannot be done to one upload, prefix or table does not keep the others: counted, then said at the end.

An object under a lock of the bucket's, or a table of another owner, would end a part of housekeeping at the
same place each day, and whatever comes after it would stay for ever.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from botocore.exceptions import ClientError

from import_pipeline.errors import ConcurrentChange, ConfigurationError, NotAllDone, StorageUnavailable
from import_pipeline.flow.housekeeping.house import House
from import_pipeline.storage.faults import UNREACHABLE

TROUBLE = (StorageUnavailable, ConfigurationError, ConcurrentChange, ClientError, psycopg.DatabaseError)
# So many in a row without any answer, each after retries of its own: the store is away, not one object.
MOST_UNANSWERED = 3


class Stuck:
    """What one part of housekeeping could not do; `what` says it for people: `could not be moved`."""

    def __init__(self, house: House, what: str) -> None:
        self._house, self._what = house, what
        self._number, self._first, self._unanswered = 0, "", 0

    @contextmanager
    def apart(self, name: str) -> Iterator[None]:
        """One thing, in a transaction of its own or a savepoint; trouble with it is noted, not raised.

        Raises:
            StorageUnavailable: the store gave no answer several times in a row.
            psycopg.Error: the connection is lost.
        """
        try:
            with self._house.conn.transaction():
                yield
        except TROUBLE as error:
            if self._house.conn.closed:
                raise
            self._note(name, error)
            unanswered = isinstance(error.__cause__, UNREACHABLE)
            self._unanswered = self._unanswered + 1 if unanswered else 0
            if self._unanswered >= MOST_UNANSWERED:
                raise
        else:
            self._unanswered = 0

    def settle(self) -> None:
        """Say it, if there was anything.

        Raises:
            NotAllDone: how many, and which was the first.
        """
        if self._number:
            raise NotAllDone(
                f"{self._number:,} {self._what}, all others are done; the first: {self._first}",
                number=self._number,
                first=self._first,
            )

    def _note(self, name: str, error: Exception) -> None:
        # PostgreSQL's DETAIL may quote a row.
        primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
        self._number += 1
        self._house.did[self._what] += 1
        self._first = self._first or f"{name}: {primary or error}"
