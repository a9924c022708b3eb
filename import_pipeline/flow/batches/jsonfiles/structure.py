"""Where in a JSON text brackets and commas stand that are not inside of strings, for a whole buffer at once.

No value is looked at: what lies between is parsed in `objects.py`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]
_QUOTE, _BACKSLASH, _COMMA = ord('"'), ord("\\"), ord(",")
_STEP = np.zeros(256, np.int8)
_STEP[[ord("{"), ord("[")]] = 1
_STEP[[ord("}"), ord("]")]] = -1
_STRUCTURAL = _STEP != 0
_STRUCTURAL[_COMMA] = True


@dataclass(frozen=True)
class Structure:
    """Brackets and commas of a text that begins outside of any string.

    Attributes:
        at: their offsets, ascending; `byte`: which they are.
        depth: how many brackets are open behind each, those before the text not counted.
        in_string: whether the text ends inside of a string.
    """

    at: Positions
    byte: npt.NDArray[np.uint8]
    depth: Positions
    in_string: bool


def find_structure(text: bytes) -> Structure:
    """The structure of a text."""
    data = np.frombuffer(text, np.uint8)
    quotes = _string_quotes(data)
    candidates = np.flatnonzero(_STRUCTURAL[data])
    outside = np.searchsorted(quotes, candidates) % 2 == 0
    at = candidates[outside]
    byte = data[at]
    return Structure(at, byte, np.cumsum(_STEP[byte], dtype=np.int64), len(quotes) % 2 == 1)


def _string_quotes(data: npt.NDArray[np.uint8]) -> Positions:
    """Quotes that open or close a string: those with an even number of backslashes before them."""
    quotes = np.flatnonzero(data == _QUOTE)
    slashes = np.flatnonzero(data == _BACKSLASH)
    if not len(slashes) or not len(quotes):
        return quotes
    index = np.arange(len(slashes))
    begins = np.append(True, np.diff(slashes) != 1)
    run_begin = np.maximum.accumulate(np.where(begins, index, 0))
    last = np.searchsorted(slashes, quotes) - 1
    touching = (last >= 0) & (slashes[last] == quotes - 1)
    length = np.where(touching, last - run_begin[last] + 1, 0)
    return quotes[length % 2 == 0]
