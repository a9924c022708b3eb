"""The lock on a home folder: held as long as any process of its local services lives.

The starter takes it and every guardian keeps it open, so a file that a killed starter left
behind can be told from a true one.
"""

import fcntl
import os
import time
from pathlib import Path

from import_pipeline.errors import ConfigurationError

LOCK_FILE = "services.lock"


def take(home: Path, seconds: float = 20.0) -> int:
    """Take the lock, waiting for services that are still stopping.

    Args:
        home: the folder of local services.
        seconds: longest wait.

    Returns:
        An open file descriptor; the lock ends when its last copy is closed.

    Raises:
        ConfigurationError: another process keeps it.
    """
    fd = os.open(home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(fd, 32, 0).decode().strip()
            alive = owner.isdigit() and _is_alive(int(owner))
            if alive or time.monotonic() > until:
                os.close(fd)
                raise ConfigurationError(
                    f"Local services already run in {home}" + (f" (process {owner})." if alive else "."),
                    remedy="Stop them first (Ctrl-C where they run), or set IMPORT_PIPELINE_HOME to another "
                    "folder.",
                ) from None
            time.sleep(0.05)
        else:
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
            return fd


def is_held(home: Path) -> bool:
    """Whether local services run (or are still stopping) in `home`."""
    try:
        fd = os.open(home / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
