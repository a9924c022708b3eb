"""Faults that any table can have: written in every format, each must be found at its row and column.

Faults that only one format can have are in `oddities.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from import_pipeline_tests.sample_files.model import COLUMNS, HEADER, good, row_with

LONG_TEXT = "a" * 1_048_577


@dataclass(frozen=True)
class Fault:
    """A table with one stated fault.

    Attributes:
        name: of its files; the code, unless a code has several.
        expected: (index of the row from 0, header, code) of each error in errors.csv.
        not_in: formats that cannot hold the table.
        refused: the file-level code, if the whole file is refused.
        warnings: codes of the report's warnings.
    """

    name: str
    rows: Sequence[Sequence[str]]
    expected: tuple[tuple[int, str, str], ...] = ()
    header: Sequence[str] = HEADER
    refused: str = ""
    warnings: tuple[str, ...] = ()
    not_in: tuple[str, ...] = ()


def _cell(code: str, column: str, value: str, name: str = "", not_in: tuple[str, ...] = ()) -> Fault:
    """Three rows; the second has a faulty cell."""
    header = HEADER[COLUMNS.index(column)]
    rows = [good(1), row_with(2, **{column: value}), good(3)]
    return Fault(name or code, rows, ((1, header, code),), not_in=not_in)


# No spreadsheet cell holds more than 32,767 characters; xlwt and odf write none with control characters.
SHEETS = ("xlsx", "xls", "xlsb", "ods")

FAULTS: tuple[Fault, ...] = (
    Fault("none", [good(1), good(2), good(3)]),
    _cell("missing_value", "name", ""),
    _cell("missing_value", "name", "N/A", "missing_value_token"),
    _cell("not_a_number", "weight", "pesado"),
    _cell("not_a_number", "price", "1.23,45", "not_a_number_grouping"),
    _cell("not_a_whole_number", "pieces", "1,5"),
    _cell("too_many_decimals", "weight", "1,2345"),
    _cell("number_too_large", "weight", "1234567,5"),
    _cell("not_a_date", "made", "31/02/2026"),
    _cell("not_a_date", "made", "29/02/2025", "not_a_date_no_leap_year"),
    _cell("not_a_date", "made", "00000000", "not_a_date_zeros"),
    _cell("not_a_timestamp", "sold", "2026-02-28 25:00"),
    _cell("two_digit_year", "made", "28/02/26"),
    _cell("serial_date", "made", "46081"),
    _cell("not_a_boolean", "active", "talvez"),
    _cell("not_an_email", "email", "ana em empresa.com.br"),
    _cell("not_a_uf", "uf", "ZZ"),
    _cell("not_a_plate", "plate", "AB-123"),
    _cell("not_a_phone", "phone", "98765"),
    _cell("not_a_cpf", "cpf", "529.982.247-24"),
    _cell("not_a_cpf", "cpf", "111.111.111-11", "not_a_cpf_equal_digits"),
    _cell("not_a_cnpj", "cnpj", "12.ABC.345/01DE-34"),
    _cell("not_a_cep", "cep", "01310-10X"),
    _cell("lost_zeros", "cep", "1310100"),
    _cell("lost_zeros", "cpf", "1234567890", "lost_zeros_cpf"),
    _cell("not_a_url", "site", "empresa ponto com"),
    _cell("not_json", "details", "{cor: azul}"),
    _cell("wrong_currency", "price", "US$ 10,00"),
    _cell("not_allowed", "state", "seminovo"),
    _cell("not_allowed", "grade", "D", "not_allowed_isin"),
    _cell("out_of_range", "pieces", "-1"),
    _cell("wrong_pattern", "shelf", "12-A"),
    _cell("wrong_length", "name", "n" * 41),
    _cell("text_too_long", "name", LONG_TEXT, not_in=SHEETS),
    Fault("key_too_long", [good(1), ["9" * 2001, *good(2)[1:]], good(3)], ((1, "Código", "key_too_long"),)),
    Fault(
        "check_failed",
        [good(1), row_with(2, state="usado", weight=""), good(3)],
        ((1, "", "check_failed"),),
    ),
    Fault(
        "repeated_in_file",
        [good(1), good(2), good(1)],
        ((2, "Código", "repeated_in_file"),),
    ),
    Fault(
        "ambiguous_number",
        [row_with(n, weight="1,250", price="", discount="") for n in (1, 2, 3)],
        tuple((row, "Peso", "ambiguous_number") for row in range(3)),
    ),
    Fault(
        "ambiguous_date",
        [row_with(n, made="01/02/2026") for n in (1, 2, 3)],
        tuple((row, "Fabricação", "ambiguous_date") for row in range(3)),
    ),
    Fault(
        "ambiguous_date_both_proofs",
        [row_with(n, made=day) for n, day in enumerate(["13/02/2026", "02/13/2026", "01/02/2026"], 1)],
        ((2, "Fabricação", "ambiguous_date"),),
    ),
    Fault("no_rows", [], warnings=("no_rows",), not_in=("json", "jsonl")),
    Fault("missing_columns", [good(1)[1:]], header=HEADER[1:], refused="missing_columns"),
    Fault(
        "duplicate_header",
        [[*good(1), "outro"]],
        header=(*HEADER, "Part code"),
        refused="duplicate_header",
    ),
)
