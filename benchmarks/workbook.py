"""What reading a workbook costs beyond calamine's own reading, and how much memory it takes.

`python -m benchmarks.workbook [rows]` makes two workbooks of 11 columns (300,000 rows), one with a column of
formulas, and reads each in a process of its own: by calamine alone, then inspected and split into batches.
"""

import argparse
import datetime
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandera.pandas as pandera
import xlsxwriter
from python_calamine import CalamineWorkbook

from benchmarks.memory import peak_megabytes
from import_pipeline.catalog.dataset import Dataset, SenderOptions, column
from import_pipeline.catalog.types import Date, Integer, Number, Text
from import_pipeline.flow.batches.opening import inspect_file
from import_pipeline.flow.batches.sources.source import FileSource
from import_pipeline.flow.batches.splitting import split_file
from import_pipeline.storage.store import LocalStore

HEADER = ("Nome", "E-mail", "Telefone", "Cidade", "UF", "Valor", "Data", "Idade", "Código", "Ativo", "Obs")
# Times of calamine's own reading that inspecting and splitting may take.
LIMITS = {"plain": 2.0, "formulas": 4.0}
LIMIT_MB = 1024


class People(pandera.DataFrameModel):
    name: Text = column("Nome", required=True)
    email: Text = column("E-mail")
    city: Text = column("Cidade")
    amount: Number(14, 2) = column("Valor")
    since: Date = column("Data")
    age: Integer = column("Idade")


PEOPLE = Dataset(name="people", model=People)


def write(path: Path, rows: int, *, formulas: bool) -> None:
    """A workbook of people; with `formulas`, the last column is one with its result."""
    book = xlsxwriter.Workbook(path, {"constant_memory": True})
    sheet = book.add_worksheet("Pessoas")
    date = book.add_format({"num_format": "dd/mm/yyyy"})
    sheet.write_row(0, 0, HEADER)
    for row in range(1, rows + 1):
        amount = row * 7919 % 1_000_000 / 100
        sheet.write_row(
            row, 0, (f"Pessoa {row}", f"p{row}@example.com", f"+5511{row:09d}", "São Paulo", "SP", amount)
        )
        sheet.write_datetime(
            row, 6, datetime.datetime(2020, 1, 1) + datetime.timedelta(days=row % 2000), date
        )
        sheet.write_number(row, 7, row % 90)
        sheet.write_string(row, 8, f"{row:06d}")
        sheet.write_boolean(row, 9, row % 2 == 0)
        if formulas:
            sheet.write_formula(row, 10, f"=F{row + 1}*2.1", None, amount * 2.1)
        else:
            sheet.write_string(row, 10, f"nota {row % 50}")
    book.close()


def measure(path: Path) -> tuple[float, float, float, int]:
    """Seconds of calamine alone, of inspecting and of splitting; peak memory of the latter in MB."""
    started = time.perf_counter()
    for _ in CalamineWorkbook.from_path(path).get_sheet_by_index(0).iter_rows():
        pass
    alone = time.perf_counter() - started
    source, nothing = FileSource(path), SenderOptions()
    started = time.perf_counter()
    inspected = inspect_file(source, PEOPLE, nothing)
    looked = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        split_file(
            source, inspected, PEOPLE, options=nothing, store=LocalStore(Path(folder)), staging="staging/"
        )
        read = time.perf_counter() - started
    return alone, looked, read, peak_megabytes()


def measured(folder: Path, name: str, rows: int) -> tuple[float, float, float, float]:
    """What `measure` says of a workbook made for it (`plain`, `formulas`), in a process of its own."""
    path = folder / f"{name}-{rows}.xlsx"
    if not path.exists():
        write(path, rows, formulas=name == "formulas")
    command = [sys.executable, "-m", "benchmarks.workbook", "--measure", str(path)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    alone, looked, read, megabytes = map(float, answer.split())
    return alone, looked, read, megabytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=300_000)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        sys.stdout.write(" ".join(str(figure) for figure in measure(arguments.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, limit in LIMITS.items():
            alone, looked, read, megabytes = measured(Path(folder), name, arguments.rows)
            ratio = (looked + read) / alone
            sys.stdout.write(
                f"{name}: calamine {alone:.2f} s, inspect {looked:.2f} s, split {read:.2f} s: "
                f"{ratio:.2f} times (at most {limit:.0f}); {megabytes:.0f} MB (at most {LIMIT_MB})\n"
            )
            if ratio > limit or megabytes > LIMIT_MB:
                sys.stdout.write("  above its limit\n")


if __name__ == "__main__":
    main()
