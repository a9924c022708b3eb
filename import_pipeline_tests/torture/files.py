"""The file that is disturbed, and the rows that are in the table before it comes.

Every outcome that a row can have is among its rows: inserted, updated, unchanged, repeated in the
file, older than the table's, rejected.
"""

from collections.abc import Sequence
from typing import Any

import psycopg

ROWS = 600
# Megabytes between the two sizes.
FAN_OUT_MB = 0.045
SEED = "seed"


def file_of(dataset: str, processes: str = "one") -> bytes:
    """The bytes that are dropped.

    Args:
        processes: `many`: a file that is large enough, by the daemon's setting, for a process a step.
    """
    make = {"customers": _customers, "readings": _readings}[dataset]
    return make(30 if processes == "many" else 1).encode()


def seed_workspaces(url: str, workspaces: Sequence[str]) -> None:
    """Rows that other files brought, in each workspace: some equal, some older, some newer than ours."""
    with psycopg.connect(url) as conn:
        conn.execute(
            """
            INSERT INTO public.customers
                (email, name, visits, value, _workspace, _upload_id, _row_number, _source_time, _loaded_at)
            SELECT 'c' || n || '@exemplo.com', CASE WHEN n < 120 THEN 'Nome ' || n ELSE 'Antes ' || n END,
                n, n + 0.5, w, w || %(seed)s, n + 2,
                CASE WHEN n >= 220 THEN timestamptz '2100-01-01' ELSE timestamptz '2001-01-01' END,
                timestamptz '2001-01-01'
            FROM generate_series(80, 239) n, unnest(%(workspaces)s::text[]) w
            """,
            {"seed": f"/{SEED}.csv@000000000000", "workspaces": list(workspaces)},
        )


def _customers(weight: int) -> str:
    lines = ["E-mail;Nome;Visitas;Valor;Cor"]
    for n in range(ROWS):
        email, visits = f"c{n}@exemplo.com", str(n)
        if n % 20 == 7:
            visits = "muitas"  # not a number: rejected
        if n % 30 == 11:
            email = f"c{n - 5}@exemplo.com"  # an earlier row's key: the last one wins
        if n % 90 == 13:
            email = "sem arroba"
        lines.append(f"{email};Nome {n};{visits};{n},50;{'azul' * weight if n % 3 else ''}")
    return "\n".join(lines) + "\n"


def _readings(weight: int) -> str:
    lines = ["Medidor;Visitas;Valor"]
    for n in range(ROWS):
        meter = "" if n % 40 == 9 else f"m{n % 50}" + "x" * 4 * weight  # without a meter: rejected
        lines.append(f"{meter};{n};{n},25")
    return "\n".join(lines) + "\n"


def rows_of(url: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of a query, as tuples."""
    with psycopg.connect(url) as conn:
        return conn.execute(query, values).fetchall()
