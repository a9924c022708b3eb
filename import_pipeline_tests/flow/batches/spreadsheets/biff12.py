"""A small writer of xlsb for tests: there is none in Python. MS-XLSB 2.1.4 (records), 2.4 (their fields)."""

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_TYPES = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="bin" ContentType="application/vnd.ms-excel.sheet.binary.macroEnabled.main"/></Types>"""
_RELATIONS = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>"""
_RELATION = (
    '<Relationship Id="{}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{}" '
    'Target="{}"/>'
)
GENERAL, PERCENT, DATE, TIMESTAMP, ZEROS = range(5)
_FORMAT_IDS = (0, 10, 14, 22, 164)


@dataclass(frozen=True)
class Number:
    value: float
    style: int = GENERAL


@dataclass(frozen=True)
class Error:
    code: int


def record(kind: int, content: bytes = b"") -> bytes:
    head = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size, length = b"", len(content)
    while True:
        part, length = length & 0x7F, length >> 7
        size += bytes([part | (0x80 if length else 0)])
        if not length:
            return head + size + content


def text(value: str) -> bytes:
    encoded = value.encode("utf-16-le")
    return struct.pack("<I", len(encoded) // 2) + encoded


def xlsb(
    sheets: Mapping[str, Sequence[Sequence[object]]],
    *,
    hidden: Sequence[str] = (),
    merged: Sequence[tuple[int, int, int, int]] = (),
    first_row: int = 0,
) -> bytes:
    """A workbook; None leaves a cell out, `Number` and `Error` say more than Python's types."""
    bundles = b"".join(
        record(156, struct.pack("<II", name in hidden, at) + text(f"rId{at}") + text(name))
        for at, name in enumerate(sheets, 1)
    )
    workbook = record(131) + record(143) + bundles + record(144) + record(132)
    relations = [
        _RELATION.format(f"rId{at}", "worksheet", f"worksheets/sheet{at}.bin")
        for at in range(1, len(sheets) + 1)
    ]
    relations.append(_RELATION.format("rId99", "styles", "styles.bin"))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _TYPES)
        archive.writestr(
            "_rels/.rels", _RELATIONS.format(_RELATION.format("rId1", "officeDocument", "xl/workbook.bin"))
        )
        archive.writestr("xl/workbook.bin", workbook)
        archive.writestr("xl/_rels/workbook.bin.rels", _RELATIONS.format("".join(relations)))
        archive.writestr("xl/styles.bin", _styles())
        for at, rows in enumerate(sheets.values(), 1):
            archive.writestr(f"xl/worksheets/sheet{at}.bin", _sheet(rows, merged, first_row))
    return file.getvalue()


def _styles() -> bytes:
    formats = b"".join(
        record(47, struct.pack("<HHHHH", 0, number, 0, 0, 0) + bytes(6)) for number in _FORMAT_IDS
    )
    declared = record(44, struct.pack("<H", 164) + text("00000"))
    return (
        record(278) + record(615, struct.pack("<I", 1)) + declared + record(616)
        + record(617, struct.pack("<I", len(_FORMAT_IDS))) + formats + record(618) + record(279)
    )  # fmt: skip


def _sheet(
    rows: Sequence[Sequence[object]], merged: Sequence[tuple[int, int, int, int]], first_row: int
) -> bytes:
    width = max((len(row) for row in rows), default=1)
    parts = [
        record(129),
        record(148, struct.pack("<IIII", first_row, first_row + len(rows) - 1, 0, width - 1)),
        record(145),
    ]
    for number, row in enumerate(rows, first_row):
        parts.append(record(0, struct.pack("<I", number) + bytes(13)))
        parts += [_cell(column, value) for column, value in enumerate(row) if value is not None]
    parts.append(record(146))
    if merged:
        parts.append(record(177, struct.pack("<I", len(merged))))
        parts += [record(176, struct.pack("<IIII", *range_)) for range_ in merged]
        parts.append(record(178))
    return b"".join([*parts, record(130)])


def _cell(column: int, value: object) -> bytes:
    style = value.style if isinstance(value, Number) else GENERAL
    place = struct.pack("<II", column, style)
    if isinstance(value, Error):
        return record(3, place + bytes([value.code]))
    if isinstance(value, bool):
        return record(4, place + bytes([value]))
    if isinstance(value, Number):
        return record(5, place + struct.pack("<d", value.value))
    if isinstance(value, int | float):
        return record(5, place + struct.pack("<d", value))
    return record(6, place + text(str(value)))
