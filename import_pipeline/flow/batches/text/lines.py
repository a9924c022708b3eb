"""Physical lines of a text, counted without any knowledge of rows: what the parser is held against."""

import numpy as np

from import_pipeline.flow.batches.delimited.scanning import CR, LF


class LineCounter:
    """Counts the physical lines of a text that comes in parts; knows nothing of cells or quotes."""

    def __init__(self) -> None:
        self._ends = 0
        self._last = b""

    def add(self, part: bytes) -> None:
        """Count one part; a CRLF may straddle two."""
        if not part:
            return
        data = np.frombuffer(part, np.uint8)
        feeds = int(np.count_nonzero(data == LF))
        returns = data == CR
        carriages = int(np.count_nonzero(returns))
        pairs = int(np.count_nonzero(returns[:-1] & (data[1:] == LF))) if carriages else 0
        if self._last == b"\r" and data[0] == LF:
            pairs += 1
        self._ends += feeds + carriages - pairs
        self._last = part[-1:]

    @property
    def lines(self) -> int:
        """Lines so far; a last one without line end counts."""
        return self._ends + (self._last not in (b"", b"\n", b"\r"))
