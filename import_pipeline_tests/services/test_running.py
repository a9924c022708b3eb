import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import psycopg
import pytest

from import_pipeline.errors import ConfigurationError
from import_pipeline.services.aws import Key
from import_pipeline.services.postgres import _wait_until_ready
from import_pipeline.services.processes import GuardedProcess
from import_pipeline.services.running import start_services
from import_pipeline.settings import SERVICES_FILE, Settings, load_settings
from import_pipeline_tests.waiting import ended, wait_until

ROOT = Path(__file__).parents[2]
STARTER = """
import sys, time
from pathlib import Path
from import_pipeline.services.running import start_services
from import_pipeline.settings import Settings
with start_services(Settings(home=Path(sys.argv[1])), fast=True) as running:
    print(*[process.pid for process in running.processes], flush=True)
    sys.stdin.read()
"""
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def home(monkeypatch):
    """A folder that any user may enter, as /work or /home/me are; pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="import-pipeline-home-"))
    folder.chmod(0o755)
    monkeypatch.setenv("IMPORT_PIPELINE_HOME", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def as_nobody(home):
    """A command prefix for running Python, with what this one has, as an ordinary user who owns `home`."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "HOME=/nonexistent"]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for found in (sys.executable, shutil.which(version, path="/usr/local/bin:/usr/bin")):
        if (
            found
            and subprocess.run([*nobody, found, "-c", ""], check=False, capture_output=True).returncode == 0
        ):
            break
    else:
        pytest.skip("no Python here that another user may run")
    venv = home / "venv"
    subprocess.run([found, "-m", "venv", "--without-pip", str(venv)], check=True)
    packages = next(venv.glob("lib/python*/site-packages"))
    (packages / "ours.pth").write_text("\n".join([str(ROOT), str(Path(psutil.__file__).parents[1])]))
    os.chown(home, 65534, 65534)
    return [*nobody, str(venv / "bin" / "python")]


def _without_postgres(home):
    return Settings(home=home, database_url="postgresql://h/a", dagster_database_url="postgresql://h/b")


def _start_elsewhere(home, python=(sys.executable,)):
    """Services started by another process, and their pids."""
    command = [*python, "-c", STARTER, str(home)]
    starter = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    line = starter.stdout.readline()
    assert line, starter.stderr.read()
    return starter, [psutil.Process(int(pid)) for pid in line.split()]


def _client(running):
    secret = running.settings.aws_secret_access_key.get_secret_value()
    return running.aws.client("s3", Key(running.settings.aws_access_key_id, secret))


def test_rows_objects_and_keys_are_kept_between_starts(home):
    settings = Settings(home=home)
    with start_services(settings) as running:
        with psycopg.connect(running.settings.require_owner_database_url(), autocommit=True) as conn:
            conn.execute("CREATE TABLE kept AS SELECT 7 AS a")
        _client(running).put_object(
            Bucket="imports", Key="uploads/w/leads/a b.csv", Body=b"x", Metadata={"sha256": "1"}
        )
        before = _client(running).list_objects_v2(Bucket="imports")["Contents"]
        key = running.settings.aws_access_key_id
    with start_services(settings) as running:
        with psycopg.connect(running.settings.require_database_url()) as conn:
            assert conn.execute("SELECT a FROM kept").fetchall() == [(7,)]
        assert _client(running).list_objects_v2(Bucket="imports")["Contents"] == before
        kept = _client(running).head_object(Bucket="imports", Key="uploads/w/leads/a b.csv")
        assert kept["Metadata"] == {"sha256": "1"}
        assert running.settings.aws_access_key_id == key


