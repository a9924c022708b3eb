"""What every kind of workbook can be asked: its sheets, their beginning, their extent, their values.

Each format has a module of its own beside this one; `opened_workbook` picks it. Nothing is loaded before
its size is known to be within the limits.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

from import_pipeline.flow.batches.recognising.containers import OLE2_MARK, unsupported, zip_format
from import_pipeline.flow.batches.sources.source import FileSource
from import_pipeline.flow.batches.spreadsheets.listed import ListedSheet, SheetExtent, SheetValues
from import_pipeline.flow.batches.spreadsheets.marks import ColumnMarks
from import_pipeline.flow.batches.spreadsheets.ods import OdsWorkbook
from import_pipeline.flow.batches.spreadsheets.package import Package, opened_package
from import_pipeline.flow.batches.spreadsheets.xls import XlsWorkbook
from import_pipeline.flow.batches.spreadsheets.xlsb import XlsbWorkbook
from import_pipeline.flow.batches.spreadsheets.xlsx import XlsxWorkbook
from import_pipeline.language import told
from import_pipeline.records import FileFormat

WorkbookFormat = Literal["xlsx", "xlsm", "xlsb", "xls", "ods"]
WORKBOOK_FORMATS: tuple[WorkbookFormat, ...] = ("xlsx", "xlsm", "xlsb", "xls", "ods")


class Workbook(Protocol):
    """An open workbook.

    Every method may raise `CorruptFile`, `EncryptedFile` or `TooLargeForASpreadsheet`.
    """

    @property
    def sheets(self) -> Sequence[ListedSheet]:
        """Its sheets in their order; charts, dialogs and macros are none."""

    def heads(self, names: Sequence[str], rows: int) -> dict[str, list[list[str]]]:
        """The first rows of these sheets as text, from row 1 and column A on."""

    def extent(self, sheet: str) -> SheetExtent:
        """How far a sheet reaches; asked before `load`, and once for all that are read."""

    def marks(self, sheet: str) -> dict[int, ColumnMarks]:
        """What is said of its cells beside their values, by column from 0."""

    def load(self, sheet: str) -> SheetValues:
        """Its values."""


@contextmanager
def opened_workbook(path: Path, file: str, file_format: FileFormat) -> Iterator[Workbook]:
    """A workbook, open as long as the `with` lasts.

    Args:
        file: what the sender calls it.

    Raises:
        CorruptFile, EncryptedFile, TooLargeForASpreadsheet: it cannot be read.
    """
    if file_format == "xls":
        yield XlsWorkbook(path, file)
        return
    with opened_package(path, file) as package:
        yield _ZIPPED[file_format](path, package)


_ZIPPED: dict[str, Callable[[Path, Package], Workbook]] = {
    "xlsx": XlsxWorkbook, "xlsm": XlsxWorkbook, "xlsb": XlsbWorkbook, "ods": OdsWorkbook,
}  # fmt: skip


def workbook_format(path: Path) -> WorkbookFormat:
    """Which format a workbook has, by its content.

    Raises:
        UnsupportedFormat: it is no workbook.
    """
    with path.open("rb") as file:
        if file.read(len(OLE2_MARK)) == OLE2_MARK:
            return "xls"
    found = zip_format(FileSource(path))
    if found == "zip":
        raise unsupported(path.name, told("a zip archive"), told("Send the files inside one by one."))
    return found
