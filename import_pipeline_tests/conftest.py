"""Fixtures that every test may use: a real PostgreSQL and a real S3 emulator, fresh places in them.

Both servers are started once a session and shared by all pytest-xdist workers; each test gets a
database and a bucket of its own. Nothing of the developer's environment reaches a test.
"""

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from import_pipeline.services import aws as local_aws
from import_pipeline.services import postgres as local_postgres
from import_pipeline.services.aws import Key, LocalAws
from import_pipeline.services.postgres import LocalPostgres, Passwords
from import_pipeline.services.running import RunningServices, start_services
from import_pipeline.settings import DAGSTER_SCHEME, Settings, load_settings

LEAKS = ("IMPORT_PIPELINE_", "AWS_", "DAGSTER_")
HANDED_ON = pytest.StashKey[ExitStack]()


@dataclass(frozen=True)
class SharedServices:
    """Where the session's servers are.

    Attributes:
        postgres: `.url(database, role)`.
        aws: `.client(service, key)`; root's without a key.
        key: of the least-privilege user that the pipeline runs as.
    """

    postgres: LocalPostgres
    aws: LocalAws
    key: Key

    def superuser(self) -> psycopg.Connection[Any]:
        """An autocommit connection that may create and drop databases."""
        role = local_postgres.SUPERUSER
        return psycopg.connect(self.postgres.url(role, role), autocommit=True)


def pytest_configure(config: pytest.Config) -> None:
    """Forget the developer's environment, for this process and all that tests start."""
    for name in [name for name in os.environ if name.startswith(LEAKS)]:
        del os.environ[name]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ |= {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }
    config.stash[HANDED_ON] = ExitStack()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started for the workers."""
    config.stash[HANDED_ON].close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Start the servers once, in the controller, and tell each pytest-xdist worker where they are."""
    config = node.config
    if not hasattr(config, "shared_services"):
        config.shared_services = config.stash[HANDED_ON].enter_context(_started())
    running: RunningServices = config.shared_services
    node.workerinput["services"] = {
        "postgres_port": running.postgres.port,
        "passwords": vars(running.postgres.passwords),
        "aws_port": running.aws.port,
        "root": vars(running.aws.root),
        "key": vars(_key(running)),
    }


@pytest.fixture(autouse=True)
def _away_from_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder: a `.env` of the developer is never read."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def services(request: pytest.FixtureRequest) -> Iterator[SharedServices]:
    """The session's PostgreSQL and AWS emulator."""
    handed = getattr(request.config, "workerinput", {}).get("services")
    if handed is not None:
        process: Any = None  # the controller's
        yield SharedServices(
            LocalPostgres(process, handed["postgres_port"], Passwords(**handed["passwords"])),
            LocalAws(process, handed["aws_port"], Key(**handed["root"])),
            Key(**handed["key"]),
        )
        return
    with _started() as running:
        yield SharedServices(running.postgres, running.aws, _key(running))


@pytest.fixture
def database_url(services: SharedServices, empty_template: str) -> Iterator[str]:
    """An empty database of this test's own (schemas and rights, no tables), as the loader."""
    yield from _fresh_database(services, empty_template)


@pytest.fixture
def migrated_url(services: SharedServices, migrated_template: str) -> Iterator[str]:
    """A database of this test's own with ledger and dataset tables, as the loader."""
    yield from _fresh_database(services, migrated_template)


@pytest.fixture
def as_owner(services: SharedServices) -> Callable[[str], str]:
    """Turns one of our database URLs into the owner's (migrations run as the owner)."""
    return lambda url: _as_role(services, url, local_postgres.OWNER_ROLE)


@pytest.fixture
def as_superuser(services: SharedServices) -> Callable[[str], str]:
    """Turns one of our database URLs into the superuser's (for looking at pg_stat_activity)."""
    return lambda url: _as_role(services, url, local_postgres.SUPERUSER)


@pytest.fixture
def dagster_url(services: SharedServices, untouched: list[str]) -> Iterator[str]:
    """An empty database of this test's own for Dagster's storage, `postgresql+psycopg2://…`.

    Most tests only name it: one that was left empty is the next test's.
    """
    if not untouched:
        untouched.append(f"dagster_{secrets.token_hex(6)}")
        local_postgres.create_database(services.postgres, untouched[-1], local_postgres.DAGSTER_ROLE)
    name = untouched.pop()
    url = services.postgres.url(name, local_postgres.DAGSTER_ROLE)
    yield url.replace("postgresql://", DAGSTER_SCHEME, 1)
    if _is_empty(services, name):
        untouched.append(name)
    else:
        _drop(services, name)


