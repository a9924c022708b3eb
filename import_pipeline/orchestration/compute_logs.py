"""Where what a run prints goes: into files that the Dagster UI shows, as with Dagster's own manager."""

import os
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import Field, StringSource
from dagster._config import UserConfigSchema
from dagster._core.execution.compute_logs import redirect_to_file
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION, LocalComputeLogManager
from dagster._serdes.config_class import ConfigurableClassData
from dagster._utils import touch_file

FOLDER = "storage"


class FileComputeLogManager(LocalComputeLogManager):
    """Keeps what runs print in files, and only there.

    Dagster's own also repeats it on the terminal of whoever started the run, with four processes
    (two `tail`, and two of Python that watch them) for each run, or for each step where steps are
    processes: a tenth of what a small file costs.
    """

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """As Dagster's; `base_dir` is `$DAGSTER_HOME/storage`, Dagster's own default, if it is not given."""
        inherited: Mapping[str, Any] = super().config_type()  # type: ignore[assignment]
        return {**inherited, "base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "FileComputeLogManager":
        """Made by Dagster from `dagster.yaml`."""
        home = Path(os.environ.get("DAGSTER_HOME", "")).absolute()
        return cls(inst_data=inst_data, **{"base_dir": str(home / FOLDER), **config_value})

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        """Send what this process and those that it starts print into the files of `log_key`."""
        paths = [
            self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[kind])
            for kind in (ComputeIOType.STDOUT, ComputeIOType.STDERR)
        ]
        Path(paths[0]).parent.mkdir(parents=True, exist_ok=True)
        with redirect_to_file(sys.stdout, paths[0]), redirect_to_file(sys.stderr, paths[1]):
            yield CapturedLogContext(log_key)
        touch_file(self.complete_artifact_path(log_key))  # tells the UI that nothing more comes
