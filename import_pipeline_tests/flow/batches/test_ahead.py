"""Reading ahead changes neither items nor errors, and ends when nobody asks any more."""

import threading
from collections.abc import Iterator

import pytest

from import_pipeline.flow.batches.ahead import read_ahead


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("number", [0, 1, 2, 7])
def test_the_items_are_the_same_in_the_same_order(number: int, depth: int) -> None:
    assert list(read_ahead(iter(range(number)), depth)) == list(range(number))


def test_an_error_is_raised_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("two")

    ahead = read_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="two"):
        next(ahead)


def test_no_more_than_the_depth_is_made_ahead_and_what_is_made_lets_go_in_its_thread() -> None:
    made: list[int] = []
    closed: list[int] = []

    def items() -> Iterator[int]:
        try:
            for number in range(1000):
                made.append(number)
                yield number
        finally:
            closed.append(threading.get_ident())

    ahead = read_ahead(items(), depth=2)
    assert next(ahead) == 0
    ahead.close()
    assert len(made) <= 3
    assert len(closed) == 1
    assert closed[0] != threading.get_ident()
