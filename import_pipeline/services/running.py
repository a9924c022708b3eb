"""Starts the local services that the settings leave to us, and says where they are.

While they run, `<home>/services.json` tells other processes of the same folder (settings.py
reads it). How each one is started stands in postgres.py and aws.py.
"""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from import_pipeline.errors import ConfigurationError
from import_pipeline.services import aws as local_aws
from import_pipeline.services import postgres as local_postgres
from import_pipeline.services.aws import Key, LocalAws
from import_pipeline.services.lock import take
from import_pipeline.services.postgres import LocalPostgres, Passwords
from import_pipeline.services.processes import GuardedProcess
from import_pipeline.settings import DAGSTER_SCHEME, SERVICES_FILE, Settings, with_services

SECRETS_FILE = "secrets.json"


@dataclass(frozen=True)
class RunningServices:
    """Local services that run, and the settings filled with their addresses.

    Attributes:
        settings: those given, with what the services offer.
        postgres: None if every database is set by hand.
        aws: None if the bucket is set by hand.
    """

    settings: Settings
    postgres: LocalPostgres | None
    aws: LocalAws | None

    @property
    def processes(self) -> tuple[GuardedProcess, ...]:
        """The processes to watch."""
        return tuple(service.process for service in (self.postgres, self.aws) if service is not None)

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """The whole environment for a child that is to use these services (default: ours as base)."""
        return self.settings.environment(os.environ if base is None else base)


@contextmanager
def start_services(settings: Settings, *, fast: bool = False) -> Iterator[RunningServices]:
    """Start what the settings leave to us; stop it all at the end.

    Databases, roles, bucket and the pipeline's user are created if missing; data stays in
    `settings.home` between starts. Whatever ends this process ends the services too.

    Args:
        settings: `database_url` and `dagster_database_url` both set: no local PostgreSQL;
            `bucket` set: no emulator.
        fast: PostgreSQL may lose data when the machine crashes (for tests).

    Raises:
        ConfigurationError: something is missing, taken or already running; says what to do.
    """
    home = settings.home.absolute()
    with ExitStack() as stack:
        lock = _take_home(home)
        stack.callback(os.close, lock)
        known = _read_secrets(home)
        offered: dict[str, str] = {}
        postgres = aws = None
        if settings.database_url is None or settings.dagster_database_url is None:
            postgres = local_postgres.start_postgres(
                home, known.passwords, port=settings.postgres_port, fast=fast, held_fds=[lock]
            )
            stack.callback(postgres.process.stop)
            offered |= _offer_databases(postgres)
        if settings.bucket is None:
            aws = local_aws.start_aws(home, known.root, port=settings.aws_port, held_fds=[lock])
            stack.callback(aws.process.stop)
            offered |= _offer_bucket(home, aws, known)
        stack.callback((home / SERVICES_FILE).unlink, missing_ok=True)
        content = {"pid": os.getpid(), "settings": offered}
        _write_private(home / SERVICES_FILE, json.dumps(content, indent=2))
        yield RunningServices(with_services(settings, offered), postgres, aws)


def _take_home(home: Path) -> int:
    """Make the folder and take its lock."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        return take(home)
    except OSError as error:
        raise ConfigurationError(
            f"The folder of local services, {home}, cannot be used: {error.strerror}.",
            remedy="Set IMPORT_PIPELINE_HOME to a folder of your own.",
        ) from error


@dataclass(frozen=True)
class _Secrets:
    passwords: Passwords
    root: Key
    pipeline: Key | None


def _offer_databases(server: LocalPostgres) -> dict[str, str]:
    """Create roles and databases; what they mean as settings, by field."""
    local_postgres.create_roles(server)
    local_postgres.create_database(server, local_postgres.LEDGER_DATABASE)
    local_postgres.create_database(server, local_postgres.DAGSTER_DATABASE, local_postgres.DAGSTER_ROLE)
    dagster = server.url(local_postgres.DAGSTER_DATABASE, local_postgres.DAGSTER_ROLE)
    return {
        "database_url": server.url(local_postgres.LEDGER_DATABASE),
        "owner_database_url": server.url(local_postgres.LEDGER_DATABASE, local_postgres.OWNER_ROLE),
        "dagster_database_url": dagster.replace("postgresql://", DAGSTER_SCHEME, 1),
    }


def _offer_bucket(home: Path, aws: LocalAws, known: _Secrets) -> dict[str, str]:
    """Create bucket and user; what they mean as settings, by field."""
    local_aws.create_bucket(aws)
    key = local_aws.create_pipeline_user(aws, local_aws.BUCKET, known.pipeline)
    if key != known.pipeline:
        _write_secrets(home, _Secrets(known.passwords, known.root, key))
    return {
        "bucket": local_aws.BUCKET,
        "aws_endpoint_url": aws.endpoint_url,
        "aws_region": local_aws.REGION,
        "aws_access_key_id": key.access_key_id,
        "aws_secret_access_key": key.secret_access_key,
    }


def _read_secrets(home: Path) -> _Secrets:
    """The secrets of this home folder, made on the first start."""
    path = home / SECRETS_FILE
    if not path.exists():
        words = [secrets.token_hex(16) for _ in range(6)]
        made = _Secrets(Passwords(*words[:4]), Key(f"AKIALOCAL{words[4][:11].upper()}", words[5]), None)
        _write_secrets(home, made)
        return made
    content = json.loads(path.read_text(encoding="utf-8"))
    pipeline = content["pipeline"]
    return _Secrets(
        Passwords(**content["passwords"]), Key(**content["root"]), Key(**pipeline) if pipeline else None
    )


def _write_secrets(home: Path, known: _Secrets) -> None:
    _write_private(home / SECRETS_FILE, json.dumps(asdict(known), indent=2))


def _write_private(path: Path, text: str) -> None:
    """Write a whole file at once that only we can read."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)