@pytest.fixture(scope="session")
def untouched(services: SharedServices) -> Iterator[list[str]]:
    """Databases for Dagster's storage that nobody has used."""
    names: list[str] = []
    yield names
    for name in names:
        _drop(services, name)


@pytest.fixture(scope="session")
def empty_template(services: SharedServices) -> Iterator[str]:
    """A database to clone: schemas and rights only."""
    name = f"template_{secrets.token_hex(6)}"
    local_postgres.create_database(services.postgres, name)
    yield name
    _drop(services, name)


@pytest.fixture(scope="session")
def migrated_template(services: SharedServices) -> Iterator[str]:
    """A database to clone: migrated, with the tables of the built-in datasets."""
    from import_pipeline.catalog.discovery import load_datasets
    from import_pipeline.ledger.migrate import migrate

    name = f"template_{secrets.token_hex(6)}"
    local_postgres.create_database(services.postgres, name)
    owner_url = services.postgres.url(name, local_postgres.OWNER_ROLE)
    migrate(owner_url, load_datasets(""), loader=local_postgres.LOADER_ROLE)
    yield name
    _drop(services, name)


@pytest.fixture
def bucket_name(services: SharedServices) -> Iterator[str]:
    """An empty bucket of this test's own, that the pipeline's user may use."""
    name = f"test-{secrets.token_hex(6)}"
    root = services.aws.client("s3")
    root.create_bucket(Bucket=name)
    yield name
    for page in root.get_paginator("list_object_versions").paginate(Bucket=name):
        versions = page.get("Versions", []) + page.get("DeleteMarkers", [])
        objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in versions]
        if objects:
            root.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True})
    root.delete_bucket(Bucket=name)


@pytest.fixture
def s3(services: SharedServices, bucket_name: str) -> Any:
    """A boto3 S3 client with the pipeline's own rights, for `bucket_name`."""
    return services.aws.client("s3", services.key)


@pytest.fixture
def settings(
    services: SharedServices,
    migrated_url: str,
    as_owner: Callable[[str], str],
    dagster_url: str,
    bucket_name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """Settings of a migrated database and an empty bucket, also set as environment variables."""
    variables = {
        "IMPORT_PIPELINE_HOME": str(tmp_path / "home"),
        "IMPORT_PIPELINE_DATABASE_URL": migrated_url,
        "IMPORT_PIPELINE_OWNER_DATABASE_URL": as_owner(migrated_url),
        "IMPORT_PIPELINE_DAGSTER_DATABASE_URL": dagster_url,
        "IMPORT_PIPELINE_BUCKET": bucket_name,
        "AWS_ENDPOINT_URL": services.aws.endpoint_url,
        "AWS_REGION": local_aws.REGION,
        "AWS_DEFAULT_REGION": local_aws.REGION,
        "AWS_ACCESS_KEY_ID": services.key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": services.key.secret_access_key,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@contextmanager
def _started() -> Iterator[RunningServices]:
    """Servers in a folder of their own that any user may enter, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="import-pipeline-") as folder:
        Path(folder).chmod(0o755)
        with start_services(Settings(home=Path(folder)), fast=True) as running:
            local_aws.allow_bucket(running.aws, "test-*")
            yield running


def _key(running: RunningServices) -> Key:
    secret = running.settings.aws_secret_access_key
    return Key(running.settings.aws_access_key_id, secret.get_secret_value())


def _fresh_database(services: SharedServices, template: str) -> Iterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    # Copied as files: a third of the time that writing each page to the log takes.
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY file_copy")
    names = (name, template, local_postgres.OWNER_ROLE)
    with services.superuser() as conn:
        conn.execute(statement.format(*map(sql.Identifier, names)))
    yield services.postgres.url(name)
    _drop(services, name)


def _is_empty(services: SharedServices, name: str) -> bool:
    with psycopg.connect(services.postgres.url(name, local_postgres.SUPERUSER)) as conn:
        found = conn.execute("SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace LIMIT 1")
        return found.fetchone() is None


def _drop(services: SharedServices, name: str) -> None:
    with services.superuser() as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _as_role(services: SharedServices, url: str, role: str) -> str:
    return services.postgres.url(urlsplit(url).path.lstrip("/"), role)