def test_a_killed_starter_leaves_no_process_and_nothing_that_stops_the_next_start(home):
    starter, processes = _start_elsewhere(home)
    everyone = [one for process in processes for one in [process.parent(), process, *process.children()]]
    assert load_settings().require_bucket() == "imports"
    with psycopg.connect(load_settings().require_owner_database_url(), autocommit=True) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 7 AS a")
    object_key = "uploads/w/leads/x.csv"
    settings = load_settings()
    aws_key = settings.aws_access_key_id

    starter.kill()
    starter.communicate()
    wait_until(lambda: ended(everyone))
    assert (home / SERVICES_FILE).exists()
    assert load_settings().database_url is None
    assert load_settings().bucket is None

    with start_services(Settings(home=home), fast=True) as running:
        with psycopg.connect(running.settings.require_database_url()) as conn:
            assert conn.execute("SELECT a FROM kept").fetchall() == [(7,)]
        assert running.settings.aws_access_key_id == aws_key
        _client(running).put_object(Bucket="imports", Key=object_key, Body=b"x")


def test_objects_outlive_a_kill_of_the_emulator_itself(home):
    settings = _without_postgres(home)
    with start_services(settings) as running:
        _client(running).put_object(Bucket="imports", Key="uploads/w/leads/x.csv", Body=b"x")
        before = _client(running).list_objects_v2(Bucket="imports")["Contents"]
        psutil.Process(running.aws.process.pid).kill()
    with start_services(settings) as running:
        assert _client(running).list_objects_v2(Bucket="imports")["Contents"] == before


def test_a_pid_file_with_another_programs_number_does_not_stop_the_start(home):
    """After a restart of the machine the number is often another program's of the same user."""
    settings = Settings(home=home, bucket="elsewhere")
    with start_services(settings, fast=True):
        pass
    pid_file = home / "postgres" / "data" / "postmaster.pid"
    user = pid_file.parent.stat().st_uid
    other = subprocess.Popen(["sleep", "600"], user=user if os.geteuid() == 0 else None)
    lines = [str(other.pid), str(pid_file.parent), "1", "1", "", "127.0.0.1", " 1 1", "ready   ", ""]
    pid_file.write_text("\n".join(lines))
    try:
        with start_services(settings, fast=True) as running:
            assert pid_file.read_text().split("\n")[0] == str(running.postgres.process.pid)
            with psycopg.connect(running.settings.require_database_url()) as conn:
                assert conn.execute("SELECT 1").fetchone() == (1,)
    finally:
        other.kill()
        other.wait()


def test_a_pid_file_of_another_server_is_no_sign_of_readiness(tmp_path):
    lines = ["1", str(tmp_path), "1", "1", "", "127.0.0.1", " 1 1", "ready   ", ""]
    (tmp_path / "postmaster.pid").write_text("\n".join(lines))
    process = GuardedProcess("none", [sys.executable, "-c", "pass"], os.environ, tmp_path / "log")
    process.start()
    assert _wait_until_ready(process, tmp_path) is False
    process.stop()


def test_a_half_made_data_folder_is_made_anew(home):
    half = home / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    if os.geteuid() == 0:
        shutil.chown(home / "postgres", "nobody")
    with (
        start_services(Settings(home=home, bucket="elsewhere"), fast=True) as running,
        psycopg.connect(running.settings.require_database_url()) as conn,
    ):
        assert conn.execute("SELECT current_user").fetchone() == ("import_loader",)


def test_a_second_start_in_the_same_folder_is_refused_and_names_the_first(home):
    settings = _without_postgres(home)
    with start_services(settings):
        with (
            pytest.raises(ConfigurationError, match=f"process {os.getpid()}") as caught,
            start_services(settings),
        ):
            pass
        assert "IMPORT_PIPELINE_HOME" in caught.value.remedy
        assert load_settings().require_bucket() == "imports"


def test_lost_passwords_are_named_with_both_ways_out(home):
    settings = Settings(home=home, bucket="elsewhere")
    with start_services(settings, fast=True):
        pass
    (home / "secrets.json").unlink()
    with (
        pytest.raises(ConfigurationError, match="other passwords") as caught,
        start_services(settings, fast=True),
    ):
        pass
    assert f"delete {home / 'postgres'}" in caught.value.remedy
    with pytest.raises(ConfigurationError, match="other passwords"), start_services(settings, fast=True):
        pass


