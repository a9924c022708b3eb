"""What all measurements of `make bench` share: services, files, a Dagster daemon, an empty table again."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from rich.console import Console

from benchmarks.core import DATASET, CoreTimes, import_apart
from benchmarks.in_dagster import RunningDagster, running_dagster
from benchmarks.leads_file import GeneratedFile, generate
from benchmarks.services import fresh_services
from import_pipeline.catalog.dataset import Dataset, Existing
from import_pipeline.catalog.discovery import get_dataset, load_datasets
from import_pipeline.records import Counts
from import_pipeline.services.running import RunningServices

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".venv-bench" / "bin" / "python"
said = Console(stderr=True)


@dataclass
class Bench:
    """A place to measure in.

    Attributes:
        rows: of the file that most figures are about.
        rounds: medians of so many.
    """

    services: RunningServices
    dataset: Dataset
    rows: int
    rounds: int
    workspaces: int = 0

    @property
    def owner(self) -> str:
        """URL of the tables' owner."""
        return self.services.settings.require_owner_database_url()

    def file(self, rows: int, seed: int = 1) -> GeneratedFile:
        """A lead file, made once."""
        return generate(Path.cwd(), rows, seed=seed)

    def new_workspace(self) -> str:
        """A workspace that nothing was imported into."""
        self.workspaces += 1
        return f"bench-{self.workspaces}"

    def core(
        self,
        path: Path,
        workspace: str,
        wanted: Counts | None = None,
        *,
        existing: Existing | None = None,
        rows_per_batch: int | None = None,
    ) -> CoreTimes:
        """Import a file by the core alone, in a process of its own.

        Raises:
            RuntimeError: it counted otherwise than wanted.
        """
        env = self.services.environment({})
        done = import_apart(path, workspace, env, existing=existing, rows_per_batch=rows_per_batch)
        if wanted is not None and done.counts != wanted:
            raise RuntimeError(f"the core counted {done.counts} where the file has {wanted}")
        say(f"{path.name} by the core", done.seconds)
        return done

    def peer(self, script: str, path: Path, *options: str) -> float:
        """Seconds that another tool takes for the file.

        Raises:
            RuntimeError: it failed, or nothing arrived.
        """
        command = [str(PEERS), "-m", f"benchmarks.peers.{script}", self.owner, str(path.absolute()), *options]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise RuntimeError(f"{script} failed: {done.stderr.strip()[-1000:]}")
        found = json.loads(done.stdout.strip().splitlines()[-1])
        if not found["rows"]:
            raise RuntimeError(f"{script} loaded nothing")
        say(f"{path.name} by {script} {' '.join(options)}", found["seconds"])
        return float(found["seconds"])

    def empty(self) -> None:
        """Begin with an empty table and nothing left to be written to disk."""
        superuser = self.services.postgres.url("imports", "postgres") if self.services.postgres else ""
        with psycopg.connect(superuser, autocommit=True) as conn:
            conn.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier("public", self.dataset.table)))
            conn.execute("DROP SCHEMA IF EXISTS dlt_peer, dlt_peer_staging CASCADE")
            conn.execute("DROP TABLE IF EXISTS pandas_peer, row_by_row_peer")
            conn.execute("CHECKPOINT")

    def server_version(self) -> str:
        """PostgreSQL's."""
        with psycopg.connect(self.services.settings.require_database_url()) as conn:
            return str(conn.info.parameter_status("server_version"))

    @contextmanager
    def dagster(self) -> Iterator[RunningDagster]:
        """A daemon over the same services."""
        with running_dagster(self.services) as dagster:
            yield dagster


@contextmanager
def open_bench(rows: int, rounds: int) -> Iterator[Bench]:
    """Services of the benchmark's own; the working directory is a folder that goes with them."""
    datasets = load_datasets("")
    with fresh_services(datasets) as services:
        yield Bench(services, get_dataset(datasets, DATASET), rows, rounds)


def say(what: str, seconds: float) -> None:
    """Tell whoever waits."""
    said.print(f"  {what}: {seconds:.1f} s")
