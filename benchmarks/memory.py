"""Memory of the processes of a run together, sampled from outside while the run works.

Shared pages are counted once over all processes (PSS) on Linux; elsewhere USS is summed, which
leaves shared pages out.
"""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.25


class MemoryWatch:
    """Samples in a thread of its own; a context manager.

    Args:
        processes: gives the processes to add up, anew for each sample.

    Attributes:
        peak: bytes, the largest sum seen; `processes`: their largest number.
    """

    def __init__(self, processes: Callable[[], Iterable[psutil.Process]]):
        self.peak = 0
        self.processes = 0
        self._find = processes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            sizes = [size for process in self._find() if (size := memory_of(process))]
            self.peak = max(self.peak, sum(sizes))
            self.processes = max(self.processes, len(sizes))


def memory_of(process: psutil.Process) -> int:
    """Bytes a process uses: its share of what it shares, and all it has alone; 0 if it is gone."""
    rollup = Path(f"/proc/{process.pid}/smaps_rollup")
    try:
        if rollup.exists():
            line = next(line for line in rollup.read_text().splitlines() if line.startswith("Pss:"))
            return int(line.split()[1]) * 1024
        return int(process.memory_full_info().uss)
    except (StopIteration, OSError, psutil.Error):
        return 0


def run_processes(code_server: int) -> list[psutil.Process]:
    """Run workers and all below them: what the process that serves the code has started."""
    try:
        below = psutil.Process(code_server).children(recursive=True)
        servers = [process for process in below if _is_code_server(process)]
        return list({p for server in servers for p in server.children(recursive=True)} - set(servers))
    except psutil.Error:
        return []


def _is_code_server(process: psutil.Process) -> bool:
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    return "api" in command and "grpc" in command


def peak_megabytes() -> int:
    """Most memory of this process; not `ru_maxrss`, which begins with what its parent held at its start."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) // 1024
