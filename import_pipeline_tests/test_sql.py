"""No SQL is built by formatting: a scan of every call in the source, and what it would find."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "import_pipeline"
RUNS_SQL = ("execute", "executemany", "copy", "exec_driver_sql")
# Files with SQL that is made of text by a program, and why no stranger has a say in it.
REVIEWED = {
    "flow/duplicates/finding.py": "DuckDB in memory: columns are identifiers of the model, and quoted",
    "flow/loading/correcting.py": "columns of a temporary table: the module's own constants",
    "flow/loading/history.py": "types: postgres_type gives one of its own",
    "flow/loading/references.py": "a collation: PostgreSQL's catalogue names it, quoted",
    "flow/loading/tables.py": "types: postgres_type gives one of its own",
    "flow/loading/undo_tables.py": "queries: the module's own templates",
    "ledger/access.py": "CREATE or ALTER, and a constant that follows",
    "ledger/claims.py": "a lock: one of four literals",
    "ledger/dataset_tables.py": "types, as declared_columns writes them",
    "ledger/grants.py": "privileges: constants, or as PostgreSQL's catalogue names them",
    "ledger/housekeeping.py": "conditions: the module's own constants",
}


def made_of_text(node: ast.expr) -> bool:
    """Whether an expression puts text together: an f-string with values, `%`, `+`, `.format` of a string."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return not (made_of_literals(node.left) and made_of_literals(node.right))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return isinstance(node.func.value, ast.Constant)
    return False


def made_of_literals(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return made_of_literals(node.left) and made_of_literals(node.right)
    return isinstance(node, ast.Constant)


def findings(tree: ast.AST) -> Iterator[int]:
    """Lines where SQL is run, or declared as such, that is put together from text."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
            continue
        first = node.args[0]
        is_sql = node.func.attr == "SQL" and isinstance(node.func.value, ast.Name)
        runs = node.func.attr in RUNS_SQL
        if (is_sql and not literal(first)) or (runs and made_of_text(first)):
            yield node.lineno


def literal(node: ast.expr) -> bool:
    """A string that stands in the source, or a choice between such."""
    if isinstance(node, ast.IfExp):
        return literal(node.body) and literal(node.orelse)
    return isinstance(node, ast.Constant) or made_of_literals(node)


@pytest.mark.parametrize("statement", [
    'conn.execute(f"SELECT * FROM {table}")', 'conn.execute("SELECT * FROM %s" % table)',
    'conn.execute("SELECT * FROM " + table)', 'conn.execute("SELECT * FROM {}".format(table))',
    "sql.SQL(text)", 'sql.SQL(f"SELECT {x}")', 'cursor.copy(f"COPY {table} FROM STDIN")',
])  # fmt: skip
def test_the_scan_finds_sql_that_is_built_by_formatting(statement: str) -> None:
    assert list(findings(ast.parse(statement))) == [1]


@pytest.mark.parametrize("statement", [
    'conn.execute("SELECT 1" " WHERE x = %s", [x])',
    'conn.execute(sql.SQL("SELECT {}").format(sql.Identifier(x)))',
    'sql.SQL("a" if x else "b")', 'conn.execute(QUERY, [x])',
])  # fmt: skip
def test_the_scan_lets_parameters_and_composed_identifiers_pass(statement: str) -> None:
    assert list(findings(ast.parse(statement))) == []


def test_sql_of_the_source_is_composed_never_formatted() -> None:
    found = {
        path.relative_to(SOURCE).as_posix(): lines
        for path in SOURCE.rglob("*.py")
        if (lines := sorted(set(findings(ast.parse(path.read_text(encoding="utf-8"))))))
    }
    assert set(found) == set(REVIEWED), "compose it of identifiers and literals, or say here why not"


def test_suppressed_warnings_of_sql_by_formatting_are_those_that_were_reviewed() -> None:
    suppressed = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if "noqa: S608" in path.read_text(encoding="utf-8")
    }
    assert suppressed == {"flow/duplicates/finding.py"}
