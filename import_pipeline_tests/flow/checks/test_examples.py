"""Rows with one stated fault each, and what must be said of them: `[[row, column, code], …]`."""

import pytest

from import_pipeline.datasets.leads import DATASET as LEADS
from import_pipeline.datasets.vehicles import DATASET as VEHICLES
from import_pipeline_tests.flow.checks.tables import EVERYTHING, check, check_column, told

LEAD = ("email", "name", "state", "estimated_value", "created_at")
VEHICLE = ("model", "plate", "year", "fipe_value")
GOOD_LEAD = ("ana@exemplo.com", "Ana", "SP", "1.234,56", "13/02/2026 10:00")
GOOD_VEHICLE = ("Gol", "ABC1D23", "2020", "35.000,00")


@pytest.mark.parametrize(
    ("row", "faults"),
    [
        (GOOD_LEAD, []),
        (("ANA@Exemplo.com ", "", "", "", ""), []),
        (("", "Ana", "SP", "", ""), [["email", "missing_value"]]),
        ((" \u00a0\u200b", "Ana", "SP", "", ""), [["email", "missing_value"]]),
        (("ana@", "Ana", "SP", "", ""), [["email", "not_an_email"]]),
        (("ana@x.com", "A\0na", "SP", "", ""), [["name", "nul_character"]]),
        (("a\0@x.com", "Ana", "SP", "", ""), [["email", "nul_character"]]),
        (("ana@x.com", "Ana", "Sampa", "", ""), [["state", "not_a_uf"]]),
        (("ana@x.com", "Ana", "", "12,345", ""), [["estimated_value", "too_many_decimals"]]),
        (("ana@x.com", "Ana", "", "1234567890123,00", ""), [["estimated_value", "number_too_large"]]),
        (("ana@x.com", "Ana", "", "caro", "31/02/2026"),
         [["estimated_value", "not_a_number"], ["created_at", "not_a_timestamp"]]),
        (("ana", "Ana", "YY", "x", "y"),
         [["email", "not_an_email"], ["state", "not_a_uf"],
          ["estimated_value", "not_a_number"], ["created_at", "not_a_timestamp"]]),
        (("a" * 2001 + "@x.com", "Ana", "", "", ""), [["email", "key_too_long"], ["email", "not_an_email"]]),
        (("ana@x.com", "A" * (1024 * 1024 + 1), "", "", ""), [["name", "text_too_long"]]),
    ],
)  # fmt: skip
def test_every_fault_of_a_lead_is_told_and_nothing_else(row, faults):
    checked = check(LEADS, [GOOD_LEAD, row], header=LEAD)
    assert told(checked) == [[3, *fault] for fault in faults]
    assert (checked.clean.num_rows, checked.rejects.num_rows) == ((1, 1) if faults else (2, 0))


@pytest.mark.parametrize(
    ("row", "faults"),
    [
        (GOOD_VEHICLE, []),
        (("Gol", "abc-1234", "1900", "0,01"), []),
        (("", "ABC1D23", "2020", "1"), [["model", "missing_value"]]),
        (("Gol", "", "2020", "1"), [["plate", "missing_value"]]),
        (("Gol", "-", "2020", "1"), [["plate", "missing_value"]]),
        (("Gol", "ABC 1D23", "2020", "1"), [["plate", "not_a_plate"]]),
        (("Gol", "ABC1D23", "1899", "1"), [["year", "out_of_range"]]),
        (("Gol", "ABC1D23", "9999", "1"), [["year", "out_of_range"]]),
        (("Gol", "ABC1D23", "20,5", "1"), [["year", "not_a_whole_number"]]),
        (("Gol", "ABC1D23", "2020/2021", "1"), [["year", "not_a_number"]]),
        (("Gol", "ABC1D23", "", ""), [["year", "missing_value"], ["fipe_value", "missing_value"]]),
        (("Gol", "ABC1D23", "2020", "0"), [["fipe_value", "out_of_range"]]),
        (("Gol", "ABC1D23", "2020", "R$ -5,00"), [["fipe_value", "out_of_range"]]),
    ],
)
def test_every_fault_of_a_vehicle_is_told_and_nothing_else(row, faults):
    assert told(check(VEHICLES, [row], header=VEHICLE)) == [[2, *fault] for fault in faults]