def test_a_home_that_cannot_be_made_is_named(home):
    (home / "file").write_text("")
    settings = Settings(home=home / "file" / "below")
    with pytest.raises(ConfigurationError, match="below, cannot be used: Not a directory") as caught:
        start_services(settings).__enter__()
    assert "IMPORT_PIPELINE_HOME" in caught.value.remedy


def test_two_folders_have_services_of_their_own(home, services):
    """The session's services run all the while; these are a second set beside them."""
    with start_services(_without_postgres(home)) as running:
        assert running.aws.port != services.aws.port
        _client(running).put_object(Bucket="imports", Key="uploads/here", Body=b"x")
    theirs = services.aws.client("s3").list_objects_v2(Bucket="imports")
    assert "uploads/here" not in [one["Key"] for one in theirs.get("Contents", [])]


def test_each_service_is_replaced_on_its_own(home):
    with start_services(_without_postgres(home)) as running:
        assert running.postgres is None
        assert running.settings.require_database_url() == "postgresql://h/a"
        assert running.settings.is_local_aws
        assert not running.settings.is_local
    assert not (home / "postgres").exists()
    with start_services(Settings(home=home, bucket="real"), fast=True) as running:
        assert running.aws is None
        assert running.settings.require_bucket() == "real"
        assert running.settings.aws_endpoint_url is None
        assert running.settings.is_local
        assert not running.settings.is_local_aws


def test_a_taken_port_is_refused_with_its_variable(home, services):
    settings = _without_postgres(home).model_copy(update={"aws_port": services.aws.port})
    with pytest.raises(ConfigurationError, match="IMPORT_PIPELINE_AWS_PORT"), start_services(settings):
        pass
    settings = Settings(home=home, bucket="elsewhere", postgres_port=services.postgres.port)
    with pytest.raises(ConfigurationError, match="IMPORT_PIPELINE_POSTGRES_PORT"), start_services(settings):
        pass


def test_only_we_can_read_the_secrets_and_they_go_with_the_services(home):
    with start_services(_without_postgres(home)) as running:
        for name in (SERVICES_FILE, "secrets.json"):
            assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
        offered = json.loads((home / SERVICES_FILE).read_text())["settings"]
        assert offered["aws_endpoint_url"] == running.aws.endpoint_url
    assert not (home / SERVICES_FILE).exists()
    assert load_settings().bucket is None


def test_the_database_wants_the_password(services):
    url = services.postgres.url("imports").replace(services.postgres.passwords.loader, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)


def test_services_listen_on_this_machine_only(services):
    ports = {services.postgres.port, services.aws.port}
    listening = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    assert {one.laddr.ip for one in listening if one.laddr.port in ports} == {"127.0.0.1"}


@is_root
def test_an_ordinary_user_starts_them_too(home, as_nobody):
    starter, processes = _start_elsewhere(home, as_nobody)
    assert {process.uids().real for process in processes} == {65534}
    starter.kill()
    starter.communicate()
    wait_until(lambda: ended(processes))


@is_root
def test_root_starts_postgresql_in_a_folder_closed_to_others(home):
    """As in /root: no other user may enter, so PostgreSQL is shown another user instead."""
    home.chmod(0o700)
    starter, processes = _start_elsewhere(home)
    assert (home / "postgres").stat().st_uid == 0
    processes[0].parent().kill()
    wait_until(lambda: ended(processes[:1]))
    starter.kill()
    starter.communicate()
    wait_until(lambda: ended(processes))
    settings = Settings(home=home, bucket="elsewhere")
    with (
        start_services(settings, fast=True) as running,
        psycopg.connect(running.settings.require_database_url()),
    ):
        pass


@is_root
def test_another_users_data_is_refused_with_what_to_do(home, as_nobody):
    (home / "postgres").mkdir()
    command = [*as_nobody, "-c", STARTER, str(home)]
    ended_with = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "belongs to root, not to nobody" in ended_with.stderr
