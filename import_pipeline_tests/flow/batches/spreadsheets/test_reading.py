import csv
import datetime
import io

import pytest

from import_pipeline.errors import CorruptFile
from import_pipeline.flow.batches import kinds
from import_pipeline_tests.flow.batches.reading_back import people, read_back
from import_pipeline_tests.flow.batches.spreadsheets import biff12, books
from import_pipeline_tests.flow.batches.spreadsheets.books import Formula, Shown

HEADER = ["Nome", "Valor", "Nascimento", "Visto", "Ativo", "Código", "Taxa"]
TYPED = [
    ["Ana", 1234.5, datetime.date(2026, 2, 28), datetime.datetime(2026, 2, 28, 14, 30), True, "00123",
     Shown(0.155, "0.0%")],
    [None, None, None, None, None, None, None],
    ["José", 123.0, datetime.date(1999, 12, 31), datetime.datetime(2026, 1, 1, 0, 0, 1), False, "=1+1",
     Shown(1, "0%")],
    ["Zoë; \"x\"", -0.25, datetime.date(2024, 2, 29), datetime.datetime(2000, 1, 1, 23, 59, 59), True, " a ",
     Shown(0.07, "0.00%")],
]  # fmt: skip
AS_TEXT = [
    ["Ana", "1234.5", "2026-02-28", "2026-02-28 14:30:00", "true", "00123", "15.5%"],
    ["", "", "", "", "", "", ""],
    ["José", "123", "1999-12-31", "2026-01-01 00:00:01", "false", "=1+1", "100%"],
    ["Zoë; \"x\"", "-0.25", "2024-02-29", "2000-01-01 23:59:59", "true", " a ", "7%"],
]  # fmt: skip


@pytest.mark.parametrize("name", books.WRITERS)
def test_the_same_table_in_any_workbook_format_gives_the_cells_and_numbers_of_its_csv(name):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([HEADER, *AS_TEXT])
    expected = read_back(text.getvalue().encode())

    found = read_back(books.WRITERS[name]({"Plan1": [HEADER, *TYPED]}))

    assert found.inspected.format == name
    assert found.inspected.header == expected.inspected.header
    assert found.inspected.mapping == expected.inspected.mapping
    assert found.cells == expected.cells
    assert found.numbers == expected.numbers == [2, 4, 5]


@pytest.mark.parametrize("name", books.WRITERS)
def test_each_cell_has_the_kind_that_the_workbook_stores(name):
    found = read_back(books.WRITERS[name]({"Plan1": [HEADER, *TYPED]}))

    of_a_row = [found.rows[0][f"k{position}"] for position in range(len(HEADER))]
    assert of_a_row == [
        kinds.TEXT, kinds.NUMBER, kinds.DATE, kinds.TIMESTAMP, kinds.BOOLEAN, kinds.TEXT, kinds.PERCENT,
    ]  # fmt: skip


def column_of(data, **options):
    found = read_back(data, **options)
    return [(row["c1"], row["k1"]) for row in found.rows]


def sheet(*values):
    return {"Plan1": [["Nome", "Valor"], *[["Ana", value] for value in values]]}


@pytest.mark.parametrize(
    ("number", "text", "kind"),
    [
        (123.0, "123", kinds.NUMBER),
        (0.1 + 0.2, "0.3", kinds.NUMBER),
        (123456789012345, "123456789012345", kinds.NUMBER),
        (-999999999999999, "-999999999999999", kinds.NUMBER),
        (0.00001, "0.00001", kinds.NUMBER),
        (1.5e-7, "0.00000015", kinds.NUMBER),
        (-0.0, "0", kinds.NUMBER),
        (1e15, "1000000000000000.0", kinds.IMPRECISE),
        (1234567890123456 * 10**5, "1.234567890123456e+20", kinds.IMPRECISE),
    ],
)
def test_numbers_are_written_with_the_digits_that_a_spreadsheet_shows(number, text, kind):
    assert column_of(books.xlsx(sheet(number))) == [(text, kind)]


def test_numbers_of_all_sorts_stand_in_one_column_in_their_order():
    values = [0.5, "x", 3, 1e18, datetime.date(2026, 2, 28), True, 1e-9, datetime.time(14, 30)]
    assert column_of(books.xlsx(sheet(*values))) == [
        ("0.5", kinds.NUMBER), ("x", kinds.TEXT), ("3", kinds.NUMBER), ("1e+18", kinds.IMPRECISE),
        ("2026-02-28", kinds.DATE), ("true", kinds.BOOLEAN), ("0.000000001", kinds.NUMBER),
        ("14:30:00", kinds.TIME),
    ]  # fmt: skip


def test_dates_of_the_system_of_1904_are_the_same_days():
    values = [datetime.date(2026, 2, 28), datetime.datetime(2026, 2, 28, 1, 2, 3)]
    of_1904 = column_of(books.xlsx(sheet(*values), date_1904=True))
    assert of_1904 == column_of(books.xlsx(sheet(*values)))
    assert of_1904[0] == ("2026-02-28", kinds.DATE)


