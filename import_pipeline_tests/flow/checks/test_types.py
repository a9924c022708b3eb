"""What each declared type makes of a cell: the value that is stored, or the code of its one error."""

import json
import string
from decimal import Decimal
from functools import cache

import pandera.pandas as pandera
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from import_pipeline.catalog.dataset import Column, Dataset, column
from import_pipeline.catalog.types import (
    LIBRARY,
    Boolean,
    Cep,
    Choice,
    Cnpj,
    ColumnType,
    Cpf,
    Date,
    Email,
    Identifier,
    Integer,
    Json,
    Money,
    Number,
    Percentage,
    Phone,
    Plate,
    Text,
    Timestamp,
    Uf,
    Url,
)
from import_pipeline.codes import CODES
from import_pipeline.flow.batches import kinds
from import_pipeline.flow.checks.parsers import PARSERS, parser_of
from import_pipeline.flow.checks.parsing import FaultCollector, How, Parsed
from import_pipeline_tests.flow.checks.tables import check, check_of_kinds, told


class Anything(pandera.DataFrameModel):
    text: Text = column()
    identifier: Identifier = column()
    email: Email = column()
    phone: Phone = column()
    cpf: Cpf = column()
    cnpj: Cnpj = column()
    cep: Cep = column()
    plate: Plate = column()
    uf: Uf = column()
    url: Url = column()
    choice: Choice("Novo", "Seminovo", aliases={"0 km": "Novo", "usado": "Seminovo"}) = column()
    integer: Integer = column()
    number: Number(12, 3) = column()
    money: Money("BRL") = column()
    dollars: Money("USD") = column()
    percentage: Percentage() = column()
    day: Date = column()
    moment: Timestamp = column()
    flag: Boolean = column()
    document: Json = column()


ANYTHING = Dataset(name="anything", model=Anything, timezone="America/Sao_Paulo")
NAMES = [c.name for c in ANYTHING.columns]


@cache
def one(name: str) -> Dataset:
    """A dataset of one column of ANYTHING."""
    kind = Anything.__annotations__[name]
    model = type("One", (pandera.DataFrameModel,), {"__annotations__": {name: kind}, name: column()})
    return Dataset(name="one", model=model, timezone=ANYTHING.timezone)


def read(name: str, cell: str | None, reading: str | None = None, kind: int = kinds.TEXT) -> str | None:
    """The stored value as text, or the error's code."""
    checked = check_of_kinds(one(name), [(cell,)], [(kind,)], header=(name,), readings={name: reading})
    if checked.rejects.num_rows:
        ((_, faulty, code),) = told(checked)
        assert faulty == name
        return str(code)
    value = checked.clean[name][0].as_py()
    return None if value is None else str(value)


