"""The vehicle files of the samples: a first stock list, and a second one with duplicates.

Plates that the first file brought are rejected in the second, since the dataset says
`existing="reject"`; so the second is dropped when the first is imported.
"""

import csv
import io

from import_pipeline.records import Counts
from import_pipeline.samples.people import brazilian
from import_pipeline.samples.sample import Sample

HEADER = ("Modelo", "Placa", "Ano", "Valor FIPE")
MODELS = (  # name, FIPE price in hundredths of a real
    ("Volkswagen Gol 1.0", 4_812_300),
    ("Fiat Strada Freedom 1.3", 9_145_000),
    ("Chevrolet Onix LT 1.0", 7_630_900),
    ("Hyundai HB20 Sense", 6_988_400),
    ("Toyota Corolla XEi 2.0", 13_872_000),
    ("Honda Civic EXL", 12_450_700),
    ("Jeep Renegade Sport", 10_231_500),
    ("Renault Kwid Zen", 5_390_200),
    ("Ford Ka SE 1.0", 4_415_800),
)
LETTERS = "ABCDEFGHIJ"

Vehicle = tuple[str, str, str, str]


def _vehicles(count: int, serial: str) -> list[Vehicle]:
    """`count` vehicles; every second plate in the older form, some with its hyphen."""
    return [_vehicle(number, serial) for number in range(count)]


def _vehicle(number: int, serial: str) -> Vehicle:
    model, cents = MODELS[number % len(MODELS)]
    digits = f"{1000 + number * 37:04d}"
    plate = f"{serial}{digits}" if number % 2 else f"{serial}{digits[0]}{LETTERS[int(digits[1])]}{digits[2:]}"
    if number % 4 == 1:
        plate = f"{plate[:3]}-{plate[3:]}"
    return model, plate, str(2010 + number % 15), brazilian(cents + 10_000 * number)


def _csv(rows: list[Vehicle]) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerows([HEADER, *rows])
    return text.getvalue().encode()


def _stock() -> bytes:
    return _csv(_vehicles(30, "RIO"))


def _duplicates() -> bytes:
    """New vehicles, the same plate written in several ways, plates of the first file, bad cells."""
    new = _vehicles(25, "BRA")
    model, plate, year, value = new[0]
    repeats: list[Vehicle] = [
        (model, plate.lower(), year, value),
        (model, f"{plate[:3]}-{plate[3:]}", year, value),
        new[7],
        new[12],
    ]
    known = _vehicles(30, "RIO")[:5]
    bad: list[Vehicle] = [
        ("Fiat Uno Mille", "XX-99", "2008", "18.500,00"),
        ("Fusca 1300", "OLD1A23", "1899", "25.000,00"),
        ("Chevrolet Celta", "CEL2B34", "2012,5", "22.300,00"),
        ("Volkswagen Kombi", "KOM3C45", "2011", "0,00"),
        ("Ford Fiesta", "FIE4D56", "2014", "a consultar"),
        ("", "SEM5E67", "2016", "31.000,00"),
    ]
    return _csv([*new[:20], *repeats, *known, *new[20:], *bad])


STOCK = Sample(
    file_name="veiculos.csv",
    workspace="acme",
    dataset="vehicles",
    title="vehicles",
    state="completed",
    counts=Counts(read=30, inserted=30, updated=0, unchanged=0, duplicate=0, rejected=0),
    content=_stock,
)

DUPLICATES = Sample(
    file_name="veiculos-repetidos.csv",
    workspace="acme",
    dataset="vehicles",
    title="vehicles with duplicates",
    state="completed_with_rejects",
    counts=Counts(read=40, inserted=25, updated=0, unchanged=0, duplicate=4, rejected=11),
    content=_duplicates,
    after=STOCK.file_name,
    codes={
        "not_a_plate": 1, "out_of_range": 2, "not_a_whole_number": 1, "not_a_number": 1,
        "missing_value": 1, "already_in_table": 5, "repeated_in_file": 4,
    },
)  # fmt: skip
