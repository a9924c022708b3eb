"""Dagster as deploy/ runs it: a code server, a daemon, a web server, each of which may be killed."""

import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from import_pipeline.orchestration.control import heartbeat_age
from import_pipeline.services.processes import GuardedProcess, choose_port
from import_pipeline.services.supervisor import dagster_environment
from import_pipeline_tests.torture.files import FAN_OUT_MB
from import_pipeline_tests.torture.scene import Scene
from import_pipeline_tests.torture.ui import LOCATION, Ui
from import_pipeline_tests.waiting import wait_until

READY_SECONDS = 600.0
MODULE = "import_pipeline_tests.torture.pipeline"


class Deployment:
    """Dagster's three processes; one that ends by itself is started again, as an init system does.

    Attributes:
        lock: held while a service or process is away: one kill of that kind at a time.
        restarts: how often something that ended by itself was started again.
    """

    def __init__(self, scene: Scene):
        self.scene = scene
        self.lock = threading.RLock()
        self.restarts = 0
        code_port, ui_port = choose_port(0, "code"), choose_port(0, "ui")
        self.ui = Ui(f"http://127.0.0.1:{ui_port}")
        home = Path(os.environ["DAGSTER_HOME"])
        workspace = home / "workspace.yaml"
        workspace.write_text(
            "load_from:\n  - grpc_server:\n      host: 127.0.0.1\n"
            f"      port: {code_port}\n      location_name: {LOCATION}\n"
        )
        settings = (home / "dagster.yaml").read_text()
        # Dead workers are noticed sooner than in production, where nobody waits for a table.
        (home / "dagster.yaml").write_text(
            settings.replace("poll_interval_seconds: 10", "poll_interval_seconds: 2")
        )
        os.environ |= {
            "IMPORT_PIPELINE_SENSOR_INTERVAL_SECONDS": "2",
            "IMPORT_PIPELINE_FAN_OUT_MB": str(FAN_OUT_MB),
        }
        python = [sys.executable, "-m"]
        at = ["-h", "127.0.0.1", "-p"]
        self.commands = {
            "code": [*python, "dagster", "api", "grpc", *at, str(code_port), "-m", MODULE],
            "daemon": [*python, "dagster._daemon", "run", "-w", str(workspace)],
            "ui": [*python, "dagster_webserver", *at, str(ui_port), "-w", str(workspace)],
        }
        self.processes: dict[str, GuardedProcess] = {}

    @contextmanager
    def running(self) -> Iterator["Deployment"]:
        """Start all of it; within, look after it."""
        over = threading.Event()
        try:
            for name in self.commands:
                self.start(name)
            self.wait_until_ready()
            watcher = threading.Thread(target=self._watch, args=[over], daemon=True)
            watcher.start()
            yield self
        finally:
            over.set()
            with self.lock:
                for process in self.processes.values():
                    process.ask_to_stop()
                for process in self.processes.values():
                    process.stop()

    def start(self, name: str) -> None:
        env = dagster_environment(os.environ, Path(os.environ["DAGSTER_HOME"]))
        process = GuardedProcess(
            name=name,
            command=self.commands[name],
            env=env | {"PYTHONUNBUFFERED": "1"},
            log=self.scene.home / "logs" / f"{name}.log",
        )
        process.start()
        self.processes[name] = process

    def kill(self, name: str) -> None:
        """kill -9 of a process; of the code server with all runs that it started, as a container goes."""
        pid = self.processes[name].pid
        assert pid is not None
        below = psutil.Process(pid).children(recursive=True) if name == "code" else []
        for number in (pid, *(child.pid for child in below)):
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.processes[name].stop()

    def wait_until_ready(self) -> None:
        """The daemon beats and the UI answers."""
        began = time.time()

        def ready() -> bool:
            age = heartbeat_age(self.scene.instance)
            return age is not None and time.time() - age >= began and self._answers()

        wait_until(ready, READY_SECONDS)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.ui.url}/server_info", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(0.5):
            with self.lock:
                for name, process in list(self.processes.items()):
                    if process.exit_code() is not None and not over.is_set():
                        self.restarts += 1
                        self.start(name)