@pytest.mark.parametrize("write", [books.xlsx, books.xls])
def test_the_day_that_excel_counts_and_never_was_is_no_date(write):
    values = [Shown(59, "dd/mm/yyyy"), Shown(60, "dd/mm/yyyy"), Shown(60.25, "dd/mm/yyyy hh:mm"),
              Shown(61, "dd/mm/yyyy"), Shown(60, "0")]  # fmt: skip
    either = ("1900-02-28 or 1900-02-29", kinds.ERROR_VALUE)
    assert column_of(write(sheet(*values))) == [
        either, either, either, ("1900-03-01", kinds.DATE), ("60", kinds.NUMBER),
    ]  # fmt: skip


def test_a_document_that_writes_its_dates_out_has_a_28th_of_february_1900():
    assert column_of(books.ods(sheet(datetime.date(1900, 2, 28)))) == [("1900-02-28", kinds.DATE)]


def test_a_duration_of_millions_of_years_is_refused_by_name():
    with pytest.raises(CorruptFile, match="cannot be read as a spreadsheet"):
        column_of(books.xlsx(sheet(Shown(1e10, "[h]:mm"))))


def test_a_duration_may_be_longer_than_a_day():
    assert column_of(books.xlsx(sheet(Shown(1.5, "[h]:mm:ss")))) == [("36:00:00", kinds.TIME)]


@pytest.mark.parametrize(
    ("number", "shown_by", "text", "kind"),
    [
        (123, "00000", "00123", kinds.TEXT),
        (1234567, "00000\\-000", "01234-567", kinds.TEXT),
        (1234567890, '000"."000"."000"-"00', "012.345.678-90", kinds.TEXT),
        (123456, "00000", "123456", kinds.NUMBER),
        (-5, "00000", "-5", kinds.NUMBER),
        (1.5, "000", "1.5", kinds.NUMBER),
        (5, "0", "5", kinds.NUMBER),
        (5, "0.00", "5", kinds.NUMBER),
        (44000.25, "@", "44000.25", kinds.NUMBER),
        (44000.25, '"R$" #,##0.00', "44000.25", kinds.NUMBER),
        (0.125, '0.0%;[Red]-0.0%', "12.5%", kinds.PERCENT),
        (3, '0" % of all"', "3", kinds.NUMBER),
    ],
)  # fmt: skip
def test_a_format_of_zeros_shows_an_identifier_and_no_other_format_changes_a_number(
    number, shown_by, text, kind
):
    assert column_of(books.xlsx(sheet(Shown(number, shown_by)))) == [(text, kind)]


def test_an_error_of_the_spreadsheet_is_told_by_its_name():
    assert column_of(books.xlsx(sheet(Formula("=NA()", "#N/A"), Formula("=1/0", "#DIV/0!")))) == [
        ("#N/A", kinds.ERROR_VALUE), ("#DIV/0!", kinds.ERROR_VALUE),
    ]  # fmt: skip
    assert column_of(biff12.xlsb(sheet(biff12.Error(0x2A), 5))) == [
        ("#N/A", kinds.ERROR_VALUE), ("5", kinds.NUMBER),
    ]  # fmt: skip


def test_an_error_of_an_open_document_is_told_by_its_name():
    text = b'<table:table-cell office:value-type="string"><text:p>%s</text:p></table:table-cell>'
    error = (
        b'<table:table-cell table:formula="of:=NA()" office:value-type="string" office:string-value="" '
        b'calcext:value-type="error"><text:p>#N/A</text:p></table:table-cell>'
    )
    rows = (
        b"<table:table-row>" + text % b"Nome" + text % b"Valor" + b"</table:table-row>"
        b'<table:table-row table:number-rows-repeated="2">' + text % b"Ana" + error + b"</table:table-row>"
    )
    assert column_of(books.open_document(rows)) == [("#N/A", kinds.ERROR_VALUE)] * 2


def test_a_formula_is_its_stored_result_and_never_calculated():
    stored = [Formula("=1+1", 2), Formula('="a"&"b"', "ab")]
    assert column_of(books.xlsx(sheet(*stored))) == [
        ("2", kinds.NUMBER), ("ab", kinds.TEXT),
    ]  # fmt: skip


def test_a_formula_that_gives_the_empty_text_has_a_result():
    row = b'<row r="2">%s<c r="B2" t="str"><f>IF(1,"")</f><v></v></c></row>' % books.text_cell("A2", "Ana")
    assert column_of(books.with_sheet(books.HEADER_ROW + row)) == [("", kinds.TEXT)]