TEXTS = [
    ("text", " \u00a0\u200b Ana\u3000Souza\ufeff ", "Ana\u3000Souza"),
    ("text", "00123", "00123"),
    ("text", "1,23457E+11", "1,23457E+11"),
    ("text", "a\0", "nul_character"),
    ("identifier", "00123", "00123"),
    ("identifier", "\u200e00\u00ad12-a/b \u00a0", "0012-a/b"),
    ("identifier", "AB\u00a012", "AB 12"),
    ("identifier", "1,23457E+11", "imprecise_number"),
    ("identifier", "1.9E+18", "imprecise_number"),
    ("identifier", "1E5", "1E5"),
    ("email", "ANA@Empresa.com.br", "ana@empresa.com.br"),
    ("email", "ana@", "not_an_email"),
    ("plate", "abc-1234", "ABC1234"),
    ("plate", "ABC1D23", "ABC1D23"),
    ("plate", "AB1234", "not_a_plate"),
    ("uf", " sp ", "SP"),
    ("uf", "São Paulo", "SP"),
    ("uf", "SAO  PAULO", "SP"),
    ("uf", "mato grosso", "MT"),
    ("uf", "Sampa", "not_a_uf"),
    ("uf", "XX", "not_a_uf"),
    ("choice", "NOVO", "Novo"),
    ("choice", " 0 KM", "Novo"),
    ("choice", "Usado", "Seminovo"),
    ("choice", "velho", "not_allowed"),
    ("url", "https://www.empresa.com.br/a?b=c#d", "https://www.empresa.com.br/a?b=c#d"),
    ("url", "HTTP://ação.com", "HTTP://ação.com"),
    ("url", "http://127.0.0.1:8080/", "http://127.0.0.1:8080/"),
    ("url", "www.empresa.com.br", "not_a_url"),
    ("url", "ftp://empresa.com", "not_a_url"),
    ("url", "https://empresa", "not_a_url"),
    ("url", "https://a.com/x y", "not_a_url"),
    ("url", "https://a.com\nhttps://b.com", "not_a_url"),
    ("url", "javascript:alert(1)", "not_a_url"),
    ("url", "https://a.com/" + "x" * 2048, "not_a_url"),
]
DOCUMENTS = [
    ("cpf", "529.982.247-25", "52998224725"),
    ("cpf", "52998224725", "52998224725"),
    ("cpf", "529 982 247/25", "52998224725"),
    ("cpf", "529.982.247-26", "not_a_cpf"),
    ("cpf", "111.111.111-11", "not_a_cpf"),
    ("cpf", "000.000.000-00", "not_a_cpf"),
    ("cpf", "012.345.678-90", "01234567890"),
    ("cpf", "1234567890", "lost_zeros"),
    ("cpf", "1234567891", "not_a_cpf"),
    ("cpf", "5299822472A", "not_a_cpf"),
    ("cpf", "5.2998224725", "not_a_cpf"),
    ("cnpj", "11.222.333/0001-81", "11222333000181"),
    ("cnpj", "11222333000181", "11222333000181"),
    ("cnpj", "11.222.333/0001-82", "not_a_cnpj"),
    ("cnpj", "00.000.000/0001-91", "00000000000191"),
    ("cnpj", "00.000.000/0000-00", "not_a_cnpj"),
    ("cnpj", "12.ABC.345/01DE-35", "12ABC34501DE35"),
    ("cnpj", "12abc34501de35", "12ABC34501DE35"),
    ("cnpj", "12.ABC.345/01DE-36", "not_a_cnpj"),
    ("cnpj", "12.ABC.345/01DE-3A", "not_a_cnpj"),
    ("cnpj", "7526557000100", "lost_zeros"),
    ("cep", "01310-100", "01310100"),
    ("cep", "01.310-100", "01310100"),
    ("cep", "01310100", "01310100"),
    ("cep", "1310100", "lost_zeros"),
    ("cep", "1310-100", "lost_zeros"),
    ("cep", "00000-000", "not_a_cep"),
    ("cep", "0131010", "not_a_cep"),
    ("cep", "013101000", "not_a_cep"),
]
PHONES = [
    ("(11) 98765-4321", "+5511987654321"),
    ("11987654321", "+5511987654321"),
    ("011 98765.4321", "+5511987654321"),
    ("+55 11 98765-4321", "+5511987654321"),
    ("55 11 98765 4321", "+5511987654321"),
    ("0055 (11) 98765-4321", "+5511987654321"),
    ("+55 (011) 98765-4321", "+5511987654321"),
    ("(55) 99876-5432", "+5555998765432"),
    ("(11) 3456-7890", "+551134567890"),
    ("0800 123 4567", "+558001234567"),
    ("+1 (212) 555-0123", "+12125550123"),
    ("00351 912 345 678", "+351912345678"),
    ("98765-4321", "not_a_phone"),
    ("(11) 8765-4321", "not_a_phone"),
    ("(20) 98765-4321", "not_a_phone"),
    ("+55 1234", "not_a_phone"),
    ("+1234567890123456", "not_a_phone"),
    ("(11) 98765-4321 / (11) 3456-7890", "not_a_phone"),
    ("(11) 98765-4321 ramal 2", "not_a_phone"),
    ("não tem", "not_a_phone"),
]
JSON_TEXTS = [
    (' {"a": [1, 2.5, null]} ', '{"a": [1, 2.5, null]}'),
    ('"text"', '"text"'),
    ("12", "12"),
    ('"nan, ]"', '"nan, ]"'),
    ("text", "not_json"),
    ("{'a': 1}", "not_json"),
    ("[1,]", "not_json"),
    ("NaN", "not_json"),
    ("[-Infinity]", "not_json"),
    ("1e99999", "not_json"),
    ("1" * 2000, "not_json"),
    ('"\\u0000"', "not_json"),
    ('"\\\\u0000"', '"\\\\u0000"'),
    ('"\\ud800"', "not_json"),
    ("[" * 400 + "]" * 400, "[" * 400 + "]" * 400),
    ("[" * 600 + "]" * 600, "not_json"),
    ("[" + "[]," * 600 + "[]]", "[" + "[]," * 600 + "[]]"),
]


