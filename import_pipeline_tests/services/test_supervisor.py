import os
import signal
import subprocess
import sys

import psutil
import pytest

from import_pipeline.services.processes import GuardedProcess
from import_pipeline.services.supervisor import (
    ChildEnded,
    Command,
    StopAsked,
    Supervisor,
    dagster_environment,
    stop_on_signals,
)
from import_pipeline_tests.waiting import ended, wait_until

FOREVER = "import time; print('here', flush=True); time.sleep(600)"
# What `import-pipeline dev` does, with plain commands in Dagster's place.
DEV = """
import os, sys
from pathlib import Path
from import_pipeline.services.supervisor import Command, StopAsked, Supervisor, stop_on_signals
commands = [Command(name, [sys.executable, "-c", sys.argv[2]]) for name in ("web", "daemon")]
try:
    with stop_on_signals(), Supervisor(Path(sys.argv[1]), commands, os.environ) as supervisor:
        print(*[process.pid for process in supervisor.processes], flush=True)
        supervisor.watch()
except StopAsked as asked:
    print("stopped by", asked, flush=True)
    sys.exit(asked.exit_code)
"""


def _command(name, code):
    return Command(name, [sys.executable, "-c", code])


def test_a_process_that_ends_by_itself_is_reported_with_the_last_lines_of_its_log(tmp_path):
    commands = [_command("web", FOREVER), _command("daemon", "print('cannot read x'); exit(4)")]
    with Supervisor(tmp_path, commands, os.environ) as supervisor:
        with pytest.raises(
            ChildEnded, match=r"(?s)daemon ended by itself .exit code 4.*cannot read x"
        ) as caught:
            supervisor.watch()
        assert caught.value.fields["name"] == "daemon"
        assert str(tmp_path / "logs" / "daemon.log") in caught.value.remedy
        web = psutil.Process(supervisor.processes[0].pid)
    assert ended([web])


def test_the_watch_ends_when_its_condition_holds_and_covers_the_services_too(tmp_path):
    with Supervisor(tmp_path, [_command("web", FOREVER)], os.environ) as supervisor:
        seen = []
        supervisor.watch(until=lambda: len(seen) == 2 or seen.append(1))
        command = _command("postgres", "exit(1)")
        service = GuardedProcess(command.name, command.argv, os.environ, tmp_path / "postgres.log")
        service.start()
        with pytest.raises(ChildEnded, match="postgres"):
            supervisor.watch(also=[service])
        service.stop()


def test_what_is_started_later_is_watched_and_stopped_like_the_rest(tmp_path):
    with Supervisor(tmp_path, [_command("code", FOREVER)], os.environ) as supervisor:
        supervisor.start([_command("web", FOREVER), _command("daemon", "exit(3)")])
        with pytest.raises(ChildEnded, match=r"daemon ended by itself .exit code 3"):
            supervisor.watch()
        running = [psutil.Process(process.pid) for process in supervisor.processes[:2]]
    assert ended(running)


def test_a_start_that_fails_stops_what_had_started(tmp_path):
    supervisor = Supervisor(tmp_path, [_command("web", FOREVER), Command("gone", ["/none"])], os.environ)
    with pytest.raises(Exception, match="cannot start /none"), supervisor:
        pass
    assert ended([psutil.Process(os.getpid())]) is False
    assert supervisor.processes[0].exit_code() is not None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_even_where_a_shell_had_it_ignored(tmp_path, number):
    def ignore():
        for each in (signal.SIGINT, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)

    dev = subprocess.Popen(
        [sys.executable, "-c", DEV, str(tmp_path), FOREVER],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=ignore,  # noqa: PLW1509 - as a shell does it; no threads run here
    )
    children = [psutil.Process(int(pid)) for pid in dev.stdout.readline().split()]
    assert len(children) == 2
    dev.send_signal(number)
    assert dev.communicate()[0] == f"stopped by {number.name}\n"
    assert dev.returncode == 128 + number
    assert ended(children)


def test_nothing_is_left_when_the_supervising_process_is_killed(tmp_path):
    dev = subprocess.Popen(
        [sys.executable, "-c", DEV, str(tmp_path), FOREVER], stdout=subprocess.PIPE, text=True
    )
    children = [psutil.Process(int(pid)) for pid in dev.stdout.readline().split()]
    dev.kill()
    dev.communicate()
    assert wait_until(lambda: ended(children))


def test_handlers_are_given_back_and_a_second_signal_does_not_cut_the_stop_short():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StopAsked) as caught, stop_on_signals():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
    assert caught.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_children_write_bytecode_and_find_this_interpreters_programs(tmp_path):
    env = dagster_environment({"PATH": "/bin", "PYTHONDONTWRITEBYTECODE": "1"}, tmp_path / "dagster")
    code = (
        "import os, sys; print(sys.dont_write_bytecode, os.environ['DAGSTER_HOME'], os.environ['PATH']); "
        "exit(0)"
    )
    with Supervisor(tmp_path, [_command("web", code)], env) as supervisor:
        process = supervisor.processes[0]
        wait_until(lambda: process.exit_code() is not None)
        programs = os.path.dirname(sys.executable)  # noqa: PTH120
        assert process.tail() == f"False {tmp_path / 'dagster'} {programs}:/bin"
