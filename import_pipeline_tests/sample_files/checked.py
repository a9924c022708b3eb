"""What checking a file said, as the sender finds it in the files that come back."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

from import_pipeline.catalog.dataset import Dataset, SenderOptions
from import_pipeline.local_check import check_files
from import_pipeline.records import Counts
from import_pipeline_tests.sample_files.model import PARTS


@dataclass(frozen=True)
class Said:
    """Attributes: errors: (sheet, row, column, code) of each line of errors.csv, in its order."""

    refused: str
    errors: list[tuple[str, int, str, str]]
    warnings: list[str]
    counts: Counts | None
    folder: Path


def said_of(
    data: bytes, name: str, folder: Path, *, dataset: Dataset = PARTS, options: SenderOptions | None = None
) -> Said:
    """Check a file in a folder of its own; an archive with one file in it likewise."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    (checked,) = check_files(path, dataset, options or SenderOptions(), folder / "report")
    output = next(file.parent for file in checked.files if file.name == "summary.json")
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    listed = output / "errors.csv"
    found = {thing["what"]: thing["value"] for thing in summary.get("read_as", [])}
    delimiter = found.get("delimiter", ",")
    errors = _errors(listed.read_text(encoding="utf-8-sig"), delimiter) if listed.exists() else []
    return Said(
        checked.error.code if checked.error else "",
        errors,
        sorted(warning["code"] for warning in summary.get("warnings", [])),
        checked.counts,
        output,
    )


csv.field_size_limit(1 << 24)


def _errors(text: str, delimiter: str) -> list[tuple[str, int, str, str]]:
    lines = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [(line.get("sheet", ""), int(line["row"]), line["column"], line["code"]) for line in lines]
