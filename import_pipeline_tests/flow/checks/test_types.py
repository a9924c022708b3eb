"""What each declared type makes of a written cell: the value that is stored, or the code of its error."""

import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from import_pipeline.catalog.dataset import Column, Dataset, column
from import_pipeline.catalog.types import (
    LIBRARY,
    ColumnType,
)
from import_pipeline.codes import CODES
from import_pipeline.flow.checks.parsers import PARSERS, parser_of
from import_pipeline.flow.checks.parsing import FaultCollector, How, Parsed
from import_pipeline_tests.flow.checks.anything import NAMES, read
from import_pipeline_tests.flow.checks.tables import check, told

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
    tables = [TEXTS, DOCUMENTS, NUMBERS, DATES, PHONES, JSON_TEXTS]
    told_codes = {case[-1] for table in tables for case in table if case[-1] in CODES}
    assert {CODES[code].level for code in told_codes} == {"row"}
    assert {"not_a_cpf", "not_a_cnpj", "not_a_cep", "not_a_phone", "not_a_url", "not_json", "lost_zeros",
            "wrong_currency", "serial_date", "imprecise_number"} <= told_codes  # fmt: skip
