"""The whole pipeline on this machine: services, tables, Dagster's daemon and, if wanted, its UI.

`dev` and `demo` start it and watch it; nothing of it outlives this process. What runs where in
production stands in docs/operating.md.
"""

import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.errors import ConfigurationError
from import_pipeline.ledger.grants import loader_role
from import_pipeline.ledger.migrate import migrate
from import_pipeline.orchestration.code_server import CodeServer
from import_pipeline.orchestration.control import heartbeat_age, open_instance, set_pool_limits
from import_pipeline.services.dagster_home import prepare_dagster_home
from import_pipeline.services.processes import choose_port
from import_pipeline.services.running import RunningServices, start_services
from import_pipeline.services.supervisor import Command, Supervisor, dagster_environment
from import_pipeline.settings import Settings

READY_SECONDS = 180.0
ANSWER_SECONDS = 2.0


@dataclass(frozen=True)
class RunningPipeline:
    """A pipeline that is up: files dropped into its bucket are imported.

    Attributes:
        settings: with the addresses of whatever was started.
        url: of the UI; empty without one.
        say: told what a user should know of it.
    """

    settings: Settings
    services: RunningServices
    supervisor: Supervisor
    code_server: CodeServer
    url: str
    say: Callable[[str], None]

    def start_daemon(self, ui_port: int | None = None) -> "RunningPipeline":
        """Wait for the code server, then start Dagster's daemon and, if wanted, the UI.

        Returns:
            The pipeline with its UI.

        Raises:
            ChildEnded: the code server does not load the code; with the last lines of its log.
            ConfigurationError: it takes too long.
        """
        until = time.monotonic() + READY_SECONDS

        def answers() -> bool:
            if time.monotonic() > until:
                raise _not_ready(self.supervisor)
            return self.code_server.answers()

        self.supervisor.watch(also=self.services.processes, until=answers)
        python, workspace = [sys.executable, "-m"], ["-w", str(self.code_server.write_workspace())]
        commands = [Command("dagster-daemon", [*python, "dagster._daemon", "run", *workspace])]
        at = ["-h", "127.0.0.1", "-p", str(ui_port)]
        if ui_port is not None:
            commands.append(Command("dagster-webserver", [*python, "dagster_webserver", *at, *workspace]))
        self.supervisor.start(commands)
        return replace(self, url=f"http://127.0.0.1:{ui_port}" if ui_port is not None else "")

    def watch(self, until: Callable[[], bool] = lambda: False) -> None:
        """Wait until `until()` says so, and look after everything meanwhile.

        Raises:
            ChildEnded: a service or one of Dagster's processes ended by itself.
        """

        def look() -> bool:
            self.code_server.look_after(self.say)
            return until()

        self.supervisor.watch(also=self.services.processes, until=look)


@contextmanager
def start_pipeline(
    settings: Settings, *, ui_port: int | None, say: Callable[[str], None]
) -> Iterator[RunningPipeline]:
    """Start everything that the settings leave to us, and stop it at the end.

    While it runs, this process's environment is that of the pipeline.

    Args:
        ui_port: free port for the UI (`choose_ui_port`); None: no UI.
        say: told what is being done, a short sentence each.

    Raises:
        ConfigurationError: something is missing, taken, or does not start; says what to do.
    """
    say(_words(settings))
    with start_services(settings) as services:
        dagster_home = prepare_dagster_home(services.settings.home)
        env = dagster_environment(services.environment(), dagster_home)
        with (
            _environment(env),
            open_instance(services.settings, dagster_home) as instance,
            # It loads the code while the tables are looked at.
            start_code_server(services, dagster_home, env, say=say) as started,
        ):
            _bring_up_tables(services.settings, say)
            set_pool_limits(instance, services.settings)
            say("Starting Dagster …")
            began = time.time()
            running = started.start_daemon(ui_port)
            until = time.monotonic() + READY_SECONDS

            def ready() -> bool:
                if time.monotonic() > until:
                    raise _not_ready(running.supervisor)
                age = heartbeat_age(instance)
                beats = age is not None and time.time() - age >= began
                return beats and (not running.url or _answers(f"{running.url}/server_info"))

            running.watch(ready)
            yield running


@contextmanager
def start_code_server(
    services: RunningServices, dagster_home: Path, env: Mapping[str, str], *, say: Callable[[str], None]
) -> Iterator[RunningPipeline]:
    """Start the code server alone; it may still be loading the code."""
    server = CodeServer(dagster_home)
    command = Command("dagster-code-server", [sys.executable, "-m", "dagster", *server.arguments])
    with Supervisor(services.settings.home, [command], env) as supervisor:
        yield RunningPipeline(services.settings, services, supervisor, server, "", say)


def choose_ui_port(asked: int | None, settings: Settings) -> int:
    """The UI's port: as asked for, else that of the settings, else a free one.

    Raises:
        ConfigurationError: the port asked for is taken.
    """
    if asked is not None:
        return choose_port(asked, "--port")
    try:
        return choose_port(settings.ui_port, "IMPORT_PIPELINE_UI_PORT")
    except ConfigurationError:
        return choose_port(0, "IMPORT_PIPELINE_UI_PORT")


def _words(settings: Settings) -> str:
    started = ["PostgreSQL"] if settings.is_local else []
    started += ["the S3 emulator"] if settings.is_local_aws else []
    return f"Starting {' and '.join(started)} …" if started else "Using the services that are set."


def _bring_up_tables(settings: Settings, say: Callable[[str], None]) -> None:
    if not settings.is_local:
        return  # a database of one's own is migrated by hand: `import-pipeline migrate`
    datasets = load_datasets(settings.datasets)
    owner_url = settings.require_owner_database_url()
    for done in migrate(owner_url, datasets, loader=loader_role(settings)):
        say(f"  {done}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _not_ready(supervisor: Supervisor) -> ConfigurationError:
    logs = "\n".join(f"{p.log}:\n{p.tail(8)}" for p in supervisor.processes)
    return ConfigurationError(
        f"Dagster was not ready after {READY_SECONDS:.0f} s. Its last words:\n{logs}",
        remedy="Look at the logs named above.",
    )


@contextmanager
def _environment(env: Mapping[str, str]) -> Iterator[None]:
    """Within it, this process's environment is `env`."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