@pytest.mark.parametrize("code", ["too_few_cells", "too_many_cells", "stray_quote", "undecodable_text"])
def test_a_row_that_the_reader_could_not_part_is_a_reject_with_that_one_error(code):
    checked = check(LEADS, [GOOD_LEAD, ("", None, "YY", "x", "y")], header=LEAD, problems={3: code})
    assert told(checked) == [[3, "", code]]
    assert checked.rejects["_row_number"].to_pylist() == [3]


NUMBERS = [
    # column, reading, cell, value or code
    ("whole", ",", "1.234", 1234),
    ("whole", ",", "123,0", 123),
    ("whole", ".", "123.0", 123),
    ("whole", ".", "1,234", 1234),
    ("whole", ".", "1.234", "not_a_whole_number"),
    ("whole", ",", "007", 7),
    ("whole", ",", "+5", 5),
    ("whole", ",", "-0", 0),
    ("whole", ",", "12,5", "not_a_whole_number"),
    ("whole", ",", "999999999999999999", 999999999999999999),
    ("whole", ",", "1000000000000000000", "number_too_large"),
    ("whole", ",", "0" * 40 + "8", 8),
    ("whole", None, "1.234", "ambiguous_number"),
    ("whole", None, "1234", 1234),
    ("whole", ",", "1E+18", "not_a_number"),
    ("whole", ",", "12 un", "not_a_number"),
    ("amount", ",", "1.234,56", "1234.56"),
    ("amount", ".", "1,234.56", "1234.56"),
    ("amount", ",", "1,234.56", "not_a_number"),
    ("amount", ",", "1234.56", "not_a_number"),
    ("amount", ",", "12.34.567,00", "not_a_number"),
    ("amount", ",", "R$ 1.234,56", "1234.56"),
    ("amount", ",", "\u00a01,5\u200b", "1.50"),
    ("amount", ",", ",5", "0.50"),
    ("amount", ",", "1,500", "1.50"),
    ("amount", ",", "1,505", "too_many_decimals"),
    ("amount", ",", "1," + "5" + "0" * 60, "1.50"),
    ("amount", ",", "99.999.999,99", "99999999.99"),
    ("amount", ",", "100.000.000,00", "number_too_large"),
    ("amount", "mixed", "12,5", "12.50"),
    ("amount", "mixed", "12.5", "12.50"),
    ("amount", "mixed", "1.234", "ambiguous_number"),
    ("amount", None, "1,234", "ambiguous_number"),
    ("amount", None, "abc", "not_a_number"),
]


@pytest.mark.parametrize(("column", "reading", "cell", "expected"), NUMBERS)
def test_a_number_is_read_exactly_or_refused(column, reading, cell, expected):
    checked = check_column(column, [cell], reading)
    if isinstance(expected, str) and expected.isidentifier():
        assert told(checked) == [[2, column, expected]]
    else:
        assert [str(v) for v in checked.clean[column].to_pylist()] == [str(expected)]


