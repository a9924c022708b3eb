"""What the small parts of an xlsx or xlsm say: its sheets and where they lie, and what number formats mean.

Read from `workbook.xml`, its relationships and `styles.xml`; the sheets themselves are `sheet_xml.py`'s.
"""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from import_pipeline.flow.batches.spreadsheets.number_formats import (
    PERCENT_IDS,
    ZerosFormat,
    is_percent,
    zeros_format,
)
from import_pipeline.flow.batches.spreadsheets.package import Package, corrupt
from import_pipeline.language import told

_OFFICE_DOCUMENT = "/officeDocument"
_TRUE = ("1", "true")


@dataclass(frozen=True)
class SheetPart:
    """A sheet as the workbook lists it.

    Attributes:
        part: its part in the package; empty if the part is missing or no worksheet (a chart).
    """

    name: str
    visible: bool
    part: str


@dataclass(frozen=True)
class Formats:
    """Cell formats (by the number that cells name in `s`) that say more than the number.

    Attributes:
        never_calculated: the program that wrote the file left its formulas to be calculated at the
            next opening (`fullCalcOnLoad`): a result of 0 is a placeholder.
    """

    percent: frozenset[int]
    zeros: Mapping[int, ZerosFormat]
    never_calculated: bool

    @property
    def special(self) -> frozenset[int]:
        """All formats that need the sheet's XML to be seen."""
        return self.percent | self.zeros.keys()


def workbook_part(package: Package) -> str:
    """The part that lists the sheets: `xl/workbook.xml`, as the package's relationships say."""
    relations = package.find("_rels/.rels")
    if relations is not None:
        for kind, target in part_relations(package, relations, "").values():
            if kind.endswith(_OFFICE_DOCUMENT):
                found = package.find(target)
                if found is not None:
                    return found
    found = package.find("xl/workbook.xml")
    if found is None:
        raise corrupt(package.name, told("the list of its sheets is missing"))
    return found


def list_sheets(package: Package) -> tuple[SheetPart, ...]:
    """The sheets in the workbook's order.

    Raises:
        CorruptFile: the list of sheets is missing or is no XML.
    """
    workbook = workbook_part(package)
    folder, base = posixpath.split(workbook)
    relations_part = package.find(f"{folder}/_rels/{base}.rels")
    relations = part_relations(package, relations_part, folder) if relations_part else {}
    sheets = []
    for element in package.xml(workbook).iter():
        if _local(element.tag) != "sheet":
            continue
        kind, target = relations.get(_relation_id(element), ("", ""))
        part = package.find(target) if kind.endswith("/worksheet") else None
        visible = element.get("state", "visible") == "visible"
        sheets.append(SheetPart(element.get("name", ""), visible, part or ""))
    return tuple(sheets)


def read_formats(package: Package) -> Formats:
    """The formats that say more than the number, and whether formulas were ever calculated."""
    workbook = package.xml(workbook_part(package))
    calc = next((e for e in workbook.iter() if _local(e.tag) == "calcPr"), None)
    never = calc is not None and calc.get("fullCalcOnLoad", "").lower() in _TRUE
    part = next((p for p in package.parts if p.lower().endswith("/styles.xml")), None)
    percent: set[int] = set()
    zeros: dict[int, ZerosFormat] = {}
    if part is not None:
        styles = package.xml(part)
        codes = _codes(styles)
        for index, number in enumerate(_cell_formats(styles)):
            code = codes.get(number, "")
            if is_percent(code) or (number in PERCENT_IDS and not code):
                percent.add(index)
            elif (found := zeros_format(code)) is not None:
                zeros[index] = found
    return Formats(frozenset(percent), zeros, never)


def _codes(styles: ElementTree.Element) -> dict[int, str]:
    formats = (e for e in styles.iter() if _local(e.tag) == "numFmt")
    return {_number(e.get("numFmtId")): e.get("formatCode", "") for e in formats}


def _cell_formats(styles: ElementTree.Element) -> list[int]:
    """The number format of each cell format, in their order."""
    cells = next((e for e in styles.iter() if _local(e.tag) == "cellXfs"), None)
    return [_number(e.get("numFmtId")) for e in cells] if cells is not None else []


def part_relations(package: Package, part: str, folder: str) -> dict[str, tuple[str, str]]:
    """Relationship id to (kind, part)."""
    found = {}
    for element in package.xml(part):
        target = element.get("Target", "")
        path = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"{folder}/{target}")
        found[element.get("Id", "")] = (element.get("Type", ""), path)
    return found


def _relation_id(element: ElementTree.Element) -> str:
    """The attribute `r:id`; strict workbooks have another name space."""
    return next((value for key, value in element.attrib.items() if key.endswith("}id")), "")


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else -1
