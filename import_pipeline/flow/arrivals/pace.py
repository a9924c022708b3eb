"""When the bucket is listed: what the sensor remembers from tick to tick, and pure decisions on it.

A listing costs time with every object that lies under `uploads/`, known or new. So a long one is done
in slices, one a tick, and the longer it took, the longer the pause after it. One slow listing alone says
nothing of the next: a store that was busy for some seconds is not a bucket full of objects.
"""

from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

PAUSE_TIMES = 3  # listing takes a quarter of the time at most
LONGEST_PAUSE_SECONDS = 900.0  # beside a queue: how long what the queue lost stays unseen


@dataclass(frozen=True)
class Pace:
    """How the last listings went.

    Attributes:
        ended: when the last whole one ended, seconds since 1970; None: there was none yet.
        seconds: what it took, over all its slices.
        before: what the one before it took; None: there was none.
        after: the key at which an unfinished one goes on; None: none is unfinished.
        spent: seconds that the unfinished one took so far.
    """

    ended: float | None = None
    seconds: float = 0.0
    before: float | None = None
    after: str | None = None
    spent: float = 0.0

    def pause(self, *, interval: float, queue: bool) -> float:
        """Seconds between the end of the last listing and the next one.

        Args:
            interval: seconds between two ticks; a shorter pause is none.
            queue: whether a queue tells what arrives.
        """
        if queue:
            return LONGEST_PAUSE_SECONDS
        usual = self.seconds if self.before is None else min(self.seconds, self.before)
        stretched = PAUSE_TIMES * usual
        return min(stretched, LONGEST_PAUSE_SECONDS) if stretched > interval else 0.0

    def wait(self, now: float, *, interval: float, queue: bool) -> float:
        """Seconds until the bucket is to be listed; 0: at this tick."""
        if self.ended is None or self.after is not None or now < self.ended:
            return 0.0
        return max(0.0, self.ended + self.pause(interval=interval, queue=queue) - now)

    def listed(self, now: float, took: float, after: str | None) -> "Pace":
        """The pace after one more slice, which ended at `after` (None: at the end of the listing)."""
        spent = self.spent + took
        if after is not None:
            return replace(self, after=after, spent=spent)
        return Pace(ended=now, seconds=spent, before=None if self.ended is None else self.seconds)


_CURSOR = TypeAdapter(Pace)


def read_pace(cursor: str | None) -> Pace:
    """The pace that a sensor's cursor holds; without one, or with another's, the bucket is listed at once."""
    try:
        return _CURSOR.validate_json(cursor or "{}")
    except ValidationError:
        return Pace()


def write_pace(pace: Pace) -> str:
    """The cursor that holds a pace."""
    return _CURSOR.dump_json(pace).decode()