@pytest.mark.parametrize(
    ("name", "cell", "expected"),
    [
        *TEXTS,
        *DOCUMENTS,
        *(("phone", *case) for case in PHONES),
        *(("document", *case) for case in JSON_TEXTS),
    ],
)
def test_a_text_cell_is_stored_in_its_types_one_form_or_refused(name, cell, expected):
    assert read(name, cell) == expected


NUMBERS = [
    # name, reading, cell, stored
    ("number", ",", "1 234,56", "1234.560"),
    ("number", ",", "1\u00a0234\u202f567,5", "1234567.500"),
    ("number", ".", "1'234.5", "1234.500"),
    ("number", ".", "1\u2019234\u2019567", "1234567.000"),
    ("number", ",", "12 34,5", "not_a_number"),
    ("number", ",", "1 234'567", "not_a_number"),
    ("number", ",", "(1.234,56)", "-1234.560"),
    ("number", ",", "( 12 )", "-12.000"),
    ("number", ",", "(-12)", "not_a_number"),
    ("number", ",", "12)", "not_a_number"),
    ("number", ",", "1.234,5-", "-1234.500"),
    ("number", ",", "-5-", "not_a_number"),
    ("number", ",", "\u22125,5", "-5.500"),
    ("number", ",", "- 5,5", "-5.500"),
    ("number", ",", "\u20135,5", "not_a_number"),
    ("number", ",", "15,5%", "not_a_number"),
    ("number", ",", "5 kg", "not_a_number"),
    ("number", ",", "1,5E3", "not_a_number"),
    ("number", ",", "٣", "not_a_number"),
    ("number", ".", "(R$ 1,234.56)", "-1234.560"),
    ("number", ",", "€ 5", "not_a_number"),
    ("integer", ",", "1 234", "1234"),
    ("integer", None, "1 234", "1234"),
    ("integer", None, "1 234,0", "1234"),
    ("money", ",", "R$ 1.234,56", "1234.56"),
    ("money", ",", "R$1.234,56", "1234.56"),
    ("money", ",", "1.234,56 R$", "1234.56"),
    ("money", ",", "BRL 5", "5.00"),
    ("money", ",", "-R$\u00a05,00", "-5.00"),
    ("money", ",", "R$ -5,00", "-5.00"),
    ("money", ",", "R$ (5,00)", "-5.00"),
    ("money", ",", "(R$ 5,00)", "-5.00"),
    ("money", ",", "5,00- R$", "-5.00"),
    ("money", ",", "1.234,56", "1234.56"),
    ("money", ",", "US$ 5,00", "wrong_currency"),
    ("money", ",", "$ 5,00", "wrong_currency"),
    ("money", ",", "5 €", "wrong_currency"),
    ("money", ",", "EUR 5", "wrong_currency"),
    ("money", ",", "R$", "not_a_number"),
    ("money", ",", "€", "not_a_number"),
    ("money", ",", "cinco", "not_a_number"),
    ("money", ",", "R$ 1,234.56", "not_a_number"),
    ("money", ",", "5,001", "too_many_decimals"),
    ("money", None, "R$ 1.234", "ambiguous_number"),
    ("dollars", ".", "$1,234.56", "1234.56"),
    ("dollars", ".", "US$ 1,234.56", "1234.56"),
    ("dollars", ".", "R$ 1", "wrong_currency"),
    ("percentage", ",", "15,5%", "15.5000"),
    ("percentage", ",", "15,5 %", "15.5000"),
    ("percentage", ",", "15,5", "15.5000"),
    ("percentage", ".", "-15.5%", "-15.5000"),
    ("percentage", ",", "(2%)", "-2.0000"),
    ("percentage", ",", "R$ 5", "not_a_number"),
    ("percentage", ",", "%", "not_a_number"),
]
DATES = [
    ("day", None, "28 fev 2026", "2026-02-28"),
    ("day", None, "28-Feb-2026", "2026-02-28"),
    ("day", None, "28/FEV./2026", "2026-02-28"),
    ("day", None, "28 de fevereiro de 2026", "2026-02-28"),
    ("day", None, "1º de março de 2026", "2026-03-01"),
    ("day", None, "February 28, 2026", "2026-02-28"),
    ("day", None, "Dez 3rd 2026", "2026-12-03"),
    ("day", None, "31 fev 2026", "not_a_date"),
    ("day", None, "29 de fevereiro de 2025", "not_a_date"),
    ("day", None, "28 fev 26", "two_digit_year"),
    ("day", None, "28 foo 2026", "not_a_date"),
    ("day", None, "fev 2026", "not_a_date"),
    ("day", "mdy", "20260228", "2026-02-28"),
    ("day", "dmy", "28022026", "2026-02-28"),
    ("day", None, "28022026", "2026-02-28"),
    ("day", None, "01022026", "ambiguous_date"),
    ("day", "mdy", "01022026", "2026-01-02"),
    ("day", "dmy", "20260231", "not_a_date"),
    ("day", "dmy", "00000000", "not_a_date"),
    ("day", "dmy", "28021526", "not_a_date"),
    ("day", "dmy", "15260228", "not_a_date"),
    ("day", "dmy", "1022026", "not_a_date"),
    ("day", "dmy", "45000", "serial_date"),
    ("day", "dmy", "45000,5", "serial_date"),
    ("day", "dmy", "00450", "not_a_date"),
    ("day", "dmy", "31/02/2026", "not_a_date"),
    ("day", "dmy", "29/02/2025", "not_a_date"),
    ("day", "dmy", "28/02/26", "two_digit_year"),
    ("moment", None, "2026-02-28T14:30:00Z", "2026-02-28 14:30:00+00:00"),
    ("moment", None, "28 fev 2026 14:30", "2026-02-28 17:30:00+00:00"),
    ("moment", None, "28 de fevereiro de 2026 14:30:15 UTC", "2026-02-28 14:30:15+00:00"),
    ("moment", None, "28-Feb-2026 2:30 PM", "2026-02-28 17:30:00+00:00"),
    ("moment", None, "28 fev 2026 25:00", "not_a_timestamp"),
    ("moment", None, "28 fev 26 14:30", "two_digit_year"),
    ("moment", "dmy", "45000.75", "serial_date"),
    ("flag", None, "X", "True"),
    ("flag", None, "Verdadeiro", "True"),
    ("flag", None, "N", "False"),
    ("flag", None, "talvez", "not_a_boolean"),
]


