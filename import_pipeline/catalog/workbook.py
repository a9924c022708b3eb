"""An empty workbook for a dataset, ready to be filled in: header with notes, validations, one example row.

What each column takes is `workbook_columns.py`'s; here it becomes cells. Reading workbooks is
`flow/batches/spreadsheets/`'s.
"""

from pathlib import Path

from openpyxl import Workbook
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from import_pipeline.catalog.dataset import Dataset
from import_pipeline.catalog.workbook_columns import LISTS_SHEET, TemplateColumn, template_columns
from import_pipeline.language import Language, say, told

# Rows of a sheet of the XLSX format; validations cover all below the header.
LAST_ROW = 1_048_576
LONGEST_TITLE, LONGEST_PROMPT = 32, 255  # of a validation's messages, in the XLSX format
LONGEST_INLINE_LIST = 255
REQUIRED_FILL = PatternFill("solid", start_color="FF1F4E79")
OPTIONAL_FILL = PatternFill("solid", start_color="FF5B7FA6")


def write_template(dataset: Dataset, path: Path, language: Language) -> None:
    """Write the workbook; a file at `path` is replaced only once the new one is whole."""
    workbook = Workbook()
    sheet = workbook.active
    # The XLSX format allows 31 characters.
    sheet.title = dataset.name[:31]
    for position, column in enumerate(template_columns(dataset, language), start=1):
        _write_column(workbook, sheet, position, column, language)
    sheet.freeze_panes = "A2"
    hint = say(told("This row is an example: write your own over it."), language)
    first = sheet["A2"]
    first.comment = _comment(hint)
    beside = path.with_name(f".{path.name}.part")
    try:
        workbook.save(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _write_column(
    workbook: Workbook, sheet: Worksheet, position: int, column: TemplateColumn, language: Language
) -> None:
    letter = get_column_letter(position)
    header = sheet.cell(1, position, column.header)
    header.font = Font(bold=True, color="FFFFFFFF")
    header.fill = REQUIRED_FILL if column.required else OPTIONAL_FILL
    header.alignment = Alignment(vertical="center")
    header.comment = _comment("\n".join(column.note))
    example = sheet.cell(2, position, column.example)
    example.font = Font(italic=True, color="FF808080")
    example.number_format = column.number_format
    if isinstance(column.example, str):
        # Never a formula, whatever it begins with.
        example.data_type = "s"
    # The whole column: an identifier typed into any row keeps its leading zeros.
    sheet.column_dimensions[letter].number_format = column.number_format
    sheet.column_dimensions[letter].width = max(14, min(40, len(column.header) + 4, 60))
    sheet.add_data_validation(_validation(workbook, letter, column, language))


def _comment(text: str) -> Comment:
    comment = Comment(text, "import-pipeline")
    comment.width = 320
    comment.height = 30 + 20 * sum(1 + len(line) // 45 for line in text.split("\n"))
    return comment


def _validation(
    workbook: Workbook, letter: str, column: TemplateColumn, language: Language
) -> DataValidation:
    rule = column.rule
    formula = _list_formula(workbook, letter, column) if rule.kind == "list" else rule.low
    validation = DataValidation(
        type=rule.kind,
        operator=rule.operator,
        formula1=formula.replace("{cell}", f"{letter}2") if formula else None,
        formula2=rule.high,
        allow_blank=not column.required,
        # A text's form is judged by the import; the workbook only warns of what looks wrong.
        errorStyle="warning" if rule.kind in ("custom", "textLength") else "stop",
        showErrorMessage=True,
        showInputMessage=True,
        promptTitle=column.header[:LONGEST_TITLE],
        prompt="\n".join(column.note)[:LONGEST_PROMPT],
        errorTitle=column.header[:LONGEST_TITLE],
        error=say(told("The note on the column's header says what it takes."), language),
    )
    validation.add(f"{letter}2:{letter}{LAST_ROW}")
    return validation


def _list_formula(workbook: Workbook, letter: str, column: TemplateColumn) -> str:
    """The choices in the validation itself, or on a hidden sheet where they do not fit."""
    choices = column.rule.choices
    inline = '"' + ",".join(choices) + '"'
    if len(inline) <= LONGEST_INLINE_LIST and not any("," in c or '"' in c for c in choices):
        return inline
    if LISTS_SHEET not in workbook.sheetnames:
        workbook.create_sheet(LISTS_SHEET).sheet_state = "hidden"
    lists = workbook[LISTS_SHEET]
    for row, choice in enumerate(choices, start=1):
        cell = lists[f"{letter}{row}"]
        cell.value = choice
        cell.data_type = "s"
    return f"{LISTS_SHEET}!${letter}$1:${letter}${len(choices)}"
