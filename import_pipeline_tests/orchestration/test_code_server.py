"""The code server that a local daemon and UI share: its address, and that it is looked after."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from dagster._core.workspace.load import location_origins_from_yaml_paths

from import_pipeline.errors import ConfigurationError
from import_pipeline.orchestration import code_server
from import_pipeline.orchestration.code_server import MODULE, CodeServer
from import_pipeline.services.processes import GuardedProcess
from import_pipeline_tests.waiting import wait_until

# Of sockets; see unix(7).
LONGEST_ON_ANY_SYSTEM = 104


@pytest.fixture
def short_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="s") as name:
        yield Path(name)


def test_daemon_and_ui_find_it_by_a_workspace_file(tmp_path: Path) -> None:
    server = CodeServer(tmp_path)
    (origin,) = location_origins_from_yaml_paths([str(server.write_workspace())])
    assert (origin.location_name, origin.socket) == (MODULE, str(server.socket))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["home", "pasta com espaço e acentuação: 'aspas'", "x" * 200])
def test_its_address_fits_a_socket_and_stays_the_same(
    tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    home, other = tmp_path / name, tmp_path / f"{name[1:]}y"
    addresses = [CodeServer(folder).socket for folder in (home, home, other)]
    assert addresses[0] == addresses[1] != addresses[2]
    assert all(len(os.fsencode(address)) < LONGEST_ON_ANY_SYSTEM for address in addresses)


def test_where_every_path_is_too_long_it_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with pytest.raises(ConfigurationError, match="short enough for a socket") as refused:
        CodeServer(long / "home")
    assert "TMPDIR" in refused.value.remedy


def test_a_folder_that_others_may_write_to_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"import_pipeline-{os.getuid()}").mkdir(mode=0o755)
    with pytest.raises(ConfigurationError, match="not a folder that only this user") as refused:
        CodeServer(tmp_path / ("x" * 200))
    assert "IMPORT_PIPELINE_HOME" in refused.value.remedy


def test_if_what_serves_the_code_was_killed_it_is_loaded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, told = CodeServer(tmp_path), list[str]()
    command = [sys.executable, "-m", "dagster", *server.arguments]
    with GuardedProcess("code", command, env=dict(os.environ), log=tmp_path / "code.log") as process:
        wait_until(server.answers, 60)
        server.look_after(told.append)
        monkeypatch.setattr(code_server, "LOOK_SECONDS", 0.0)
        monkeypatch.setattr(code_server, "SILENT_SECONDS", 0.5)
        for below in psutil.Process(process.pid).children(recursive=True):
            below.kill()

        def is_back() -> bool:
            server.look_after(told.append)
            return bool(told)

        wait_until(is_back, 60)
        assert server.answers()
    assert len(told) == 1
    assert "loads the code anew" in told[0]
    assert not server.answers()
