"""Starts and stops child processes that never outlive this one, whatever ends it.

Each child runs below a guardian (guardian.py), which ends it when this process is gone.
Which services there are, and with which commands, is not known here.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from import_pipeline.errors import ConfigurationError

GUARDIAN = Path(__file__).with_name("guardian.py")
LOG_BYTES_KEPT = 10_000_000
TAIL_BYTES = 64_000


@dataclass(frozen=True)
class Identity:
    """As whom a command runs: as we do, as another user, or as we do but shown as another user.

    Attributes:
        uid: user to change to, None to stay.
        gid: its group.
        shown_as: (uid, gid) that a user namespace shows to the command instead of ours.
    """

    uid: int | None = None
    gid: int | None = None
    shown_as: tuple[int, int] | None = None


@dataclass
class GuardedProcess:
    """A command that runs below a guardian, and its log."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    log: Path
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0
    identity: Identity = field(default_factory=Identity)
    held_fds: Sequence[int] = ()
    pid: int | None = None
    _guardian: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the command; `pid` is then the command's own.

        Raises:
            ConfigurationError: it could not even be started; the log's last lines say why.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_KEPT:
            self.log.replace(self.log.with_suffix(".log.1"))
        spec = {
            "command": list(self.command),
            "stop_signal": int(self.stop_signal),
            "grace_seconds": self.grace_seconds,
            "held_fds": list(self.held_fds),
            "uid": self.identity.uid,
            "gid": self.identity.gid,
            "shown_as": self.identity.shown_as,
        }
        with self.log.open("ab") as log:
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARDIAN), json.dumps(spec)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(self.env),
                cwd=self.cwd,
                start_new_session=True,
                pass_fds=tuple(self.held_fds),
            )
        assert self._guardian.stdout is not None  # noqa: S101 - a pipe was asked for
        first = self._guardian.stdout.readline()
        if not first:
            self._guardian.wait()
            raise ConfigurationError(f"{self.name} did not start: {self.tail(5)}", remedy=f"See {self.log}.")
        self.pid = int(first)

    def exit_code(self) -> int | None:
        """None while it runs, else its exit status (128 + signal)."""
        return None if self._guardian is None else self._guardian.poll()

    def ask_to_stop(self) -> None:
        """Begin the stop without waiting for it."""
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.close()

    def stop(self) -> None:
        """Stop the command and all it started, and wait until they are gone."""
        self.ask_to_stop()
        if self._guardian is not None:
            self._guardian.wait()
            if self._guardian.stdout is not None:
                self._guardian.stdout.close()

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - TAIL_BYTES))
            text = log.read().decode("utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def __enter__(self) -> "GuardedProcess":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def choose_port(wanted: int, variable: str) -> int:
    """`wanted` if it is not 0, else a free port on 127.0.0.1.

    Raises:
        ConfigurationError: the wanted port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise ConfigurationError(
                f"Port {wanted} ({variable}) cannot be used: {os.strerror(error.errno or 0)}.",
                remedy=f"Stop what uses it, or set {variable} to another port or to 0 for a free one.",
                variable=variable,
                port=wanted,
            ) from error
        return int(probe.getsockname()[1])


def plain_environment(base: Mapping[str, str]) -> dict[str, str]:
    """The few variables that any program may need, and nothing of ours or of AWS."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")
    return {name: base[name] for name in kept if name in base}