@pytest.mark.parametrize(("name", "reading", "cell", "expected"), [*NUMBERS, *DATES])
def test_numbers_dates_and_flags_in_the_notations_people_write(name, reading, cell, expected):
    assert read(name, cell, reading) == expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("empty", ["", " \u00a0\u200b", None])
def test_an_empty_cell_is_null_in_every_type(name, empty):
    assert read(name, empty) is None


TYPED = [
    ("text", kinds.NUMBER, "123", "123"),
    ("text", kinds.DATE, "2026-02-28", "2026-02-28"),
    ("text", kinds.BOOLEAN, "true", "true"),
    ("text", kinds.PERCENT, "15.5%", "15.5%"),
    ("text", kinds.JSON, '{"a":1}', '{"a":1}'),
    ("text", kinds.ERROR_VALUE, "#N/A", "spreadsheet_error"),
    ("text", kinds.NO_RESULT, "=A1+B1", "formula_without_result"),
    ("text", kinds.IMPRECISE, "1.2345678901234567e+17", "imprecise_number"),
    ("identifier", kinds.NUMBER, "123", "123"),
    ("integer", kinds.NUMBER, "1234", "1234"),
    ("integer", kinds.NUMBER, "12.5", "not_a_whole_number"),
    ("integer", kinds.BOOLEAN, "true", "not_a_number"),
    ("integer", kinds.ERROR_VALUE, "#DIV/0!", "spreadsheet_error"),
    ("number", kinds.NUMBER, "1.234", "1.234"),
    ("number", kinds.NUMBER, "-0.5", "-0.500"),
    ("number", kinds.NUMBER, "0.1234", "too_many_decimals"),
    ("number", kinds.PERCENT, "15.5%", "not_a_number"),
    ("number", kinds.DATE, "2026-02-28", "not_a_number"),
    ("number", kinds.IMPRECISE, "1e+15", "imprecise_number"),
    ("money", kinds.NUMBER, "1.5", "1.50"),
    ("percentage", kinds.PERCENT, "15.5%", "15.5000"),
    ("percentage", kinds.NUMBER, "15.5", "15.5000"),
    ("day", kinds.DATE, "2026-02-01", "2026-02-01"),
    ("day", kinds.TIMESTAMP, "2026-02-01 00:00:00", "2026-02-01"),
    ("day", kinds.TIMESTAMP, "2026-02-01 10:00:00", "not_a_date"),
    ("day", kinds.TIME, "10:00:00", "not_a_date"),
    ("day", kinds.NUMBER, "45000", "serial_date"),
    ("day", kinds.NUMBER, "20260228", "serial_date"),
    ("moment", kinds.TIMESTAMP, "2026-02-01 10:00:00", "2026-02-01 13:00:00+00:00"),
    ("moment", kinds.NUMBER, "45000.5", "serial_date"),
    ("flag", kinds.BOOLEAN, "false", "False"),
    ("flag", kinds.NUMBER, "1", "True"),
    ("flag", kinds.NUMBER, "2", "not_a_boolean"),
    ("cpf", kinds.NUMBER, "52998224725", "52998224725"),
    ("cpf", kinds.NUMBER, "1234567890", "01234567890"),
    ("cpf", kinds.NUMBER, "1234567891", "not_a_cpf"),
    ("cpf", kinds.NUMBER, "191", "not_a_cpf"),
    ("cnpj", kinds.NUMBER, "7526557000100", "07526557000100"),
    ("cep", kinds.NUMBER, "1310100", "lost_zeros"),
    ("phone", kinds.NUMBER, "11987654321", "+5511987654321"),
    ("choice", kinds.NUMBER, "1", "not_allowed"),
    ("document", kinds.JSON, '{"a":[1]}', '{"a":[1]}'),
    ("document", kinds.NUMBER, "-1.5", "-1.5"),
    ("document", kinds.BOOLEAN, "true", "true"),
]


