"""What only an ods can hold: see `books.open_document` for the sheet that these rows are put into."""

import pytest

from import_pipeline.errors import CorruptFile
from import_pipeline.flow.batches import kinds
from import_pipeline_tests.flow.batches.reading_back import inspect, read_back
from import_pipeline_tests.flow.batches.spreadsheets import books


def cell(inside, attributes='office:value-type="string"'):
    return f"<table:table-cell {attributes}>{inside}</table:table-cell>"


def row(*cells, attributes=""):
    return f"<table:table-row {attributes}>{''.join(cells)}</table:table-row>"


HEADER = row(cell("<text:p>Nome</text:p>"), cell("<text:p>Valor</text:p>"))


def second_column(*cells):
    rows = "".join(row(cell("<text:p>Ana</text:p>"), one) for one in cells)
    found = read_back(books.open_document((HEADER + rows).encode()))
    return [(r["c1"], r["k1"]) for r in found.rows]


def test_white_space_and_comments_between_elements_are_nothing():
    tight = HEADER + row(cell("<text:p>Ana</text:p>"), cell("<text:p>1</text:p><text:p>2</text:p>"))
    wide = tight.replace("><", ">\n   <!-- a > comment -->\n\t<")

    assert read_back(books.open_document(wide.encode())).cells == [["Ana", "1\n2"]]
    assert read_back(books.open_document(tight.encode())).cells == [["Ana", "1\n2"]]


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<text:p>um</text:p><text:p>dois</text:p><text:p/><text:p>quatro</text:p>", "um\ndois\n\nquatro"),
        ("<text:p>a<text:tab/>b<text:line-break/>c<text:s/>d<text:s text:c='3'/>e</text:p>", "a\tb\nc d   e"),
        ("<text:p>a <text:span>b <text:a>c</text:a></text:span></text:p>", "a b c"),
        ("<text:p>\n  <text:span>a</text:span>\n  <text:span>b</text:span>\n</text:p>", "a b"),
        ("<text:p> a  b </text:p>", " a  b "),
        ("<text:p><![CDATA[a<b]]>&amp;&#233;</text:p>", "a<b&é"),
        ("<office:annotation><text:p>nota</text:p></office:annotation><text:p>a</text:p>", "a"),
        ("<text:p>a</text:p><office:annotation><text:p>nota</text:p></office:annotation>", "a"),
        ("<text:p>a<text:note><text:p>nota</text:p></text:note>b</text:p>", "ab"),
        ("<table:table><table:table-row><table:table-cell/></table:table-row></table:table><text:p>a</text:p>",
         "a"),
    ],
)  # fmt: skip
def test_a_text_is_its_paragraphs_without_what_hangs_on_it(inside, text):
    assert second_column(cell(inside)) == [(text, kinds.TEXT)]


@pytest.mark.parametrize(
    ("attributes", "text", "kind"),
    [
        ('office:value-type="float" office:value="-1234.5"', "-1234.5", kinds.NUMBER),
        ('office:value-type="currency" office:currency="BRL" office:value="8.5"', "8.5", kinds.NUMBER),
        ('office:value-type="percentage" office:value="0.155"', "15.5%", kinds.PERCENT),
        ('office:value-type="percentage" office:value="0.07"', "7%", kinds.PERCENT),
        ('office:value-type="boolean" office:boolean-value="true"', "true", kinds.BOOLEAN),
        ('office:value-type="date" office:date-value="2026-02-28"', "2026-02-28", kinds.DATE),
        ('office:value-type="date" office:date-value="2026-02-28T10:11:12.5"', "2026-02-28 10:11:12.500000",
         kinds.TIMESTAMP),
        ('office:value-type="date" office:date-value="2026-02-31"', "2026-02-31", kinds.TEXT),
        ('office:value-type="date" office:date-value="2026-02-28T10:11:12Z"', "2026-02-28T10:11:12Z",
         kinds.TEXT),
        ('office:value-type="time" office:time-value="PT08H07M00S"', "08:07:00", kinds.TIME),
        ('office:value-type="time" office:time-value="PT36H07M00.5S"', "36:07:00.500000", kinds.TIME),
        ('office:value-type="time" office:time-value="-P1DT1H"', "-25:00:00", kinds.TIME),
        ('office:value-type="string" office:string-value="guardado"', "guardado", kinds.TEXT),
        ('office:value-type="float"', "visto", kinds.TEXT),
        ('table:style-name="ce1"', "visto", kinds.TEXT),
        ('calcext:value-type="error" office:value-type="string" office:string-value=""', "visto",
         kinds.ERROR_VALUE),
        ('table:formula="of:=[.A1]"', "=[.A1]", kinds.NO_RESULT),
    ],
)  # fmt: skip
def test_a_value_is_the_stored_one_and_not_what_is_shown(attributes, text, kind):
    assert second_column(cell("<text:p>visto</text:p>", attributes)) == [(text, kind)]


