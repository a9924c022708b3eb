"""What a process of a run gives back of the memory that it asked for."""

import platform
import subprocess
import sys

import pytest

HOLD = """
import pyarrow as pa
from import_pipeline.orchestration.memory import (
    give_memory_back_at_once,
    give_memory_back_between_batches,
)

give_memory_back_between_batches()
give_memory_back_at_once()
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096
filled = lambda size: pa.concat_arrays([pa.array(bytes(size), pa.uint8()), pa.nulls(1, pa.uint8())])
largest = filled(30_000_000)
del largest
before = resident()
freed, held = filled(20_000_000), [filled(100_000) for _ in range(20)]
del freed
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_a_large_block_goes_back_although_smaller_ones_came_after_it() -> None:
    answer = subprocess.run([sys.executable, "-c", HOLD], check=True, stdout=subprocess.PIPE, text=True)
    assert int(answer.stdout) < 10_000_000
