"""Physical lines of a text, counted without any knowledge of rows: what the parser is held against."""

from dataclasses import dataclass

import numpy as np

from import_pipeline.flow.batches.delimited.scanning import CR, LF
from import_pipeline.language import Told, told


@dataclass(frozen=True)
class LineEnds:
    """How the lines of a text end, by number."""

    lf: int = 0
    crlf: int = 0
    cr: int = 0

    @property
    def kinds(self) -> str:
        """`LF`, `CRLF`, `CR`, several joined by ` and `, or empty for one line without end."""
        found = (("LF", self.lf), ("CRLF", self.crlf), ("CR", self.cr))
        return " and ".join(name for name, number in found if number)

    @property
    def evidence(self) -> Told:
        """One phrase for the report."""
        return told("{lf:,} lines end with LF, {crlf:,} with CRLF, {cr:,} with CR",
                    lf=self.lf, crlf=self.crlf, cr=self.cr)  # fmt: skip


class LineCounter:
    """Counts the physical lines of a text that comes in parts; knows nothing of cells or quotes."""

    def __init__(self) -> None:
        self._feeds = self._carriages = self._pairs = 0
        self._last = b""

    def add(self, part: bytes) -> None:
        """Count one part; a CRLF may straddle two."""
        if not part:
            return
        data = np.frombuffer(part, np.uint8)
        feeds = int(np.count_nonzero(data == LF))
        carriages = pairs = 0
        if b"\r" in part:
            returns = data == CR
            carriages = int(np.count_nonzero(returns))
            pairs = int(np.count_nonzero(returns[:-1] & (data[1:] == LF)))
        if self._last == b"\r" and data[0] == LF:
            pairs += 1
        self._feeds += feeds
        self._carriages += carriages
        self._pairs += pairs
        self._last = part[-1:]

    @property
    def lines(self) -> int:
        """Lines so far; a last one without line end counts."""
        return self._feeds + self._carriages - self._pairs + (self._last not in (b"", b"\n", b"\r"))

    @property
    def ends(self) -> LineEnds:
        """The line ends so far; one inside a quoted cell counts like any other."""
        return LineEnds(self._feeds - self._pairs, self._pairs, self._carriages - self._pairs)
