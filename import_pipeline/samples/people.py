"""Invented Brazilian people and companies that the sample files are filled with.

All of it comes from small lists and a seeded generator: the same seed gives the same people.
Addresses end in `.example`, so no sample ever reaches anybody.
"""

import random
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

T = TypeVar("T")

FIRST_NAMES = (
    "Ana", "João", "Maria", "José", "Antônia", "Luís", "Conceição", "Márcio", "Júlia", "Sérgio",
    "Letícia", "Fábio", "Camila", "André", "Patrícia", "Estêvão", "Vitória", "Caio", "Débora", "Thiago",
    "Inês", "Otávio", "Renata", "Flávia", "Gonçalo", "Heloísa", "Raul", "Simone", "Tainá", "Ulisses",
)  # fmt: skip
LAST_NAMES = (
    "Souza", "Araújo", "Conceição", "Magalhães", "Guimarães", "Brandão", "Vilhena", "Falcão", "Nóbrega",
    "Assunção", "Pacheco", "Queirós", "Sampaio", "Teles", "Uchôa", "Ximenes", "Zanetti", "Barcellos",
    "D'Ávila", "Leão", "Muniz", "Paranhos", "Rezende", "Salomão", "Tavares",
)  # fmt: skip
COMPANIES = (
    "Padaria Estrela do Sul", "Autopeças Ipiranga", "Construtora Três Irmãos", "Clínica São Bento",
    "Transportes Serra Azul", "Ótica Boa Visão", "Mercado Central Ltda.", "Gráfica Aurora",
    "Colégio Monte Verde", "Fazenda Água Limpa", "Metalúrgica União", "Tecelagem Flor do Norte",
)  # fmt: skip
POSITIONS = ("Diretora", "Gerente de compras", "Analista", "Sócio", "Coordenadora", "Técnico de manutenção")
SOURCES = ("Site", "Indicação", "Feira", "LinkedIn", "Telefone", "E-mail marketing")
CITIES = (
    ("São Paulo", "SP", "11"), ("Campinas", "SP", "19"), ("Rio de Janeiro", "RJ", "21"),
    ("Vitória", "ES", "27"), ("Belo Horizonte", "MG", "31"), ("Uberlândia", "MG", "34"),
    ("Curitiba", "PR", "41"), ("Florianópolis", "SC", "48"), ("Porto Alegre", "RS", "51"),
    ("Brasília", "DF", "61"), ("Goiânia", "GO", "62"), ("Cuiabá", "MT", "65"), ("Salvador", "BA", "71"),
    ("Recife", "PE", "81"), ("Fortaleza", "CE", "85"), ("Belém", "PA", "91"), ("Manaus", "AM", "92"),
    ("São Luís", "MA", "98"),
)  # fmt: skip
NOTES = (
    "",
    "Prefere contato pela manhã",
    "Pediu proposta por escrito, com prazo de entrega",
    'Conhece a linha "Premium"',
    "Segunda visita marcada\nlevar catálogo impresso",
)
FIRST_DAY = datetime(2025, 1, 6, 8, 0)


@dataclass(frozen=True)
class Person:
    """One invented lead; values as Python sees them, each file writes them its own way.

    Attributes:
        estimated_cents: estimated value in hundredths of a real.
    """

    email: str
    name: str
    phone: str
    company: str
    position: str
    source: str
    city: str
    state: str
    estimated_cents: int
    created_at: datetime
    notes: str


def people(count: int, seed: int, tag: str) -> Iterator[Person]:
    """`count` people; no two share an e-mail address, nor do people of another `tag`."""
    # Only random() is promised to give the same numbers in every Python.
    draw = random.Random(seed).random  # noqa: S311 - nothing secret
    for number in range(1, count + 1):
        yield _person(number, tag, draw)


def _person(number: int, tag: str, draw: Callable[[], float]) -> Person:
    first, last, company = _pick(FIRST_NAMES, draw()), _pick(LAST_NAMES, draw()), _pick(COMPANIES, draw())
    city, state, area = _pick(CITIES, draw())
    domain = plain(company).replace(" ", "").replace(".", "")
    return Person(
        email=f"{plain(first)}.{plain(last)}.{tag}{number}@{domain}.example",
        name=f"{first} {last}",
        phone=f"({area}) 9{int(draw() * 10_000):04d}-{int(draw() * 10_000):04d}",
        company=company,
        position=_pick(POSITIONS, draw()),
        source=_pick(SOURCES, draw()),
        city=city,
        state=state,
        estimated_cents=50_000 + int(draw() * 25_000_000),
        created_at=FIRST_DAY + timedelta(minutes=int(draw() * 300 * 24 * 60)),
        notes=_pick(NOTES, draw()),
    )


def plain(text: str) -> str:
    """Lower-case letters without accents and apostrophes, as in an e-mail address."""
    apart = unicodedata.normalize("NFKD", text.lower())
    return "".join(c for c in apart if not unicodedata.combining(c) and c != "'")


def brazilian(cents: int) -> str:
    """An amount as it is written in Brazil: 123456 gives `1.234,56`."""
    return f"{cents / 100:,.2f}".translate(str.maketrans(",.", ".,"))


def _pick(values: Sequence[T], drawn: float) -> T:
    return values[int(drawn * len(values))]