@pytest.mark.parametrize(("name", "kind", "cell", "expected"), TYPED)
@pytest.mark.parametrize("reading", [",", "mdy", "mixed", None])
def test_a_typed_cell_has_one_reading_whatever_its_column_says(name, kind, cell, expected, reading):
    assert read(name, cell, reading, kind) == expected


def test_typed_and_written_cells_of_one_column_are_each_read_their_own_way():
    cells = ["1.234", "1.234", "x", "#REF!", "", None]
    cell_kinds = [kinds.TEXT, kinds.NUMBER, kinds.TEXT, kinds.ERROR_VALUE, kinds.TEXT, None]
    checked = check_of_kinds(
        ANYTHING,
        [(c,) for c in cells],
        [(k,) for k in cell_kinds],
        header=("number",),
        readings={"number": ","},
    )
    assert told(checked) == [[4, "number", "not_a_number"], [5, "number", "spreadsheet_error"]]
    clean = dict(zip(*(checked.clean[n].to_pylist() for n in ("_row_number", "number")), strict=True))
    assert clean == {2: Decimal("1234.000"), 3: Decimal("1.234"), 6: None, 7: None}


def test_cells_without_a_value_are_faults_in_columns_that_nobody_declared_too():
    rows = [("a", "#N/A"), ("b", "=A1"), ("c", "1e+17"), ("d", "5")]
    columns = [(0, k) for k in (kinds.ERROR_VALUE, kinds.NO_RESULT, kinds.IMPRECISE, kinds.NUMBER)]
    checked = check_of_kinds(ANYTHING, rows, columns, header=("text", "Obs"))
    assert told(checked) == [
        [2, "Obs", "spreadsheet_error"],
        [3, "Obs", "formula_without_result"],
        [4, "Obs", "imprecise_number"],
    ]
    assert checked.clean["extra"].to_pylist() == ['{"Obs":"5"}']


