"""The code server that a local daemon and UI share: its address, and whether it answers.

Without one of their own, each starts its own from the module, and the daemon another one every minute: three
seconds of imports each time, and a new fork server for the next run. See docs/adr/0016-one-code-server.md.
"""

import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient

from import_pipeline.errors import ConfigurationError

MODULE = "import_pipeline.definitions"
# sockaddr_un holds 108 bytes on Linux, 104 on others, with a NUL at the end.
LONGEST_SOCKET_PATH = 100
LOOK_SECONDS = 5.0
ANSWER_SECONDS = 5
# Loading the code anew harms no run, but is no answer to a machine that is merely busy.
SILENT_SECONDS = 30.0
RELOAD_SECONDS = 120


class CodeServer:
    """A code server on a socket of this machine.

    Args:
        home: folder of Dagster's instance. The address is the same at each start, since Dagster knows
            sensors and runs by it.
    """

    def __init__(self, home: Path):
        self.socket = _socket_of(home.absolute())
        self.workspace = home.absolute() / "workspace.yaml"
        self._client = DagsterGrpcClient(socket=str(self.socket))
        self._next_look = self._answered = time.monotonic()

    @property
    def arguments(self) -> list[str]:
        """Of `python -m dagster`: a server whose code the UI can reload."""
        return ["code-server", "start", "-s", str(self.socket), "-m", MODULE, "--location-name", MODULE]

    def write_workspace(self) -> Path:
        """Write the file by which daemon and UI find it; its path."""
        server = {"socket": str(self.socket), "location_name": MODULE}
        self.workspace.write_text(json.dumps({"load_from": [{"grpc_server": server}]}), encoding="utf-8")
        return self.workspace

    def answers(self) -> bool:
        """Whether it has loaded the code and answers."""
        try:
            self._client.get_server_id(timeout=ANSWER_SECONDS)
        except DagsterUserCodeUnreachableError:
            return False
        return True

    def look_after(self, say: Callable[[str], None]) -> None:
        """See every few seconds whether it answers; if it has not for long, have it load the code anew.

        What serves is a process behind the server, which does not start it again if it was killed.
        """
        now = time.monotonic()
        if now < self._next_look:
            return
        if self.answers():
            self._answered = time.monotonic()
        elif now - self._answered > SILENT_SECONDS:
            silent = now - self._answered
            say(f"The code server has not answered for {silent:.0f} s: it loads the code anew.")
            # It also says so when only the process before could not be told to end.
            with suppress(DagsterUserCodeUnreachableError):
                self._client.reload_code(timeout=RELOAD_SECONDS)
            self._answered = time.monotonic()
        self._next_look = time.monotonic() + LOOK_SECONDS


def _socket_of(home: Path) -> Path:
    """`<home>/code.sock`, or where that is too long for a socket, one in a folder of this user's own.

    Raises:
        ConfigurationError: the folder for it belongs to somebody else, or its path is too long as well.
    """
    beside = home / "code.sock"
    if len(os.fsencode(beside)) <= LONGEST_SOCKET_PATH:
        return beside
    folder = Path(tempfile.gettempdir()) / f"import_pipeline-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise ConfigurationError(
            f"{folder} is not a folder that only this user can write to.",
            remedy="Remove it, or set IMPORT_PIPELINE_HOME to a folder with a shorter path.",
            path=str(folder),
        )
    path = folder / f"{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}.sock"
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise ConfigurationError(
            f"Neither {home} nor {folder} has a path short enough for a socket.",
            remedy="Set IMPORT_PIPELINE_HOME or TMPDIR to a folder with a shorter path.",
            path=str(path),
        )
    return path
