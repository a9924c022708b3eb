"""The lead files of the samples: a clean one, one with every kind of bad row, and a large one.

Each says beside its content what its import must give; the faults stand at fixed places.
"""

import csv
import io
from collections.abc import Callable, Iterable, Sequence

from import_pipeline.catalog.dataset import SenderOptions
from import_pipeline.records import Counts
from import_pipeline.samples.people import Person, brazilian, people
from import_pipeline.samples.sample import Sample

ENGLISH = (
    "email", "name", "phone", "company", "position", "source", "city", "state", "estimated_value",
    "created_at", "notes", "campaign",
)  # fmt: skip
PORTUGUESE = (
    "Nome", "E-mail", "Telefone", "Empresa", "Cargo", "Origem", "Cidade", "UF", "Valor estimado",
    "Data de criação", "Observações",
)  # fmt: skip
EMAIL, COMPANY, STATE, VALUE, CREATED = 1, 3, 7, 8, 9  # positions in PORTUGUESE

CLEAN_ROWS = 120

GOOD_ROWS = 64
REPEATED = 3

LARGE_ROWS = 50_000
LARGE_SEED = 2025


def _english(person: Person) -> list[str]:
    return [
        person.email, person.name, person.phone, person.company, person.position, person.source,
        person.city, person.state, f"{person.estimated_cents / 100:.2f}",
        person.created_at.isoformat(sep=" "), person.notes,
    ]  # fmt: skip


def _portuguese(person: Person) -> list[str]:
    return [
        person.name, person.email, person.phone, person.company, person.position, person.source,
        person.city, person.state, brazilian(person.estimated_cents),
        f"{person.created_at:%d/%m/%Y %H:%M}", person.notes,
    ]  # fmt: skip


def _csv(rows: Iterable[Sequence[str]], delimiter: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def _clean() -> bytes:
    """UTF-8 with a BOM, comma, English headers, one column that the dataset does not know."""
    rows = [[*_english(p), "inverno-2025"] for p in people(CLEAN_ROWS, seed=1, tag="c")]
    return _csv([ENGLISH, *rows]).encode("utf-8-sig")


def _with(**cells: str) -> Callable[[list[str]], str]:
    """A row whose named cells are replaced; names are those of the positions above."""
    places = {"email": EMAIL, "state": STATE, "value": VALUE, "created": CREATED}

    def line(row: list[str]) -> str:
        for name, cell in cells.items():
            row[places[name]] = cell
        return _csv([row], ";")

    return line


def _stray_quote(row: list[str]) -> str:
    row[COMPANY] = "@"
    return _csv([row], ";").replace(";@;", ';"Padaria "Pão Quente" Ltda.;')


UNDECODABLE = "\ue000"  # stands for a byte that cp1252 does not have

# One row each: what is wrong with it, and the codes of the errors it must give.
BAD_ROWS: tuple[tuple[Callable[[list[str]], str], tuple[str, ...]], ...] = (
    (_with(email=""), ("missing_value",)),
    (_with(email="maria.souza"), ("not_an_email",)),
    (_with(email="jose@padaria,example"), ("not_an_email",)),
    (_with(state="XX"), ("not_a_uf",)),
    (_with(value="a combinar"), ("not_a_number",)),
    (_with(value="1.234,567"), ("too_many_decimals",)),
    (_with(value="1.234.567.890.123,00"), ("number_too_large",)),
    (_with(created="31/02/2025 10:00"), ("not_a_timestamp",)),
    (_with(created="15/03/25 10:00"), ("two_digit_year",)),
    (lambda row: _csv([row[:-3]], ";"), ("too_few_cells",)),
    (lambda row: _csv([[*row, "ligar", "depois"]], ";"), ("too_many_cells",)),
    (_stray_quote, ("stray_quote",)),
    (lambda row: _csv([[f"Jo{UNDECODABLE}o", *row[1:]]], ";"), ("undecodable_text",)),
    (
        _with(email="sem e-mail", state="Brasil", value="dez mil"),
        ("not_an_email", "not_a_uf", "not_a_number"),
    ),
)


def _every_fault() -> bytes:
    """cp1252, semicolon, Portuguese headers; a bad row after every fourth good one, repeats at the end."""
    crowd = [_portuguese(p) for p in people(GOOD_ROWS + len(BAD_ROWS), seed=2, tag="f")]
    good, spoilt = crowd[:GOOD_ROWS], crowd[GOOD_ROWS:]
    lines = [_csv([PORTUGUESE], ";")]
    for number, row in enumerate(good, start=1):
        lines.append(_csv([row], ";"))
        if number % 4 == 0 and number // 4 <= len(BAD_ROWS):
            place = number // 4 - 1
            lines.append(BAD_ROWS[place][0](spoilt[place]))
    for row in good[:REPEATED]:
        repeated = list(row)
        repeated[EMAIL] = repeated[EMAIL].upper()
        lines.append(_csv([repeated], ";"))
    # The one byte that cp1252 does not have is put in after encoding.
    return b"\x81".join(part.encode("cp1252") for part in "".join(lines).split(UNDECODABLE))


def _large() -> bytes:
    """UTF-8, comma; of every hundred rows two have a broken address and one repeats the row before it."""
    rows: list[list[str]] = []
    for number, person in enumerate(people(LARGE_ROWS, seed=LARGE_SEED, tag="g"), start=1):
        row = [*_english(person), "mala-direta"]
        if number % 50 == 0:
            row[0] = row[0].replace("@", " em ")
        elif number % 100 == 77:
            row[0] = rows[-1][0]
        rows.append(row)
    return _csv([ENGLISH, *rows]).encode()


CLEAN = Sample(
    file_name="leads.csv",
    workspace="demo",
    dataset="leads",
    title="clean leads",
    state="completed",
    counts=Counts(read=120, inserted=120, updated=0, unchanged=0, duplicate=0, rejected=0),
    content=_clean,
)

EVERY_FAULT = Sample(
    file_name="leads-com-erros.csv",
    workspace="acme",
    dataset="leads",
    title="Portuguese leads with every kind of bad row",
    state="completed_with_rejects",
    counts=Counts(read=81, inserted=64, updated=0, unchanged=0, duplicate=3, rejected=14),
    content=_every_fault,
    codes={
        "missing_value": 1, "not_an_email": 3, "not_a_uf": 2, "not_a_number": 2, "too_many_decimals": 1,
        "number_too_large": 1, "not_a_timestamp": 1, "two_digit_year": 1, "too_few_cells": 1,
        "too_many_cells": 1, "stray_quote": 1, "undecodable_text": 1, "repeated_in_file": 3,
    },
    options=SenderOptions(encoding="cp1252"),
)  # fmt: skip

LARGE = Sample(
    file_name="leads-50000.csv",
    workspace="demo",
    dataset="leads",
    title="50,000 leads",
    state="completed_with_rejects",
    counts=Counts(read=50_000, inserted=48_500, updated=0, unchanged=0, duplicate=500, rejected=1_000),
    content=_large,
    codes={"not_an_email": 1_000, "repeated_in_file": 500},
)
