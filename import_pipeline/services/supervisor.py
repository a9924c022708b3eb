"""Runs Dagster's own processes beside the local services, as long as this process lives.

The caller says which commands; here they are started with the right environment, watched,
and stopped with all that they started. No dagster import: commands are strings.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from import_pipeline.errors import ConfigurationError
from import_pipeline.services.processes import GuardedProcess

LOOK_SECONDS = 0.2
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ChildEnded(ConfigurationError):
    """A process that should run ended by itself; fields: `name`, `exit_code`, `log`."""

    code = "child_ended"


class StopAsked(BaseException):
    """A signal asked us to stop.

    Attributes:
        number: the signal.
    """

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells say it."""
        return 128 + self.number


@dataclass(frozen=True)
class Command:
    """One process to run: its log is `<home>/logs/<name>.log`."""

    name: str
    argv: Sequence[str]


class Supervisor:
    """Starts commands, watches them, stops them; a context manager.

    Args:
        home: folder of the local services; logs go below it.
        commands: what to start first, in this order; stopped together with what `start` adds.
        env: their environment (`RunningServices.environment()` and DAGSTER_HOME).
        grace_seconds: time for a clean end before it is forced.
    """

    def __init__(
        self, home: Path, commands: Sequence[Command], env: Mapping[str, str], *, grace_seconds: float = 10.0
    ):
        # Without bytecode files every process would compile everything again: four times as slow.
        kept = {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._env = kept | {"PYTHONUNBUFFERED": "1", "DAGSTER_DISABLE_TELEMETRY": "yes"}
        self._logs, self._grace_seconds = home.absolute() / "logs", grace_seconds
        self._first = commands
        self.processes: list[GuardedProcess] = []

    def __enter__(self) -> "Supervisor":
        try:
            self.start(self._first)
        except BaseException:
            self.stop()
            raise
        return self

    def start(self, commands: Sequence[Command]) -> None:
        """Start more of them, in this order.

        Raises:
            ConfigurationError: one could not even be started.
        """
        for command in commands:
            process = GuardedProcess(
                name=command.name,
                command=command.argv,
                env=self._env,
                log=self._logs / f"{command.name}.log",
                grace_seconds=self._grace_seconds,
            )
            self.processes.append(process)
            process.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def check(self, also: Sequence[GuardedProcess] = ()) -> None:
        """See that every process runs, and those of `also` (the local services).

        Raises:
            ChildEnded: one ended by itself; with the last lines of its log.
        """
        for process in [*self.processes, *also]:
            code = process.exit_code()
            if code is not None:
                raise ChildEnded(
                    f"{process.name} ended by itself (exit code {code}). The last lines of its log:\n"
                    f"{process.tail()}",
                    remedy=f"See {process.log}.",
                    name=process.name,
                    exit_code=code,
                    log=str(process.log),
                )

    def watch(self, also: Sequence[GuardedProcess] = (), until: Callable[[], bool] = lambda: False) -> None:
        """Wait until `until()` says so, looking after every process five times a second.

        Raises:
            ChildEnded: see `check`.
        """
        while not until():
            self.check(also)
            time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """Stop all together, each with whatever it started."""
        for process in self.processes:
            process.ask_to_stop()
        for process in self.processes:
            process.stop()


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Within it Ctrl-C, SIGTERM and SIGHUP raise StopAsked once in the main thread.

    A shell starts a background command with SIGINT ignored; here it counts again. Further
    signals are ignored, so that stopping is not itself cut short.

    Raises:
        StopAsked: when a signal comes.
    """

    def ask(number: int, _frame: FrameType | None) -> None:
        for each in STOP_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise StopAsked(number)

    before = {number: signal.signal(number, ask) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def dagster_environment(env: Mapping[str, str], dagster_home: Path) -> dict[str, str]:
    """`env` with DAGSTER_HOME set and this interpreter's programs first on PATH."""
    programs = str(Path(sys.executable).parent)
    path = os.pathsep.join([programs, env.get("PATH", os.defpath)])
    return dict(env) | {"DAGSTER_HOME": str(dagster_home), "PATH": path}