DATES = [
    ("day", "dmy", "01/02/2026", "2026-02-01"),
    ("day", "mdy", "01/02/2026", "2026-01-02"),
    ("day", "dmy", "1.2.2026", "2026-02-01"),
    ("day", "dmy", "2026-02-01", "2026-02-01"),
    ("day", "mdy", "2026/2/1", "2026-02-01"),
    ("day", "ymd", "01/02/2026", "not_a_date"),
    ("day", "dmy", "12/31/2026", "not_a_date"),
    ("day", "dmy", "31/02/2026", "not_a_date"),
    ("day", "dmy", "29/02/2025", "not_a_date"),
    ("day", "dmy", "29/02/2024", "2024-02-29"),
    ("day", "dmy", "00/00/0000", "not_a_date"),
    ("day", "dmy", "0000-00-00", "not_a_date"),
    ("day", "dmy", "01/01/0000", "not_a_date"),
    ("day", "dmy", "01/01/0001", "0001-01-01"),
    ("day", "dmy", "00000000", "not_a_date"),
    ("day", "dmy", "46066", "serial_date"),
    ("day", "dmy", "01/02/26", "two_digit_year"),
    ("day", "dmy", "01/02-2026", "not_a_date"),
    ("day", "dmy", "01/02/2026 00:00:00", "2026-02-01"),
    ("day", "dmy", "01/02/2026 10:00", "not_a_date"),
    ("day", None, "01/02/2026", "ambiguous_date"),
    ("day", None, "13/02/2026", "2026-02-13"),
    ("day", None, "02/13/2026", "2026-02-13"),
    ("day", "mixed", "05/05/2026", "2026-05-05"),
    ("day", "mixed", "01/02/2026", "ambiguous_date"),
    ("moment", "dmy", "01/02/2026", "2026-02-01 03:00:00+00:00"),
    ("moment", "dmy", "01/02/2026 14:30", "2026-02-01 17:30:00+00:00"),
    ("moment", "mdy", "1/2/2026 2:30 PM", "2026-01-02 17:30:00+00:00"),
    ("moment", "mdy", "1/2/2026 12:30 AM", "2026-01-02 03:30:00+00:00"),
    ("moment", "mdy", "1/2/2026 13:30 PM", "not_a_timestamp"),
    ("moment", "dmy", "2026-02-01T14:30:15Z", "2026-02-01 14:30:15+00:00"),
    ("moment", "dmy", "2026-02-01 14:30:15.123456-03:00", "2026-02-01 17:30:15.123456+00:00"),
    ("moment", "dmy", "2026-02-01 14:30:15,5+0530", "2026-02-01 09:00:15.500000+00:00"),
    ("moment", "dmy", "2026-02-01 14:30:15.123456700", "not_a_timestamp"),
    ("moment", "dmy", "2026-02-01 14:30:15.123456000", "2026-02-01 17:30:15.123456+00:00"),
    ("moment", "dmy", "2026-02-01 14:30+19:00", "not_a_timestamp"),
    ("moment", "dmy", "2026-02-01 24:00", "not_a_timestamp"),
    ("moment", "dmy", "2026-02-01 10:60", "not_a_timestamp"),
    ("moment", "dmy", "01/02/26   10:05", "two_digit_year"),
    ("moment", "dmy", "30/02/2026 10:00", "not_a_timestamp"),
    # Clocks went forward at midnight of this day: the first moment of the day is 01:00.
    ("moment", "dmy", "04/11/2018", "2018-11-04 03:00:00+00:00"),
    # Clocks went back at midnight after this day: 23:30 came twice, the earlier is taken.
    ("moment", "dmy", "17/02/2018 23:30", "2018-02-18 01:30:00+00:00"),
]


@pytest.mark.parametrize(("column", "reading", "cell", "expected"), DATES)
@pytest.mark.parametrize("before", [None, "13/02/2026", "2026-02-13 10:00"])
def test_a_date_is_read_exactly_or_refused_whatever_stands_above_it(column, reading, cell, expected, before):
    cells = [cell] if before is None else [before, cell]
    checked = check_column(column, cells, reading)
    row = 1 + len(cells)
    faults = [fault for fault in told(checked) if fault[0] == row]
    if expected.isidentifier():
        assert faults == [[row, column, expected]]
    else:
        assert faults == []
        assert str(checked.clean[column].to_pylist()[-1]) == expected


FLAGS = {True: ("sim", "SIM", "s", "Yes", "true", "TRUE", "1", "verdadeiro", " sim "),
         False: ("não", "NAO", "n", "no", "false", "0", "falso")}  # fmt: skip


@pytest.mark.parametrize(("flag", "cell"), [(f, c) for f, cells in FLAGS.items() for c in cells])
def test_yes_and_no_are_read_in_both_languages(flag, cell):
    assert check_column("flag", [cell]).clean["flag"].to_pylist() == [flag]


def test_what_is_neither_yes_nor_no_is_refused():
    assert told(check_column("flag", ["talvez", "", "2"])) == [
        [2, "flag", "not_a_boolean"],
        [4, "flag", "not_a_boolean"],
    ]


def test_text_is_trimmed_put_in_its_case_and_empty_is_null():
    rows = [
        ("\ufeff ANA@x.COM\u00a0", "  João\u200b da  Silva ", "sp", "", ""),
        ("b@x.com", " \t", "", "", ""),
    ]
    clean = check(LEADS, rows, header=LEAD).clean.to_pylist()
    assert [(r["email"], r["name"], r["state"]) for r in clean] == [
        ("ana@x.com", "João\u200b da  Silva", "SP"),
        ("b@x.com", None, None),
    ]


def test_columns_that_the_file_does_not_have_are_null():
    clean = check(EVERYTHING, [("a",)], header=("code",)).clean
    assert clean.to_pylist() == [
        {"_row_number": 2, "code": "a", "whole": None, "amount": None, "day": None, "moment": None,
         "flag": None, "extra": None},
    ]  # fmt: skip
