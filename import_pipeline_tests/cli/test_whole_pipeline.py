"""`demo` and `dev` as a newcomer starts them: real services, real daemon, nothing left behind."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from import_pipeline.samples.all_samples import SAMPLES
from import_pipeline_tests.waiting import wait_until

COMMAND = str(Path(sys.executable).with_name("import-pipeline"))
MINUTES = 15

pytestmark = [pytest.mark.slow, pytest.mark.timeout(MINUTES * 60)]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that any user may enter: as root, PostgreSQL runs as another one."""
    with tempfile.TemporaryDirectory(prefix="import-pipeline-whole-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def left_running(home: Path) -> list[str]:
    """Commands of processes that were started for this home folder and are still there."""
    found = []
    for process in psutil.process_iter():
        try:
            mine = str(home) in f"{process.environ().get('IMPORT_PIPELINE_HOME')} {process.cmdline()}"
            if mine and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def test_the_demo_gives_exactly_the_counts_of_its_samples_each_time(home: Path):
    for _ in range(2):
        shown = subprocess.run(
            [COMMAND, "demo", "--home", str(home)], capture_output=True, text=True, check=False
        )

        assert shown.returncode == 0, shown.stdout + shown.stderr
        for sample in SAMPLES:
            summary = json.loads((home / "reports" / sample.file_name / "summary.json").read_text())
            assert summary["state"] == sample.state
            assert summary["counts"] == vars(sample.counts)
            assert summary["codes"] == dict(sample.codes)
        assert left_running(home) == []


def test_dev_imports_what_is_dropped_and_ctrl_c_stops_all_of_it(home: Path, leads_file: Path):
    log = home / "dev.log"
    env = os.environ | {"IMPORT_PIPELINE_HOME": str(home / "services")}
    with log.open("w") as file:
        dev = subprocess.Popen(
            [COMMAND, "dev", "--port", "0", "--no-samples"], stdout=file, stderr=file, env=env
        )
    try:
        wait_until(lambda: "Ctrl-C stops all of it" in log.read_text() or dev.poll(), MINUTES * 60)
        assert dev.poll() is None, log.read_text()
        [url] = re.findall(r"http://127\.0\.0\.1:\d+", log.read_text().split("Drop files")[0])
        with urllib.request.urlopen(f"{url}/server_info") as answer:
            assert answer.status == 200

        imported = subprocess.run(
            [COMMAND, "import", str(leads_file), "-d", "leads", "-w", "acme", "--json"],
            capture_output=True, text=True, check=False, env=env,
        )  # fmt: skip
        undone = subprocess.run(
            [COMMAND, "undo", leads_file.name, "--yes", "--json"],
            capture_output=True, text=True, check=False, env=env,
        )  # fmt: skip
        looked = subprocess.run([COMMAND, "doctor"], capture_output=True, text=True, check=False, env=env)

        assert imported.returncode == 3, imported.stderr
        row = json.loads(imported.stdout)
        assert (row["read"], row["inserted"], row["duplicate"], row["rejected"]) == (3, 1, 1, 1)
        assert undone.returncode == 0, undone.stderr
        [row] = json.loads(undone.stdout)
        assert (row["state"], row["undo_removed"]) == ("undone", 1)
        assert looked.returncode == 0, looked.stdout
        dev.send_signal(signal.SIGINT)
        assert dev.wait(120) == 130
    finally:
        dev.kill()
        dev.wait()
    assert left_running(home) == []
