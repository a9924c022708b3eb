import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from import_pipeline.errors import ConfigurationError
from import_pipeline.services.lock import is_held, take
from import_pipeline.services.processes import GuardedProcess, choose_port
from import_pipeline_tests.waiting import ended, wait_until

# A command that starts a stubborn process in a session of its own, as Dagster's run workers are.
FAMILY = """
import os, signal, subprocess, sys, time
code = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('ready', flush=True); time.sleep(600)"
)
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1], sys.argv[1] + ".done")
time.sleep(600)
"""
STARTER = """
import signal, sys, time
from pathlib import Path
from import_pipeline.services.processes import GuardedProcess
folder = Path(sys.argv[1])
command = [sys.executable, "-c", sys.argv[2], str(folder / "pids")]
import os
# Whoever starts the tests in the background may leave these ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
GuardedProcess("family", command, os.environ, folder / "log", grace_seconds=0.2).start()
time.sleep(600)
"""


def _pids(folder):
    """Processes of FAMILY, once both run."""
    done = folder / "pids.done"
    wait_until(done.exists)
    return [psutil.Process(int(pid)) for pid in done.read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_the_starter_is_ended(tmp_path, number):
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path), FAMILY])
    family = _pids(tmp_path)
    guardian = psutil.Process(starter.pid).children()
    starter.send_signal(number)
    starter.wait()
    assert wait_until(lambda: ended(family + guardian))


def test_nothing_is_left_when_the_guardian_itself_is_killed(tmp_path):
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = GuardedProcess("one", command, os.environ, tmp_path / "log")
    process.start()
    command = psutil.Process(process.pid)
    command.parent().kill()
    assert wait_until(lambda: ended([command]))
    process.stop()


def test_a_stop_ends_what_the_command_left_behind(tmp_path):
    command = [sys.executable, "-c", FAMILY, str(tmp_path / "pids")]
    process = GuardedProcess("family", command, os.environ, tmp_path / "log", grace_seconds=0.2)
    process.start()
    family = _pids(tmp_path)
    assert process.pid == family[0].pid
    process.stop()
    assert not any(one.is_running() for one in family)


def test_a_command_is_asked_before_it_is_made_to_end(tmp_path):
    code = (
        "import signal, sys, time\n"
        "def stop(*_): print('bye'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "open(sys.argv[1] + '.part', 'w').write(str(__import__('os').getpid()) + ' ' + '1')\n"
        "__import__('os').rename(sys.argv[1] + '.part', sys.argv[1] + '.done')\n"
        "time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "pids")]
    process = GuardedProcess("polite", command, os.environ, tmp_path / "log")
    process.start()
    _pids(tmp_path)
    process.stop()
    assert process.tail() == "bye"
    assert process.exit_code() == 0


def test_signals_that_the_starter_ignores_count_again_for_the_command(tmp_path):
    """A shell starts background commands with SIGINT ignored; Dagster then never stopped."""
    code = "import signal, sys; print(signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGHUP) == 0)"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = GuardedProcess("one", [sys.executable, "-c", code], os.environ, tmp_path / "log")
        process.start()
    finally:
        signal.signal(signal.SIGHUP, before)
        signal.signal(signal.SIGINT, interrupt)
    process._guardian.wait()
    assert "default_int_handler" in process.tail()
    assert "True" in process.tail()
    process.stop()


@pytest.mark.parametrize(("code", "expected"), [("exit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_a_command_that_ends_by_itself_says_how(tmp_path, code, expected):
    process = GuardedProcess(
        "one", [sys.executable, "-c", f"print('last words', flush=True); {code}"], os.environ, tmp_path / "l"
    )
    process.start()
    process._guardian.wait()
    assert (process.exit_code(), process.tail()) == (expected, "last words")
    process.stop()


def test_a_command_that_cannot_start_says_so_at_once(tmp_path):
    process = GuardedProcess("one", ["/does/not/exist"], os.environ, tmp_path / "log")
    with pytest.raises(ConfigurationError, match="cannot start /does/not/exist: No such file"):
        process.start()


def test_the_lock_lives_as_long_as_a_guardian_and_the_command_does_not_hold_it(tmp_path):
    lock = take(tmp_path)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = GuardedProcess("one", command, os.environ, tmp_path / "log", held_fds=[lock])
    process.start()
    os.close(lock)
    assert is_held(tmp_path)
    opened = {Path(file.path).name for file in psutil.Process(process.pid).open_files()}
    assert "log" in opened
    assert "services.lock" not in opened
    process.stop()
    assert not is_held(tmp_path)


def test_a_taken_port_is_named_with_its_variable():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=str(port)) as caught:
            choose_port(port, "IMPORT_PIPELINE_AWS_PORT")
    assert "IMPORT_PIPELINE_AWS_PORT" in caught.value.remedy
    assert choose_port(port, "IMPORT_PIPELINE_AWS_PORT") == port
