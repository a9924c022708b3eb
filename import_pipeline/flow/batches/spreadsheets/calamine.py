"""calamine behind a guard: whatever it says or does about a broken workbook becomes a refusal by name.

Its faults in Rust arrive as `PanicException`, which is no `Exception` and would end the process.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError

from import_pipeline.flow.batches.recognising.containers import encrypted
from import_pipeline.flow.batches.spreadsheets.package import corrupt
from import_pipeline.language import told

_PANIC = "PanicException"


@contextmanager
def guarded(file: str) -> Iterator[None]:
    """Run calls of calamine.

    Args:
        file: the file's name, for messages.

    Raises:
        EncryptedFile: the workbook has a password.
        CorruptFile: anything else that calamine does not read.
    """
    try:
        yield
    except PasswordError as error:
        raise encrypted(file) from error
    except (CalamineError, OSError, ValueError, OverflowError) as error:
        raise corrupt(
            file, told("it cannot be read as a spreadsheet ({why})", why=_first_line(error))
        ) from error
    except BaseException as error:
        if type(error).__name__ != _PANIC:
            raise
        raise corrupt(file, told("it cannot be read as a spreadsheet")) from error


def load(source: "Path | BinaryIO", file: str) -> CalamineWorkbook:
    """Open a workbook; raises as `guarded`."""
    with guarded(file):
        if isinstance(source, Path):
            return CalamineWorkbook.from_path(source)
        return CalamineWorkbook.from_filelike(source)


class LoadedSheet:
    """The values of one sheet, in memory as a whole.

    Attributes:
        first_column: of the sheet's filled part, from 0; cells before it are not in the rows.
        width: cells of each row.
        last_row: of the filled part, from 1; 0: the sheet is empty.
    """

    def __init__(self, workbook: CalamineWorkbook, name: str, file: str):
        with guarded(file):
            self._sheet: CalamineSheet = workbook.get_sheet_by_name(name)
            start, end = self._sheet.start, self._sheet.end
        self._file = file
        self.first_column = start[1] if start else 0
        self.width = end[1] - start[1] + 1 if start and end else 0
        self.last_row = end[0] + 1 if end else 0

    def rows(self) -> Iterator[list[Any]]:
        """Every row from the sheet's first one on; an empty cell is the empty text."""
        if self.last_row:
            with guarded(self._file):
                yield from self._sheet.iter_rows()


def _first_line(error: BaseException) -> str:
    return str(error).split("\n")[0][:200]