def test_a_formula_without_result_is_told_with_its_text_where_the_format_keeps_it():
    row = b'<row r="2">%s<c r="B2"><f>IF(A1&lt;2,"x",1)</f>%s</c></row>'
    for value in (b"", b"<v></v>", b"<v/>"):
        data = books.with_sheet(books.HEADER_ROW + row % (books.text_cell("A2", "Ana"), value))
        assert column_of(data) == [('=IF(A1<2,"x",1)', kinds.NO_RESULT)]
    assert column_of(books.ods(sheet(Formula("=1+1")))) == [("=1+1", kinds.NO_RESULT)]
    left_for_later = b"\x03\0\0\0\0\0\xff\xff\x02\0"
    old = books.xls(sheet(Formula("1+1"))).replace(left_for_later[:8] + b"\0\0", left_for_later)
    assert column_of(old) == [("=…", kinds.NO_RESULT)]


def test_a_zero_left_by_a_program_that_cannot_calculate_is_no_result():
    assert column_of(books.xlsx(sheet(Formula("=1+1")))) == [("=1+1", kinds.NO_RESULT)]


def test_rows_of_nothing_but_formulas_without_result_are_rows_too():
    """calamine ends a sheet at its last value: such rows would be lost at its end."""
    cells = b'<row r="2">%s</row><row r="7"><c r="C7"><f>A1</f></c></row>' % books.text_cell("A2", "Ana")
    found = read_back(books.with_sheet(books.HEADER_ROW + cells))
    assert found.numbers == [2, 7]
    assert found.problems == [(7, "too_many_cells")]
    assert found.rows[1]["_overflow"] == "=A1"


def test_blank_rows_are_skipped_and_counted_in_row_numbers():
    rows = [["Nome"], ["Ana"], [None], ["  "], ["Bia"]]
    assert read_back(books.xlsx({"Plan1": rows})).numbers == [2, 5]


def test_a_million_styled_rows_without_content_are_no_rows():
    def style(book, sheet):
        percent = book.add_format({"num_format": "0%"})
        for row in range(5, 3000):
            sheet.write_blank(row, 0, None, percent)
        sheet.write_blank(1_048_575, 0, None, percent)

    found = read_back(books.xlsx({"Plan1": [["Nome"], ["Ana"]]}, edit=style))
    assert found.numbers == [2]


def test_cells_beyond_the_header_make_the_row_a_reject_with_what_they_say():
    rows = [["Nome", "Valor"], ["Ana", 1], ["Bia", 2, None, "solto", 7]]
    found = read_back(books.xlsx({"Plan1": rows}))
    assert found.problems == [(3, "too_many_cells")]
    assert [row["_overflow"] for row in found.rows] == [None, "solto\t7"]


def test_columns_and_rows_before_the_table_do_not_move_it():
    rows = [[None, None, None], [None, "Nome", "Valor"], [None, "Ana", 5]]
    found = read_back(books.xlsx({"Plan1": rows}))
    assert found.inspected.mapping == {"name": 1, "amount": 2}
    assert found.numbers == [3]
    assert found.cells == [["", "Ana", "5"]]


def test_a_repeated_header_and_a_declared_footer_are_ignored_and_listed():
    rows = [["Nome", "Valor"], ["Ana", 1], ["Nome", "Valor"], ["Bia", 2], ["Total: 2", 3]]
    found = read_back(books.xlsx({"Plan1": rows}), people(footer=("^Total",)))
    assert found.numbers == [2, 4]
    assert [(row.row_number, row.why) for row in found.split.ignored] == [
        (3, "repeated_header"),
        (5, "footer"),
    ]
    assert found.split.ignored_rows == 2


def test_a_merged_range_has_its_value_in_the_first_cell_and_a_notice():
    def merge(book, sheet):
        sheet.merge_range(2, 0, 3, 0, "Bia")

    rows = [["Nome", "Valor"], ["Ana", 1], [None, 2], [None, 3]]
    found = read_back(books.xlsx({"Plan1": rows}, edit=merge))
    assert found.cells == [["Ana", "1"], ["Bia", "2"], ["", "3"]]
    (notice,) = [n for n in found.inspected.notices if n.code == "merged_cells"]
    assert "'Plan1': 1 merged" in notice.message and "rows 3 to 4" in notice.message


def test_merged_titles_above_the_header_are_no_matter_for_a_notice():
    def merge(book, sheet):
        sheet.merge_range(0, 0, 0, 1, "Relatório")

    rows = [[None, None], ["Nome", "Valor"], ["Ana", 1]]
    found = read_back(books.xlsx({"Plan1": rows}, edit=merge))
    assert found.numbers == [3]
    assert "merged_cells" not in [n.code for n in found.inspected.notices]


def test_batches_are_cut_from_a_sheet_in_order():
    rows = [["Nome", "Valor"], *[[f"Pessoa {n}", n] for n in range(5000)]]
    found = read_back(books.xlsx({"Plan1": rows}), rows_per_batch=1500)
    assert [batch.rows for batch in found.split.batches] == [1500, 1500, 1500, 500]
    assert [row["c1"] for row in found.rows] == [str(n) for n in range(5000)]
    assert found.numbers == list(range(2, 5002))