class Tokens(pandera.DataFrameModel):
    name: Text = column(required=True)
    amount: Number(10, 2) = column()
    day: Date = column(null_tokens=("00/00/0000",))


TOKENS = Dataset(name="tokens", model=Tokens, null_tokens=("", "-", "N/A", "NULL", "n/d"))


def test_null_tokens_are_compared_exactly_after_trimming_and_a_column_may_have_its_own():
    rows = [("Ana", " N/A ", "00/00/0000"), ("NULL", "-", "-"), ("n/a", "n/d\u00a0", ""), ("-x", "N/D", " ")]
    checked = check(TOKENS, rows)
    assert told(checked) == [
        [3, "name", "missing_value"],
        [3, "day", "not_a_date"],
        [5, "amount", "not_a_number"],
    ]
    assert checked.clean.select(["name", "amount", "day"]).to_pylist() == [
        {"name": "Ana", "amount": None, "day": None},
        {"name": "n/a", "amount": None, "day": None},
    ]


def test_without_declared_tokens_only_an_empty_cell_is_empty():
    assert read("text", "-") == "-"
    assert read("number", "-") == "not_a_number"


CHARACTERS = string.digits + string.ascii_uppercase


def schoolbook(characters: str) -> str:
    """Both check digits of a CPF or CNPJ as Receita Federal's manuals work them out, digit by digit."""
    highest = 11 if len(characters) == 9 else 9
    for _ in range(2):
        weight, total = 2, 0
        for character in reversed(characters):
            total += (ord(character) - 48) * weight
            weight = 2 if weight == highest + (len(characters) == 10) else weight + 1
        rest = total % 11
        characters += "0" if rest < 2 else str(11 - rest)
    return characters


def test_the_schoolbook_gives_the_published_examples():
    """Receita Federal's own example of an alphanumeric CNPJ is 12.ABC.345/01DE-35."""
    assert schoolbook("12ABC34501DE") == "12ABC34501DE35"
    assert schoolbook("529982247") == "52998224725"


CPF_STEM = st.text(string.digits, min_size=9, max_size=9).filter(lambda t: len(set(t)) > 1)
CNPJ_STEM = st.text(CHARACTERS, min_size=12, max_size=12).filter(lambda t: len(set(t)) > 1)