def test_repeated_and_covered_cells_stand_where_they_are_shown():
    rows = (
        '<table:table-column table:number-columns-repeated="16384"/>'
        "<table:table-header-rows>" + HEADER + "</table:table-header-rows>"
        "<table:table-row-group>"
        + row(
            cell("<text:p>Ana</text:p>", 'office:value-type="string" table:number-columns-repeated="2"'),
            attributes='table:number-rows-repeated="2"',
        )
        + "</table:table-row-group>"
        + row(cell("", 'table:number-columns-repeated="16384"'), attributes='table:number-rows-repeated="3"')
        + row(
            cell("<text:p>Bia</text:p>", 'office:value-type="string" table:number-columns-spanned="2"'
                 ' table:number-rows-spanned="1"'),
            "<table:covered-table-cell/>",
        )
        + row(cell("", 'table:number-columns-repeated="16384"'),
              attributes='table:number-rows-repeated="1048500"')
    )  # fmt: skip
    found = read_back(books.open_document(rows.encode()))

    assert found.cells == [["Ana", "Ana"], ["Ana", "Ana"], ["Bia", ""]]
    assert found.numbers == [2, 3, 7]
    merged = next(notice for notice in found.inspected.notices if notice.code == "merged_cells")
    assert "rows 7 to 7" in merged.message


def test_what_was_tracked_or_drawn_beside_the_cells_is_no_row():
    tracked = "<table:tracked-changes>" + row(cell("<text:p>apagado</text:p>")) + "</table:tracked-changes>"
    shapes = "<table:shapes><table:table>" + row(cell("<text:p>x</text:p>")) + "</table:table></table:shapes>"
    rows = shapes + HEADER + row(cell("<text:p>Ana</text:p>"))

    assert read_back(books.open_document((tracked + rows).encode())).cells == [["Ana", ""]]


def test_a_hidden_sheet_is_told_by_its_style():
    book = books.open_document((HEADER + row(cell("<text:p>Ana</text:p>"))).encode())
    style = (
        b'<style:style xmlns:style="urn:style" style:name="ta2">'
        b'<style:table-properties table:display="false"/></style:style><office:body>'
    )
    hidden = (
        b'</table:table><table:table table:name="Oculta" table:style-name="ta2">'
        + HEADER.encode() + b"</table:table></office:spreadsheet>"
    )  # fmt: skip
    content = books.part_of(book, "content.xml")
    content = content.replace(b"<office:body>", style).replace(b"</table:table></office:spreadsheet>", hidden)

    found = inspect(books.with_parts(book, {"content.xml": content}))

    assert [sheet.name for sheet in found.sheets] == ["Plan1"]
    assert any("'Oculta' is hidden" in notice.message for notice in found.notices)


@pytest.mark.parametrize(
    "rows",
    [
        HEADER + row(cell("<text:p>Ana</text:p>"))[:-9],
        HEADER + row(cell("<text:p>Ana</text:p>", 'table:number-columns-repeated="0"')),
        HEADER + row(cell("<text:p>Ana</text:p>", 'table:number-columns-repeated="16385"')),
        HEADER + row(cell("<text:p>Ana</text:p>"), attributes='table:number-rows-repeated="1048576"'),
    ],
)
def test_a_document_that_is_broken_or_reaches_out_of_its_sheet_is_refused(rows):
    with pytest.raises(CorruptFile, match=r"content.xml is not written as a sheet is"):
        inspect(books.open_document(rows.encode()))
