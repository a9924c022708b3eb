"""What runs print is kept for the Dagster UI, by nobody but the run itself."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance

from import_pipeline.orchestration.compute_logs import FileComputeLogManager
from import_pipeline.services.files import deploy_text

KEY = ["run", "compute_logs", "steps"]
# A process of its own: in this one, pytest has taken the streams.
RUN = """
import os, subprocess, sys
import psutil
from dagster import DagsterInstance
with DagsterInstance.get() as instance:
    manager, key = instance.compute_log_manager, sys.argv[1:]
    with manager.capture_logs(key):
        os.write(1, b"to standard output\\n")
        subprocess.run(["sh", "-c", "echo to the other >&2"], check=True)
        print("processes:", len(psutil.Process().children()), "complete:", manager.is_capture_complete(key))
    print("the terminal's again", flush=True)
"""


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileComputeLogManager]:
    """As deploy/dagster.yaml asks for it."""
    settings = deploy_text("dagster.yaml")
    section = settings[settings.index("compute_logs:") :].split("\n\n")[0]
    (tmp_path / "dagster.yaml").write_text(section)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with DagsterInstance.get() as instance:
        assert isinstance(instance.compute_log_manager, FileComputeLogManager)
        yield instance.compute_log_manager


def test_what_a_run_and_its_children_print_is_kept_where_dagster_keeps_it(
    manager: FileComputeLogManager, tmp_path: Path
) -> None:
    ran = subprocess.run([sys.executable, "-c", RUN, *KEY], check=True, capture_output=True, env=os.environ)
    assert (ran.stdout, ran.stderr) == (b"the terminal's again\n", b"")
    assert manager.is_capture_complete(KEY)
    kept = manager.get_log_data(KEY)
    assert kept.stdout == b"to standard output\nprocesses: 0 complete: False\n"
    assert kept.stderr == b"to the other\n"
    assert (tmp_path / "storage" / "run" / "compute_logs" / "steps.out").is_file()


def test_another_folder_may_be_given(tmp_path: Path) -> None:
    given = FileComputeLogManager.from_config_value(None, {"base_dir": str(tmp_path / "logs")})
    assert Path(given.get_captured_local_path(KEY, "out")) == tmp_path / "logs/run/compute_logs/steps.out"
