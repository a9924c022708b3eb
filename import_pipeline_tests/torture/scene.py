"""A world of its own for one lane of the kill matrix: services that may be killed, tables, a bucket,
a Dagster instance on the same PostgreSQL, and files that were noticed but not launched.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from dagster import DagsterInstance, RunRequest
from psycopg import sql

from import_pipeline.catalog.discovery import load_datasets
from import_pipeline.ledger.migrate import migrate
from import_pipeline.orchestration.build import build_defs
from import_pipeline.orchestration.code_server import MODULE as DEFINITIONS
from import_pipeline.orchestration.control import set_pool_limits
from import_pipeline.services import aws as local_aws
from import_pipeline.services import postgres as local_postgres
from import_pipeline.services.aws import LocalAws
from import_pipeline.services.dagster_home import prepare_dagster_home
from import_pipeline.services.postgres import LocalPostgres
from import_pipeline.services.running import start_services
from import_pipeline.settings import Settings, load_settings
from import_pipeline_tests.orchestration.conftest import World
from import_pipeline_tests.torture.files import file_of, seed_workspaces
from import_pipeline_tests.torture.orders import Folder
from import_pipeline_tests.torture.probe import FOLDER

DATASETS = "import_pipeline_tests.torture.datasets"
__all__ = ["DEFINITIONS", "Scene", "open_scene"]


@dataclass
class Scene:
    """What a lane works with.

    Attributes:
        folder: where orders are given to the processes of the lane.
        postgres, aws: the services, started again by `restart_…` under the same address.
    """

    home: Path
    world: World
    folder: Folder
    postgres: LocalPostgres
    aws: LocalAws
    requests: dict[str, RunRequest] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """PostgreSQL as its superuser: also looks into what the loader may not see."""
        return self.postgres.url(local_postgres.LEDGER_DATABASE, local_postgres.SUPERUSER)

    @property
    def instance(self) -> DagsterInstance:
        return self.world.instance

    def drop_files(self, dataset: str, workspaces: list[str]) -> None:
        """Drop the file in each workspace, and have the sensor notice them; nothing is launched."""
        seed_workspaces(self.url, workspaces)
        for workspace in workspaces:
            self.world.put(key_of(workspace, dataset), file_of(dataset))
        missing = set(workspaces)
        while missing:
            fresh = self.world.tick(run=False)
            found = {str(request.partition_key).split("/", 1)[0]: request for request in fresh}
            self.requests |= found
            assert found, f"the sensor asks for no run of {sorted(missing)}"
            missing -= found.keys()

    def upload(self, workspace: str, dataset: str) -> dict[str, object]:
        """The upload's row in the ledger."""
        return self.world.upload(key_of(workspace, dataset))

    def kill_postgres(self) -> None:
        """kill -9 of the postmaster: PostgreSQL recovers at its next start, and empties unlogged tables."""
        _kill_service(self.postgres.process.pid)
        self.postgres.process.stop()

    def restart_postgres(self) -> None:
        passwords, port = self.postgres.passwords, self.postgres.port
        self.postgres = local_postgres.start_postgres(self.home, passwords, port=port, fast=True)

    def kill_aws(self) -> None:
        """kill -9 of the S3 emulator."""
        _kill_service(self.aws.process.pid)
        self.aws.process.stop()

    def restart_aws(self) -> None:
        self.aws = local_aws.start_aws(self.home, self.aws.root, port=self.aws.port)


def key_of(workspace: str, dataset: str) -> str:
    return f"uploads/{workspace}/{dataset}/file.csv"


@contextmanager
def open_scene(home: Path) -> Iterator[Scene]:
    """Start services in `home`, and a Dagster instance on them; this process's environment is theirs."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    orders = home / "orders"
    orders.mkdir(exist_ok=True)
    _forget_environment()
    with ExitStack() as stack:
        started = stack.enter_context(start_services(Settings(home=home), fast=True))
        assert started.postgres is not None
        assert started.aws is not None
        os.environ.update(started.environment({}))
        # The emulator forgets its users when it is killed, as nothing real does; root's key stays.
        os.environ["AWS_ACCESS_KEY_ID"] = started.aws.root.access_key_id
        os.environ["AWS_SECRET_ACCESS_KEY"] = started.aws.root.secret_access_key
        os.environ |= {
            "IMPORT_PIPELINE_DATASETS": DATASETS,
            "DAGSTER_HOME": str(prepare_dagster_home(home)),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            FOLDER: str(orders),
        }
        _keep_commits(started.postgres)
        settings = load_settings()
        datasets = load_datasets(settings.datasets)
        migrate(settings.require_owner_database_url(), datasets)
        instance = stack.enter_context(DagsterInstance.get())
        set_pool_limits(instance, settings)
        s3 = started.aws.client("s3")
        world = World(settings, instance, s3, str(settings.bucket), datasets, build_defs(datasets=datasets))
        scene = Scene(home, world, Folder(orders), started.postgres, started.aws)
        try:
            yield scene
        finally:
            scene.aws.process.stop()
            scene.postgres.process.stop()


def _keep_commits(server: LocalPostgres) -> None:
    """A commit outlives a kill of the server, as in production; only the machine must not crash here."""
    role = local_postgres.SUPERUSER
    with psycopg.connect(server.url(role, role), autocommit=True) as conn:
        for name in (local_postgres.LEDGER_DATABASE, local_postgres.DAGSTER_DATABASE):
            conn.execute(
                sql.SQL("ALTER DATABASE {} SET synchronous_commit = on").format(sql.Identifier(name))
            )


def _forget_environment() -> None:
    for name in [n for n in os.environ if n.startswith(("IMPORT_PIPELINE_", "AWS_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ |= {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _kill_service(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