@settings(max_examples=25, deadline=None)
@given(
    st.one_of(st.tuples(st.just("cpf"), CPF_STEM), st.tuples(st.just("cnpj"), CNPJ_STEM)),
    st.integers(0, 13),
    st.sampled_from(CHARACTERS),
)
def test_any_document_is_taken_with_its_check_digits_and_any_single_change_is_weighed(document, place, other):
    """A change is caught unless the changed text has the same check digits (remainders 0 and 1 share 0)."""
    name, stem = document
    whole = schoolbook(stem)
    assert read(name, whole) == whole
    place %= len(whole)
    changed = whole[:place] + (other if name == "cnpj" else str(ord(other) % 10)) + whole[place + 1 :]
    sound = changed[-2:].isdigit() and schoolbook(changed[:-2]) == changed
    assert read(name, changed) == (changed if sound else f"not_a_{name}")


def test_hardly_any_change_of_one_digit_or_swap_of_neighbours_goes_unseen():
    whole = schoolbook("529982247")
    changes = {whole[:p] + d + whole[p + 1 :] for p in range(11) for d in string.digits} - {whole}
    swaps = {whole[:p] + whole[p + 1] + whole[p] + whole[p + 2 :] for p in range(10)} - {whole}
    rows = [(text,) for text in sorted(changes | swaps)]
    checked = check(ANYTHING, rows, header=("cpf",))
    assert len(rows) > 100
    assert checked.rejects.num_rows == len(rows)


AMOUNT = st.decimals(Decimal("-99999999.99"), Decimal("99999999.99"), places=2)


def _spelled(value: Decimal, mark: str, group: str, negative: str) -> str:
    digits = f"{abs(value):,.2f}".replace(",", "_").replace(".", mark).replace("_", group)
    if value >= 0:
        return digits
    return {
        "before": f"-{digits}",
        "behind": f"{digits}-",
        "brackets": f"({digits})",
        "sign": f"\u2212{digits}",
    }[negative]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            AMOUNT, st.sampled_from(["before", "behind", "brackets", "sign"]), st.sampled_from(["", "R$ "])
        ),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from(
        [(",", "."), (",", " "), (",", "\u00a0"), (".", ","), (".", "\u202f"), (".", "'"), (",", "")]
    ),
)
def test_any_amount_is_read_back_in_every_notation(amounts, marks):
    cells = [(sign + _spelled(value, *marks, how),) for value, how, sign in amounts]
    clean = check(ANYTHING, cells, header=("money",), readings={"money": marks[0]}).clean
    assert clean["money"].to_pylist() == [value for value, *_ in amounts]


MONTHS = (
    "janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho", "agosto", "setembro", "outubro",
    "novembro", "dezembro",
)  # fmt: skip
ENGLISH = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.dates(), st.sampled_from(range(6))), min_size=1, max_size=20))
def test_any_date_with_a_named_month_is_read_back_whatever_the_column_says(days):
    def spelled(day, form):
        pt, en, year = MONTHS[day.month - 1], ENGLISH[day.month - 1], f"{day.year:04}"
        return (
            f"{day.day} de {pt} de {year}",
            f"{day.day:02}-{en[:3]}-{year}",
            f"{day.day} {pt[:3].upper()}. {year}",
            f"{en} {day.day}, {year}",
            f"{day.day}/{pt[:3]}/{year}",
            f"{en[:3]} {day.day:02} {year}",
        )[form]

    cells = [(spelled(day, form),) for day, form in days]
    clean = check(ANYTHING, cells, header=("day",), readings={"day": "mdy"}).clean
    assert clean["day"].to_pylist() == [day for day, _ in days]


