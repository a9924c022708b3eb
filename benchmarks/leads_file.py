"""Makes the lead file that is measured: any number of rows from a seed, with known bad rows and repeats.

The same seed gives the same bytes. What an import must count is known beforehand, so a run that
is fast because it does less is noticed.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from import_pipeline.records import Counts
from import_pipeline.samples.people import (
    CITIES,
    COMPANIES,
    FIRST_NAMES,
    LAST_NAMES,
    NOTES,
    POSITIONS,
    SOURCES,
    plain,
)

SHARE_BAD = 0.025
SHARE_REPEATED = 0.01
REMARKS = (
    "Contato feito na feira de negócios, aguarda catálogo e tabela de preços",
    "Retornar depois do dia vinte, falar com o setor de compras",
    'Pediu desconto, "condição especial" para pagamento em três parcelas',
    "Cliente antigo: atualizar cadastro e confirmar endereço de entrega",
)
# What a bad row has instead of a good cell; each bad row has one of them.
SPOILT = (
    ("email", "replace(email, '@', ' em ')"),
    ("email", "''"),
    ("state", "'ZZ'"),
    ("estimated_value", "'a combinar'"),
    ("created_at", "'31/02/2025 10:00'"),
)
CLEAN = """
    SELECT number, fault, CASE WHEN whose = number THEN address ELSE upper(address) END AS email,
        name, printf('(%s) 9%04d-%04d', area, phone // 10000, phone % 10000) AS phone,
        company, position, source, city, state, printf('%.2f', cents / 100) AS estimated_value,
        strftime(TIMESTAMP '2025-01-06 08:00:00' + to_minutes(minute), '%Y-%m-%d %H:%M:%S') AS created_at,
        notes, 'inverno-2025' AS campaign
    FROM (SELECT *, printf('%s.%s.%d@%s.example', first, last, whose, domain) AS address FROM drawn)
"""


@dataclass(frozen=True)
class GeneratedFile:
    """A file to be imported, and what its import into an empty workspace must count.

    Attributes:
        size: bytes.
    """

    path: Path
    size: int
    counts: Counts


def generate(folder: Path, rows: int, *, seed: int = 1) -> GeneratedFile:
    """Write a lead file of `rows` rows into `folder`, or take the one an earlier call left there.

    UTF-8, comma, English headers, one column that the dataset does not declare.
    """
    path = folder / f"leads-{rows}-{seed}.csv"
    bad, repeated = int(rows * SHARE_BAD), int(rows * SHARE_REPEATED)
    if not path.exists():
        beside = path.with_suffix(".part")
        _write(beside, _draw(rows, bad, repeated, seed))
        beside.rename(path)
    inserted = rows - bad - repeated
    counts = Counts(read=rows, inserted=inserted, updated=0, unchanged=0, duplicate=repeated, rejected=bad)
    return GeneratedFile(path, path.stat().st_size, counts)


def _draw(rows: int, bad: int, repeated: int, seed: int) -> pa.Table:
    """What the rows are made of, one line a row; `whose`: number of the row whose address it has."""
    draw = np.random.default_rng(seed)
    number = np.arange(1, rows + 1)
    chosen = draw.permutation(rows)
    fault = np.zeros(rows, np.int8)  # 0: none, else the place in SPOILT, from 1
    fault[chosen[:bad]] = 1 + np.arange(bad) % len(SPOILT)
    whose = number.copy()
    # A repeated row is sound, and so is the row that it repeats, which may stand before or after it.
    whose[chosen[bad : bad + repeated]] = number[chosen[bad + repeated : bad + 2 * repeated]]

    def pick(values: tuple[str, ...], places: np.ndarray) -> pa.Array:
        return pa.array(values).take(pa.array(places))

    first, last, company = (draw.integers(0, len(v), rows) for v in (FIRST_NAMES, LAST_NAMES, COMPANIES))
    of = whose - 1
    city = draw.integers(0, len(CITIES), rows)
    names = tuple(f"{f} {s}" for f in FIRST_NAMES for s in LAST_NAMES)
    return pa.table(
        {
            "number": number,
            "fault": fault,
            "whose": whose,
            "first": pick(tuple(map(plain, FIRST_NAMES)), first[of]),
            "last": pick(tuple(map(plain, LAST_NAMES)), last[of]),
            "domain": pick(tuple(plain(c).replace(" ", "").replace(".", "") for c in COMPANIES), company[of]),
            "name": pick(names, first * len(LAST_NAMES) + last),
            "company": pick(COMPANIES, company),
            "position": pick(POSITIONS, draw.integers(0, len(POSITIONS), rows)),
            "source": pick(SOURCES, draw.integers(0, len(SOURCES), rows)),
            "city": pick(tuple(c[0] for c in CITIES), city),
            "state": pick(tuple(c[1] for c in CITIES), city),
            "area": pick(tuple(c[2] for c in CITIES), city),
            "phone": draw.integers(0, 100_000_000, rows),
            "cents": draw.integers(50_000, 25_000_000, rows),
            "minute": draw.integers(0, 300 * 24 * 60, rows),
            "notes": pick(NOTES + REMARKS, draw.integers(0, len(NOTES + REMARKS), rows)),
        }
    )


def _write(path: Path, drawn: pa.Table) -> None:
    """Turn what was drawn into texts and write them in the order of the rows."""
    header = ("email", "name", "phone", "company", "position", "source", "city", "state",
              "estimated_value", "created_at", "notes", "campaign")  # fmt: skip
    cells = []
    for column in header:
        cases = [
            f"WHEN {place} THEN {text}"
            for place, (spoilt, text) in enumerate(SPOILT, start=1)
            if spoilt == column
        ]
        cells.append(f"CASE fault {' '.join(cases)} ELSE {column} END AS {column}" if cases else column)
    with duckdb.connect() as db:
        db.register("drawn", drawn)
        rows = f"SELECT {', '.join(cells)} FROM ({CLEAN}) ORDER BY number"
        db.execute(f"COPY ({rows}) TO '{path}' (HEADER, QUOTE '\"')")
