"""How PostgreSQL runs the statements of a publish: no policy in them, and no plan that takes for ever."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from import_pipeline.records import PublishedUpload
from import_pipeline_tests.flow.loading.world import NOON, MadeUpload, World, things

PLANNED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


def load_explained(
    world: World, made: MadeUpload, how: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[PublishedUpload, dict[str, Any]]:
    """Load an upload; the plans of its statements by their text, explained just before each is run."""
    plans: dict[str, Any] = {}
    run = psycopg.Connection.execute

    def explained(conn: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        text = query.as_string(conn) if isinstance(query, sql.Composable) else str(query)
        if text.strip().startswith(PLANNED):
            rows = run(conn, f"EXPLAIN ({how}) {text}", *arguments).fetchall()
            plans[text] = rows[0][0] if "JSON" in how else "\n".join(line for (line,) in rows)
        return run(conn, query, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Connection, "execute", explained)
        published = world.load(made)
    return published, plans


def test_no_statement_of_a_publish_has_a_trace_of_a_policy_in_its_plan(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a table with row-level security."""
    dataset = things(existing="update")
    world.install(dataset)
    world.load(world.make(dataset, [{"code": f"c{n}", "name": "a"} for n in range(20)]))
    made = world.make(
        dataset, [{"code": f"c{n}", "name": "b"} for n in range(10, 30)], at=NOON + timedelta(days=1)
    )
    published, plans = load_explained(world, made, "VERBOSE", monkeypatch)

    assert (published.counts.inserted, published.counts.updated) == (10, 10)
    merged = [text for text in plans if "public" in text and text.strip().startswith(("INSERT", "UPDATE"))]
    assert len(merged) >= 3, "decided, updated, inserted"
    assert not [text for text, plan in plans.items() if "workspace_readers" in plan]
    as_owner = world.query(
        "SELECT relrowsecurity, row_security_active(oid) FROM pg_class WHERE relname = 'things'"
    )
    assert as_owner == [(True, True)], "the loader is bound by policies at all"


@pytest.mark.parametrize("existing", ["update", "skip", "reject"])
def test_the_rows_of_a_workspace_are_expected_though_statistics_know_nothing_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch, existing: str
) -> None:
    """As when a workspace's second file comes before autovacuum has looked at the rows of its first.

    Who expects one row may read a whole table for each of the many that come.
    """
    dataset = things(existing=existing)
    world.install(dataset)
    world.as_owner("ALTER TABLE public.things SET (autovacuum_enabled = false)")
    rows = [{"code": f"c{n}", "name": "a"} for n in range(2000)]
    for workspace in ("beta", "gamma", "delta"):
        world.load(world.make(dataset, rows, workspace=workspace))
    world.as_owner("ANALYZE public.things")
    world.load(world.make(dataset, rows))
    newer = [{"code": f"c{n}", "name": "b"} for n in range(2100)]
    made = world.make(dataset, newer, at=NOON + timedelta(days=1))

    _, plans = load_explained(world, made, "FORMAT JSON", monkeypatch)

    joined = [plan[0]["Plan"] for text, plan in plans.items() if "public" in text and "staging" in text]
    expected = [scan["Plan Rows"] for plan in joined for scan in scans_of("things", plan)]
    assert len(expected) == (2 if existing == "update" else 1)
    assert min(expected) > 1000


def scans_of(table: str, plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a plan that read a table."""
    own = [plan] if plan.get("Relation Name") == table and "Scan" in plan["Node Type"] else []
    return [*own, *(scan for part in plan.get("Plans", []) for scan in scans_of(table, part))]
