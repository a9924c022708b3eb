"""What row-level security costs a load: nothing, in every statement that a publish runs."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from import_pipeline_tests.flow.loading.world import NOON, World, things

PLANNED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


def test_no_statement_of_a_publish_has_a_trace_of_a_policy_in_its_plan(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Explained as the loader, just before each is run, on a table with row-level security."""
    dataset = things(existing="update")
    world.install(dataset)
    world.load(world.make(dataset, [{"code": f"c{n}", "name": "a"} for n in range(20)]))
    made = world.make(
        dataset, [{"code": f"c{n}", "name": "b"} for n in range(10, 30)], at=NOON + timedelta(days=1)
    )
    plans: dict[str, str] = {}
    run = psycopg.Connection.execute

    def explained(conn: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        text = query.as_string(conn) if isinstance(query, sql.Composable) else str(query)
        if text.strip().startswith(PLANNED):
            rows = run(conn, f"EXPLAIN (VERBOSE) {text}", *arguments).fetchall()
            plans[text] = "\n".join(line for (line,) in rows)
        return run(conn, query, *arguments, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", explained)
    published = world.load(made)
    monkeypatch.undo()

    assert (published.counts.inserted, published.counts.updated) == (10, 10)
    merged = [text for text in plans if "public" in text and text.strip().startswith(("INSERT", "UPDATE"))]
    assert len(merged) >= 3, "decided, updated, inserted"
    assert not [text for text, plan in plans.items() if "workspace_readers" in plan]
    as_owner = world.query(
        "SELECT relrowsecurity, row_security_active(oid) FROM pg_class WHERE relname = 'things'"
    )
    assert as_owner == [(True, True)], "the loader is bound by policies at all"
