"""Waiting for what another process does: the one place where a test looks again."""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import psutil

T = TypeVar("T")


def wait_until(condition: Callable[[], T], seconds: float = 30.0) -> T:
    """The first true value of `condition()`; fails the test after `seconds`."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < until, f"still not so after {seconds} s: {condition}"
        time.sleep(0.02)


def ended(processes: Iterable[psutil.Process]) -> bool:
    """Whether none of them runs any more; one that nobody collected yet has ended too."""
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            continue
    return True
