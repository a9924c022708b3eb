"""Reading ahead: the next parts of a stream are made in a thread while the last one is worked on.

Worth its thread where both sides spend their time outside Python (files, sockets, Arrow, numpy, hashes).
"""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_END = object()


def read_ahead(items: Iterator[T], depth: int = 2) -> Generator[T, None, None]:
    """The same items in the same order, up to `depth` of them made before they are asked for.

    All of `items` runs in one thread. An error in it is raised here, in its place. Whoever stops early
    closes this generator (or lets go of it): the thread then ends with the item it is making.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead") as thread:
        try:
            waiting = deque(thread.submit(next, items, _END) for _ in range(depth))
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(thread.submit(next, items, _END))
                yield item  # type: ignore[misc]
        finally:
            for left in waiting:
                left.cancel()
            if isinstance(items, Generator):
                # Where it ran, so that what it holds is let go of there.
                thread.submit(items.close).result()
