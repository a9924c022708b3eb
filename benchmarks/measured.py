"""Everything that one run of `make bench` measured."""

from dataclasses import dataclass

from benchmarks.existing import Existing
from benchmarks.growing import Growing
from benchmarks.importing import Importing
from benchmarks.many_small import ManySmall


@dataclass
class Measured:
    """What was measured; None: it was not asked for."""

    rows: int
    rounds: int
    server_version: str
    importing: Importing | None = None
    small: ManySmall | None = None
    existing: Existing | None = None
    growing: Growing | None = None
