"""Damages the sample files at random for as long as one likes, and checks what comes of each.

    python -m import_pipeline_tests.sample_files.soak --minutes 30 --folder soak

Whatever the bytes: rows, rejects or a refusal by a code of the closed set, all rows counted, in bounded
time and memory. What breaks that is kept in the folder, with the seed that makes it again.
"""

import argparse
import collections
import multiprocessing
import random
import resource
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.codes import CODES
from import_pipeline.local_check import check_files
from import_pipeline_tests.sample_files.faults import FAULTS
from import_pipeline_tests.sample_files.model import PARTS
from import_pipeline_tests.sample_files.oddities import ODDITIES
from import_pipeline_tests.sample_files.writers import COMPRESSORS, WRITERS

SECONDS, BYTES = 20.0, 1_000_000_000
LARGEST_SEED = 200_000
SPLICED = (b'"', b"'", b"\\", b";", b",", b"\t", b"\r", b"\n", b"\r\n", b"\0", b"\xff", b"\xc3", b"{", b"}",
           b"[", b"]", b"\xef\xbb\xbf", b"\xff\xfe", b"=", b"<", b"&x;", b"1e999", b"\x80" * 9)  # fmt: skip


@dataclass(frozen=True)
class Seed:
    """A sound or faulty file to begin with."""

    name: str
    data: bytes
    dataset: Dataset
    options: SenderOptions


def seeds() -> list[Seed]:
    found = [
        Seed(f"{fault.name}.{form}", write(fault.header, fault.rows), PARTS, SenderOptions())
        for fault in FAULTS
        for form, (write, _) in WRITERS.items()
        if form not in fault.not_in
    ]
    found += [Seed(f"{o.name}.{o.extension}", o.data(), o.dataset, o.options) for o in ODDITIES]
    return [seed for seed in found if 0 < len(seed.data) <= LARGEST_SEED]


def damaged(data: bytes, chance: random.Random) -> bytes:
    """A few random changes."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8, 30))):
        data = _changed(data, chance) or b"\0"
    return data


def _changed(data: bytes, chance: random.Random) -> bytes:
    """One change: a byte, a mark put in, a cut, a repeat, an early end, noise, pieces swapped."""
    place = chance.randrange(len(data) + 1)
    size = chance.choice((1, 1, 2, 4, 16, 64, 1000))
    before, after = data[:place], data[place:]
    kinds = (
        lambda: before + bytes([chance.randrange(256)]) + after[1:],
        lambda: before + chance.choice(SPLICED) + after,
        lambda: before + after[size:],
        lambda: before + after[:size] + after,
        lambda: before,
        lambda: before + chance.randbytes(size) + after[size:],
        lambda: after + before,
    )
    return chance.choice(kinds)()


def one(seed: Seed, number: int, folder: Path) -> str:
    """Check one damaged file; the code of its refusal, or its state.

    Raises:
        AssertionError: what was said of it does not hold.
    """
    chance = random.Random(f"{seed.name} {number}")
    data = damaged(seed.data, chance)
    if chance.random() < 0.05:
        data = damaged(chance.choice(list(COMPRESSORS.values()))(data), chance)
    path = folder / seed.name
    path.write_bytes(data)
    started = time.monotonic()
    outcomes = []
    for checked in check_files(path, seed.dataset, seed.options, folder / "report"):
        if checked.error is None:
            assert checked.counts is not None and checked.counts.balanced, checked.counts
        else:
            assert CODES[checked.error.code].level == "file", checked.error.code
        assert set(checked.codes) <= set(CODES), checked.codes
        outcomes.append(checked.error.code if checked.error else checked.state)
    assert time.monotonic() - started < SECONDS, f"{time.monotonic() - started:.1f} s"
    return outcomes[0] if outcomes else "empty archive"


def work(minutes: float, turn: int, folder: Path, results: "multiprocessing.Queue") -> None:
    """One process: damaged files until the time is over."""
    beginnings = seeds()
    chance = random.Random(turn)
    outcomes: collections.Counter[str] = collections.Counter()
    ends = time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory() as scratch:
        while time.monotonic() < ends:
            seed, number = chance.choice(beginnings), chance.randrange(1 << 48)
            try:
                outcomes[one(seed, number, Path(scratch))] += 1
            except BaseException:  # a panic of a library is a finding, too
                outcomes["BROKEN"] += 1
                name = f"{number:012x}-{seed.name}"
                (folder / name).write_bytes((Path(scratch) / seed.name).read_bytes())
                (folder / f"{name}.txt").write_text(traceback.format_exc())
    outcomes["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    results.put(outcomes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--first", type=int, default=1, help="another number makes other files")
    parser.add_argument("--folder", type=Path, default=Path("soak"))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [
        context.Process(target=work, args=(given.minutes, given.first + turn, given.folder, results))
        for turn in range(given.processes)
    ]
    for worker in workers:
        worker.start()
    found = [results.get() for _ in workers]
    peak = max(outcomes.pop("peak MB") for outcomes in found)
    together = sum(found, collections.Counter())
    for outcome, number in together.most_common():
        sys.stdout.write(f"{number:9,}  {outcome}\n")
    sys.stdout.write(f"{together.total():9,}  files, {peak:,} MB at most\n")
    return 1 if together["BROKEN"] or peak * 1_000_000 > BYTES else 0


if __name__ == "__main__":
    raise SystemExit(main())
