"""The search for planted words in all that is shown to people other than the sender."""

import json
from collections.abc import Iterable

import psycopg
from psycopg import sql

from import_pipeline_tests.orchestration.conftest import World

# Images of overwritten rows: whole rows, as the dataset's table has them, for loader and owner only.
WHOLE_ROWS = ("row_history",)


class Words:
    """Words and numbers that occur nowhere else, each remembered."""

    def __init__(self) -> None:
        self.planted: list[str] = []

    def __call__(self, prefix: str = "") -> str:
        word = f"{prefix}planted{len(self.planted):03d}word"
        self.planted.append(word)
        return word

    def number(self) -> str:
        """A number that occurs nowhere else."""
        word = f"77{len(self.planted):03d}7377"
        self.planted.append(word)
        return word


def traces(world: World, *said: str) -> dict[str, str]:
    """What people can see, by where it stands: the ledger, what Dagster stores, and `said`.

    Of Dagster: runs with their config and tags, all events with their metadata and errors, partitions.
    """
    found = {f"said {number}": text for number, text in enumerate(said)}
    with psycopg.connect(world.settings.require_owner_database_url()) as conn:
        tables = conn.execute(
            "SELECT relname FROM pg_class"
            " WHERE relnamespace = 'imports'::regnamespace AND relkind IN ('r', 'v')"
        ).fetchall()
        for (table,) in tables:
            if table not in WHOLE_ROWS:
                query = sql.SQL("SELECT to_jsonb(t)::text FROM {} t").format(sql.Identifier("imports", table))
                found[f"ledger {table}"] = "\n".join(text for (text,) in conn.execute(query).fetchall())
    for run in world.instance.get_runs():
        logs = [entry.to_json() for entry in world.instance.all_logs(run.run_id)]
        text = json.dumps([run.tags, run.run_config, *logs], default=str, ensure_ascii=False)
        found[f"run {run.job_name} {run.run_id[:8]}"] = text.replace('\\\\"', '"').replace('\\"', '"')
    for dataset in world.datasets:
        keys = world.instance.get_dynamic_partitions(f"{dataset}_uploads")
        found[f"partitions of {dataset}"] = "\n".join(keys)
    return found


def leaks(found: dict[str, str], planted: Iterable[str]) -> list[str]:
    """Where planted words stand, each with what is around it."""
    return [
        f"{where}: …{text[max(at - 150, 0) : at + 60]}…"
        for where, text in found.items()
        for word in planted
        if (at := text.lower().find(word.lower())) >= 0
    ]
