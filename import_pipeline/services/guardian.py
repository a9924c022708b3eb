"""The small program that stands between us and a service we start, so that nothing outlives us.

It runs one command and waits. When its standard input closes (we ended, however we ended, or
ask for a stop) it stops the command and all that the command started. It is run by path with
`python -I -S`: standard library only, no import of this package. Starting it is `processes.py`.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWUSER = 0x10000000
LOOK_AGAIN_SECONDS = 1.0
STEP_SECONDS = 0.02


def main() -> int:
    """Run `spec["command"]` (JSON in the first argument) until it ends or its owner does.

    The spec's other entries: `stop_signal` (number), `grace_seconds`, `held_fds` (kept open here,
    such as a lock, but not by the command), and, for a service that refuses to run as root,
    `uid` and `gid` to drop to, or `shown_as`: [uid, gid] that a user namespace shows for ours.
    Prints the command's pid as one line on standard output.

    Returns:
        The command's exit status, 128 + signal if a signal ended it.
    """
    spec = json.loads(sys.argv[1])
    owner = os.getppid()
    for fd in spec["held_fds"]:
        os.set_inheritable(fd, False)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    told, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _note)

    began, failed = os.pipe()  # closed by the very exec
    guardian = os.getpid()
    child = os.fork()
    if child == 0:
        _become(spec, guardian, failed)
    os.close(failed)
    if os.read(began, 1):
        return 126
    with contextlib.suppress(BrokenPipeError):
        os.write(1, f"{child}\n".encode())

    status = _wait_until_told(child, owner, told)
    if status is None:
        _send([child], spec["stop_signal"])
        status = _wait_for(child, spec["grace_seconds"])
    _end_descendants(child, spec["grace_seconds"])
    if status is None:
        status = _wait_for(child, LOOK_AGAIN_SECONDS)
    return 128 + signal.SIGKILL if status is None else _exit_code(status)


stop_asked = False


def _note(number: int, _frame: FrameType | None) -> None:
    global stop_asked  # noqa: PLW0603 - a signal handler has no other place to leave a word
    stop_asked = stop_asked or number != signal.SIGCHLD


def _become(spec: dict[str, Any], guardian: int, failed: int) -> None:
    """In the forked child: take the wanted identity and become the command; never returns.

    Writes to `failed` if it cannot.
    """
    try:
        os.setsid()
        for fd in (0, 1):
            os.dup2(os.open(os.devnull, os.O_RDWR), fd)
        os.dup2(2, 1)
        if spec.get("shown_as"):
            _enter_user_namespace(*spec["shown_as"])
        elif spec.get("uid") is not None:
            os.setgroups([])
            os.setgid(spec["gid"])
            os.setuid(spec["uid"])
        # After the change of identity, which clears it.
        _prctl(PR_SET_PDEATHSIG, spec["stop_signal"])
        if os.getppid() != guardian:  # it ended before we asked to be told
            os._exit(126)
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.execvp(spec["command"][0], spec["command"])  # noqa: S606 - no shell is wanted
    except OSError as error:
        os.write(2, f"cannot start {spec['command'][0]}: {error.strerror}\n".encode())
    finally:
        os.write(failed, b"1")
        os._exit(126)


def _enter_user_namespace(uid: int, gid: int) -> None:
    """Show this process, which keeps its rights over its own files, as user `uid` to itself."""
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "no user namespace may be made here")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{uid} {outside_uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{gid} {outside_gid} 1", encoding="ascii")


def _wait_until_told(child: int, owner: int, told: int) -> int | None:
    """Wait for the command's end (its wait status) or for the word to stop it (None)."""
    while True:
        ready, _, _ = select.select([0, told], [], [], LOOK_AGAIN_SECONDS)
        if told in ready:
            os.read(told, 512)
        status = _reap(child)
        if status is not None:
            return status
        # A process forked from the owner may hold the pipe open: so look at the owner too.
        if stop_asked or os.getppid() != owner or (0 in ready and not os.read(0, 512)):
            return None


def _wait_for(child: int, seconds: float) -> int | None:
    """Wait status of the command, or None if it has not ended after `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        status = _reap(child)
        if status is not None:
            return status
        time.sleep(STEP_SECONDS)
    return None


def _reap(child: int) -> int | None:
    """Collect every ended process; the command's wait status if it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                found = status
    return found


def _end_descendants(child: int, grace_seconds: float) -> None:
    """Ask whatever the command left behind to end, then make it."""
    left = _descendants()
    _send(left, signal.SIGTERM)
    until = time.monotonic() + grace_seconds
    while left and time.monotonic() < until:
        time.sleep(STEP_SECONDS)
        _reap(0)
        left = _descendants()
    while left:
        _send(left, signal.SIGKILL)
        time.sleep(STEP_SECONDS)
        _reap(0)
        left = _descendants()
    if sys.platform != "linux":  # no subreaper: orphans are found by their process group only
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)


def _descendants() -> list[int]:
    """Pids of all that runs below this process; orphans come back to it (see subreaper)."""
    children: dict[int, list[int]] = {}
    for pid, parent in _processes():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    ahead = [os.getpid()]
    while ahead:
        below = children.get(ahead.pop(), [])
        found += below
        ahead += below
    return found


def _processes() -> list[tuple[int, int]]:
    """(pid, parent's pid) of every process that has not ended."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["/bin/ps", "-axo", "pid=,ppid=,comm="], capture_output=True, check=False)
        rows = [line.split(maxsplit=2) for line in listed.stdout.decode(errors="replace").splitlines()]
        return [(int(row[0]), int(row[1])) for row in rows if not row[-1].endswith("ps")]
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state not in "ZX":
            found.append((int(stat.parent.name), int(parent)))
    return found


def _send(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