def test_every_type_has_a_parser_and_reads_its_own_example():
    used = {kind.parser for kind in LIBRARY}
    assert used == set(PARSERS)
    for kind in LIBRARY:
        how = How(Column("c", kind, ("c",), False, False, kind.case, kind.remove), _reading(kind))
        parsed = parser_of(kind)(pa.array([kind.example]), how)
        assert parsed.faults == ()
        assert parsed.values.null_count == 0


def _reading(kind: ColumnType) -> str | None:
    return {"decimal": ",", "date": "dmy"}.get(kind.evidence or "")


def parse_even(cells: pa.Array, how: How) -> Parsed:
    """Text of an even number of characters."""
    found = FaultCollector(len(cells))
    found.add("wrong_length", pc.match_substring_regex(cells, "^(?:..)*.$"), "an even number of")
    return found.parsed(cells)


Even = ColumnType("Even", pa.string(), parse_even)


class Own(pandera.DataFrameModel):
    pair: Even = column(isin=["ab", "cd"])


def test_a_dataset_may_bring_a_type_of_its_own():
    checked = check(Dataset(name="own", model=Own), [("ab",), ("abc",), ("xy",)])
    assert told(checked) == [[3, "pair", "wrong_length"], [4, "pair", "not_allowed"]]


def test_every_fault_that_a_type_tells_is_a_row_level_code():
    tables = [TEXTS, DOCUMENTS, NUMBERS, DATES, TYPED, PHONES, JSON_TEXTS]
    told_codes = {case[-1] for table in tables for case in table if case[-1] in CODES}
    assert {CODES[code].level for code in told_codes} == {"row"}
    assert {"not_a_cpf", "not_a_cnpj", "not_a_cep", "not_a_phone", "not_a_url", "not_json", "lost_zeros",
            "wrong_currency", "serial_date", "spreadsheet_error", "formula_without_result",
            "imprecise_number"} <= told_codes  # fmt: skip


def test_rows_of_several_sheets_are_told_by_sheet_and_row():
    checked = check_of_kinds(
        ANYTHING,
        [("x",), ("y",)],
        [(kinds.TEXT,), (kinds.TEXT,)],
        header=("number",),
        sheets=("Jan", "Fev"),
        numbers=(17, 10_000_003),
    )
    assert checked.errors["message"].to_pylist() == [
        'Sheet "Jan", row 17, column "number": "x" is not a number.',
        'Sheet "Fev", row 3, column "number": "y" is not a number.',
    ]


def test_messages_are_said_in_the_senders_language():
    errors = check(ANYTHING, [("XX",)], header=("uf",), language="pt").errors.to_pylist()
    assert errors[0]["message"].startswith('Linha 2, coluna "uf": "XX"')


JSON_PIECE = st.sampled_from(
    ["{", "}", "[", "]", ",", ":", '"', "\\", '"a":', "1", "-", "0", ".5", "e9", "E+99999", "null", "true",
     "nan", "Infinity", "\\u0000", "\\ud800", "\\udc00", "\\n", "\t", " ", "\n", "é", "\x7f", "/*", '"x"']
)  # fmt: skip
JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(JSON_PIECE, max_size=8).map("".join) | JSON_VALUE.map(json.dumps), min_size=1, max_size=30
    )
)
def test_postgresql_takes_all_that_is_called_json(database_url, texts):
    checked = check(ANYTHING, [(text,) for text in texts], header=("document",))
    accepted = [text for text in checked.clean["document"].combine_chunks().storage.to_pylist() if text]
    with psycopg.connect(database_url) as connection:
        stored = connection.execute("SELECT count(v::jsonb) FROM unnest(%s::text[]) v", [accepted]).fetchone()
    assert stored == (len(accepted),)


@settings(max_examples=25, deadline=None)
@given(JSON_VALUE)
def test_any_json_is_taken_unless_it_has_a_nul_character(value):
    text = json.dumps(value)
    assert read("document", text) == (text if "\\u0000" not in text.replace("\\\\", "") else "not_json")
